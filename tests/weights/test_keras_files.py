"""Models as people save them with Keras: ours equals Keras's prediction, or says why not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras
from numpy.typing import NDArray

from inceptioncli.engine.compile import Compiled
from inceptioncli.engine.litert import LiteRTEngine
from inceptioncli.engine.writer import write
from inceptioncli.errors import WeightsError
from inceptioncli.weights import formats
from inceptioncli.weights.model import Weights
from tests.conftest import Run
from tests.oracles.keras import randomize

pytestmark = pytest.mark.slow

layers = keras.layers


def images(size: int) -> NDArray[np.uint8]:
    """Two pictures that have little in common: noise, and coarse dark noise."""
    rng = np.random.default_rng(size)
    fine = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
    coarse = rng.integers(0, 90, (5, 5, 3), dtype=np.uint8).repeat(60, 0).repeat(60, 1)
    return np.stack([fine, coarse[:size, :size]])


def scaled(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return pixels.astype(np.float32) / np.float32(127.5) - 1


def network(library: Any = keras, size: int | None = None) -> Any:
    """Keras's InceptionV3 without a top."""
    keras.utils.set_random_seed(7)
    return library.applications.InceptionV3(
        weights=None, include_top=False, input_shape=(size, size, 3)
    )


@pytest.fixture(scope="module")
def base() -> Any:
    """One for pictures of any size, to stand in other models."""
    model = network()
    randomize(model, np.random.default_rng(7))
    calibrate(model)
    return model


def at_size(base: Any, size: int) -> Any:
    """The same for one size."""
    model = network(size=size)
    model.set_weights(base.get_weights())
    return model


def calibrate(model: Any) -> None:
    """Gives batch norms the statistics of pictures: a random network would tell none apart."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    model(scaled(images(150)), training=True)


def settle(dense: Any, before: Any, pixels: NDArray[np.float32]) -> None:
    """Gives a dense layer weights with which two pictures' logits are from -1 to 1.

    With most others one class would have it all, and a wrong network would not show.
    """
    features = np.asarray(before(pixels, training=False)).astype(np.float64)
    units = dense.kernel.shape[-1]
    kernel = np.linalg.pinv(features) @ np.outer([-1, 1], np.linspace(1, -0.5, units))
    dense.set_weights([kernel, np.full(units, 0.1)][: len(dense.get_weights())])


def functional(
    base: Any, size: int, before: Callable[[Any], Any], units: int, activation: str | None
) -> Any:
    """The shape of Keras's guide to transfer learning."""
    inputs = keras.Input((size, size, 3))
    x = layers.GlobalAveragePooling2D()(base(before(inputs), training=False))
    dense = layers.Dense(units, activation=activation)
    model = keras.Model(inputs, dense(layers.Dropout(0.2)(x)))
    settle(dense, keras.Model(inputs, x), images(size).astype(np.float32))
    return model


def on_the_output(base: Any, *top: Any) -> Any:
    """``Model(base.input, Dense(...)(...(base.output)))``: all layers in one model."""
    x = base.output
    for layer in top:
        x = layer(x)
    return keras.Model(base.input, x)


def read_all(model: Any, folder: Path, **weights_only: Any) -> Weights:
    """Reads a model from all layouts, to the same; the last can't tell what is asked for."""
    model.save(folder / "model.h5")
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    whole = formats.read(folder / "model.h5")
    archive = formats.read(folder / "model.keras")
    only = formats.read(folder / "model.weights.h5", **weights_only)
    for other in (archive, only):
        assert other.model.graph == whole.model.graph
        assert list(other.arrays) == list(whole.arrays)
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(archive.arrays[name], array, err_msg=name)
    return whole


def predictions(weights: Weights, pixels: NDArray[np.uint8], folder: Path) -> NDArray[np.float32]:
    write(weights, "float32", folder / "model.tflite")
    engine = LiteRTEngine(Compiled(folder / "model.tflite", weights.model), threads=2)
    end_point = weights.model.graph.end_points[-1]
    return engine.run(pixels, [end_point])[end_point]


def assert_equal(ours: NDArray[np.float32], theirs: Any) -> None:
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert 0.05 < theirs.min() < theirs.max() < 0.95  # or it would tell little
    assert np.ptp(theirs, axis=0).max() > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


# Equal


