"""Head training: the softmax layer alone, fitted to PreLogits by logistic regression.

What the field uses for linear probes: L2-regularised multinomial logistic regression, its strength
chosen on validation images, then a temperature. The problem is convex: nothing depends on chance
but the split.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from inceptioncli.architecture import SCOPE, TOP_CONV
from inceptioncli.pipeline.layout import cores
from inceptioncli.training.calibration import accuracy, calibration_error, log_loss, temperature
from inceptioncli.training.metrics import Strength

if TYPE_CHECKING:
    from numpy.typing import NDArray

_logger = logging.getLogger(__name__)

# From nearly nothing learnt to nearly no restraint, half a power of ten apart.
STRENGTHS = tuple(10.0 ** (number / 2) for number in range(1, -8, -1))
_FOLDS = 10
# So many held-out examples fix the temperature to a few hundredths; more only take time.
_ENOUGH_HELD_OUT = 2000
_SMALLEST_SCALE = 0.5
_MOST_ITERATIONS = 300


class Examples(NamedTuple):
    """Features ``[N, C]`` and the classes that they show ``[N]``."""

    features: NDArray[np.floating]
    truth: NDArray[np.int64]


class Head(NamedTuple):
    """A softmax layer on PreLogits, and how it came about.

    Attributes:
        kernel: ``[C, K]``.
        bias: ``[K]``.
        path: every strength that was tried, strongest first.
        facts: strength and temperature, and how the validation images are judged with them by a
            fit to the training images alone.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    path: tuple[Strength, ...]
    facts: Mapping[str, float]

    @property
    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The layer by slim's names."""
        top = f"{SCOPE}/Logits/{TOP_CONV.scope}"
        return {f"{top}/weights": self.kernel[np.newaxis, np.newaxis], f"{top}/biases": self.bias}


class _Layer(NamedTuple):
    """A linear layer on standardised features: ``[C, K]`` and ``[K]``."""

    kernel: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        return features @ self.kernel + self.bias


def fit(training: Examples, validation: Examples, *, seed: int) -> Head:
    """Chooses the strength on ``validation``; then fits to all examples, at a fitting temperature.

    Args:
        training: at least one example of each class.
        validation: the same.
        seed: of the folds for the temperature.
    """
    mean, scale = _standardisation(training.features)
    training, validation = (
        examples._replace(features=(examples.features - mean) * scale)
        for examples in (training, validation)
    )
    everything = Examples(
        np.concatenate((training.features, validation.features)),
        np.concatenate((training.truth, validation.truth)),
    )
    # Threads inside a step wait for each other longer than they work; fits side by side don't, and
    # what comes out does not depend on the number of cores.
    with (
        warnings.catch_warnings(),  # Of all threads.
        threadpool_limits(1),
        ThreadPoolExecutor(cores()) as threads,
    ):
        # Far along the path, as good as done is good enough: the validation images decide.
        warnings.simplefilter("ignore", ConvergenceWarning)
        path, layers = _path(training, validation)
        best = min(path, key=lambda row: row.validation_log_loss)
        final_fit = threads.submit(_Regression().fit, everything, best.strength)
        held_out = _held_out(everything, best.strength, seed=seed, threads=threads)
        final = final_fit.result()
    divisor = temperature(*held_out)
    measured = layers[path.index(best)].logits(validation.features) / divisor
    kernel = final.kernel * (scale[:, np.newaxis] / divisor)
    return Head(
        kernel=kernel.astype(np.float32),
        bias=(final.bias / divisor - mean @ kernel).astype(np.float32),
        path=path,
        facts={
            "strength": best.strength,
            "temperature": divisor,
            "validation_accuracy": accuracy(measured, validation.truth),
            "validation_log_loss": log_loss(measured, validation.truth),
            "validation_calibration_error": calibration_error(measured, validation.truth),
        },
    )


def _standardisation(
    features: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and factor of each channel; standardised features have a mean square length near 1.

    A channel that is silent in nearly all training images has next to no spread. Divided by it, the
    one picture in a thousand that wakes the channel would lie a hundred spreads from the mean, and
    its class would hang on that channel alone. So no channel counts for more than it would with a
    certain part of the mean spread. The length makes strengths comparable between widths.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64)
    scale = 1 / np.maximum(spread, _SMALLEST_SCALE * spread.mean() + 1e-6)
    length = np.sqrt(np.square(spread * scale).sum())
    return mean, scale / max(length, 1e-6)


def _path(training: Examples, validation: Examples) -> tuple[tuple[Strength, ...], list[_Layer]]:
    """Fits with ever less restraint, each from where the last ended, while that helps."""
    regression = _Regression()
    rows: list[Strength] = []
    layers: list[_Layer] = []
    for strength in STRENGTHS:
        layers.append(regression.fit(training, strength))
        logits = layers[-1].logits(validation.features)
        rows.append(
            Strength(
                strength,
                training_log_loss=log_loss(layers[-1].logits(training.features), training.truth),
                validation_log_loss=log_loss(logits, validation.truth),
                validation_accuracy=accuracy(logits, validation.truth),
            )
        )
        _logger.info(
            "strength %-8.2g training log loss %.4f  validation log loss %.4f  "
            "validation accuracy %.1f%%",
            strength, rows[-1].training_log_loss, rows[-1].validation_log_loss,
            100 * rows[-1].validation_accuracy,
        )  # fmt: skip
        if len(rows) > 1 and rows[-1].validation_log_loss > rows[-2].validation_log_loss:
            break
    return tuple(rows), layers


def _held_out(
    examples: Examples, strength: float, *, seed: int, threads: ThreadPoolExecutor
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits of examples by fits to the other folds, and the true classes.

    The folds are stratified: as a class's examples stand in a row when they are dealt out, even
    one of two examples stays with the fit.
    """
    shuffled = np.random.default_rng(seed).permutation(len(examples.truth))
    order = shuffled[np.argsort(examples.truth[shuffled], kind="stable")]
    folds = [order[number::_FOLDS] for number in range(min(_FOLDS, len(order)))]
    enough = -(-_ENOUGH_HELD_OUT // len(folds[-1]))

    def logits(fold: NDArray[np.int64]) -> NDArray[np.float64]:
        others = Examples(*(np.delete(each, fold, axis=0) for each in examples))
        return _Regression().fit(others, strength).logits(examples.features[fold])

    found = np.concatenate(list(threads.map(logits, folds[:enough])))
    return found, examples.truth[np.concatenate(folds[:enough])]


class _Regression:
    """scikit-learn's logistic regression; each fit starts where the last one ended."""

    def __init__(self) -> None:
        self._model = LogisticRegression(warm_start=True, max_iter=_MOST_ITERATIONS)

    def fit(self, examples: Examples, strength: float) -> _Layer:
        """Minimises the sum of log losses + strength / 2 * squared norm of the kernel."""
        self._model.set_params(
            C=1 / strength,
            # The weaker the restraint, the flatter the valley.
            tol=min(8 * strength / len(examples.truth), 1e-4),
        )
        self._model.fit(*examples)
        kernel, bias = self._model.coef_.T, self._model.intercept_
        if len(bias) == 1:  # Of two classes scikit-learn fits one logit, the difference.
            kernel, bias = (np.concatenate((-each, each), axis=-1) / 2 for each in (kernel, bias))
        return _Layer(kernel, bias)
