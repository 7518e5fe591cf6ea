from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inceptioncli.engine import select
from inceptioncli.errors import DeviceError
from inceptioncli.pipeline import layout
from inceptioncli.weights import collection


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("tpu", "float32", "unknown device 'tpu'; expected auto, cpu, gpu or gpu:N"),
        ("gpu:x", "float32", "unknown device"),
        ("cpu", "float64", "unknown precision"),
        ("cpu", "bfloat16", "not available on the CPU; use float32 or int8"),
        ("gpu:1", "int8", "not available on a GPU; use float32, bfloat16, float16"),
    ],
)
def test_what_does_not_exist_is_refused(device: str, precision: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        select.check(device, precision)


@pytest.mark.parametrize(
    ("gpu", "precision", "images", "device"),
    [
        (False, "float32", 10_000, "cpu"),
        (True, "float32", 1, "cpu"),
        (True, "float32", select.IMAGES_THAT_REPAY_A_GPU, "gpu"),
        (True, "int8", 10_000, "cpu"),
        (True, "float16", 1, "gpu"),
    ],
)
def test_auto(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, precision: str, images: int, device: str
) -> None:
    monkeypatch.setattr(select, "has_gpu", lambda: gpu)
    assert select.resolve("auto", precision, images) == device


def test_auto_does_not_replace_a_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "has_gpu", lambda: False)
    with pytest.raises(DeviceError, match="float16 needs a GPU, and none was found"):
        select.resolve("auto", "float16", 1)


def test_a_gpu_that_tensorflow_does_not_see(small_weights: Path) -> None:
    with pytest.raises(DeviceError, match=r"gpu:7 asked for.*inceptioncli\[gpu\]"):
        select.prepare(collection.choose(str(small_weights)), "gpu:7", "float32")


def test_auto_goes_on_without_a_gpu_that_does_not_work(
    small_weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if _tensorflow_sees_gpus():
        pytest.skip("the GPU of this machine works")
    monkeypatch.setattr(select, "has_gpu", lambda: True)
    chosen = collection.choose(str(small_weights))
    opened = select.prepare(chosen, "auto", "float32", at_least=10_000)
    assert opened.engine == "litert"
    assert "using the CPU" in caplog.text


def test_without_litert_tensorflow_runs_on_the_cpu(
    small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select.importlib.util, "find_spec", lambda name: None)
    chosen = collection.choose(str(small_weights))
    ready = select.prepare(chosen, "cpu", "float32")
    assert ready.engine == "tensorflow"
    assert layout.choose(None, ready.memory).workers >= 1
    with pytest.raises(DeviceError, match="int8 needs ai-edge-litert"):
        select.prepare(chosen, "cpu", "int8")


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu(small_weights: Path) -> None:
    import numpy as np

    if not _tensorflow_sees_gpus():
        pytest.skip("TensorFlow sees no GPU here")
    chosen = collection.choose(str(small_weights))
    images = np.random.default_rng(0).integers(0, 256, (40, 75, 75, 3), dtype=np.uint8)
    cpu = select.prepare(chosen, "cpu", "float32").open(2).run(images, ["Predictions"])
    gpu = select.prepare(chosen, "gpu", "float32").open(2).run(images, ["Predictions"])
    np.testing.assert_allclose(gpu["Predictions"], cpu["Predictions"], atol=1e-3)


def _tensorflow_sees_gpus() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def test_a_batch_that_the_device_does_not_hold_is_halved(
    small_weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import numpy as np
    import tensorflow as tf

    from inceptioncli.engine.tensorflow import TensorFlowEngine

    engine = TensorFlowEngine(collection.load(collection.choose(str(small_weights))), "/CPU:0")
    images = np.random.default_rng(0).integers(0, 256, (21, 75, 75, 3), dtype=np.uint8)
    alone = engine.run(images, ["Logits"])["Logits"]
    engine.batch_size = 16  # as a GPU's
    run, sizes = engine._run_batch, []

    def small_memory(some: Any, wanted: Any) -> Any:
        sizes.append(len(some))
        if engine.batch_size > 4:
            raise tf.errors.ResourceExhaustedError(None, None, "out of memory")
        return run(some, wanted)

    engine._run_batch = small_memory  # type: ignore[method-assign]
    with caplog.at_level("INFO"):
        np.testing.assert_allclose(engine.run(images, ["Logits"])["Logits"], alone, atol=1e-5)
    assert sizes == [16, 8, 4, 4, 4, 4, 4, 1]
    assert engine.batch_size == 4  # remembered
    assert "going on with 4 at once" in caplog.text
    engine._run_batch = lambda some, wanted: (_ for _ in ()).throw(  # type: ignore[method-assign]
        tf.errors.ResourceExhaustedError(None, None, "out of memory")
    )
    with pytest.raises(DeviceError, match="does not hold one image"):
        engine.run(images, ["Logits"])
