"""The loop of epochs on a model of one layer: it goes on where it stopped, and survives a NaN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from inceptioncli.errors import DivergedError, ForeignOutputError
from inceptioncli.training.loop import Fitted, Task, fit
from inceptioncli.training.workspace import Workspace

pytestmark = pytest.mark.slow

FEATURES = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
TRUTH = (FEATURES[:, 0] > 0).astype(np.int64)


def task(learning_rate: float, stop_before: int = 9, nan_from: int = 9) -> Task:
    """Two classes by one layer; Ctrl-C comes before an epoch, or features are NaN from one on."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2, name="Logits")(inputs))
    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
    data = tf.data.Dataset.from_tensor_slices((FEATURES, TRUTH)).batch(8)

    def training(epoch: int) -> Any:
        if epoch == stop_before:
            raise KeyboardInterrupt
        return data if epoch < nan_from else data.map(lambda x, truth: (x * np.nan, truth))

    layer = model.get_layer("Logits")
    return Task(
        model, training, data, 4, lambda: {"kernel": keras.ops.convert_to_numpy(layer.kernel)}
    )


def run(output: Path, identity: str = "a", **options: Any) -> Fitted:
    workspace = Workspace(output)
    workspace.take(identity, overwrite=False)
    return fit(task(**options), epochs=5, workspace=workspace, identity=identity, output=output)


def test_interrupted_it_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    through = run(tmp_path / "through.safetensors", learning_rate=0.1)
    output = tmp_path / "m.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(output, learning_rate=0.1, stop_before=3)
    assert len(output.with_suffix(".metrics.csv").read_text().splitlines()) == 3
    with pytest.raises(ForeignOutputError):
        run(output, identity="b", learning_rate=0.1)
    resumed = run(output, learning_rate=0.1)
    assert [epoch[:-1] for epoch in resumed.history] == [epoch[:-1] for epoch in through.history]
    np.testing.assert_array_equal(resumed.arrays["kernel"], through.arrays["kernel"])


def test_a_loss_of_nan_in_the_first_epoch_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"in the first epoch.*Lower --learning-rate"):
        run(tmp_path / "m.safetensors", learning_rate=float("inf"))


def test_a_loss_of_nan_later_keeps_the_best_epoch_before(tmp_path: Path) -> None:
    fitted = run(tmp_path / "m.safetensors", learning_rate=0.1, nan_from=3)
    assert fitted.diverged
    assert [epoch.epoch for epoch in fitted.history] == [1, 2]
    assert np.isfinite(fitted.arrays["kernel"]).all()
