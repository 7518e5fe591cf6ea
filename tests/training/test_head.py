"""A head against scikit-learn's own logistic regression, on handwritten digits."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from inceptioncli.training import calibration, head
from inceptioncli.training.head import Examples


def digits(classes: int = 10) -> Examples:
    """Digits in a random order, as features like a network's: positive, many, related."""
    pixels, truth = load_digits(n_class=classes, return_X_y=True)
    rng = np.random.default_rng(0)
    features = np.maximum(pixels @ rng.normal(0, 0.02, (pixels.shape[1], 96)), 0)
    order = rng.permutation(len(truth))
    return Examples(features[order].astype(np.float32), truth[order])


def part(examples: Examples, start: int, end: int | None = None) -> Examples:
    return Examples(*(each[start:end] for each in examples))


def logits(fitted: head.Head, features: np.ndarray) -> np.ndarray:
    return features @ fitted.kernel + fitted.bias


@pytest.mark.parametrize("images", [100, 600])
def test_as_accurate_as_scikit_learn_and_calibrated(images: int) -> None:
    examples = digits()
    fitted = head.fit(part(examples, images // 10, images), part(examples, 0, images // 10), seed=0)
    learnt, unseen = part(examples, 0, images), part(examples, images)
    plain = LogisticRegression(max_iter=5000)
    theirs = max(
        model.fit(*learnt).score(*unseen)
        for model in (plain, make_pipeline(StandardScaler(), plain))
    )
    found = logits(fitted, unseen.features)
    assert calibration.accuracy(found, unseen.truth) > theirs - 0.01
    assert calibration.calibration_error(found, unseen.truth) < 0.05
    assert fitted.facts["validation_accuracy"] > 0.8


def test_the_same_images_give_the_same_bytes() -> None:
    examples = digits()
    first, second = (
        head.fit(part(examples, 30, 300), part(examples, 0, 30), seed=0) for _ in range(2)
    )
    assert first.kernel.tobytes() == second.kernel.tobytes()
    assert first.bias.tobytes() == second.bias.tobytes()
    assert first.path == second.path


def test_the_layer_is_plain_and_minimises_what_it_says() -> None:
    """Standardisation and temperature undone, the layer is scikit-learn's at that strength."""
    examples = digits()
    fitted = head.fit(part(examples, 30, 300), part(examples, 0, 30), seed=0)
    arrays = fitted.arrays
    assert {name: array.shape for name, array in arrays.items()} == {
        "InceptionV3/Logits/Conv2d_1c_1x1/weights": (1, 1, 96, 10),
        "InceptionV3/Logits/Conv2d_1c_1x1/biases": (10,),
    }
    mean, scale = head._standardisation(examples.features[30:300])
    standard = (examples.features - mean) * scale
    exact = LogisticRegression(C=1 / fitted.facts["strength"], tol=1e-8, max_iter=5000)
    exact.fit(standard[:300], examples.truth[:300])
    theirs = exact.predict_proba(standard[300:])
    ours = calibration._softmax(
        logits(fitted, examples.features[300:]) * fitted.facts["temperature"]
    )
    assert np.abs(ours - theirs).max() < 0.02


def test_a_channel_that_is_silent_in_training_does_not_explode() -> None:
    examples = digits()
    silent = examples.features.copy()
    silent[:, 7] = 0
    silent[0, 7] = 0.01  # one whisper in all the training images
    fitted = head.fit(
        Examples(silent[:270], examples.truth[:270]),
        Examples(silent[270:300], examples.truth[270:300]),
        seed=0,
    )
    quiet = logits(fitted, silent[300:])
    silent[300:, 7] = examples.features[:300].max()
    loud = logits(fitted, silent[300:])
    assert np.abs(loud - quiet).max() < 1
    assert (loud.argmax(axis=1) == quiet.argmax(axis=1)).mean() > 0.95


def test_two_classes_have_two_outputs() -> None:
    examples = digits(2)
    fitted = head.fit(part(examples, 10, 100), part(examples, 0, 10), seed=0)
    assert fitted.kernel.shape == (96, 2)
    found = logits(fitted, examples.features[100:])
    assert calibration.accuracy(found, examples.truth[100:]) > 0.98
    assert calibration.calibration_error(found, examples.truth[100:]) < 0.05


@pytest.mark.parametrize("classes", [2, 5])
def test_two_images_of_each_class_are_enough(classes: int) -> None:
    examples = digits(classes)
    firsts = [np.flatnonzero(examples.truth == index)[:2] for index in range(classes)]
    halves = [Examples(*(each[rows] for each in examples)) for rows in np.transpose(firsts)]
    fitted = head.fit(*halves, seed=0)
    assert np.isfinite(fitted.kernel).all()
    assert 0.1 <= fitted.facts["temperature"] <= 10


def test_features_that_never_vary_give_no_class_an_advantage() -> None:
    same = np.ones((8, 4), np.float32)
    fitted = head.fit(Examples(same, np.arange(8) % 2), Examples(same, np.arange(8) % 2), seed=0)
    assert np.abs(logits(fitted, same * 5)).max() < 1e-6


def test_the_path_ends_where_less_restraint_no_longer_helps() -> None:
    rng = np.random.default_rng(0)
    noise = Examples(rng.normal(size=(200, 50)).astype(np.float32), rng.integers(0, 3, 200))
    fitted = head.fit(part(noise, 40), part(noise, 0, 40), seed=0)
    assert len(fitted.path) < len(head.STRENGTHS)
    assert fitted.facts["strength"] >= 0.1
