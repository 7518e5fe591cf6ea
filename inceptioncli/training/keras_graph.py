"""The graph as a Keras model: the same table, Keras layers as its ops, for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inceptioncli.architecture import (
    AUX_END_POINT,
    BATCH_NORM_EPSILON,
    Activation,
    Conv,
    Graph,
    Pool,
    walk,
)
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.summary import convolutions

with native_stderr_hidden():
    import keras

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOGITS = "Logits"


def build(graph: Graph, *, batch_norm_momentum: float, policy: str = "float32") -> Any:
    """A Keras model from images ``[N, S, S, 3]`` to ``{"Logits", "AuxLogits"}``, slim-initialised.

    Args:
        graph: without aux head the second output is absent.
        batch_norm_momentum: decay of the moving statistics.
        policy: Keras's dtype policy, such as ``mixed_bfloat16``; outputs and weights are float32.
    """
    images = keras.Input((graph.image_size, graph.image_size, 3), name="images")
    ends = walk(graph, images, _KerasOps(batch_norm_momentum, policy))
    outputs = [LOGITS, AUX_END_POINT] if graph.aux else [LOGITS]
    return keras.Model(
        images,
        {
            name: keras.layers.Activation("linear", dtype="float32", name=name)(ends[name])
            for name in outputs
        },
    )


def export(model: Any, graph: Graph) -> dict[str, NDArray[np.float32]]:
    """The model's variables by slim name, in slim's order."""
    arrays = {}
    for conv in convolutions(graph):
        for name, variable in _variables(model, conv).items():
            arrays[name] = keras.ops.convert_to_numpy(variable).astype("float32")
    return arrays


def load(model: Any, graph: Graph, arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Sets the model's variables from arrays by slim name; those without an array stay."""
    for conv in convolutions(graph):
        for name, variable in _variables(model, conv).items():
            if name in arrays:
                variable.assign(arrays[name])


def freeze(model: Any, graph: Graph, until: str) -> None:
    """Makes everything up to and including an end point untrainable, its statistics too."""
    ends = graph.end_points[: graph.end_points.index(until) + 1]
    frozen = {
        _key(name)
        for conv in convolutions(graph)
        if conv.scope.split("/")[1] in ends
        for name in (conv.scope, f"{conv.scope}/BatchNorm")
    }
    for layer in model.layers:
        if layer.name in frozen:
            layer.trainable = False


def _variables(model: Any, conv: Conv) -> dict[str, Any]:
    layer = model.get_layer(_key(conv.scope))
    named = {f"{conv.scope}/weights": layer.kernel}
    if conv.linear:
        return {**named, f"{conv.scope}/biases": layer.bias}
    norm = model.get_layer(_key(f"{conv.scope}/BatchNorm"))
    return {
        **named,
        f"{conv.scope}/BatchNorm/beta": norm.beta,
        f"{conv.scope}/BatchNorm/moving_mean": norm.moving_mean,
        f"{conv.scope}/BatchNorm/moving_variance": norm.moving_variance,
    }


class _KerasOps:
    """`architecture.Ops` on Keras tensors; layers are named for their scopes."""

    def __init__(self, batch_norm_momentum: float, policy: str) -> None:
        self._momentum = batch_norm_momentum
        self._dtype = policy

    def size(self, x: Any) -> tuple[int, int]:
        return x.shape[1], x.shape[2]

    def conv(self, x: Any, layer: Conv) -> Any:
        x = keras.layers.Conv2D(
            layer.filters,
            layer.kernel,
            strides=layer.stride,
            padding=layer.padding.lower(),
            use_bias=layer.linear,
            kernel_initializer=_initializer(layer),
            dtype=self._dtype,
            name=_key(layer.scope),
        )(x)
        if layer.linear:
            return x
        x = keras.layers.BatchNormalization(
            scale=False,
            epsilon=BATCH_NORM_EPSILON,
            momentum=self._momentum,
            dtype=self._dtype,
            name=_key(f"{layer.scope}/BatchNorm"),
        )(x)
        return keras.layers.ReLU(dtype=self._dtype)(x)

    def pool(self, x: Any, layer: Pool) -> Any:
        pool = keras.layers.MaxPooling2D if layer.kind == "max" else keras.layers.AveragePooling2D
        padding = layer.padding.lower()
        return pool(layer.kernel, strides=layer.stride, padding=padding, dtype=self._dtype)(x)

    def concat(self, xs: Sequence[Any]) -> Any:
        return keras.layers.Concatenate(axis=-1, dtype=self._dtype)(list(xs))

    def dropout(self, x: Any, keep_probability: float) -> Any:
        return keras.layers.Dropout(1 - keep_probability, dtype=self._dtype)(x)

    def squeeze(self, x: Any) -> Any:
        return keras.layers.Reshape((x.shape[-1],), dtype=self._dtype)(x)

    def activate(self, x: Any, activation: Activation) -> Any:
        return keras.layers.Activation(activation, dtype="float32")(x)


def _initializer(layer: Conv) -> Any:
    if layer.stddev is None:
        # slim's default: variance scaling, factor 2 over the fan-in, truncated normal.
        return keras.initializers.HeNormal()
    return keras.initializers.TruncatedNormal(stddev=layer.stddev)


def _key(scope: str) -> str:
    """A scope as a Keras layer name, which takes no slashes."""
    return scope.replace("/", ".")
