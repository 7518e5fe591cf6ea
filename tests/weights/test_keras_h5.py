"""Keras's layouts with a small network's arrays, and descriptions that Keras wrote."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from inceptioncli.errors import UsageError, WeightsError
from inceptioncli.summary import convolutions
from inceptioncli.weights import formats
from inceptioncli.weights.folding import AFFINE, fold_input_scale, without_gamma
from inceptioncli.weights.model import Weights
from tests.conftest import SMALL_GRAPH, random_weights
from tests.weights.layouts import keras_layers
from tests.weights.test_keras_model import (
    AVERAGE,
    _base,
    dense,
    layer,
    named,
    pictures,
    sequential,
)

SMALL = random_weights(SMALL_GRAPH)


def model(
    *, front: tuple[Any, ...] = (), activation: str = "softmax", epsilon: float = 0.001
) -> Any:
    base = json.loads(_base(3))
    named(base, "batch_normalization_5")["config"]["epsilon"] = epsilon
    return sequential(pictures(75), *front, base, AVERAGE, dense(7, activation))


def write_arrays(file: h5py.File) -> None:
    """Under the names in the description, which begin with 0."""
    for name, arrays in keras_layers(SMALL):
        kind, _, number = name.rpartition("_")
        name = "dense" if name == "predictions" else f"{kind}_{int(number) - 1}".removesuffix("_0")
        for leaf, array in arrays.items():
            file[f"{name}/{leaf}"] = array


def read(path: Path, description: Any) -> Weights:
    with h5py.File(path, "w") as file:
        write_arrays(file)
        if description is not None:
            file.attrs["model_config"] = json.dumps(description)
    return formats.read(path)


def assert_same(ours: Weights, expected: Any) -> None:
    assert list(ours.arrays) == list(SMALL.arrays)
    for name, array in ours.arrays.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_a_description_tells_the_head_and_the_size(tmp_path: Path) -> None:
    weights = read(tmp_path / "model.h5", model(activation="sigmoid"))
    graph = weights.model.graph
    assert (graph.activation, graph.image_size, graph.classes) == ("sigmoid", 75, 7)
    assert (weights.model.input_scale, weights.model.features_only) == (None, None)
    assert_same(weights, SMALL.arrays)


def test_what_the_file_says_is_not_overruled(tmp_path: Path) -> None:
    read(tmp_path / "model.h5", model(activation="sigmoid"))
    asked: Any
    for asked in ({"activation": "softmax"}, {"image_size": 299}):
        with pytest.raises(UsageError, match="but the file says"):
            formats.read(tmp_path / "model.h5", **asked)


def test_plain_logits_are_what_is_asked_for(tmp_path: Path) -> None:
    assert (
        read(tmp_path / "model.h5", model(activation="linear")).model.graph.activation == "softmax"
    )
    asked = formats.read(tmp_path / "model.h5", activation="sigmoid")
    assert asked.model.graph.activation == "sigmoid"


def test_an_epsilon_is_folded_into_its_layer(tmp_path: Path) -> None:
    weights = read(tmp_path / "model.h5", model(epsilon=0.1))
    scope = convolutions(SMALL_GRAPH)[5].scope
    assert_same(weights, without_gamma(SMALL.arrays, f"{scope}/BatchNorm", 0.1))
    variance = f"{scope}/BatchNorm/moving_variance"
    assert (weights.arrays[variance] > SMALL.arrays[variance]).all()


def test_a_scaling_is_folded_and_named(tmp_path: Path) -> None:
    front = (layer("Rescaling", scale=1 / 255, offset=0),)
    weights = read(tmp_path / "model.h5", model(front=front))
    assert weights.model.input_scale == "0..1"
    expected = fold_input_scale(SMALL.arrays, AFFINE["0..1"])
    for name, array in weights.arrays.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-6, err_msg=name)


def test_a_scaling_as_ours_is_named_and_changes_nothing(tmp_path: Path) -> None:
    front = (layer("Rescaling", scale=1 / 127.5, offset=-1),)
    weights = read(tmp_path / "model.h5", model(front=front))
    assert weights.model.input_scale == "-1..1"
    assert_same(weights, SMALL.arrays)


@pytest.mark.parametrize(("change", "message"), [
    ({"strides": [2, 2]}, "the model in it is not ours to run: conv2d_5 is Conv2D"),
    (None, "the model in it is not ours to run: Expecting value"),
])  # fmt: skip
def test_what_is_not_ours_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "model.h5"
    description = model()
    if change:
        named(description, "conv2d_5")["config"].update(change)
    with h5py.File(path, "w") as file:
        write_arrays(file)
        file.attrs["model_config"] = json.dumps(description) if change else "no JSON"
    with pytest.raises(WeightsError, match=message) as caught:
        formats.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_dense_layers_without_a_description(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        write_arrays(file)
        file["last/kernel"] = np.zeros((7, 2), np.float32)
        file["last/bias"] = np.zeros(2, np.float32)
    weights = formats.read(path)
    assert weights.model.graph.classes == 0
    assert weights.model.features_only == "2 dense layers (dense, last); expected one"
    with pytest.raises(
        WeightsError, match=r"model\.h5 gives features only: 2 dense layers \(dense"
    ):
        weights.model.require_classes("model.h5")


# Archives


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A `.keras` file."""
    description = model(front=(layer("Rescaling", scale=1 / 255, offset=0),), activation="sigmoid")
    with h5py.File(tmp_path / "arrays.h5", "w") as file:
        write_arrays(file)
        file.attrs["model_config"] = json.dumps(description)
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("config.json", json.dumps(description))
        packed.write(tmp_path / "arrays.h5", "model.weights.h5")
    return path


