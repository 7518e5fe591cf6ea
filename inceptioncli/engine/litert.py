"""The LiteRT engine: the compiled graph on the CPU, without TensorFlow."""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from inceptioncli.engine import packing
from inceptioncli.engine.base import (
    END_POINTS_SIGNATURE,
    INPUT_NAME,
    PREDICTIONS_SIGNATURE,
    Ready,
    scaled,
)
from inceptioncli.engine.compile import Compiled, again, compiled
from inceptioncli.engine.runtime import close_model, open_model
from inceptioncli.noise import is_ours, native_stderr_hidden
from inceptioncli.weights.collection import Chosen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Of a worker, beside what all workers share (the packed weights among it): 43 MB measured, 67 with
# end points, and room for pictures. Feature maps grow with the image: 223 MB with one of 1024, 793
# with one of 2048, and 2 GB with all end points. Weights that each has to pack for itself come on
# top: 330 MB in all measured with a file of 95 MB.
_WORKER_BYTES = 105 << 20
_BYTES_PER_PIXEL = 500
_BYTES_PER_FILE_BYTE = 2.8


def prepare(chosen: Chosen, precision: str = "float32", *, offline: bool = False) -> Ready:
    """Makes chosen weights ready to run on the CPU: fetched, compiled and packed, once for all.

    Args:
        chosen: which weights.
        precision: one of `choices.CPU_PRECISIONS`.
        offline: forbid to download the weights.

    Raises:
        WeightsError: the weights can't be had or read.
        OutputError: neither the cache nor a temporary folder can be written.
    """
    with packing.Packer() as packer:
        graph = compiled(chosen, precision, offline=offline, building=packer.start)
        packed = packing.prepare(graph, packer)
    memory = _WORKER_BYTES + _BYTES_PER_PIXEL * graph.model.graph.image_size**2
    if packed is None:
        memory += int(_BYTES_PER_FILE_BYTE * graph.path.stat().st_size)
    return Ready(
        model=graph.model,
        weights=chosen,
        engine=LiteRTEngine.name,
        device="cpu",
        precision=precision,
        open=functools.partial(_open, chosen, precision, offline, graph),
        memory=memory,
        portable=True,
    )


def _open(
    chosen: Chosen, precision: str, offline: bool, graph: Compiled, threads: int
) -> LiteRTEngine:
    """An engine; where the cache has been deleted since, what it needs is made again there."""
    with contextlib.suppress(Exception):  # It may be deleted just now; a real fault comes up again.
        if graph.path.exists():
            return LiteRTEngine(graph, threads, packing.find(graph))
    with packing.Packer() as packer:
        graph = again(chosen, precision, graph.path, offline=offline, building=packer.start)
        packing.prepare(graph, packer)
    return LiteRTEngine(graph, threads, packing.find(graph))


class LiteRTEngine:
    """Runs a compiled graph on ``threads`` CPU threads, one image at a time.

    Args:
        compiled: the graph.
        threads: so many CPU threads.
        packed: its packed weights, if there are any; see `engine.packing`.
    """

    name = "litert"
    batch_size = 1

    def __init__(self, compiled: Compiled, threads: int, packed: Path | None = None) -> None:
        self.graph = compiled.model.graph
        self._model = open_model(compiled.path, threads, packed)
        self._buffers: dict[str, _Buffers] = {}
        self._lock = threading.Lock()
        weakref.finalize(self, _close, self._model, self._buffers, self._lock)

    def run(
        self, images: NDArray[np.uint8 | np.float32], end_points: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """See `engine.base.Engine`."""
        import numpy as np  # not for `prepare`, which the parent of workers calls

        only_last = tuple(end_points) == self.graph.end_points[-1:]
        signature = PREDICTIONS_SIGNATURE if only_last else END_POINTS_SIGNATURE
        with self._lock:  # Threads of a host program share the buffers.
            if signature not in self._buffers:
                self._buffers[signature] = _allocate(self._model, signature)
            inputs, outputs, shapes = self._buffers[signature]
            rows = {name: np.empty((len(images), *shapes[name]), np.float32) for name in end_points}
            for place, image in enumerate(images):
                inputs[INPUT_NAME].write(scaled(image))
                self._model.run_by_name(signature, inputs, outputs)
                for name, values in rows.items():
                    row = values[place]
                    row[...] = outputs[name].read(row.size, np.float32).reshape(row.shape)
        return rows


class _Buffers(NamedTuple):
    """What a signature reads and writes, and the shape of each output for one image."""

    inputs: dict[str, Any]
    outputs: dict[str, Any]
    shapes: dict[str, list[int]]


def _allocate(model: Any, signature: str) -> _Buffers:
    import numpy as np

    names = model.get_signature_list()[signature]
    details = model.get_output_tensor_details(signature)
    with native_stderr_hidden():
        buffers = _Buffers(
            {name: model.create_input_buffer_by_name(signature, name) for name in names["inputs"]},
            {
                name: model.create_output_buffer_by_name(signature, name)
                for name in names["outputs"]
            },
            {name: details[name]["shape"][1:] for name in names["outputs"]},
        )
        # The first write of a process makes an environment that lives, and tells, to its end.
        shape = model.get_input_tensor_details(signature)[INPUT_NAME]["shape"]
        buffers.inputs[INPUT_NAME].write(np.zeros(shape, np.float32))
    _silence_the_end()
    return buffers


def _close(model: Any, buffers: dict[str, _Buffers], lock: threading.Lock) -> None:
    with lock:  # At the end of the program some thread may still be at it.
        for signature in buffers.values():
            for buffer in (*signature.inputs.values(), *signature.outputs.values()):
                buffer.destroy()
        buffers.clear()
        close_model(model)


@functools.cache
def _silence_the_end() -> None:
    """Closes standard error between the end of Python and that of the process.

    There LiteRT tells of the static objects that it destroys, and nothing turns that off from
    Python (LiteRT's issue 7420). All that Python has to say is said by then. A host program's
    standard error is its own.
    """
    if not is_ours():
        return
    import ctypes  # As above.

    with contextlib.suppress(AttributeError, TypeError, OSError):  # Windows
        libc = ctypes.CDLL(None)
        close = ctypes.cast(libc.close, ctypes.c_void_p)
        libc.__cxa_atexit(close, ctypes.c_void_p(2), None)