def test_one_sigmoid_behind_a_rescaling(base: Any, tmp_path: Path) -> None:
    """The tutorial's cats and dogs, with pixels in 0..1."""
    before = keras.Sequential([layers.RandomFlip("horizontal"), layers.Rescaling(1 / 255)])
    model = functional(base, 150, before, 1, "sigmoid")
    weights = read_all(model, tmp_path, activation="sigmoid", image_size=150)
    assert (weights.model.graph.image_size, weights.model.graph.classes) == (150, 1)
    pixels = images(150)
    assert_equal(predictions(weights, pixels, tmp_path), model(pixels, training=False))


def test_many_sigmoids_behind_preprocess_input(base: Any, tmp_path: Path) -> None:
    before = keras.applications.inception_v3.preprocess_input
    model = functional(base, 224, before, 4, "sigmoid")
    weights = read_all(model, tmp_path, activation="sigmoid", image_size=224)
    pixels = images(224)
    assert_equal(predictions(weights, pixels, tmp_path), model(pixels.astype(np.float32)))


def test_a_softmax_of_a_nested_sequential_model(base: Any, tmp_path: Path) -> None:
    dense = layers.Dense(3, activation="softmax")
    inputs, pooling = keras.Input((150, 150, 3)), layers.GlobalAveragePooling2D()
    top = keras.Sequential([layers.Dropout(0.3), dense])
    model = keras.Sequential([inputs, base, pooling, top])
    pixels = images(150)
    settle(dense, keras.Sequential([inputs, base, pooling]), scaled(pixels))
    weights = read_all(model, tmp_path, image_size=150)
    assert_equal(predictions(weights, pixels, tmp_path), model(scaled(pixels)))


def test_logits_on_the_networks_own_output(base: Any, tmp_path: Path) -> None:
    dense = layers.Dense(5)
    model = on_the_output(at_size(base, 299), layers.GlobalAveragePooling2D(), dense)
    pixels = images(299)
    settle(dense, keras.Model(model.input, dense.input), scaled(pixels))
    weights = read_all(model, tmp_path)
    assert weights.model.graph.image_size == 299
    assert_equal(
        predictions(weights, pixels, tmp_path), keras.ops.softmax(model(scaled(pixels)), axis=-1)
    )
    asked = formats.read(tmp_path / "model.keras", activation="sigmoid")
    assert asked.model.graph.activation == "sigmoid"


def test_gammas_other_epsilons_and_a_batch_norm_in_the_top(base: Any, tmp_path: Path) -> None:
    def other(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, layers.BatchNormalization):
            config |= {"scale": True, "epsilon": 0.1}
        return type(layer).from_config(config)

    network = keras.models.clone_model(at_size(base, 150), clone_function=other)
    dense = layers.Dense(5, use_bias=False)
    top = [layers.GlobalAveragePooling2D(), layers.BatchNormalization(epsilon=0.01), dense]
    model = on_the_output(network, *top, layers.Activation("softmax"))
    randomize(model, np.random.default_rng(8))
    calibrate(model)
    pixels = images(150)
    settle(dense, keras.Model(model.input, dense.input), scaled(pixels))
    model.save(tmp_path / "model.h5")
    model.save(tmp_path / "model.keras")
    whole, archive = (formats.read(tmp_path / name) for name in ("model.h5", "model.keras"))
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(archive.arrays[name], array, err_msg=name)
    assert_equal(predictions(whole, pixels, tmp_path), model(scaled(pixels), training=False))

    model.save_weights(tmp_path / "model.weights.h5")
    only = formats.read(tmp_path / "model.weights.h5", image_size=150)
    assert only.model.features_only.startswith("batch_normalization_")