def test_an_archive_is_read_like_the_file_in_it(archive: Path) -> None:
    assert formats.identify(archive) == "keras-archive"
    whole, packed = formats.read(archive.with_name("arrays.h5")), formats.read(archive)
    assert packed.model.graph == whole.model.graph
    assert packed.model.graph.activation == "sigmoid"
    assert_same(packed, whole.arrays)


def repacked(
    source: Path,
    path: Path,
    change: Callable[[str, bytes], bytes | None],
    packing: int = zipfile.ZIP_STORED,
) -> Path:
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(path, "w", packing) as after:
        for name in before.namelist():
            content = change(name, before.read(name))
            if content is not None:
                after.writestr(name, content)
    return path


def test_neither_keras_nor_tensorflow_is_needed(archive: Path) -> None:
    program = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from pathlib import Path; from inceptioncli.weights import formats\n"
        "model = formats.read(Path(sys.argv[1])).model\n"
        "print(model.graph.classes, model.graph.image_size, model.input_scale)"
    )
    command = [sys.executable, "-c", program, str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "7 75 0..1\n"


def test_a_packed_archive_is_read_like_a_plain_one(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "packed.keras"
    packed = repacked(archive, path, lambda name, content: content, zipfile.ZIP_DEFLATED)
    assert packed.stat().st_size < archive.stat().st_size
    theirs = formats.read(archive)
    for name, array in formats.read(packed).arrays.items():
        np.testing.assert_array_equal(array, theirs.arrays[name], err_msg=name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, c: None if n == "config.json" else c, r"zip archive without config\.json and"),
        (lambda n, c: None if n.endswith(".h5") else c, r"zip archive without config\.json and"),
        (lambda n, c: b"no JSON" if n == "config.json" else c, "not ours to run: Expecting value"),
        (lambda n, c: b"rubbish" if n.endswith(".h5") else c, "damaged HDF5"),
        (lambda n, c: c[: len(c) // 2] if n.endswith(".h5") else c, "damaged HDF5"),
    ],
)
def test_damaged_archives(
    archive: Path, tmp_path: Path, change: Callable[[str, bytes], bytes | None], message: str
) -> None:
    path = repacked(archive, tmp_path / "bad.keras", change)
    with pytest.raises(WeightsError, match=message) as caught:
        formats.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("config.json", 1 << 31, r"config.json in it has 2,147,483,648 bytes; .* are the most"),
        ("model.weights.h5", 1 << 31, r"weights.h5 in it has 2,147,483,648 bytes; .* are the most"),
        ("model.weights.h5", 1000, "damaged zip archive"),  # a lie: there are more
    ],
)
def test_bombs(tmp_path: Path, name: str, size: int, message: str) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("config.json", "{}")
        bomb.writestr("model.weights.h5", bytes(10 << 20))
        bomb.getinfo(name).file_size = size
    with pytest.raises(WeightsError, match=message):
        formats.read(path)


def test_a_cut_archive(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.keras"
    path.write_bytes(archive.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="damaged zip archive"):
        formats.read(path)
