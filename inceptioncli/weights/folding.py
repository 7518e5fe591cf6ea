"""Affine steps folded into the convolutions beside them: fewer operations, the same function.

Batch norm goes into the convolution before it, a scaling of the pixels into the first convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from inceptioncli.architecture import BATCH_NORM_EPSILON, SCOPE, STEM, Conv
from inceptioncli.choices import InputScale
from inceptioncli.errors import UsageError
from inceptioncli.weights.model import Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FoldedConv(NamedTuple):
    """``kernel [h, w, in, out]`` and ``bias [out]``, float32."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


class Affine(NamedTuple):
    """``scale * x + offset`` of pixels ``x`` in [-1, 1], a number for each channel (RGB)."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]


# ImageNet's channels, of pixels in 0..1: what torchvision and Keras's mode "torch" scale by.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
# What makes pixels of a scale of those in [-1, 1], which the graph is fed.
AFFINE: dict[InputScale, Affine] = {
    "-1..1": Affine((1.0,) * 3, (0.0,) * 3),
    "0..1": Affine((0.5,) * 3, (0.5,) * 3),
    "0..255": Affine((127.5,) * 3, (127.5,) * 3),
    "imagenet": Affine(
        tuple(0.5 / deviation for deviation in _DEVIATION),
        tuple((0.5 - mean) / sd for mean, sd in zip(_MEAN, _DEVIATION, strict=True)),
    ),
}


def fold(weights: Weights, conv: Conv) -> FoldedConv:
    """A convolution with its batch norm inside.

    ``w / s`` and ``beta - mean / s`` with ``s = sqrt(variance + epsilon)``, computed in float64
    so that folding adds no error of its own.
    """
    import numpy as np

    kernel = weights.arrays[f"{conv.scope}/weights"]
    if conv.linear:
        return FoldedConv(kernel, weights.arrays[f"{conv.scope}/biases"])
    beta, mean, variance = (
        weights.arrays[f"{conv.scope}/BatchNorm/{name}"].astype(np.float64)
        for name in ("beta", "moving_mean", "moving_variance")
    )
    scale = 1.0 / np.sqrt(variance + BATCH_NORM_EPSILON)
    return FoldedConv((kernel * scale).astype(np.float32), (beta - mean * scale).astype(np.float32))


def fold_input_scale(
    arrays: Mapping[str, NDArray[np.float32]], affine: Affine
) -> dict[str, NDArray[np.float32]]:
    """The arrays of a network that was trained on scaled pixels, for pixels in [-1, 1].

    The first convolution has no border, so that the offset adds the same number to every position
    of a channel, and its batch norm subtracts that again. In float64, as `fold`.

    Args:
        arrays: by slim variable name.
        affine: what makes pixels as the network was trained on of those in [-1, 1].

    Returns:
        All arrays; of the first convolution, other weights and another moving mean.
    """
    import numpy as np

    first = f"{SCOPE}/{STEM[0].scope}"
    kernel = arrays[f"{first}/weights"].astype(np.float64)
    added = np.einsum("hwio,i->o", kernel, np.array(affine.offset))
    mean = arrays[f"{first}/BatchNorm/moving_mean"] - added
    return {
        **arrays,
        f"{first}/weights": (kernel * np.array(affine.scale)[:, None]).astype(np.float32),
        f"{first}/BatchNorm/moving_mean": mean.astype(np.float32),
    }


def with_input_scale(weights: Weights, scale: InputScale) -> Weights:
    """Weights of a network that was trained on pixels of a scale, as the graph runs them.

    Raises:
        UsageError: a scale is folded in already.
    """
    model = weights.model
    if model.input_scale is not None:
        raise UsageError(
            f"{model.source}: its pixels' scale ({model.input_scale}) is folded in already; "
            "leave --input-scale out"
        )
    arrays = fold_input_scale(weights.arrays, AFFINE[scale])
    return Weights(replace(model, input_scale=scale), arrays)
