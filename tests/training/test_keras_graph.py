"""The Keras model of the table is the inference graph, before and after learning."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from inceptioncli.architecture import Graph
from inceptioncli.engine.tensorflow import TensorFlowEngine
from inceptioncli.errors import DataError
from inceptioncli.summary import variables
from inceptioncli.training import full, keras_graph
from inceptioncli.training.data import from_folders as data_from
from inceptioncli.training.data import split as split_data
from inceptioncli.training.loop import fit
from inceptioncli.training.workspace import Workspace
from inceptioncli.weights.model import Model, Weights
from tests.conftest import random_weights
from tests.training.conftest import TINY

pytestmark = pytest.mark.slow

HEADS = ["Logits", "AuxLogits"]
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 107, 107, 3), dtype=np.uint8)


def keras_heads(model: object) -> dict[str, np.ndarray]:
    outputs = model(IMAGES / np.float32(127.5) - 1, training=False)  # type: ignore[operator]
    return {name: np.asarray(outputs[name]) for name in HEADS}


def inference_heads(weights: Weights) -> dict[str, np.ndarray]:
    return TensorFlowEngine(weights, "cpu").run(IMAGES, HEADS)


def assert_agree(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    for name in HEADS:
        scale = np.abs(theirs[name]).max()
        assert np.abs(ours[name] - theirs[name]).max() / scale < 1e-5, name


def test_given_the_same_weights_both_graphs_agree() -> None:
    weights = random_weights(TINY)
    model = keras_graph.build(TINY, batch_norm_momentum=0.9)
    keras_graph.load(model, TINY, weights.arrays)
    assert_agree(keras_heads(model), inference_heads(weights))
    exported = keras_graph.export(model, TINY)
    assert list(exported) == list(variables(TINY))
    for name, array in weights.arrays.items():
        np.testing.assert_array_equal(exported[name], array)


def test_mixed_precision_keeps_float32_weights_and_outputs() -> None:
    weights = random_weights(TINY)
    model = keras_graph.build(TINY, batch_norm_momentum=0.9, policy="mixed_bfloat16")
    keras_graph.load(model, TINY, weights.arrays)
    exported = keras_graph.export(model, TINY)
    name = "InceptionV3/Conv2d_1a_3x3/weights"
    np.testing.assert_array_equal(exported[name], weights.arrays[name])
    heads, exact = keras_heads(model), inference_heads(weights)
    for name in HEADS:
        assert heads[name].dtype == np.float32
        difference = np.abs(heads[name] - exact[name]).max() / np.abs(exact[name]).max()
        assert 1e-5 < difference < 0.2  # bfloat16 was really at work, and did no harm


def test_slims_initialisers() -> None:
    graph = Graph(image_size=107, classes=50, depth_multiplier=0.5)
    arrays = keras_graph.export(keras_graph.build(graph, batch_norm_momentum=0.9), graph)
    for scope, stddev in (
        ("AuxLogits/Conv2d_2b_1x1", 0.001),
        ("AuxLogits/Conv2d_2a_1x1", 0.01),
        ("Mixed_6a/Branch_0/Conv2d_1a_1x1", np.sqrt(2 / (3 * 3 * 144))),
    ):
        values = arrays[f"InceptionV3/{scope}/weights"]
        # Keras scales He's stddev up for the truncation, but not a plain truncated normal's.
        assert values.std() == pytest.approx(stddev, rel=0.15), scope


def test_one_epoch_lowers_the_loss_moves_the_statistics_and_exports(renders: Path) -> None:
    labelled = data_from(renders)
    split = split_data(labelled, 0.25, seed=0, origin="renders")
    task = full.task(
        TINY,
        split.training[::2],
        split.validation,
        start={},
        epochs=4,
        batch_size=8,
        learning_rate=0.01,
        optimizer="adamw",
        freeze_until="MaxPool_3a_3x3",
        crop=1.0,
        seed=0,
    )
    task.model.run_eagerly = True  # Eight steps are faster taken than traced.
    before = dict(task.export())
    losses = [
        task.model.fit(task.training(epoch), verbose=0, shuffle=False).history["loss"][0]
        for epoch in range(4)
    ]
    assert losses[-1] < losses[0]
    after = dict(task.export())
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    frozen = {name for name in before if "Conv2d_1a_3x3" in name.split("/")[1]}
    frozen |= {name for name in before if name.split("/")[1].startswith("Conv2d_2")}
    assert len(frozen) == 12
    assert changed == set(before) - frozen  # weights, betas and both moving statistics
    trained = Weights(Model(TINY), after)
    assert_agree(keras_heads(task.model), inference_heads(trained))


def test_an_image_that_goes_away_is_named(renders: Path, tmp_path: Path) -> None:
    shutil.copytree(renders, tmp_path / "data")
    labelled = data_from(tmp_path / "data")
    (tmp_path / "data" / "n07749582" / "0000003.jpg").unlink()
    task = full.task(
        TINY, labelled.examples, labelled.examples[:4], start={}, epochs=1, batch_size=8,
        learning_rate=0.01, optimizer="adamw", freeze_until=None, crop=1.0, seed=0,
    )  # fmt: skip
    # The batches of the task; a graph of two layers, as the real one takes a minute to be traced.
    inputs = keras.Input((107, 107, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    heads = {name: keras.layers.Dense(4, name=name)(pooled) for name in HEADS}
    small = keras.Model(inputs, heads)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    small.compile(loss=dict.fromkeys(heads, loss), metrics={"Logits": ["accuracy"]})
    task = task._replace(model=small)
    workspace = Workspace(tmp_path / "m.safetensors")
    workspace.take("identity", overwrite=False)
    with pytest.raises(DataError, match=r"n07749582/0000003\.jpg: no such file.*put it back"):
        fit(task, epochs=1, workspace=workspace, identity="x", output=tmp_path / "m.safetensors")


def test_the_same_epoch_has_the_same_batches(renders: Path) -> None:
    labelled = data_from(renders)
    options = {
        "start": {}, "epochs": 1, "batch_size": 8, "learning_rate": 0.01, "optimizer": "rmsprop",
        "freeze_until": None, "crop": 1.0, "seed": 3,
    }  # fmt: skip
    task = full.task(TINY, labelled.examples, labelled.examples[:4], **options)

    def first_batch(epoch: int) -> np.ndarray:
        images, _ = next(iter(task.training(epoch)))
        return np.asarray(images)

    assert first_batch(1).tobytes() == first_batch(1).tobytes()
    assert first_batch(1).tobytes() != first_batch(2).tobytes()
    assert np.abs(first_batch(1)).max() <= 1.001
