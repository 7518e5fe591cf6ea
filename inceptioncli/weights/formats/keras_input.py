"""What layers of a Keras model do to the picture before the network sees it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from inceptioncli.architecture import Graph
from inceptioncli.errors import UsageError
from inceptioncli.weights.folding import Affine
from inceptioncli.weights.formats.keras_config import Json, Layer

# Operations on tensors, as Keras 3 calls them and as Keras 2 does.
_OPERATIONS = {
    "Add": "Add",
    "Subtract": "Subtract",
    "Multiply": "Multiply",
    "TrueDivide": "Divide",
    "Divide": "Divide",
    "math.add": "Add",
    "__operators__.add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.truediv": "Divide",
    "math.divide": "Divide",
}
_Channels = tuple[float, float, float]
_ONE, _ZERO = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
_HALF = (127.5, 127.5, 127.5)
_LARGEST_INPUT = 256.0


class Picture(NamedTuple):
    """A picture on its way to the network.

    Attributes:
        scale: what was done to its pixels, of 0..255; None if nothing. Without any such layer a
            network is fed what Keras's ``preprocess_input`` gives: [-1, 1].
        size: its side; None if it may be any.
    """

    scale: Affine | None = None
    size: int | None = None


def changed(layer: Layer, picture: Picture) -> Picture | None:
    """The picture after a layer that resizes or scales it; None if the layer does neither.

    Resizing pictures of any size is taken for nothing: they are given in the network's own size.

    Raises:
        ValueError: the layer takes other pictures, or none that we could make.
    """
    if layer.kind == "Resizing":
        return _sized(layer, picture, layer.config.get("height"), layer.config.get("width"))
    scale = _scale(layer)
    if scale is None:
        return None
    return picture._replace(scale=picture.scale.then(scale) if picture.scale else scale)


def shaped(layer: Layer, picture: Picture) -> Picture:
    """The picture before a layer, with the size that the layer says it has, if it says any.

    Raises:
        ValueError: the layer takes other pictures, or none that we could make.
    """
    shape = layer.config.get("batch_shape", layer.config.get("batch_input_shape"))
    if shape is None:
        return picture
    if not isinstance(shape, list) or len(shape) != 4 or shape[3] not in (3, None):
        raise ValueError(f"{layer} takes {shape}; expected pictures, [None, N, N, 3]")
    return _sized(layer, picture, shape[1], shape[2])


def input_scale(layer: Layer, picture: Picture) -> Affine | None:
    """What pixels in [-1, 1], as ours are, go through before a network's first layer.

    None if nothing says that: the network is fed with such, then.

    Raises:
        ValueError: pixels come out as no network could want them.
    """
    if picture.scale is None:
        return None
    scale, offset = picture.scale
    black_and_white = [p * s + o for s, o in zip(scale, offset, strict=True) for p in (0, 255)]
    largest = max(black_and_white, key=abs)
    if abs(largest) > _LARGEST_INPUT:
        raise ValueError(
            f"{layer} gets values up to {largest:g} of pixels in 0..255; expected layers before it "
            "that scale them to [-1, 1] or the like"
        )
    return Affine(_HALF, _HALF).then(picture.scale)


def _sized(layer: Layer, picture: Picture, height: Any, width: Any) -> Picture:
    if height is None and width is None:
        return picture
    if type(height) is not int or height != width:
        raise ValueError(f"{layer} takes pictures of {height}x{width}; expected square ones")
    if picture.size not in (None, height):
        raise ValueError(
            f"{layer} takes pictures of {height}x{height}, which are {picture.size}x{picture.size} "
            "before it; expected one size"
        )
    try:
        Graph(image_size=height, aux=False)
    except UsageError as error:
        raise ValueError(f"{layer}: {error}") from error
    return picture._replace(size=height)


def _scale(layer: Layer) -> Affine | None:
    """What a layer does to values, if that is a scaling by constants."""
    config = layer.config
    if layer.kind == "Rescaling":
        return _of(_triple(config.get("scale")), _triple(config.get("offset", 0)))
    if layer.kind == "Normalization" and not config.get("invert"):
        return _normalization(config)
    return _arithmetic(layer)


def _normalization(config: Json) -> Affine | None:
    """Mean and variance that the layer was made with; those that it has learned are arrays."""
    mean, variance = _triple(config.get("mean")), _triple(config.get("variance"))
    if mean is None or variance is None or min(variance) < 0:
        return None
    deviation = _triple([max(math.sqrt(each), 1e-7) for each in variance])
    assert deviation is not None
    return Affine(_ONE, _negative(mean)).then(Affine(_inverse(deviation), _ZERO))


def _arithmetic(layer: Layer) -> Affine | None:
    """Arithmetic with a constant, of which Keras's ``preprocess_input`` is made."""
    name = layer.config.get("function") if layer.kind == "TFOpLambda" else layer.kind
    operation = _OPERATIONS.get(name) if isinstance(name, str) else None
    if operation is None or len(layer.operands) != 2:
        return None
    left, right = layer.operands
    if left is not None and operation in ("Add", "Multiply"):
        left, right = right, left
    constant = _triple(right)
    if left is not None or constant is None:
        return None
    match operation:
        case "Add":
            return Affine(_ONE, constant)
        case "Subtract":
            return Affine(_ONE, _negative(constant))
        case "Multiply":
            return Affine(constant, _ZERO)
    return None if 0 in constant else Affine(_inverse(constant), _ZERO)


def _of(scale: _Channels | None, offset: _Channels | None) -> Affine | None:
    return None if scale is None or offset is None else Affine(scale, offset)


def _negative(channels: _Channels) -> _Channels:
    a, b, c = channels
    return -a, -b, -c


def _inverse(channels: _Channels) -> _Channels:
    a, b, c = channels
    return 1 / a, 1 / b, 1 / c


def _triple(value: Any) -> _Channels | None:
    """One number for each channel; a single one stands for three. None for anything else."""
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
        config = value.get("config")
        value = config.get("value") if isinstance(config, dict) else None
    while isinstance(value, list) and len(value) == 1:
        (value,) = value
    numbers = value if isinstance(value, list) and len(value) == 3 else [value] * 3
    if not all(type(each) in (int, float) and abs(each) < 1e9 for each in numbers):
        return None
    a, b, c = map(float, numbers)
    return a, b, c
