"""Files that say what can't be: exit 5 and one line, whatever they say."""

from __future__ import annotations

import gzip
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save_file

from inceptioncli.errors import WeightsError
from inceptioncli.summary import variables
from inceptioncli.weights import formats
from inceptioncli.weights.formats import archive
from tests.weights import layouts

pytestmark = pytest.mark.slow

WEIGHTS = layouts.weights()
METADATA = WEIGHTS.model.to_metadata()
FIRST = "InceptionV3/Conv2d_1a_3x3/weights"
DEEP = "[" * 100_000 + "]" * 100_000


def refused(path: Path, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        formats.read(path)
    assert caught.value.exit_code == 5
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


# Our metadata


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("image_size", "Infinity", "image_size is inf; expected a whole number"),
        ("image_size", "NaN", "image_size is nan; expected a whole number"),
        ("image_size", "true", "image_size is True; expected a whole number"),
        ("image_size", "299.5", "image_size is 299.5; expected a whole number"),
        ("image_size", '"299"', "image_size is '299'; expected a whole number"),
        ("image_size", "-1", "image size -1; expected 75 to 2048 without the aux head"),
        ("image_size", "1000000000", "image size 1000000000; expected 75 to 2048"),
        ("image_size", "9" * 5000, "image_size is no JSON that can be read"),
        ("image_size", "null", "image_size is None"),
        ("num_classes", "-7", "-7 classes"),
        ("num_classes", "1000000000000", "7 labels, but the model has 1000000000000 classes"),
        ("num_classes", "false", "num_classes is False"),
        ("depth_multiplier", "NaN", "depth multiplier nan"),
        ("depth_multiplier", "Infinity", "depth multiplier inf"),
        ("depth_multiplier", "1" + "0" * 400, "int too large"),
        ("depth_multiplier", "true", "depth_multiplier is True; expected a number"),
        ("min_depth", "0", "min depth 0; expected 1 or more"),
        ("min_depth", "1000000000000", r"has shape 3x3x3x16; expected 3x3x3x1000000000000"),
        ("aux", "1", "aux is 1; expected true or false"),
        ("crop", "NaN", "crop nan is not in"),
        ("crop", "Infinity", "crop inf is not in"),
        ("crop", DEEP, "crop is no JSON that can be read: maximum recursion"),
        ("label_offset", "-1", "label_offset -1 is none of the 7 classes"),
        ("label_offset", "1e3", "label_offset is 1000.0; expected a whole number"),
        ("source", "7", "source is 7; expected a text"),
        ("source_sha256", "[]", r"source_sha256 is \[\]; expected a text"),
        ("training", '"x"', "training is 'x'; expected an object"),
        ("training", DEEP, "training is no JSON that can be read: maximum recursion"),
        ("inceptioncli", '"1"', "inceptioncli is '1'; expected a whole number"),
        ("inceptioncli", "99", "written by a newer inceptioncli"),
        ("classes", "{}", r"classes is {}; expected a list"),
        ("classes", '["a"]', "a class is 'a'; expected"),
        ("classes", '[{"id": 7, "label": "a"}]', r"a class is {'id': 7, 'label': 'a'}; expected"),
        ("classes", '[{"id": null, "label": null}]', "a class is"),
        ("classes", '[{"id": null}]', "a class is"),
        ("classes", json.dumps([{"id": None, "label": "\udc80"}] * 7), "not valid Unicode"),
        ("more", "nonsense", "more is no JSON that can be read"),
    ],
)
def test_metadata_of_the_wrong_kind(tmp_path: Path, field: str, value: str, message: str) -> None:
    path = tmp_path / "model.safetensors"
    save_file(dict(WEIGHTS.arrays), path, metadata={**METADATA, field: value})
    refused(path, message)


