"""The graph in TensorFlow, with batch norm folded: for GPUs, and for the tests."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from inceptioncli.architecture import Activation, Conv, Graph, Pool, walk
from inceptioncli.engine.base import Ready
from inceptioncli.errors import DeviceError
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.summary import convolutions
from inceptioncli.weights import collection
from inceptioncli.weights.collection import Chosen
from inceptioncli.weights.folding import fold
from inceptioncli.weights.model import Weights

with native_stderr_hidden():
    import tensorflow as tf

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A program that shares its GPU takes what it needs, not all there is; TensorFlow wants to be told
# before it first uses one. A host program that has used it already has decided for itself.
with contextlib.suppress(RuntimeError):
    for _gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(_gpu, True)

_logger = logging.getLogger(__name__)

PRECISIONS = {"float32": tf.float32, "bfloat16": tf.bfloat16, "float16": tf.float16}
# Of a GPU; halved when its memory does not hold so many.
GPU_BATCH_SIZE = 32
# Of a worker that only decodes, with a large picture.
_DECODER_BYTES = 500 << 20


def prepare(
    chosen: Chosen, device: str, precision: str = "float32", *, offline: bool = False
) -> Ready:
    """Makes chosen weights ready to run in this process, on the device: fetched and loaded there.

    Args:
        chosen: which weights.
        device: ``gpu`` or ``gpu:N``; ``cpu`` to compare numbers, as LiteRT is faster there.
        precision: ``float32``, ``bfloat16`` or ``float16``.
        offline: forbid to download the weights.

    Raises:
        DeviceError: TensorFlow does not see the device.
        WeightsError: the weights can't be had or read.
    """
    require_device(device)  # Before weights are downloaded for nothing.
    weights = collection.load(chosen, offline=offline)
    engine = TensorFlowEngine(weights, device, precision)
    return Ready(
        model=weights.model,
        weights=chosen,
        engine=engine.name,
        device=device,
        precision=precision,
        open=lambda threads: engine,
        memory=_DECODER_BYTES,
        portable=False,
    )


def require_device(device: str) -> None:
    """Raises DeviceError unless TensorFlow sees ``cpu``, ``gpu`` or ``gpu:N``."""
    kind, number = _kind_and_number(device)
    devices = tf.config.list_physical_devices(kind)
    if number >= len(devices):
        raise DeviceError(
            f"device {kind.lower()}:{number} asked for, but TensorFlow sees {len(devices)} {kind} "
            "devices; install a driver and `pip install 'inceptioncli[gpu]'`, or use --device cpu"
        )


class TensorFlowGraph(tf.Module):  # type: ignore[misc]  # TensorFlow has no type stubs
    """The folded graph on a device; its variables are shared by whatever is traced."""

    def __init__(self, weights: Weights, device: str, dtype: Any = tf.float32) -> None:
        super().__init__()
        self.graph: Graph = weights.model.graph
        self.dtype = dtype
        self.folded = {}
        with _on(device):
            for conv in convolutions(self.graph):
                kernel, bias = fold(weights, conv)
                self.folded[_key(conv.scope)] = (
                    tf.Variable(kernel, trainable=False, dtype=dtype),
                    tf.Variable(bias, trainable=False, dtype=dtype),
                )

    def end_points(self, images: Any, wanted: Sequence[str]) -> dict[str, Any]:
        """Float32 tensors of the wanted end points; ``images`` is ``[N, S, S, 3]`` in [-1, 1]."""
        last = max(wanted, key=self.graph.end_points.index)
        ends = walk(self.graph, tf.cast(images, self.dtype), _TensorOps(self.folded), last=last)
        return {name: tf.cast(ends[name], tf.float32) for name in wanted}


class TensorFlowEngine:
    """Runs the graph with TensorFlow on one device.

    In float32 it turns TensorFloat-32 off, for the whole process.

    Args:
        weights: the model and its arrays.
        device: ``cpu``, ``gpu`` or ``gpu:N``.
        precision: ``float32``, ``bfloat16`` or ``float16``; results are float32 always.

    Attributes:
        batch_size: so many images go to the device at once. A smaller rest is filled up, so that
            XLA compiles one shape and an image's scores don't depend on how many there are.

    Raises:
        DeviceError: TensorFlow does not see the device.
    """

    name = "tensorflow"

    def __init__(self, weights: Weights, device: str, precision: str = "float32") -> None:
        require_device(device)
        if precision == "float32":
            # Of TensorFlow's float32, Ampere and later keep 10 bits of 23 (TensorFloat-32) unless
            # told otherwise. It can only be told for the whole process.
            tf.config.experimental.enable_tensor_float_32_execution(False)
        self.graph = weights.model.graph
        self._device = device
        self._module = TensorFlowGraph(weights, device, PRECISIONS[precision])
        self._compile_xla = device != "cpu"
        self.batch_size = GPU_BATCH_SIZE if self._compile_xla else 1
        self._lock = threading.Lock()
        self._functions: dict[tuple[str, tuple[str, ...]], Any] = {}

    def run(
        self, images: NDArray[np.uint8 | np.float32], end_points: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """See `engine.base.Engine`.

        Raises:
            DeviceError: the device's memory does not hold a single image.
        """
        with self._lock:  # A batch may turn out to be too large; no two threads find that out.
            return self._run(images, tuple(end_points))

    def _run(
        self, images: NDArray[np.uint8 | np.float32], end_points: tuple[str, ...]
    ) -> dict[str, NDArray[np.float32]]:
        parts: list[dict[str, NDArray[np.float32]]] = []
        done = 0
        while done < len(images):
            some = images[done : done + self.batch_size]
            try:
                parts.append(self._run_batch(some, end_points))
            except tf.errors.ResourceExhaustedError as error:
                if self.batch_size == 1:
                    raise DeviceError(
                        f"the memory of {self._device} does not hold one image; "
                        "use --precision float16, or --device cpu"
                    ) from error
                self.batch_size //= 2
                _logger.info("out of device memory; going on with %d at once", self.batch_size)
                continue
            done += len(some)
        return {name: np.concatenate([part[name] for part in parts]) for name in end_points}

    def _run_batch(
        self, images: NDArray[np.uint8 | np.float32], wanted: tuple[str, ...]
    ) -> dict[str, NDArray[np.float32]]:
        missing = self.batch_size - len(images)
        filled = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else images
        with _on(self._device):
            outputs = self._function(filled.dtype.name, wanted)(tf.constant(filled))
        return {name: values.numpy()[: len(images)] for name, values in outputs.items()}

    def _function(self, dtype: str, wanted: tuple[str, ...]) -> Any:
        if (dtype, wanted) not in self._functions:
            side = self.graph.image_size
            self._functions[dtype, wanted] = tf.function(
                # As `engine.base.scaled`, on the device: of uint8 a quarter of the bytes go there.
                lambda images: self._module.end_points(
                    tf.cast(images, tf.float32) / 127.5 - 1.0, wanted
                ),
                input_signature=[tf.TensorSpec([None, side, side, 3], dtype)],
                jit_compile=self._compile_xla,
            )
        return self._functions[dtype, wanted]


class _TensorOps:
    """`architecture.Ops` on TensorFlow tensors, at inference."""

    def __init__(self, folded: Mapping[str, tuple[Any, Any]]) -> None:
        self._folded = folded

    def size(self, x: Any) -> tuple[int, int]:
        return x.shape[1], x.shape[2]

    def conv(self, x: Any, layer: Conv) -> Any:
        kernel, bias = self._folded[_key(layer.scope)]
        x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, layer.stride, layer.padding), bias)
        return x if layer.linear else tf.nn.relu(x)

    def pool(self, x: Any, layer: Pool) -> Any:
        pool = tf.nn.max_pool2d if layer.kind == "max" else tf.nn.avg_pool2d
        return pool(x, layer.kernel, layer.stride, layer.padding)

    def concat(self, xs: Sequence[Any]) -> Any:
        return tf.concat(xs, axis=3)

    def dropout(self, x: Any, keep_probability: float) -> Any:
        return x

    def squeeze(self, x: Any) -> Any:
        return tf.squeeze(x, [1, 2])

    def activate(self, x: Any, activation: Activation) -> Any:
        # In float32 at any precision: 1000 probabilities do not fit float16's resolution.
        function = tf.nn.softmax if activation == "softmax" else tf.nn.sigmoid
        return function(tf.cast(x, tf.float32))


def _on(device: str) -> contextlib.AbstractContextManager[None]:
    """What is made inside is on the device; here alone it has TensorFlow's name."""
    kind, number = _kind_and_number(device)
    context: contextlib.AbstractContextManager[None] = tf.device(f"/{kind}:{number}")
    return context


def _kind_and_number(device: str) -> tuple[str, int]:
    kind, _, number = device.partition(":")
    return kind.upper(), int(number or 0)


def _key(scope: str) -> str:
    """A scope as a key that ``tf.Module`` can track; it takes slashes for nesting."""
    return scope.replace("/", ".")
