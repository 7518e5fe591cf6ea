"""The TensorFlow engine, on the CPU in the place of a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from inceptioncli.engine import tensorflow
from inceptioncli.engine.tensorflow import TensorFlowEngine
from inceptioncli.errors import DeviceError
from inceptioncli.pipeline import layout
from inceptioncli.weights import collection

pytestmark = pytest.mark.slow


def test_what_is_ready_stays_in_this_process(small_weights: Path) -> None:
    ready = tensorflow.prepare(collection.choose(str(small_weights)), "cpu")
    assert (ready.engine, ready.precision, ready.portable) == ("tensorflow", "float32", False)
    assert ready.open(1) is ready.open(2)
    assert layout.choose(None, ready.memory).workers >= 1


@pytest.mark.parametrize(("precision", "left"), [("float32", False), ("bfloat16", True)])
def test_float32_is_no_tensor_float_32(small_weights: Path, precision: str, left: bool) -> None:
    """Which lower precisions don't use, so that it is left to the host program."""
    enable = tf.config.experimental.enable_tensor_float_32_execution
    enable(True)
    try:
        tensorflow.prepare(collection.choose(str(small_weights)), "cpu", precision)
        assert tf.config.experimental.tensor_float_32_execution_enabled() is left
    finally:
        enable(True)


def test_a_batch_that_the_device_does_not_hold_is_halved(
    small_weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = TensorFlowEngine(collection.load(collection.choose(str(small_weights))), "cpu")
    images = np.random.default_rng(0).uniform(-1, 1, (21, 75, 75, 3)).astype(np.float32)
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
