"""Scaled pixels, folded into the first convolution."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors import safe_open

from inceptioncli.choices import INPUT_SCALES, InputScale
from inceptioncli.engine import writer
from inceptioncli.engine.compile import Compiled
from inceptioncli.engine.litert import LiteRTEngine
from inceptioncli.errors import UsageError
from inceptioncli.weights import formats
from inceptioncli.weights.folding import AFFINE, Affine, fold_input_scale, with_input_scale
from inceptioncli.weights.formats.own import write_safetensors
from inceptioncli.weights.model import Weights
from tests.conftest import SMALL_GRAPH, random_weights
from tests.oracles import keras as keras_oracle

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 75, 75, 3), dtype=np.uint8)


def end_points(weights: Weights, images: Any, path: Path) -> dict[str, Any]:
    writer.write(weights, "float32", path)
    graph = weights.model.graph
    return LiteRTEngine(Compiled(path, weights.model), 1).run(images, graph.end_points)


def test_every_end_point_is_that_of_the_scaled_pixels(tmp_path: Path) -> None:
    weights = random_weights(SMALL_GRAPH)
    affine = Affine((0.5, 2.0, 1.25), (0.25, -0.5, 0.75))
    folded = Weights(weights.model, fold_input_scale(weights.arrays, affine))
    before = {name: array.copy() for name, array in weights.arrays.items()}
    x = IMAGES / np.float32(127.5) - 1
    scaled = np.float32(affine.scale) * x + np.float32(affine.offset)
    # The engine makes [-1, 1] of 0..255; so it is what it is given that has to be scaled.
    expected = end_points(weights, (scaled + 1) * np.float32(127.5), tmp_path / "before.tflite")
    found = end_points(folded, IMAGES, tmp_path / "after.tflite")
    for name, values in expected.items():
        largest = np.abs(values).max()
        np.testing.assert_allclose(found[name], values, atol=1e-5 * largest, err_msg=name)
    for name, array in weights.arrays.items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
    changed = {n for n, array in folded.arrays.items() if not np.array_equal(array, before[n])}
    assert changed == {
        "InceptionV3/Conv2d_1a_3x3/weights",
        "InceptionV3/Conv2d_1a_3x3/BatchNorm/moving_mean",
    }


def test_it_is_told_in_the_file_and_done_once(tmp_path: Path) -> None:
    weights = random_weights(SMALL_GRAPH, source="mine.h5")
    path = tmp_path / "model.safetensors"
    write_safetensors(path, with_input_scale(weights, "imagenet", "w"))
    with safe_open(path, "numpy") as file:
        metadata = {name: json.loads(value) for name, value in file.metadata().items()}
    # The arrays are what any version runs.
    assert (metadata["inceptioncli"], metadata["input_scale"]) == (1, "imagenet")
    back = formats.read(path)
    assert back.model.input_scale == "imagenet"
    with pytest.raises(UsageError, match=r"again\.h5: its pixels' scale \(imagenet\) is folded"):
        with_input_scale(back, "0..1", "again.h5")
    write_safetensors(path, weights)
    with safe_open(path, "numpy") as file:
        assert "input_scale" not in file.metadata()


def fed(scale: InputScale) -> Any:
    """The pixels as people feed them; in float64, written as they write it."""
    pixels = IMAGES.astype(np.float64)
    match scale:
        case "-1..1":
            return pixels / 127.5 - 1
        case "0..1":
            return pixels / 255
        case "0..255":
            return pixels
        case "imagenet":
            return (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


@pytest.mark.parametrize("scale", INPUT_SCALES)
def test_scales_are_what_people_mean(scale: InputScale) -> None:
    x = IMAGES / 127.5 - 1
    affine = AFFINE[scale]
    np.testing.assert_allclose(x * affine.scale + affine.offset, fed(scale), atol=1e-12)


class Trained(NamedTuple):
    """A Keras network, and the same up to its first convolution."""

    model: Any
    stem: Any


@pytest.fixture(scope="module")
def trained() -> Trained:
    import keras

    model = keras_oracle.random_model(seed=7, classes=5, image_size=75)
    conv = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    return Trained(model, keras.Model(model.input, conv.output))


@pytest.mark.slow  # Keras
@pytest.mark.parametrize("scale", INPUT_SCALES)
def test_converted_networks_equal_keras_fed_as_it_was_trained(
    scale: InputScale, trained: Trained, tmp_path: Path
) -> None:
    import keras

    model, stem = trained
    images = fed(scale).astype(np.float32)
    # As training on such pixels leaves it: the first batch norm has the statistics of what it gets.
    norm = next(x for x in model.layers if isinstance(x, keras.layers.BatchNormalization))
    maps = stem.predict(images, verbose=0)
    beta, _, _ = norm.get_weights()
    norm.set_weights([beta, maps.mean((0, 1, 2)), maps.var((0, 1, 2))])
    path = tmp_path / "mine.weights.h5"
    model.save_weights(path)
    theirs = model.predict(images, verbose=0)
    weights = formats.read(path, image_size=75)
    folded = with_input_scale(weights, scale, "w")
    ours = end_points(folded, IMAGES, tmp_path / "ours.tflite")["Predictions"]
    assert np.abs(ours - theirs).max() < 1e-5
    if scale != "-1..1":
        wrong = end_points(weights, IMAGES, tmp_path / "wrong.tflite")["Predictions"]
        assert np.abs(wrong - theirs).max() > 1e-3