@pytest.mark.parametrize("nested", [False, True])
def test_keras_2(base: Any, tmp_path: Path, nested: bool) -> None:
    inner = network(tf_keras, 150)
    inner.set_weights(base.get_weights())
    dense = tf_keras.layers.Dense(2, activation="sigmoid")
    top = [tf_keras.layers.GlobalAveragePooling2D(), dense]
    if nested:
        rescaling = tf_keras.layers.Rescaling(1 / 127.5, offset=-1)
        model = tf_keras.Sequential([tf_keras.Input((150, 150, 3)), rescaling, inner, *top])
    else:
        model = tf_keras.Model(inner.input, top[1](top[0](inner.output)))
    pixels = images(150)
    settle(dense, tf_keras.Model(inner.input, top[0](inner.output)), scaled(pixels))
    for name in ("model.h5", "model.keras"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # .h5 is an old format
            model.save(tmp_path / name)
    whole, archive = (formats.read(tmp_path / name) for name in ("model.h5", "model.keras"))
    assert archive.model.graph == whole.model.graph
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(archive.arrays[name], array, err_msg=name)
    model.save_weights(tmp_path / "model.weights.h5")  # without names
    only = formats.read(tmp_path / "model.weights.h5", activation="sigmoid", image_size=150)
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(only.arrays[name], array, err_msg=name)
    theirs = model(pixels.astype(np.float32) if nested else scaled(pixels), training=False)
    assert_equal(predictions(whole, pixels, tmp_path), theirs)


class Mine(keras.Model):
    """A model whose call is code."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.base = base
        self.pool = layers.GlobalAveragePooling2D()
        self.classifier = layers.Dense(3)

    def get_config(self) -> dict[str, Any]:
        return {}

    def call(self, x: Any) -> Any:
        return self.classifier(self.pool(self.base(x)))


def test_a_class_of_ones_own_gives_its_arrays(base: Any, tmp_path: Path) -> None:
    model = Mine(base)
    pixels = images(150)
    model(scaled(pixels))  # builds it
    settle(model.classifier, keras.Sequential([base, model.pool]), scaled(pixels))
    theirs = keras.ops.softmax(model(scaled(pixels)), axis=-1)
    model.save_weights(tmp_path / "model.weights.h5")
    model.save(tmp_path / "model.keras")
    weights = formats.read(tmp_path / "model.weights.h5", image_size=150)
    assert_equal(predictions(weights, pixels, tmp_path), theirs)
    with pytest.raises(WeightsError, match="a model of the class Mine, which only its own code"):
        formats.read(tmp_path / "model.keras")


# Features only


@pytest.mark.parametrize(
    ("top", "reason"),
    [
        (
            lambda: [
                layers.GlobalAveragePooling2D(),
                layers.Dense(9, "relu", name="one"),
                layers.Dense(3, name="two"),
            ],
            "2 dense layers (one, two); expected one",
        ),
        (
            lambda: [layers.GlobalMaxPooling2D(name="largest"), layers.Dense(3, "softmax")],
            "largest (GlobalMaxPooling2D) in its top; expected global average pooling, one dense",
        ),
        (
            lambda: [layers.Flatten(name="flat"), layers.Dense(3, "softmax")],
            "flat (Flatten) in its",
        ),
    ],
)
def test_other_tops_give_features(
    base: Any,
    run: Run,
    pictures: Path,
    own_cache: Path,
    tmp_path: Path,
    top: Callable[[], list[Any]],
    reason: str,
) -> None:
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((150, 150, 3)), base, *top()]).save(path)
    weights = formats.read(path)
    assert (weights.model.graph.classes, weights.model.graph.image_size) == (0, 150)
    assert weights.model.features_only is not None
    assert weights.model.features_only.startswith(reason)

    classified = run("classify", "-w", path, pictures)
    assert (classified.returncode, classified.stdout) == (5, "")
    assert f"model.keras gives features only: {reason}" in classified.stderr
    assert not list(own_cache.rglob("*.tflite"))
    verified = run("weights", "verify", path)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert f"sound for features only ({reason}" in verified.stdout


def test_features_of_a_model_with_other_layers_behind_them(base: Any, tmp_path: Path) -> None:
    pooled = layers.GlobalAveragePooling2D()
    two = [layers.Dense(9, "relu", name="one"), layers.Dense(3, name="two")]
    model = on_the_output(at_size(base, 150), pooled, *two)
    weights = read_all(model, tmp_path, image_size=150)
    only = formats.read(tmp_path / "model.weights.h5")
    assert only.model.features_only == "2 dense layers (one, two); expected one"
    pixels = images(150)
    theirs = keras.Model(model.input, pooled.output)(scaled(pixels))
    ours = predictions(weights, pixels, tmp_path)[:, 0, 0]
    # Single features carry the rounding of 47 layers that amplify it; a head averages it away.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-3)


def test_random_layers_are_the_identity_at_inference() -> None:
    """Those that are passed over by their name's beginning; RandomCrop alone is not."""
    pixels = images(75).astype(np.float32)
    names = [name for name in dir(layers) if name.startswith("Random") and name != "RandomCrop"]
    assert len(names) > 10
    for name in names:
        kind = getattr(layers, name)
        for given in (
            {},
            {"factor": 0.5},
            {"factor": 0.5, "value_range": (0, 255)},
            {"factor": 4},
            {"height_factor": 0.2, "width_factor": 0.2},
        ):
            try:
                layer = kind(**given)
                break
            except (TypeError, ValueError):
                continue
        np.testing.assert_array_equal(
            np.asarray(layer(pixels, training=False)), pixels, err_msg=name
        )
