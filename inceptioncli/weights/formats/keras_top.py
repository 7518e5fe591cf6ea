"""What stands behind the network in a Keras model: a classifier that we have, or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from inceptioncli.architecture import Activation
from inceptioncli.weights.formats.keras_config import Layer
from inceptioncli.weights.formats.keras_layers import activation, epsilon
from inceptioncli.weights.model import WITHOUT_TOP

_EXPECTED = "expected global average pooling, one dense layer, and softmax, sigmoid or nothing"
_ACTIVATIONS: dict[str, Activation | None] = {
    "softmax": "softmax",
    "sigmoid": "sigmoid",
    "linear": None,
}


class Norm(NamedTuple):
    """A batch norm: its layer's name, and its epsilon."""

    layer: str
    epsilon: float


class Top(NamedTuple):
    """A model's classifier.

    Attributes:
        dense: name of its layer.
        activation: of that; None for plain logits, which don't say what is made of them.
        bias: whether it has one.
        norms: batch norms before it, in order.
    """

    dense: str
    activation: Activation | None
    bias: bool = True
    norms: tuple[Norm, ...] = ()


def top(layers: Sequence[Layer]) -> Top | str:
    """The classifier that these layers make behind the network; a string says why they don't.

    Raises:
        ValueError: a layer that can't be as it is described.
    """
    dense = [layer.name for layer in layers if layer.kind == "Dense"]
    if len(dense) != 1:
        return without_top(dense, str(layers[-1]) if layers else "")
    pooling, *rest = layers
    usual = pooling.config.get("data_format") in ("channels_last", None)
    if pooling.kind != "GlobalAveragePooling2D" or pooling.config.get("keepdims") or not usual:
        return foreign(pooling)
    norms = []
    while rest[0].kind != "Dense":
        layer = rest.pop(0)
        if layer.kind == "BatchNormalization":
            norms.append(Norm(layer.name, epsilon(layer)))
        elif layer.kind != "Flatten":  # of what is flat
            return foreign(layer)
    # The dense layer has its activation, or a layer of its own behind it has.
    classifier, *behind = rest
    for layer in behind:
        if layer.kind not in ("Activation", "Softmax"):
            return foreign(layer)
    names = [name for name in map(activation, rest) if name != "linear"] or ["linear"]
    if len(names) > 1 or names[0] not in _ACTIVATIONS:
        return f"{rest[-1]} with the activation {' and '.join(names)} in its top; {_EXPECTED}"
    if names == ["softmax"] and classifier.config.get("units") == 1:
        return f"{classifier} with the softmax of one output, which is 1 for every picture"
    bias = classifier.config.get("use_bias") is not False
    return Top(classifier.name, _ACTIVATIONS[names[0]], bias, tuple(norms))


def without_top(dense: Sequence[str], last: str = "") -> str:
    """Why dense layers are no classifier of ours: there are none, or too many."""
    if not dense:
        return WITHOUT_TOP + (f"; its last layer is {last}" if last else "")
    return f"{len(dense)} dense layers ({', '.join(dense)}); expected one"


def foreign(layer: Layer | str) -> str:
    """Why layers with this one among them are no classifier of ours."""
    return f"{layer} in its top; {_EXPECTED}"
