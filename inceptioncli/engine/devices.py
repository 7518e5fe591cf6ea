"""Devices: which one runs, from what was asked for and what the machine has.

A device is spelt as users spell it, everywhere: ``cpu``, ``gpu`` (the first), ``gpu:N``.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from inceptioncli.choices import CPU_PRECISIONS, DEVICES, GPU_PRECISIONS, PRECISIONS
from inceptioncli.errors import DeviceError

# A GPU's start (importing TensorFlow, compiling with XLA) takes about 10 s; the CPU labels some
# 150 images in that time (60 ms each), so fewer than this many are done sooner without it.
IMAGES_THAT_REPAY_A_GPU = 200

_logger = logging.getLogger(__name__)
_ROOT = Path("/")
_DEVICE = re.compile(r"auto|cpu|gpu(?::(\d+))?")


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


def continued(device: str, precision: str, engine: str | None) -> str:
    """The device for a run that goes on: with ``auto`` that of the engine that it began with.

    Where that can't be had here it stays ``auto``: the output then says that it is another run's.

    Args:
        device: what was asked for.
        precision: what was asked for.
        engine: ``litert`` or ``tensorflow``; None for a run that begins.
    """
    if device == "auto" and engine == "litert" and precision in CPU_PRECISIONS:
        return "cpu"
    if device == "auto" and engine == "tensorflow" and precision in GPU_PRECISIONS and has_gpu():
        return "gpu"
    return device


def number_decides(device: str, precision: str) -> bool:
    """Whether it depends on the number of images which device runs."""
    both = precision in CPU_PRECISIONS and precision in GPU_PRECISIONS
    return device == "auto" and both and has_gpu()


def resolve(device: str, precision: str, at_least: int | None) -> str:
    """Turns ``auto`` into ``cpu`` or ``gpu``.

    A precision that only one of them has decides; else the GPU is taken when there is one and
    ``at_least`` so many images repay its start. Of a stream nobody knows the number (None), and
    nobody is to wait for it: the CPU gives its first answer at once.

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
    if not number_decides(device, precision):
        return "cpu"
    if at_least is None:
        _logger.info(
            "how many images a stream will bring is not known: the CPU runs, which answers at "
            "once; --device gpu for many"
        )
        return "cpu"
    return "gpu" if at_least >= IMAGES_THAT_REPAY_A_GPU else "cpu"


def has_gpu() -> bool:
    """Whether the machine has an NVIDIA GPU with a driver; without importing TensorFlow."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    if (_ROOT / "dev/nvidia0").exists() or any((_ROOT / "proc/driver/nvidia/gpus").glob("*")):
        return True
    # In WSL2 every maker's GPU is this one device; NVIDIA's driver brings CUDA along, from Windows.
    wsl = _ROOT / "usr/lib/wsl"
    return (_ROOT / "dev/dxg").exists() and any(
        found for place in ("lib", "drivers/*") for found in wsl.glob(f"{place}/libcuda.so*")
    )