@pytest.mark.parametrize("dtype", ["int32", "bool", "uint8", "complex64"])
def test_arrays_of_ours_that_are_no_floats(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "model.safetensors"
    arrays = {**WEIGHTS.arrays, FIRST: WEIGHTS.arrays[FIRST].astype(dtype)}
    save_file(arrays, path, metadata=METADATA)
    refused(path, rf"{FIRST} is of \w+; expected one of F16, F32, F64")


# slim's


@pytest.mark.parametrize("dtype", ["int32", "string", "complex64", "bool"])
def test_arrays_of_a_checkpoint_that_are_no_floats(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "model.ckpt"
    arrays: dict[str, Any] = dict(WEIGHTS.arrays)
    arrays[FIRST] = tf.fill((3, 3, 3, 16), tf.constant("x") if dtype == "string" else True)
    if dtype != "string":
        arrays[FIRST] = tf.cast(arrays[FIRST], dtype)
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=list(arrays.values()),
    )
    refused(path, rf"{FIRST} is of \S+; expected an array of floats")


def test_a_checkpoint_of_bfloat16_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    arrays = WEIGHTS.arrays
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=[tf.cast(array, tf.bfloat16) for array in arrays.values()],
    )
    expected = arrays[FIRST].astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(formats.read(path).arrays[FIRST], expected)


def test_values_beyond_float32_are_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    large = {**WEIGHTS.arrays, FIRST: np.full((3, 3, 3, 16), 1e300)}
    save_file(large, path, metadata=METADATA)
    refused(path, f"{FIRST} holds NaN or infinite values")


def test_a_few_bytes_do_not_stand_for_a_huge_network(tmp_path: Path) -> None:
    """slim's constants may give one value for all; HDF5's arrays need not be written."""
    graph = tf.compat.v1.GraphDef()
    shapes = variables(layouts.GRAPH)
    for name, shape in shapes.items():
        node = graph.node.add(name=name, op="Const")
        classifier = "Logits" in name
        tensor = tf.make_tensor_proto(0.5, tf.float32, (*shape[:-1], 10**8 if classifier else 16))
        node.attr["value"].tensor.CopyFrom(tensor)
    path = tmp_path / "huge.pb"
    path.write_bytes(graph.SerializeToString())
    refused(path, r"9,700,163,920 values in a file of \d+,\d{3} bytes; expected one that")

    path = layouts.published(tmp_path / "huge.h5")
    with h5py.File(path, "r+") as file:
        for name, shape in (("kernel:0", (72, 10**8)), ("bias:0", (10**8,))):
            del file[f"predictions/predictions/{name}"]
            file.create_dataset(f"predictions/predictions/{name}", shape, "f4")
    refused(path, r"(kernel|bias):0 was not written to its end")


def test_a_graph_with_a_million_sides(tmp_path: Path) -> None:
    graph = tf.compat.v1.GraphDef()
    node = graph.node.add(name=FIRST, op="Const")
    tensor = node.attr["value"].tensor
    tensor.dtype = 1
    for _ in range(1_000_000):
        tensor.tensor_shape.dim.add(size=1 << 62)
    path = tmp_path / "sides.pb"
    path.write_bytes(graph.SerializeToString())
    begun = time.monotonic()
    refused(path, "damaged frozen graph .a tensor with more than 8 sides")
    assert time.monotonic() - begun < 5


# Archives


