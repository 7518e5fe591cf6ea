"""TensorFlow's GraphDef without TensorFlow: the constants of a frozen graph, and nothing else.

A GraphDef is a protocol buffer: messages made of fields, each a number and a value, which
TensorFlow's ``graph.proto``, ``node_def.proto``, ``attr_value.proto`` and ``tensor.proto`` give
their meaning. Fields with other numbers are passed over. No array is copied before it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inceptioncli.summary import Shape


class Constant(NamedTuple):
    """A constant that is not read yet; ``tensor`` is its TensorProto, a part of the graph."""

    shape: Shape
    tensor: memoryview


class _Type(NamedTuple):
    """How TensorFlow writes a type: as bytes, or in the field that lists single values."""

    stored: str
    listed: int


_BFLOAT16 = 14
# In this field a value's 16 bits are a varint.
_HALF_VALUES = 13
_TYPES = {
    1: _Type("<f4", listed=5),
    2: _Type("<f8", listed=6),
    _BFLOAT16: _Type("<u2", listed=_HALF_VALUES),
    19: _Type("<f2", listed=_HALF_VALUES),
}
# No GraphDef is larger. But one value can stand for all, so a few bytes can ask for any memory.
_LARGEST_ARRAY_BYTES = 1 << 31
_MOST_SIDES = 8

# How a field's value is written: as a varint, after its length, or in so many bytes.
_VARINT = 0
_AFTER_LENGTH = 2
_FIXED_BYTES = {1: 8, 5: 4}
_LONGEST_VARINT = 10


def constants(graph: memoryview) -> dict[str, Constant]:
    """The constants of a graph, by name.

    Raises:
        ValueError: damaged, or no GraphDef.
    """
    found = {}
    for node in _values(graph, 1):
        if bytes(_last(node, 2)) != b"Const":
            continue
        for attribute in _values(node, 5):
            if bytes(_last(attribute, 1)) == b"value":
                tensor = _last(_last(attribute, 2), 8)
                found[bytes(_last(node, 1)).decode()] = Constant(_shape(tensor), tensor)
    return found


def array(constant: Constant) -> NDArray[Any]:
    """A constant's values; read-only where they are the graph's own bytes.

    Of fewer values than the shape has places the last is repeated; none are zeros.

    Raises:
        ValueError: damaged, or not of a type that weights have.
    """
    number = _integer(_last(constant.tensor, 1))
    if number not in _TYPES:
        raise ValueError(f"a tensor of TensorFlow's type {number}; expected floats")
    stored, listed = _TYPES[number]
    count = math.prod(constant.shape)
    if count * np.dtype(stored).itemsize > _LARGEST_ARRAY_BYTES:
        raise ValueError(f"a tensor of {count:,} values")
    content = _last(constant.tensor, 4)
    values = np.frombuffer(content, stored) if content else _listed(constant.tensor, stored, listed)
    if len(values) > count or (content and len(values) < count):
        raise ValueError(f"a tensor of {len(values):,} values with a shape of {count:,}")
    if len(values) < count:
        last = values[-1:] if len(values) else np.zeros(1, stored)
        values = np.concatenate([values, np.repeat(last, count - len(values))])
    if number == _BFLOAT16:  # The upper half of a float32.
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.reshape(constant.shape)


def _listed(tensor: memoryview, stored: str, field: int) -> NDArray[Any]:
    """Single values; packed into one field or in a field each, their bytes are the same."""
    joined = b"".join(_values(tensor, field))
    if field != _HALF_VALUES:
        return np.frombuffer(joined, stored)
    values, position = [], 0
    while position < len(joined):
        end = _varint_end(memoryview(joined), position)
        values.append(_integer(memoryview(joined)[position:end]) & 0xFFFF)
        position = end
    return np.array(values, "<u2").view(stored)


def _last(message: memoryview, number: int) -> memoryview:
    """The value of a field, empty if it is not there; of several the last counts."""
    value = memoryview(b"")
    for value in _values(message, number):  # noqa: B007
        pass
    return value


def _values(message: memoryview, number: int) -> Iterator[memoryview]:
    """The values of the fields with a number.

    Raises:
        ValueError: the message is damaged.
    """
    position = 0
    while position < len(message):
        start = _varint_end(message, position)
        tag = _integer(message[position:start])
        kind = tag & 7
        if kind == _VARINT:
            end = _varint_end(message, start)
        elif kind == _AFTER_LENGTH:
            length, start = start, _varint_end(message, start)
            end = start + _integer(message[length:start])
        elif kind in _FIXED_BYTES:
            end = start + _FIXED_BYTES[kind]
        else:
            raise ValueError(f"a field of kind {kind}, which there is not")
        if not tag >> 3:
            raise ValueError("a field of number 0, which there is not")
        if end > len(message):
            raise ValueError(f"{end - len(message):,} bytes are missing at the end")
        if tag >> 3 == number:
            yield message[start:end]
        position = end


def _varint_end(message: memoryview, start: int) -> int:
    """Where a varint ends: at its first byte below 128."""
    for position in range(start, min(start + _LONGEST_VARINT, len(message))):
        if message[position] < 128:
            return position + 1
    raise ValueError("a number without an end")


def _integer(varint: memoryview) -> int:
    """A varint's value: seven bits of each byte, the lowest first."""
    return sum((byte & 127) << 7 * place for place, byte in enumerate(varint))


def _shape(tensor: memoryview) -> Shape:
    sides = list(islice(_values(_last(tensor, 2), 2), _MOST_SIDES + 1))
    if len(sides) > _MOST_SIDES:
        raise ValueError(f"a tensor with more than {_MOST_SIDES} sides")
    return tuple(_size(_last(side, 1)) for side in sides)


def _size(varint: memoryview) -> int:
    """The size of a shape's side; of 64 bits with a sign."""
    size = _integer(varint)
    if size >= 1 << 63:
        raise ValueError("a shape with a negative side")
    return size
