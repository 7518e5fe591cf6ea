"""Which engine is made ready: the one for the device that was asked for, or that there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inceptioncli import engine
from inceptioncli.engine import devices
from inceptioncli.errors import DeviceError
from inceptioncli.weights import collection


def test_a_gpu_that_tensorflow_does_not_see(small_weights: Path) -> None:
    with pytest.raises(DeviceError, match=r"gpu:7 asked for.*inceptioncli\[gpu\]"):
        engine.prepare(collection.choose(str(small_weights)), "gpu:7", "float32")


def test_auto_goes_on_without_a_gpu_that_does_not_work(
    small_weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if _tensorflow_sees_gpus():
        pytest.skip("the GPU of this machine works")
    monkeypatch.setattr(devices, "has_gpu", lambda: True)
    chosen = collection.choose(str(small_weights))
    opened = engine.prepare(chosen, "auto", "float32", at_least=10_000)
    assert opened.engine == "litert"
    assert "using the CPU" in caplog.text


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu(small_weights: Path) -> None:
    if not _tensorflow_sees_gpus():
        pytest.skip("TensorFlow sees no GPU here")
    chosen = collection.choose(str(small_weights))
    images = np.random.default_rng(0).uniform(-1, 1, (40, 75, 75, 3)).astype(np.float32)
    cpu = engine.prepare(chosen, "cpu", "float32").open(2).run(images, ["Predictions"])
    gpu = engine.prepare(chosen, "gpu", "float32").open(2).run(images, ["Predictions"])
    np.testing.assert_allclose(gpu["Predictions"], cpu["Predictions"], atol=1e-3)


def _tensorflow_sees_gpus() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
