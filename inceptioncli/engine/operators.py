"""The graph's layers as the tensors and operators of a LiteRT file's subgraph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from inceptioncli.architecture import Activation, Conv, Graph, Pool
from inceptioncli.summary import Shape, convolutions, summarize, windows

# Smaller kernels stay float32, as TensorFlow's converter leaves them: there is no time to win.
_LEAST_INT8_WEIGHTS = 1024

# The operators, each with the kind of its options, if it has any.
_OPERATORS: dict[str, str | None] = {
    "CONV_2D": "Conv2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONCATENATION": "ConcatenationOptions",
    "RESHAPE": "ReshapeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "LOGISTIC": None,
}
_OF_ACTIVATIONS: dict[Activation, str] = {"softmax": "SOFTMAX", "sigmoid": "LOGISTIC"}
# The version of CONV_2D that takes float32 activations and int8 weights, scaled by channel.
_INT8_CONV_VERSION = 5


class Kernel(NamedTuple):
    """A convolution's weights in the file."""

    conv: Conv
    shape: Shape  # [out, height, width, in], LiteRT's order
    int8: bool
    buffer: int  # The bias has the next one.


class _Tensor(NamedTuple):
    """A tensor of a subgraph: its number in the list of them, and its shape."""

    number: int
    shape: Shape


def kernels_of(graph: Graph, precision: str) -> list[Kernel]:
    """All convolutions of a graph. Buffer 0 is for tensors without data, by the schema."""
    kernels: list[Kernel] = []
    for conv, layer in zip(convolutions(graph), summarize(graph).layers, strict=True):
        height, width, channels, filters = layer.kernel
        large = math.prod(layer.kernel) >= _LEAST_INT8_WEIGHTS
        int8 = precision == "int8" and large and not conv.linear
        shape = (filters, height, width, channels)
        kernels.append(Kernel(conv, shape, int8, 1 + 2 * len(kernels)))
    return kernels


def class_shape_buffer(kernels: Sequence[Kernel]) -> int:
    """The buffer that holds ``[1, classes]``, the last one, for RESHAPE."""
    return 1 + 2 * len(kernels)


def operator_codes(graph: Graph, kernels: Sequence[Kernel]) -> list[Any]:
    """The operators that a file of a graph uses; operators of subgraphs go by their places."""
    any_int8 = any(kernel.int8 for kernel in kernels)
    return [
        schema.OperatorCodeT(
            builtinCode=getattr(schema.BuiltinOperator, name),
            # Where readers looked when there were no more than 127.
            deprecatedBuiltinCode=getattr(schema.BuiltinOperator, name),
            version=_INT8_CONV_VERSION if name == "CONV_2D" and any_int8 else 1,
        )
        for name in _operators(graph)
    ]


class SubgraphOps:
    """`architecture.Ops` that lists what a subgraph is made of."""

    def __init__(self, graph: Graph, kernels: Sequence[Kernel]) -> None:
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self._names = _operators(graph)
        self._kernels: Mapping[str, Kernel] = {kernel.conv.scope: kernel for kernel in kernels}
        self._class_shape_buffer = class_shape_buffer(kernels)

    def tensor(
        self, name: str, shape: Shape, *, buffer: int = 0, kind: str = "FLOAT32", scaled: int = 0
    ) -> _Tensor:
        """Adds a tensor; ``scaled`` so many channels have a scale each."""
        quantization = schema.QuantizationParametersT(
            scale=[], zeroPoint=np.zeros(scaled, np.int64), quantizedDimension=0
        )
        self.tensors.append(
            schema.TensorT(
                name=name,
                shape=shape,
                type=getattr(schema.TensorType, kind),
                buffer=buffer,
                quantization=quantization if scaled else None,
                hasRank=True,
            )
        )
        return _Tensor(len(self.tensors) - 1, shape)

    def size(self, x: _Tensor) -> tuple[int, int]:
        return x.shape[1], x.shape[2]

    def conv(self, x: _Tensor, layer: Conv) -> _Tensor:
        kernel = self._kernels[layer.scope]
        weights = self.tensor(
            f"{layer.scope}/weights",
            kernel.shape,
            buffer=kernel.buffer,
            kind="INT8" if kernel.int8 else "FLOAT32",
            scaled=layer.filters if kernel.int8 else 0,
        )
        biases = self.tensor(f"{layer.scope}/biases", (layer.filters,), buffer=kernel.buffer + 1)
        activation = "NONE" if layer.linear else "RELU"
        return self._operator(
            "CONV_2D",
            layer.scope,
            [x, weights, biases],
            (1, *windows(layer, *self.size(x)), layer.filters),
            **_window(layer),
            fusedActivationFunction=getattr(schema.ActivationFunctionType, activation),
        )

    def pool(self, x: _Tensor, layer: Pool) -> _Tensor:
        return self._operator(
            "MAX_POOL_2D" if layer.kind == "max" else "AVERAGE_POOL_2D",
            layer.scope,
            [x],
            (1, *windows(layer, *self.size(x)), x.shape[3]),
            **_window(layer),
            filterHeight=layer.kernel[0],
            filterWidth=layer.kernel[1],
        )

    def concat(self, xs: Sequence[_Tensor]) -> _Tensor:
        shape = (*xs[0].shape[:3], sum(x.shape[3] for x in xs))
        return self._operator("CONCATENATION", "concatenation", xs, shape, axis=3)

    def dropout(self, x: _Tensor, keep_probability: float) -> _Tensor:
        return x

    def squeeze(self, x: _Tensor) -> _Tensor:
        shape = (x.shape[0], x.shape[3])
        constant = self.tensor("shape", (2,), buffer=self._class_shape_buffer, kind="INT32")
        return self._operator("RESHAPE", "squeeze", [x, constant], shape, newShape=shape)

    def activate(self, x: _Tensor, activation: Activation) -> _Tensor:
        options = {"beta": 1.0} if activation == "softmax" else {}
        return self._operator(_OF_ACTIVATIONS[activation], activation, [x], x.shape, **options)

    def _operator(
        self, operator: str, name: str, inputs: Sequence[_Tensor], shape: Shape, **options: Any
    ) -> _Tensor:
        output = self.tensor(name, shape)
        kind = _OPERATORS[operator]
        self.operators.append(
            schema.OperatorT(
                opcodeIndex=self._names.index(operator),
                inputs=[tensor.number for tensor in inputs],
                outputs=[output.number],
                builtinOptionsType=getattr(schema.BuiltinOptions, kind or "NONE"),
                builtinOptions=getattr(schema, f"{kind}T")(**options) if kind else None,
            )
        )
        return output


def _window(layer: Conv | Pool) -> dict[str, int]:
    """The options that convolutions and pools have in common."""
    padding = getattr(schema.Padding, layer.padding)
    return {"padding": padding, "strideH": layer.stride, "strideW": layer.stride}


def _operators(graph: Graph) -> list[str]:
    """Of the two activations, the graph's alone."""
    others = {name for kind, name in _OF_ACTIVATIONS.items() if kind != graph.activation}
    return [name for name in _OPERATORS if name not in others]
