"""The writer: weights to a LiteRT file, straight from the table, without TensorFlow.

A LiteRT file is a flatbuffer: tables that say what the graph is, and behind them the arrays that
they point to. The tables are made first, by one more `architecture.Ops`. The arrays follow
convolution by convolution, so that memory holds one copy of the weights and no more.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from inceptioncli.architecture import Conv, Graph, Pool, walk
from inceptioncli.engine.base import END_POINTS_SIGNATURE, INPUT_NAME, PREDICTIONS_SIGNATURE
from inceptioncli.errors import WeightsError
from inceptioncli.summary import Shape, convolutions, summarize, windows
from inceptioncli.weights.folding import fold
from inceptioncli.weights.model import Weights

_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
# The schema demands it of a buffer's data (force_align): LiteRT computes on the mapped file.
_ALIGNMENT = 16
# What a flatbuffer's offsets span.
_LARGEST_FILE_BYTES = (1 << 31) - 1
# Smaller kernels stay float32, as TensorFlow's converter leaves them: there is no time to win.
_LEAST_INT8_WEIGHTS = 1024

# The operators, each with the kind of its options.
_OPERATORS = {
    "CONV_2D": "Conv2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONCATENATION": "ConcatenationOptions",
    "RESHAPE": "ReshapeOptions",
    "SOFTMAX": "SoftmaxOptions",
}
# The version of CONV_2D that takes float32 activations and int8 weights, scaled by channel.
_INT8_CONV_VERSION = 5


class _Kernel(NamedTuple):
    """A convolution's weights in the file."""

    conv: Conv
    shape: Shape  # [out, height, width, in], LiteRT's order
    int8: bool
    buffer: int  # The bias has the next one.


class _Tensor(NamedTuple):
    """A tensor of a subgraph: its number in the list of them, and its shape."""

    number: int
    shape: Shape


def write(weights: Weights, precision: str, path: Path) -> None:
    """Writes weights as a LiteRT file with two signatures, which share the arrays.

    ``predictions`` gives the last end point alone and leaves its buffers reusable;
    ``end_points`` gives them all. Both take one image, ``images [1, S, S, 3]``, so that scores
    can't depend on neighbours.

    Args:
        weights: the model and its arrays.
        precision: ``float32``; or ``int8``: weights are int8 with a scale for each output channel,
            and LiteRT quantises activations as they come. The classifiers stay float32, for less
            than 2% of the time: otherwise 48 of 760 pictures change their first class, so 4.
        path: the file; what is there is overwritten.

    Raises:
        WeightsError: they are too large for the format.
        OSError: the file can't be written.
    """
    graph = weights.model.graph
    kernels = _kernels(graph, precision)
    tables = _tables(graph, kernels)
    with path.open("wb") as file:
        file.write(tables)
        arrays = _arrays(weights, kernels)
        for fields, array in zip(_blanks(tables, kernels), arrays, strict=True):
            place = _append(file, array)
            if file.tell() > _LARGEST_FILE_BYTES:
                source = weights.model.source or "the weights"
                raise WeightsError(f"{source}: too large for LiteRT's format, which holds 2 GiB")
            for field in fields:
                struct.pack_into("<I", tables, field, place - field)
        file.seek(0)
        file.write(tables)


def _kernels(graph: Graph, precision: str) -> list[_Kernel]:
    """All convolutions of a graph. Buffer 0 is for tensors without data, by the schema."""
    kernels: list[_Kernel] = []
    for conv, layer in zip(convolutions(graph), summarize(graph).layers, strict=True):
        height, width, channels, filters = layer.kernel
        large = math.prod(layer.kernel) >= _LEAST_INT8_WEIGHTS
        int8 = precision == "int8" and large and not conv.linear
        shape = (filters, height, width, channels)
        kernels.append(_Kernel(conv, shape, int8, 1 + 2 * len(kernels)))
    return kernels


def _class_shape_buffer(kernels: Sequence[_Kernel]) -> int:
    """The buffer that holds ``[1, classes]``, the last one, for RESHAPE."""
    return 1 + 2 * len(kernels)


def _tables(graph: Graph, kernels: Sequence[_Kernel]) -> bytearray:
    """The file as far as its arrays, with empty ones in their stead."""
    subgraphs = [
        _subgraph(END_POINTS_SIGNATURE, graph, graph.end_points, kernels),
        # Without the aux head, which has no part in the last end point.
        _subgraph(PREDICTIONS_SIGNATURE, replace(graph, aux=False), graph.end_points[-1:], kernels),
    ]
    buffers = _class_shape_buffer(kernels) + (1 if graph.classes else 0)
    any_int8 = any(kernel.int8 for kernel in kernels)
    model = schema.ModelT(
        version=_SCHEMA_VERSION,
        operatorCodes=[
            schema.OperatorCodeT(
                builtinCode=getattr(schema.BuiltinOperator, name),
                # Where readers looked when there were no more than 127.
                deprecatedBuiltinCode=getattr(schema.BuiltinOperator, name),
                version=_INT8_CONV_VERSION if name == "CONV_2D" and any_int8 else 1,
            )
            for name in _OPERATORS
        ],
        subgraphs=subgraphs,
        signatureDefs=[_signature(number, subgraph) for number, subgraph in enumerate(subgraphs)],
        buffers=[schema.BufferT(), *(schema.BufferT(data=[]) for _ in range(1, buffers))],
        description="inceptioncli",
    )
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    tables: bytearray = builder.Output()
    return tables