def packed(path: Path, members: Iterator[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for header, content in members:
            file.write(header.tobuf())
            file.write(content + bytes(-len(content) % 512))
        file.write(bytes(1024))
    return path


def member(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(name)
    header.size = len(content)
    for field, value in fields.items():
        setattr(header, field, value)
    return header, content


def test_an_archive_is_unpacked_to_the_chosen_file_and_no_further(tmp_path: Path) -> None:
    graph = layouts.frozen(tmp_path / "in.pb").read_bytes()
    rest = np.random.default_rng(0).bytes(1 << 20)
    files = [member("note.txt", b"x"), member("in.pb", graph), member("rest", rest)]
    path = packed(tmp_path / "a.tar.gz", iter(files))
    path.write_bytes(path.read_bytes()[: -len(rest) // 2] + b"damage behind what is wanted")
    assert list(formats.read(path).arrays) == list(WEIGHTS.arrays)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_checkpoint_in_an_archive(tmp_path: Path, order: tuple[int, ...]) -> None:
    """In any order; of several the first that begins; what is no part of it (.meta) is left."""
    prefix = layouts.checkpoint_v2(tmp_path / "model.ckpt-12")
    index, shard = formats.files_of(prefix)
    meta = tmp_path / "model.ckpt-12.meta"
    meta.write_bytes(b"x")
    other = tmp_path / "model.ckpt-13.index"
    other.write_bytes(b"x")
    files = [(index, shard, meta)[number] for number in order]
    path = layouts.archive(tmp_path / "v2.tar.gz", *files[:2], other, *files[2:])
    assert list(formats.read(path).arrays) == list(WEIGHTS.arrays)
    path = layouts.archive(tmp_path / "half.tar.gz", meta, shard)
    refused(path, r"model\.ckpt-12 in this archive lacks the index")
    path = layouts.archive(tmp_path / "half.tar.gz", index, meta, other)
    refused(path, r"model\.ckpt-12 in this archive lacks a shard")


def test_links_and_absolute_names_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    secret = layouts.frozen(tmp_path / "secret.pb")
    outside = tmp_path / "outside.ckpt"
    links = [
        member("a.pb", type=tarfile.SYMTYPE, linkname=str(secret)),
        member("b.pb", type=tarfile.LNKTYPE, linkname=str(secret)),
        member("c.ckpt", type=tarfile.SYMTYPE, linkname=str(secret)),
        member("d.pb", type=tarfile.CHRTYPE),
        member("e.pb", type=tarfile.FIFOTYPE),
    ]
    refused(packed(tmp_path / "links.tar.gz", iter(links)), "no frozen graph .* in this archive")
    checkpoint = layouts.checkpoint_v1(tmp_path / "in.ckpt").read_bytes()
    path = packed(tmp_path / "abs.tar.gz", iter([member(str(outside), checkpoint)]))
    assert list(formats.read(path).arrays) == list(WEIGHTS.arrays)
    assert not outside.exists()


def test_a_gzip_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert archive._LARGEST_UNPACKED_BYTES == 1 << 30
    monkeypatch.setattr(archive, "_LARGEST_UNPACKED_BYTES", 8 << 20)  # Not to take seconds.
    bomb = bytes(9 << 20)
    for name in ("note.txt", "in.pb", "in.ckpt"):
        path = packed(tmp_path / f"{name}.tar.gz", iter([member(name, bomb)]))
        assert path.stat().st_size < 64 << 10
        refused(path, "damaged archive .*(it unpacks to more than 8,388,608|9,437,184) bytes")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_header_of_megabytes(tmp_path: Path, kind: bytes) -> None:
    header = member("x", bytes(2 << 20), type=kind)
    path = packed(tmp_path / "header.tar.gz", iter([header, member("in.pb", b"x")]))
    refused(path, "damaged archive .a header of 2,097,152 bytes")


def test_a_file_that_is_mostly_holes(tmp_path: Path) -> None:
    """A sparse file of a terabyte takes a block of an archive."""
    source = tmp_path / "in.pb"
    with source.open("wb") as file:
        file.truncate(1 << 20)
    path = tmp_path / "sparse.tar.gz"
    header = member("in.pb", type=tarfile.GNUTYPE_SPARSE)[0]
    block = bytearray(header.tobuf())
    block[386:398] = b"00000000000\0"
    block[398:410] = b"00000000000\0"
    block[483:495] = b"77777777777\0"
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    with gzip.open(path, "wb") as file:
        file.write(bytes(block) + bytes(1024))
    refused(path, "no frozen graph .* in this archive")


def test_long_names_are_read(tmp_path: Path) -> None:
    graph = layouts.frozen(tmp_path / "in.pb")
    path = tmp_path / "long.tar.gz"
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
        with tarfile.open(path, "w:gz", format=format) as tar:
            tar.add(graph, f"{'folder/' * 20}in.pb")
        assert list(formats.read(path).arrays) == list(WEIGHTS.arrays)
