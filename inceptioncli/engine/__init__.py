"""Engines run the graph: images ``[N, S, S, 3]`` in, ``{end point: array}`` out."""

from __future__ import annotations

import logging

from inceptioncli.choices import CPU_PRECISIONS
from inceptioncli.engine import devices
from inceptioncli.engine.base import Engine, Ready
from inceptioncli.errors import DeviceError
from inceptioncli.weights.collection import Chosen

__all__ = ["Engine", "Ready", "prepare"]

_logger = logging.getLogger(__name__)


def prepare(
    chosen: Chosen, device: str, precision: str, *, offline: bool = False, at_least: int | None = 1
) -> Ready:
    """Makes chosen weights ready to run: fetched, compiled for a CPU or loaded on a GPU.

    Args:
        chosen: which weights.
        device: ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
        precision: one of `choices.PRECISIONS`.
        offline: forbid to download the weights.
        at_least: so many images, as far as is known; None for a stream of them.

    Raises:
        DeviceError: the device or precision is not to be had here.
        WeightsError: the weights can't be had or read.
        OutputError: neither the cache nor a temporary folder can be written.
    """
    resolved = devices.resolve(device, precision, at_least)
    if resolved != "cpu":
        try:
            return _prepare_tensorflow(chosen, resolved, precision, offline)
        except DeviceError as error:
            if device != "auto" or precision not in CPU_PRECISIONS:
                raise
            _logger.warning("%s; using the CPU", error)
    from inceptioncli.engine import litert

    return litert.prepare(chosen, precision, offline=offline)


def _prepare_tensorflow(chosen: Chosen, device: str, precision: str, offline: bool) -> Ready:
    try:
        from inceptioncli.engine import tensorflow
    except ImportError as error:
        raise DeviceError(
            f"a GPU is run with TensorFlow, which can't be imported here ({error}); "
            "`pip install 'inceptioncli[gpu]'`, or use --device cpu"
        ) from error
    return tensorflow.prepare(chosen, device, precision, offline=offline)
