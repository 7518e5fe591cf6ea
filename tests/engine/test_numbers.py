"""Our numbers against Keras Applications' and tf_slim's, in TensorFlow and in LiteRT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from inceptioncli.engine.base import Engine
from inceptioncli.engine.compile import compiled
from inceptioncli.engine.litert import LiteRTEngine
from inceptioncli.engine.tensorflow import TensorFlowEngine
from inceptioncli.weights import collection, formats
from inceptioncli.weights.formats.own import write_safetensors
from tests.oracles import keras as keras_oracle
from tests.oracles.slim import SlimFiles

pytestmark = pytest.mark.slow

ENGINES = ["litert", "tensorflow"]


def open_engine(name: str, path: Path, **asked: Any) -> Engine:
    chosen = collection.choose(str(path), **asked)
    if name == "litert":
        return LiteRTEngine(compiled(chosen, "float32"), threads=2)
    return TensorFlowEngine(collection.load(chosen), "cpu")


def assert_close(ours: NDArray[np.float32], theirs: NDArray[np.float32], what: str) -> None:
    """Within 1e-4 of the largest activation."""
    assert ours.shape == theirs.shape, what
    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    assert error < 1e-4, (what, error)


@pytest.fixture(scope="module", params=ENGINES)
def keras_engine(
    request: pytest.FixtureRequest,
    published_file: Path,
    session_cache: Path,
) -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INCEPTIONCLI_CACHE", str(session_cache))
        yield open_engine(request.param, published_file)


@pytest.fixture(scope="module", params=ENGINES)
def slim_engine(
    request: pytest.FixtureRequest, slim_files: SlimFiles, session_cache: Path
) -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INCEPTIONCLI_CACHE", str(session_cache))
        yield open_engine(request.param, slim_files.v1)


def test_equals_keras_through_the_published_layout(keras_engine: Engine, keras_model: Any) -> None:
    images = np.random.default_rng(5).integers(0, 256, (3, 299, 299, 3), dtype=np.uint8)
    theirs = keras_oracle.end_points(keras_model, images / np.float32(127.5) - 1)
    ours = keras_engine.run(images, list(theirs))
    for name, values in theirs.items():
        if name == "Predictions":
            assert np.abs(ours[name] - values).max() < 1e-5
            assert values.max() > 0.05  # A flat distribution would prove nothing.
        else:
            assert_close(ours[name].reshape(values.shape), values, name)


@pytest.mark.parametrize("engine", ENGINES)
def test_equals_keras_where_the_last_map_is_larger_than_8x8(
    keras_model: Any, published_file: Path, tmp_path: Path, engine: str
) -> None:
    import keras

    size = 400
    model = keras.applications.InceptionV3(weights=None, input_shape=(size, size, 3))
    model.set_weights(keras_model.get_weights())
    weights = formats.read(published_file)
    larger = replace(weights.model, graph=replace(weights.model.graph, image_size=size))
    write_safetensors(tmp_path / "400.safetensors", replace(weights, model=larger))
    images = np.random.default_rng(5).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    theirs = keras_oracle.end_points(model, images / np.float32(127.5) - 1)
    assert theirs["Mixed_7c"].shape == (1, 11, 11, 2048)
    ours = open_engine(engine, tmp_path / "400.safetensors").run(images, list(theirs))
    for name, values in theirs.items():
        assert_close(ours[name].reshape(values.shape), values, name)
    assert np.abs(ours["Predictions"] - theirs["Predictions"]).max() < 1e-5


class Sigmoids(NamedTuple):
    """A Keras network of sigmoids, as a file, and what it says of images."""

    path: Path
    images: NDArray[np.uint8]
    scores: NDArray[np.float32]


@pytest.fixture(scope="module", params=[(1, 150), (5, 299)], ids=["1-150", "5-299"])
def sigmoids(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sigmoids:
    classes, image_size = request.param
    model = keras_oracle.random_model(
        seed=6, classes=classes, activation="sigmoid", image_size=image_size
    )
    shape = (3, image_size, image_size, 3)
    images = np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)
    x = images / np.float32(127.5) - 1
    # Where a sigmoid is steepest it hides nothing.
    kernel, bias = model.get_layer("predictions").get_weights()
    first = model.predict(x, verbose=0)[0]
    model.get_layer("predictions").set_weights([kernel, bias - np.log(first / (1 - first))])
    path = tmp_path_factory.mktemp("sigmoids") / "sigmoid.weights.h5"
    model.save_weights(path)
    return Sigmoids(path, images, model.predict(x, verbose=0))


@pytest.mark.parametrize("engine_name", ENGINES)
def test_sigmoids_equal_keras(engine_name: str, sigmoids: Sigmoids) -> None:
    path, images, theirs = sigmoids
    size = images.shape[1]
    engine = open_engine(engine_name, path, activation="sigmoid", image_size=size)
    ours = engine.run(images, ["Predictions"])["Predictions"]
    assert np.abs(ours - theirs).max() < 1e-5
    assert 0.1 < theirs.min() < theirs.max() < 0.9


def test_equals_slim_through_its_checkpoint(slim_engine: Engine, slim_files: SlimFiles) -> None:
    theirs = slim_files.end_points
    assert tuple(theirs) == slim_engine.graph.end_points  # slim's own names, aux head and all
    ours = slim_engine.run(slim_files.images, list(theirs))
    for name, values in theirs.items():
        assert_close(ours[name], values, name)
    assert np.abs(ours["Predictions"] - theirs["Predictions"]).max() < 1e-5


@pytest.mark.parametrize("engine_name", ENGINES)
def test_pictures_may_be_bytes_or_numbers(engine_name: str, small_weights: Path) -> None:
    engine = open_engine(engine_name, small_weights)
    images = np.random.default_rng(9).integers(0, 256, (2, 75, 75, 3), dtype=np.uint8)
    whole = engine.run(images, ["Logits"])["Logits"]
    unrounded = images.astype(np.float32)
    np.testing.assert_array_equal(engine.run(unrounded, ["Logits"])["Logits"], whole)
    assert not np.array_equal(engine.run(unrounded + 0.25, ["Logits"])["Logits"], whole)


@pytest.mark.parametrize("engine_name", ENGINES)
def test_predictions_alone_equal_predictions_among_all(
    engine_name: str, small_weights: Path
) -> None:
    engine = open_engine(engine_name, small_weights)
    images = np.random.default_rng(6).integers(0, 256, (5, 75, 75, 3), dtype=np.uint8)
    alone = engine.run(images, ["Predictions"])["Predictions"]
    among = engine.run(images, ["PreLogits", "Predictions"])
    np.testing.assert_allclose(alone, among["Predictions"], atol=1e-6)
    np.testing.assert_allclose(alone.sum(axis=1), 1, atol=1e-5)
    assert among["PreLogits"].shape == (5, 1, 1, 203)


def test_litert_scores_do_not_depend_on_neighbours(small_weights: Path) -> None:
    engine = open_engine("litert", small_weights)
    images = np.random.default_rng(7).integers(0, 256, (4, 75, 75, 3), dtype=np.uint8)
    together = engine.run(images, ["Predictions"])["Predictions"]
    for image, expected in zip(images, together, strict=True):
        alone = engine.run(image[np.newaxis], ["Predictions"])["Predictions"][0]
        assert alone.tobytes() == expected.tobytes()


def test_int8_agrees_with_float32(published_file: Path) -> None:
    chosen = collection.choose(str(published_file))
    images = np.random.default_rng(8).integers(0, 256, (3, 299, 299, 3), dtype=np.uint8)
    exact = LiteRTEngine(compiled(chosen, "float32"), 2).run(images, ["Predictions"])
    quick = LiteRTEngine(compiled(chosen, "int8"), 2).run(images, ["Predictions"])
    assert compiled(chosen, "int8").path.stat().st_size < 31e6  # a third of float32's
    difference = np.abs(exact["Predictions"] - quick["Predictions"]).max()
    assert 0 < difference < 0.05
    assert (exact["Predictions"].argmax(1) == quick["Predictions"].argmax(1)).all()
