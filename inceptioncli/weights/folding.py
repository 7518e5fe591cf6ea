"""Batch norm folded into the convolutions before it: fewer operations, the same function."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inceptioncli.architecture import BATCH_NORM_EPSILON, Conv
from inceptioncli.weights.model import Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FoldedConv(NamedTuple):
    """``kernel [h, w, in, out]`` and ``bias [out]``, float32."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


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
