"""Constants of a GraphDef, read without TensorFlow, against what TensorFlow makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from inceptioncli.weights.formats import graphdef

TYPES = ["float32", "float64", "float16", "bfloat16"]
VALUES = np.array([[1.5, -2.25, 3e-3], [0.0, -0.0, 65504.0]])


def graph_with(**tensors: Any) -> bytes:
    """A GraphDef with these constants, and a node of another kind before each."""
    graph = tf.compat.v1.GraphDef()
    for name, tensor in tensors.items():
        other = graph.node.add(name=f"{name}/read", op="Identity", input=[name])
        other.attr["value"].tensor.CopyFrom(tensor)
        node = graph.node.add(name=name, op="Const")
        node.attr["dtype"].type = tensor.dtype
        node.attr["value"].tensor.CopyFrom(tensor)
    content: bytes = graph.SerializeToString()
    return content


def tensor_of(dtype: str, values: Any, shape: tuple[int, ...]) -> Any:
    """A TensorProto that lists its values, as many as there are."""
    tensor = tf.make_tensor_proto(0, tf.as_dtype(dtype), ())
    for field in ("tensor_content", "float_val", "double_val", "half_val"):
        tensor.ClearField(field)
    tensor.tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
    array = np.asarray(values).astype(tf.as_dtype(dtype).as_numpy_dtype)
    match dtype:
        case "float32":
            tensor.float_val.extend(array.tolist())
        case "float64":
            tensor.double_val.extend(array.tolist())
        case _:
            tensor.half_val.extend(array.view(np.uint16).tolist())
    return tensor


def assert_read(tensor: Any) -> None:
    constants = graphdef.constants(memoryview(graph_with(some=tensor)))
    assert list(constants) == ["some"]
    theirs = tf.make_ndarray(tensor)
    assert constants["some"].shape == theirs.shape
    ours = graphdef.array(constants["some"])
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(ours, theirs.astype(ours.dtype))
    assert ours.dtype == theirs.dtype or theirs.dtype == tf.bfloat16.as_numpy_dtype


@pytest.mark.parametrize("dtype", TYPES)
def test_values_as_bytes(dtype: str) -> None:
    tensor = tf.make_tensor_proto(VALUES, tf.as_dtype(dtype))
    assert tensor.tensor_content
    assert_read(tensor)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("count", [6, 4, 1, 0], ids=lambda count: f"{count} of 6")
def test_values_in_a_list_of_which_the_last_is_repeated(dtype: str, count: int) -> None:
    assert_read(tensor_of(dtype, VALUES.flat[:count], (2, 3)))


def test_scalars() -> None:
    assert_read(tf.make_tensor_proto(2.5, tf.float32))
    assert_read(tensor_of("float32", [2.5], ()))


def test_a_list_that_is_not_packed() -> None:
    packed = tensor_of("float32", [1.0, 2.0], (2,))
    values = np.array([1, 2], "<f4")
    in_one_field = b"\x2a\x08" + values.tobytes()  # field 5, after its length
    in_a_field_each = b"".join(b"\x2d" + value.tobytes() for value in values)
    content = packed.SerializeToString()
    assert in_one_field in content
    loose = content.replace(in_one_field, in_a_field_each)
    tensor = type(packed).FromString(loose)
    assert tensor == packed  # TensorFlow takes it for the same.
    constant = graphdef.Constant((2,), memoryview(loose))
    np.testing.assert_array_equal(graphdef.array(constant), [1, 2])


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (tf.make_tensor_proto([1, 2], tf.int32), "TensorFlow's type 3; expected floats"),
        (tensor_of("float32", [1.0, 2.0, 3.0], (2,)), "3 values with a shape of 2"),
        (tensor_of("float32", [1.0], (1 << 40, 1 << 20)), r"of 1,152,921,504,606,846,976 values"),
    ],
    ids=["integers", "too many", "a shape that no memory holds"],
)
def test_what_can_be_no_weights_is_refused(tensor: Any, message: str) -> None:
    constant = graphdef.constants(memoryview(graph_with(some=tensor)))["some"]
    with pytest.raises(ValueError, match=message):
        graphdef.array(constant)


def test_a_side_below_zero_is_damage() -> None:
    tensor = tensor_of("float32", [1.0], (2,))
    tensor.tensor_shape.dim[0].size = -2
    with pytest.raises(ValueError, match="negative side"):
        graphdef.constants(memoryview(graph_with(some=tensor)))


def test_damage_is_a_value_error_and_nothing_else() -> None:
    content = graph_with(
        some=tf.make_tensor_proto(VALUES, tf.float32),
        half=tensor_of("float16", [1.0, 2.0], (4,)),
        double=tensor_of("float64", [1.0], (4,)),
    )
    rng = np.random.default_rng(0)
    damaged = [content[:length] for length in range(len(content))]
    for _ in range(3000):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            changed[place] = rng.integers(0, 256)
        damaged.append(bytes(changed))
    messages = []
    for graph in damaged:
        try:
            for constant in graphdef.constants(memoryview(graph)).values():
                if np.prod(constant.shape, dtype=float) < 1e6:  # A larger one only takes time.
                    graphdef.array(constant)
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > len(content)
    assert not any("\n" in message for message in messages)
