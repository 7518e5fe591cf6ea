"""Figures of calibration, held against scikit-learn's and pandas'."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn import metrics

from inceptioncli.training import calibration


def drawn(scale: float, images: int = 4000, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Classes drawn by the probabilities of some logits, and those logits times ``scale``."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (images, classes))
    truth = np.array([rng.choice(classes, p=row) for row in softmax(logits, axis=1)])
    return logits * scale, truth


@pytest.mark.parametrize("scale", [0.3, 1, 5, 300])
def test_figures_are_those_of_others(scale: float) -> None:
    logits, truth = drawn(scale)
    probabilities = softmax(logits, axis=1)
    if scale < 300:  # scikit-learn's clips there.
        theirs = metrics.log_loss(truth, probabilities)
        assert calibration.log_loss(logits, truth) == pytest.approx(theirs, rel=1e-9)
    assert calibration.accuracy(logits, truth) == metrics.accuracy_score(
        truth, probabilities.argmax(axis=1)
    )
    table = pd.DataFrame(
        {"top": probabilities.max(axis=1), "right": probabilities.argmax(axis=1) == truth}
    )
    bins = pd.cut(table["top"], np.linspace(0, 1, 16), include_lowest=True)
    means = table.groupby(bins, observed=True).mean()
    shares = table.groupby(bins, observed=True).size() / len(table)
    theirs = ((means["top"] - means["right"]).abs() * shares).sum()
    assert calibration.calibration_error(logits, truth) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("scale", [0.3, 1, 5])
def test_the_temperature_undoes_what_logits_were_scaled_by(scale: float) -> None:
    logits, truth = drawn(scale)
    found = calibration.temperature(logits, truth)
    assert found == pytest.approx(scale, rel=0.05)
    assert calibration.calibration_error(logits / found, truth) < 0.03


def test_where_everything_is_right_the_temperature_stays_finite() -> None:
    truth = np.arange(20) % 2
    logits = np.where(truth[:, None] == [0, 1], 3.0, 0.0)
    found = calibration.temperature(logits, truth)
    assert 0.1 < found < 3
    assert softmax(logits / found, axis=1).max() == pytest.approx(1 - 1 / 22, abs=1e-3)
