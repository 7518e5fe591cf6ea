"""Single layers of a Keras model: what they do, in words that can be compared."""

from __future__ import annotations

from typing import Any

from inceptioncli.weights.formats.keras_config import Layer

# What Keras leaves out at inference, beside the Random layers; RandomCrop then crops the centre.
_IDENTITIES = (
    "InputLayer",
    "Dropout",
    "SpatialDropout2D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
    "Identity",
    "Cast",
)
_LAST_AXIS = (-1, 3, [-1], [3], None)
# What our convolutions don't have, and how Keras writes that.
_WITHOUT: dict[str, tuple[Any, ...]] = {
    "use_bias": (False,),
    "activation": ("linear", None),
    "dilation_rate": ([1, 1], 1, None),
    "groups": (1, None),
}


def is_identity(layer: Layer) -> bool:
    """Whether a layer's output is its input, at inference."""
    if layer.kind == "TFOpLambda":
        return layer.config.get("function") in ("cast", "identity")
    if layer.kind == "Activation":
        return activation(layer) == "linear"
    return layer.kind in _IDENTITIES or (
        layer.kind.startswith("Random") and layer.kind != "RandomCrop"
    )


def activation(layer: Layer) -> str:
    """Name of a layer's activation; ``linear`` for none."""
    config = layer.config
    if layer.kind == "ReLU":
        options = ("max_value", "negative_slope", "threshold")
        return ", ".join(["relu", *_unlike(layer, dict.fromkeys(options, (0, None)))])
    if layer.kind == "Softmax":
        return ", ".join(["softmax", *_unlike(layer, {"axis": _LAST_AXIS})])
    value = config.get("activation")
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    return "linear" if value is None else _show(value)


def epsilon(layer: Layer) -> float:
    """A batch norm's.

    Raises:
        ValueError: it is no number that it could be.
    """
    value = layer.config.get("epsilon", 0.001)
    if type(value) not in (int, float) or not 0 <= value < 1e9:
        raise ValueError(f"{layer} has epsilon {_show(value)}")
    return float(value)


def detail(layer: Layer) -> str:
    """What a layer of the network does, if it has any choice, and all that ours don't do."""
    config = layer.config
    words = []
    unlike: dict[str, tuple[Any, ...]] = {"data_format": ("channels_last", None)}
    match layer.kind:
        case "Conv2D":
            words = [
                window(config.get("kernel_size"), config.get("strides"), config.get("padding"))
            ]
            unlike |= _WITHOUT
        case "MaxPooling2D" | "AveragePooling2D":
            size = config.get("pool_size")
            words = [window(size, config.get("strides") or size, config.get("padding"))]
        case "Activation" | "ReLU":
            words = [activation(layer)]
        case "BatchNormalization" | "Concatenate":
            unlike["axis"] = _LAST_AXIS
    return ", ".join([*words, *_unlike(layer, unlike)])


def window(kernel: Any, strides: Any, padding: Any) -> str:
    """A kernel and how it moves: ``3x3, strides 2x2, valid``."""
    return f"{_sides(kernel)}, strides {_sides(strides)}, {_show(padding).lower()}"


def _unlike(layer: Layer, usual: dict[str, tuple[Any, ...]]) -> list[str]:
    found = {name: layer.config.get(name) for name in usual}
    return [f"{name} {_show(found[name])}" for name in usual if found[name] not in usual[name]]


def _sides(value: Any) -> str:
    return "x".join(map(_show, value if isinstance(value, (list, tuple)) else (value, value)))


def _show(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
