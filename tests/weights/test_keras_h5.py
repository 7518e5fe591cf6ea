"""Keras's layouts with a small network's arrays, and descriptions that Keras wrote."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from inceptioncli.errors import WeightsError
from inceptioncli.summary import convolutions
from inceptioncli.weights import formats
from inceptioncli.weights.folding import AFFINE, fold_input_scale, without_gamma
from inceptioncli.weights.model import Weights
from tests.conftest import SMALL_GRAPH, random_weights
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
    for number, conv in enumerate(convolutions(SMALL_GRAPH)):
        if conv.linear:
            file["dense/dense/kernel"] = SMALL.arrays[f"{conv.scope}/weights"][0, 0]
            file["dense/dense/bias"] = SMALL.arrays[f"{conv.scope}/biases"]
            continue
        suffix = f"_{number}" if number else ""
        file[f"conv2d{suffix}/kernel"] = SMALL.arrays[f"{conv.scope}/weights"]
        for leaf in ("beta", "moving_mean", "moving_variance"):
            array = SMALL.arrays[f"{conv.scope}/BatchNorm/{leaf}"]
            file[f"batch_normalization{suffix}/{leaf}"] = array


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
        weights.model.require_classes()


def test_an_archive_is_read_like_the_file_in_it(tmp_path: Path) -> None:
    description = model(activation="sigmoid")
    expected = read(tmp_path / "model.h5", description)
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(description))
        archive.write(tmp_path / "model.h5", "model.weights.h5")
    assert formats.identify(path) == "keras-archive"
    weights = formats.read(path)
    assert weights.model.graph == expected.model.graph
    assert_same(weights, expected.arrays)
