"""Which engine runs: from device, precision, and what the machine has."""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inceptioncli.choices import CPU_PRECISIONS, DEVICES, GPU_PRECISIONS, PRECISIONS
from inceptioncli.engine.base import Engine
from inceptioncli.errors import DeviceError
from inceptioncli.weights import collection
from inceptioncli.weights.collection import Chosen
from inceptioncli.weights.model import Model

if TYPE_CHECKING:
    from inceptioncli.engine.compile import Compiled

_logger = logging.getLogger(__name__)

# A GPU's start (importing TensorFlow, compiling with XLA) takes about 10 s; the CPU labels some
# 150 images in that time (60 ms each), so fewer than this many are done sooner without it.
IMAGES_THAT_REPAY_A_GPU = 200

# Of a worker with LiteRT, beside what all workers share (the packed weights among it): 43 MB
# measured, 67 with end points, and room for pictures. Weights that each has to pack for itself come
# on top: 330 MB in all measured with a file of 95 MB.
_WORKER_BYTES = 150 << 20
_BYTES_PER_FILE_BYTE = 2.8
# Of a worker that only decodes, with a large picture.
_DECODER_BYTES = 500 << 20

_DEVICE = re.compile(r"auto|cpu|gpu(?::(\d+))?")


class Ready(NamedTuple):
    """A model that is ready to run.

    Attributes:
        model: what runs.
        weights: which weights they are.
        engine: ``litert`` or ``tensorflow``.
        device: ``cpu``, ``gpu`` or ``gpu:N``.
        precision: one of `PRECISIONS`.
        open: gives an engine that runs on so many CPU threads; of LiteRT any number can be opened,
            in this process and in others.
        memory: bytes that a worker process takes, about.
    """

    model: Model
    weights: Chosen
    engine: str
    device: str
    precision: str
    open: Callable[[int], Engine]
    memory: int

    @property
    def portable(self) -> bool:
        """Whether `open` can be pickled, and called in other processes."""
        return self.engine == "litert"


def check(device: str, precision: str) -> None:
    """Raises DeviceError for a device or precision, or a pair of them, that does not exist."""
    match = _DEVICE.fullmatch(device)
    if not match:
        raise DeviceError(f"unknown device {device!r}; expected {DEVICES}")
    if precision not in PRECISIONS:
        raise DeviceError(f"unknown precision {precision!r}; expected {', '.join(PRECISIONS)}")
    if device == "cpu" and precision not in CPU_PRECISIONS:
        raise DeviceError(
            f"precision {precision} is not available on the CPU; use {' or '.join(CPU_PRECISIONS)}"
        )
    if device.startswith("gpu") and precision not in GPU_PRECISIONS:
        raise DeviceError(
            f"precision {precision} is not available on a GPU; use {', '.join(GPU_PRECISIONS)}"
        )


def resolve(device: str, precision: str, at_least: int) -> str:
    """Turns ``auto`` into ``cpu`` or ``gpu``.

    A precision that only one of them has decides; else the GPU is taken when there is one and
    ``at_least`` so many images repay its start.

    Raises:
        DeviceError: see `check`; or the precision needs a GPU and there is none.
    """
    check(device, precision)
    if device != "auto":
        return device
    if precision not in GPU_PRECISIONS:
        return "cpu"
    if precision not in CPU_PRECISIONS:
        if not has_gpu():
            raise DeviceError(
                f"precision {precision} needs a GPU, and none was found; use "
                f"{' or '.join(CPU_PRECISIONS)} (with a GPU: `pip install 'inceptioncli[gpu]'`)"
            )
        return "gpu"
    return "gpu" if has_gpu() and at_least >= IMAGES_THAT_REPAY_A_GPU else "cpu"


def has_gpu() -> bool:
    """Whether the machine has an NVIDIA GPU with a driver; without importing TensorFlow."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    gpus = Path("/proc/driver/nvidia/gpus")
    return Path("/dev/nvidia0").exists() or (gpus.is_dir() and any(gpus.iterdir()))


def prepare(
    chosen: Chosen, device: str, precision: str, *, offline: bool = False, at_least: int = 1
) -> Ready:
    """Makes chosen weights ready to run: fetched, compiled for a CPU or loaded on a GPU.

    Args:
        chosen: which weights.
        device: ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
        precision: one of `PRECISIONS`.
        offline: forbid to download the weights.
        at_least: so many images, as far as is known.

    Raises:
        DeviceError: the device or precision is not to be had here.
        WeightsError: the weights can't be had or read.
        OutputError: the cache can't be written.
    """
    resolved = resolve(device, precision, at_least)
    if device == "auto" and resolved == "gpu" and precision in CPU_PRECISIONS:
        try:
            return _prepare_gpu(chosen, resolved, precision, offline)
        except DeviceError as error:
            _logger.warning("%s; using the CPU", error)
            resolved = "cpu"
    if resolved != "cpu":
        return _prepare_gpu(chosen, resolved, precision, offline)
    return _prepare_cpu(chosen, precision, offline)


def _prepare_cpu(chosen: Chosen, precision: str, offline: bool) -> Ready:
    if importlib.util.find_spec("ai_edge_litert") is not None:
        from inceptioncli.engine import packing
        from inceptioncli.engine.compile import compiled

        graph = compiled(chosen, precision, offline=offline)
        packing.prepare(graph)
        memory = _WORKER_BYTES
        if packing.find(graph) is None:
            memory += int(_BYTES_PER_FILE_BYTE * graph.path.stat().st_size)
        opener = functools.partial(_open_litert, graph)
        return Ready(graph.model, chosen, "litert", "cpu", precision, opener, memory)
    if precision != "float32":
        raise DeviceError(
            f"precision {precision} needs ai-edge-litert, which is not installed "
            "(there is no wheel for every platform); use --precision float32"
        )
    return prepare_tensorflow(chosen, "/CPU:0", precision, offline=offline)


def _open_litert(graph: Compiled, threads: int) -> Engine:
    from inceptioncli.engine import packing
    from inceptioncli.engine.litert import LiteRTEngine  # needs numpy

    return LiteRTEngine(graph, threads, packing.find(graph))


def _prepare_gpu(chosen: Chosen, device: str, precision: str, offline: bool) -> Ready:
    return prepare_tensorflow(
        chosen, f"/GPU:{device.partition(':')[2] or 0}", precision, offline=offline
    )


def prepare_tensorflow(
    chosen: Chosen, device: str, precision: str = "float32", *, offline: bool = False
) -> Ready:
    """As `prepare`, with TensorFlow on ``/CPU:0`` or ``/GPU:n``, whatever would be fastest."""
    from inceptioncli.engine.tensorflow import TensorFlowEngine, require_device

    require_device(device)  # Before weights are downloaded for nothing.
    weights = collection.load(chosen, offline=offline)
    engine = TensorFlowEngine(weights, device, precision)
    return Ready(
        weights.model,
        chosen,
        "tensorflow",
        device,
        precision,
        lambda threads: engine,
        _DECODER_BYTES,
    )
