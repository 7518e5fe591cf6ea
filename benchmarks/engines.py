"""Other runtimes as engines of ours, so that they can be measured in the same loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from inceptioncli.architecture import Graph
from inceptioncli.engine.base import scaled


class OnnxEngine(ABC):
    """Runs `onnx_model`'s file, one image at a time; see `inceptioncli.engine.base.Engine`."""

    name = "onnx"
    batch_size = 1
    graph = Graph(classes=1000, aux=False)

    def run(self, images: Any, end_points: Sequence[str]) -> dict[str, Any]:
        import numpy as np

        assert [*end_points] == ["Predictions"]
        return {
            "Predictions": np.concatenate([self._predict(scaled(image[None])) for image in images])
        }

    @abstractmethod
    def _predict(self, images: Any) -> Any:
        """Probabilities ``[1, classes]`` of one image."""


class OnnxRuntime(OnnxEngine):
    """ONNX Runtime on so many threads."""

    def __init__(self, model: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def _predict(self, images: Any) -> Any:
        return self._session.run(None, {"images": images})[0]


class OpenVino(OnnxEngine):
    """OpenVINO on so many threads."""

    def __init__(self, model: str, precision: str, threads: int) -> None:
        import openvino

        self._compiled = openvino.Core().compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": precision,
                "INFERENCE_NUM_THREADS": threads,
                "ENABLE_CPU_PINNING": False,  # else all workers take the same core
            },
        )

    def _predict(self, images: Any) -> Any:
        return self._compiled(images)[0]
