"""The LiteRT engine: the compiled graph on the CPU, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from inceptioncli.engine.compile import (
    END_POINTS_SIGNATURE,
    INPUT_NAME,
    PREDICTIONS_SIGNATURE,
    Compiled,
)
from inceptioncli.noise import native_stderr_hidden

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LiteRTEngine:
    """Runs a compiled graph on ``threads`` CPU threads, one image at a time."""

    name = "litert"
    batch_size = 1

    def __init__(self, compiled: Compiled, threads: int) -> None:
        with native_stderr_hidden():
            from ai_edge_litert.interpreter import Interpreter

            self._interpreter = Interpreter(str(compiled.path), num_threads=threads)
        self.graph = compiled.model.graph
        self._runners: dict[str, Any] = {}

    def run(
        self, images: NDArray[np.float32], end_points: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """See `engine.base.Engine`."""
        only_last = tuple(end_points) == self.graph.end_points[-1:]
        signature = PREDICTIONS_SIGNATURE if only_last else END_POINTS_SIGNATURE
        rows: dict[str, list[NDArray[np.float32]]] = {name: [] for name in end_points}
        for image in images:
            outputs = self._run_one(signature, image[np.newaxis])
            for name in end_points:
                rows[name].append(outputs[name][0])
        return {name: np.stack(values) for name, values in rows.items()}

    def _run_one(self, signature: str, image: NDArray[np.float32]) -> Any:
        if signature in self._runners:
            return self._runners[signature](**{INPUT_NAME: image})
        # The first run of a signature packs its weights, and says on standard error that it does.
        with native_stderr_hidden():
            self._runners[signature] = self._interpreter.get_signature_runner(signature)
            return self._runners[signature](**{INPUT_NAME: image})