def _subgraph(
    name: str, graph: Graph, end_points: Sequence[str], kernels: Sequence[_Kernel]
) -> Any:
    """A subgraph from the images to the end points, which give their names to its tensors."""
    ops = _SubgraphOps(kernels)
    images = ops.tensor(INPUT_NAME, (1, graph.image_size, graph.image_size, 3))
    ends = walk(graph, images, ops)
    for end_point in end_points:
        ops.tensors[ends[end_point].number].name = end_point
    return schema.SubGraphT(
        name=name,
        tensors=ops.tensors,
        operators=ops.operators,
        inputs=[images.number],
        outputs=[ends[end_point].number for end_point in end_points],
    )


def _signature(number: int, subgraph: Any) -> Any:
    def named(indexes: Sequence[int]) -> list[Any]:
        return [
            schema.TensorMapT(name=subgraph.tensors[index].name, tensorIndex=index)
            for index in indexes
        ]

    return schema.SignatureDefT(
        signatureKey=subgraph.name,
        subgraphIndex=number,
        inputs=named(subgraph.inputs),
        outputs=named(subgraph.outputs),
    )


class _SubgraphOps:
    """`architecture.Ops` that lists what a subgraph is made of."""

    def __init__(self, kernels: Sequence[_Kernel]) -> None:
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self._kernels: Mapping[str, _Kernel] = {kernel.conv.scope: kernel for kernel in kernels}
        self._class_shape_buffer = _class_shape_buffer(kernels)

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

    def softmax(self, x: _Tensor) -> _Tensor:
        return self._operator("SOFTMAX", "softmax", [x], x.shape, beta=1.0)

    def _operator(
        self, operator: str, name: str, inputs: Sequence[_Tensor], shape: Shape, **options: Any
    ) -> _Tensor:
        output = self.tensor(name, shape)
        kind = _OPERATORS[operator]
        self.operators.append(
            schema.OperatorT(
                opcodeIndex=list(_OPERATORS).index(operator),
                inputs=[tensor.number for tensor in inputs],
                outputs=[output.number],
                builtinOptionsType=getattr(schema.BuiltinOptions, kind),
                builtinOptions=getattr(schema, f"{kind}T")(**options),
            )
        )
        return output


def _window(layer: Conv | Pool) -> dict[str, int]:
    """The options that convolutions and pools have in common."""
    padding = getattr(schema.Padding, layer.padding)
    return {"padding": padding, "strideH": layer.stride, "strideW": layer.stride}


def _blanks(tables: bytearray, kernels: Sequence[_Kernel]) -> Iterator[list[int]]:
    """For each of `_arrays`, positions of the fields that are to point to it."""
    model = schema.Model.GetRootAs(tables)
    scales: dict[int, list[int]] = {}
    for subgraph in (model.Subgraphs(number) for number in range(model.SubgraphsLength())):
        for tensor in (subgraph.Tensors(number) for number in range(subgraph.TensorsLength())):
            if tensor.Quantization() is not None:
                # The table's fields are min, max, scale, ...
                scales.setdefault(tensor.Buffer(), []).append(_field(tensor.Quantization(), 2))
    for kernel in kernels:
        yield [_field(model.Buffers(kernel.buffer), 0)]
        yield [_field(model.Buffers(kernel.buffer + 1), 0)]
        if kernel.int8:
            yield scales[kernel.buffer]
    for number in range(_class_shape_buffer(kernels), model.BuffersLength()):
        yield [_field(model.Buffers(number), 0)]


def _field(table: Any, number: int) -> int:
    """The position of a table's field; a vtable starts with two sizes of two bytes."""
    return int(table._tab.Pos + table._tab.Offset(4 + 2 * number))


def _arrays(weights: Weights, kernels: Sequence[_Kernel]) -> Iterator[NDArray[Any]]:
    """The arrays behind the tables, in their order; buffers are of bytes."""
    for kernel in kernels:
        folded = fold(weights, kernel.conv)
        values: NDArray[Any] = folded.kernel.transpose(3, 0, 1, 2)
        scales = None
        if kernel.int8:
            values, scales = _quantize(values)
        yield _bytes(values)
        yield _bytes(folded.bias)
        if scales is not None:
            yield scales
    classes = weights.model.graph.classes
    if classes:
        yield _bytes(np.array([1, classes], np.int32))


def _quantize(kernel: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 weights and their scales, by output channel: the largest weight becomes 127.

    In float64, as TensorFlow's converter does it, so that not one weight is rounded otherwise.
    """
    scales = np.abs(kernel).max(axis=(1, 2, 3)).astype(np.float64) / 127
    # XNNPACK refuses a scale that is 0 or denormal. Such a channel's weights all become 0.
    scales[scales < np.finfo(np.float32).tiny] = 1
    weights = np.rint(kernel / scales[:, None, None, None])
    return weights.astype(np.int8), scales.astype(np.float32)


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _append(file: BinaryIO, array: NDArray[Any]) -> int:
    """Writes an array as a flatbuffer's vector, its length before it; gives its position."""
    length = struct.pack("<I", len(array))
    file.write(bytes(-(file.tell() + len(length)) % _ALIGNMENT))
    place = file.tell()
    file.write(length)
    file.write(array.data)
    return place
