"""The same graph and weights as ONNX, for the runtimes that read it: the walk with ONNX's nodes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inceptioncli.architecture import Activation, Conv, Pool, walk
from inceptioncli.weights.folding import fold
from inceptioncli.weights.model import Weights


def write_onnx(weights: Weights, path: Path) -> None:
    """Writes the folded graph: ``images [N, S, S, 3]`` to ``predictions [N, classes]``."""
    ops = _OnnxOps(weights)
    side = weights.model.graph.image_size
    images = ops.node("Transpose", ["images"], perm=[0, 3, 1, 2])
    ends = walk(weights.model.graph, _Map(images, (side, side)), ops)
    ops.node("Identity", [ends["Predictions"].name], output="predictions")
    graph = helper.make_graph(
        ops.nodes,
        "InceptionV3",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", side, side, 3])],
        [helper.make_tensor_value_info("predictions", TensorProto.FLOAT, ["N", None])],
        ops.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, os.fspath(path))


class _Map(NamedTuple):
    """A feature map: its name, and its height and width."""

    name: str
    size: tuple[int, int]


class _OnnxOps:
    """`architecture.Ops` that adds nodes, in ONNX's NCHW."""

    def __init__(self, weights: Weights) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._weights = weights

    def node(self, kind: str, inputs: list[str], output: str | None = None, **fields: Any) -> str:
        """Adds a node; the name of its output."""
        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **fields))
        return output

    def size(self, x: _Map) -> tuple[int, int]:
        return x.size

    def conv(self, x: _Map, layer: Conv) -> _Map:
        kernel, bias = fold(self._weights, layer)
        names = []
        for purpose, values in (("kernel", kernel.transpose(3, 2, 0, 1)), ("bias", bias)):
            names.append(f"{layer.scope}/{purpose}")
            values = np.ascontiguousarray(values, np.float32)
            self.constants.append(numpy_helper.from_array(values, names[-1]))
        y = self.node("Conv", [x.name, *names], **_window(layer))
        return _Map(y if layer.linear else self.node("Relu", [y]), _shrunk(x.size, layer))

    def pool(self, x: _Map, layer: Pool) -> _Map:
        window = {"kernel_shape": list(layer.kernel), **_window(layer)}
        if layer.kind == "max":
            return _Map(self.node("MaxPool", [x.name], **window), _shrunk(x.size, layer))
        # TensorFlow's average leaves the padding out.
        y = self.node("AveragePool", [x.name], count_include_pad=0, **window)
        return _Map(y, _shrunk(x.size, layer))

    def concat(self, xs: Sequence[_Map]) -> _Map:
        return _Map(self.node("Concat", [x.name for x in xs], axis=1), xs[0].size)

    def dropout(self, x: _Map, keep_probability: float) -> _Map:
        return x

    def squeeze(self, x: _Map) -> _Map:
        return x._replace(name=self.node("Flatten", [x.name]))

    def activate(self, x: _Map, activation: Activation) -> _Map:
        assert activation == "softmax"
        return x._replace(name=self.node("Softmax", [x.name], axis=1))


def _window(layer: Conv | Pool) -> dict[str, Any]:
    padding = "SAME_UPPER" if layer.padding == "SAME" else "VALID"
    return {"strides": [layer.stride] * 2, "auto_pad": padding}


def _shrunk(size: tuple[int, int], layer: Conv | Pool) -> tuple[int, int]:
    if layer.padding == "SAME":
        return -(-size[0] // layer.stride), -(-size[1] // layer.stride)
    height, width = ((n - k) // layer.stride + 1 for n, k in zip(size, layer.kernel, strict=True))
    return height, width
