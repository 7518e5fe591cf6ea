"""HDF5 can lead to other files, load libraries and fill memory; here it does none of it."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from inceptioncli.errors import WeightsError
from inceptioncli.summary import variables
from inceptioncli.weights import formats
from inceptioncli.weights.formats import hdf5
from tests.weights import layouts

KERNEL = "conv2d_1/conv2d_1/kernel:0"
SHAPE = (3, 3, 3, 16)
Change = Callable[[h5py.File], None]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layouts.published(tmp_path_factory.mktemp("published") / "model.h5")


@pytest.fixture(scope="module")
def weights_h5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layouts.weights_h5(tmp_path_factory.mktemp("weights") / "model.weights.h5")


def refused(path: Path, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        formats.read(path)
    assert caught.value.exit_code == 5
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def instead_of(name: str, make: Callable[[h5py.File, str], object]) -> Change:
    def change(file: h5py.File) -> None:
        del file[name]
        make(file, name)

    return change


def dataset(**options: object) -> Change:
    return instead_of(KERNEL, lambda file, name: file.create_dataset(name, **options))


def of_type(dtype: object, shape: tuple[int, ...] = SHAPE) -> Change:
    return dataset(shape=shape, dtype=dtype)


def virtual(file: h5py.File, name: str) -> None:
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[...] = h5py.VirtualSource("other.h5", KERNEL, SHAPE)
    file.create_virtual_dataset(name, layout)


def link(to: h5py.SoftLink | h5py.ExternalLink) -> Change:
    return instead_of(KERNEL, lambda file, name: file.__setitem__(name, to))


def bomb(file: h5py.File, name: str) -> None:
    """An array whose one chunk unpacks to far more than the chunk has room for."""
    array = file.create_dataset(name, SHAPE, "f4", chunks=SHAPE, compression="gzip")
    packed = zlib.compress(bytes(256 << 20))
    array.id.write_direct_chunk((0, 0, 0, 0), packed[: 2 * array.nbytes])


def nested(file: h5py.File) -> None:
    group: h5py.Group = file
    for _ in range(3000):
        group = group.create_group("g")


CHANGES: dict[str, tuple[Change, str]] = {
    "an array in another file": (
        dataset(shape=SHAPE, dtype="f4", external=[("other.bin", 0, h5py.h5f.UNLIMITED)]),
        r"/kernel:0 lies in another file, other\.bin; expected an array of floats",
    ),
    "a virtual array": (instead_of(KERNEL, virtual), r"kernel:0 is put together from other"),
    "a link to a file": (
        link(h5py.ExternalLink("other.h5", "/a")),
        r"conv2d_1/kernel:0 is a link to /a in other\.h5; expected arrays in the file itself",
    ),
    "a link by name": (link(h5py.SoftLink("/no/where")), "kernel:0 is a link to /no/where"),
    "nothing": (dataset(data=h5py.Empty("f4")), "kernel:0 is empty; expected an array of floats"),
    "integers": (of_type("i4"), "kernel:0 is of int32; expected an array of floats"),
    "bool": (of_type("?"), "kernel:0 is of bool"),
    "complex": (of_type("c8"), "kernel:0 is of complex64"),
    "long double": (of_type("g"), "kernel:0 is of float128"),
    "bytes": (of_type("S8"), r"kernel:0 is of \|S8"),
    "records": (of_type([("a", "f4"), ("b", "f4")]), r"kernel:0 is of \[\('a'"),
    "arrays in arrays": (of_type(np.dtype(("f4", (16,))), SHAPE[:3]), r"kernel:0 is of "),
    "texts": (of_type(h5py.string_dtype()), "kernel:0 is of references, or of arrays or texts"),
    "references": (of_type(h5py.ref_dtype), "kernel:0 is of references"),
    "times": (of_type(h5py.opaque_dtype("M8[s]")), r"kernel:0 is of datetime64\[s\]"),
    "what was never written": (of_type("f4"), "kernel:0 was not written to its end"),
    "chunks of which some are missing": (
        dataset(shape=SHAPE, dtype="f4", chunks=(1, 1, 3, 16)),
        "kernel:0 was not written to its end",
    ),
    "enormous chunks": (
        dataset(
            data=np.zeros(SHAPE, "f4"),
            maxshape=(None,) * 4,
            chunks=(64, 64, 64, 128),
            compression="gzip",
        ),
        "kernel:0 is in chunks of 134,217,728 bytes",
    ),
    "another compression": (
        dataset(data=np.zeros(SHAPE, "f4"), chunks=True, compression="lzf"),
        "kernel:0 is compressed by other means than gzip",
    ),
    "a bomb": (instead_of(KERNEL, bomb), "a compressed chunk of more than its 1,728 bytes"),
    "groups in groups": (nested, "groups are nested more than 64 deep"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_is_no_plain_array_of_floats_is_refused(
    published: Path, tmp_path: Path, case: str
) -> None:
    change, message = CHANGES[case]
    path = Path(shutil.copy(published, tmp_path))
    shutil.copy(published, tmp_path / "other.h5")
    (tmp_path / "other.bin").write_bytes(bytes(4 * 432))
    with h5py.File(path, "r+") as file:
        change(file)
    refused(path, message)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_floats_of_any_size_are_read(tmp_path: Path, dtype: str) -> None:
    path = layouts.published(tmp_path / "model.h5", dtype=dtype)
    expected = layouts.weights().arrays
    for name, array in formats.read(path).arrays.items():
        stored = expected[name].astype(dtype).astype("f4")
        np.testing.assert_array_equal(array, stored, err_msg=name)


def test_a_group_that_holds_itself_is_met_once(published: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(published, tmp_path))
    with h5py.File(path, "r+") as file:
        file["conv2d_1/again"] = file["/"]
    assert len(formats.read(path).arrays) == len(variables(layouts.GRAPH))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, r"attribute name of /layers/layer_0/vars is int64 \(\); expected a text"),
        (h5py.Empty("S4"), "is nothing; expected a text"),
        (["conv2d_1"], r"is object \(1,\)"),
        (np.array([b"conv2d_1"]), r"is \|S8 \(1,\)"),
        (np.float32(1), r"is float32 \(\)"),
        (b"\xff\xfe", "93 conv2d layers"),
    ],
)
def test_a_layers_name_is_a_text(
    weights_h5: Path, tmp_path: Path, value: object, message: str
) -> None:
    path = Path(shutil.copy(weights_h5, tmp_path))
    with h5py.File(path, "r+") as file:
        file["layers/layer_0/vars"].attrs["name"] = value
    refused(path, message)


@pytest.mark.parametrize("value", [b"conv2d_1", np.bytes_("conv2d_1"), "conv2d_1"])
def test_a_text_may_be_of_either_kind(weights_h5: Path, tmp_path: Path, value: object) -> None:
    path = Path(shutil.copy(weights_h5, tmp_path))
    with h5py.File(path, "r+") as file:
        file["layers/layer_0/vars"].attrs["name"] = value
        assert hdf5.text_attribute(file["layers/layer_0/vars"], "name", path) == "conv2d_1"
        assert hdf5.text_attribute(file, "name", path) is None
    assert len(formats.read(path).arrays) == len(variables(layouts.GRAPH))


def test_numbers_of_layers_that_python_does_not_read(published: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(published, tmp_path))
    with h5py.File(path, "r+") as file:
        file[f"conv2d_{'7' * 5000}/kernel:0"] = np.zeros(SHAPE, "f4")
    refused(path, "95 conv2d layers|damaged HDF5 file")
