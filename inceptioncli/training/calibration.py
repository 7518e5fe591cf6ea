"""Calibration: how true a model's probabilities are, and the temperature that makes them truer.

All functions take logits ``[N, K]`` and the true classes ``[N]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINS = 15
_TEMPERATURES = (0.1, 10.0)
_HALVINGS = 40


def accuracy(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    """Share of first classes that are right, in [0, 1]."""
    return float((logits.argmax(axis=1) == truth).mean())


def log_loss(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    """Mean negative natural logarithm of the true class's probability."""
    shifted = _shifted(logits)
    of_truth = shifted[np.arange(len(truth)), truth]
    return float((np.log(np.exp(shifted).sum(axis=1)) - of_truth).mean())


def calibration_error(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    """Expected calibration error, in [0, 1] (Guo et al., arXiv:1706.04599, equation 3).

    Over 15 bins of the first class's probability, of equal width: how far its mean is from the
    share that is right, weighted by how many fall into the bin.
    """
    probabilities = _softmax(logits)
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((top * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=top - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(truth))


def temperature(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    """What to divide the logits by for the lowest log loss, in [0.1, 10].

    The targets are a little less than certain, by one picture in all (as in Platt's scaling):
    where every first class is right, plain log loss would have no lower end.
    """
    classes = logits.shape[1]
    doubt = 1 / (len(truth) + 2)
    targets = np.full(logits.shape, doubt / (classes - 1))
    targets[np.arange(len(truth)), truth] = 1 - doubt
    logits = _shifted(logits)
    low, high = _TEMPERATURES
    for _ in range(_HALVINGS):
        # The loss is convex in 1 / temperature, so the sign of its slope says where to look.
        middle = float(np.sqrt(low * high))
        if ((_softmax(logits / middle) - targets) * logits).sum() > 0:
            low = middle
        else:
            high = middle
    return float(np.sqrt(low * high))


def _softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    raised: NDArray[np.float64] = np.exp(_shifted(logits))
    raised /= raised.sum(axis=1, keepdims=True)
    return raised


def _shifted(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The largest of each row becomes 0, so that no exponential overflows."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    return wide
