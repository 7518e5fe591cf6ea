"""The writer: weights to a LiteRT file, straight from the table, without TensorFlow.

A LiteRT file is a flatbuffer: tables that say what the graph is, and behind them the arrays that
they point to. The tables are made first, by one more `architecture.Ops` (`operators`). The arrays
follow convolution by convolution, so that memory holds one copy of the weights and no more.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from inceptioncli.architecture import Graph, walk
from inceptioncli.engine.base import END_POINTS_SIGNATURE, INPUT_NAME, PREDICTIONS_SIGNATURE
from inceptioncli.engine.operators import (
    Kernel,
    SubgraphOps,
    class_shape_buffer,
    kernels_of,
    operator_codes,
)
from inceptioncli.errors import WeightsError
from inceptioncli.weights.folding import fold
from inceptioncli.weights.model import Weights

_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
# The schema demands it of a buffer's data (force_align): LiteRT computes on the mapped file.
_ALIGNMENT = 16
# What a flatbuffer's offsets span.
_LARGEST_FILE_BYTES = (1 << 31) - 1


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
    kernels = kernels_of(graph, precision)
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


def _tables(graph: Graph, kernels: Sequence[Kernel]) -> bytearray:
    """The file as far as its arrays, with empty ones in their stead."""
    subgraphs = [
        _subgraph(END_POINTS_SIGNATURE, graph, graph.end_points, kernels),
        # Without the aux head, which has no part in the last end point.
        _subgraph(PREDICTIONS_SIGNATURE, replace(graph, aux=False), graph.end_points[-1:], kernels),
    ]
    buffers = class_shape_buffer(kernels) + (1 if graph.classes else 0)
    model = schema.ModelT(
        version=_SCHEMA_VERSION,
        operatorCodes=operator_codes(graph, kernels),
        subgraphs=subgraphs,
        signatureDefs=[_signature(number, subgraph) for number, subgraph in enumerate(subgraphs)],
        buffers=[schema.BufferT(), *(schema.BufferT(data=[]) for _ in range(1, buffers))],
        description="inceptioncli",
    )
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    tables: bytearray = builder.Output()
    return tables


def _subgraph(name: str, graph: Graph, end_points: Sequence[str], kernels: Sequence[Kernel]) -> Any:
    """A subgraph from the images to the end points, which give their names to its tensors."""
    ops = SubgraphOps(graph, kernels)
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


def _blanks(tables: bytearray, kernels: Sequence[Kernel]) -> Iterator[list[int]]:
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
    for number in range(class_shape_buffer(kernels), model.BuffersLength()):
        yield [_field(model.Buffers(number), 0)]


def _field(table: Any, number: int) -> int:
    """The position of a table's field; a vtable starts with two sizes of two bytes."""
    return int(table._tab.Pos + table._tab.Offset(4 + 2 * number))


def _arrays(weights: Weights, kernels: Sequence[Kernel]) -> Iterator[NDArray[Any]]:
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
