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

    def then(self, after: Affine) -> Affine:
        """This, and then another one."""
        scale, offset = after
        return Affine(
            tuple(a * s for a, s in zip(self.scale, scale, strict=True)),
            tuple(b * s + o for b, s, o in zip(self.offset, scale, offset, strict=True)),
        )


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
# The scale of what the graph is fed.
UNSCALED: InputScale = "-1..1"
_ALMOST = 1e-6  # Keras 2 writes some constants in float32.


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


def called(affine: Affine) -> str:
    """The name of an input scale, or what it does, if it has none."""
    for name, known in AFFINE.items():
        pairs = zip((*affine.scale, *affine.offset), (*known.scale, *known.offset), strict=True)
        if all(abs(a - b) <= _ALMOST * max(1, abs(b)) for a, b in pairs):
            return name
    scale, offset = (", ".join(f"{each:.6g}" for each in numbers) for numbers in affine)
    return f"of pixels in -1..1, ({scale}) times as much, and ({offset}) added"


def with_input_scale(weights: Weights, scale: InputScale, given: str) -> Weights:
    """Weights of a network that was trained on pixels of a scale, as the graph runs them.

    ``given`` is the weights' name, for messages.

    Raises:
        UsageError: a scale is folded in already.
    """
    model = weights.model
    if model.input_scale is not None:
        raise UsageError(
            f"{given}: its pixels' scale ({model.input_scale}) is folded in already; "
            "leave --input-scale out"
        )
    arrays = fold_input_scale(weights.arrays, AFFINE[scale])
    return Weights(replace(model, input_scale=scale), arrays)


def without_gamma(
    arrays: Mapping[str, NDArray[np.float32]],
    batch_norm: str,
    epsilon: float = BATCH_NORM_EPSILON,
) -> dict[str, NDArray[np.float32]]:
    """Arrays of a convolution whose batch norm has a gamma or another epsilon, as ours has them.

    ``gamma / sqrt(variance + epsilon)`` is ``f / sqrt(v + 0.001)`` with a factor ``f`` that kernel
    and mean take. ``v`` is ``variance + epsilon - 0.001`` where that is no less than 0, so that
    ``f`` is 1 where there is no gamma.

    Args:
        arrays: a network's, by slim name, with a ``gamma`` or without.
        batch_norm: scope of the batch norm.
        epsilon: the batch norm's.
    """
    import numpy as np

    kernel = f"{batch_norm.removesuffix('BatchNorm')}weights"
    gamma, mean, variance = (
        f"{batch_norm}/{name}" for name in ("gamma", "moving_mean", "moving_variance")
    )
    theirs = arrays[variance].astype(np.float64) + epsilon
    ours = np.maximum(theirs - BATCH_NORM_EPSILON, 0)
    factor = np.sqrt((ours + BATCH_NORM_EPSILON) / theirs) * arrays.get(gamma, np.float32(1))
    folded = {
        kernel: (arrays[kernel] * factor).astype(np.float32),
        mean: (arrays[mean] * factor).astype(np.float32),
        variance: ours.astype(np.float32),
    }
    return {name: folded.get(name, array) for name, array in arrays.items() if name != gamma}


def with_norm_before(
    classifier: Mapping[str, NDArray[np.float32]],
    norm: Mapping[str, NDArray[np.float32]],
    epsilon: float,
) -> dict[str, NDArray[np.float32]]:
    """A classifier with the batch norm of its input inside.

    Args:
        classifier: ``weights [1, 1, in, out]`` and ``biases [out]``.
        norm: ``moving_mean``, ``moving_variance [in]``; ``gamma`` and ``beta`` if it has them.
        epsilon: the batch norm's.
    """
    import numpy as np

    weights = classifier["weights"].astype(np.float64)
    scale = norm.get("gamma", np.float32(1)) / np.sqrt(
        norm["moving_variance"] + np.float64(epsilon)
    )
    offset = norm.get("beta", np.float32(0)) - norm["moving_mean"] * scale
    return {
        "weights": (weights * scale[:, None]).astype(np.float32),
        "biases": (classifier["biases"] + offset @ weights[0, 0]).astype(np.float32),
    }
