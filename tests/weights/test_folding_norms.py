"""What is folded computes the same, by convolutions written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from inceptioncli.weights.folding import Affine, called, with_norm_before, without_gamma
from tests.conftest import SMALL_GRAPH, random_weights

FIRST = "InceptionV3/Conv2d_1a_3x3"


def first_layer(
    arrays: dict[str, NDArray[np.float32]], images: NDArray[np.float64], epsilon: float = 0.001
) -> NDArray[np.float64]:
    """The first convolution and its batch norm, at some places of images ``[N, 3, 3, 3]``."""
    beta, mean, variance = (
        arrays[f"{FIRST}/BatchNorm/{name}"].astype(np.float64)
        for name in ("beta", "moving_mean", "moving_variance")
    )
    gamma = arrays.get(f"{FIRST}/BatchNorm/gamma", np.float32(1))
    x = np.einsum("nhwi,hwio->no", images, arrays[f"{FIRST}/weights"].astype(np.float64))
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


@pytest.fixture
def arrays() -> dict[str, NDArray[np.float32]]:
    return dict(random_weights(SMALL_GRAPH).arrays)


@pytest.fixture
def images() -> NDArray[np.float64]:
    return np.random.default_rng(1).uniform(-1, 1, (20, 3, 3, 3))


def test_input_scales_follow_each_other(images: NDArray[np.float64]) -> None:
    one = Affine((0.5, 2.0, 3.0), (0.5, 0.0, -3.0))
    two = Affine((4.0, 0.25, 1.0), (1.0, -1.0, 2.0))
    both = one.then(two)
    np.testing.assert_allclose(
        images * both.scale + np.array(both.offset),
        (images * one.scale + np.array(one.offset)) * two.scale + np.array(two.offset),
    )


@pytest.mark.parametrize("epsilon", [0.001, 1e-5, 0.1])
@pytest.mark.parametrize("with_gamma", [False, True])
def test_gammas_and_epsilons(
    arrays: dict[str, NDArray[np.float32]],
    images: NDArray[np.float64],
    epsilon: float,
    with_gamma: bool,
) -> None:
    arrays[f"{FIRST}/BatchNorm/moving_variance"][:3] = (0, 1e-6, 9e-4)  # below 0.001 - 1e-5
    if with_gamma:
        gamma = np.random.default_rng(2).normal(0, 2, 16).astype(np.float32)
        gamma[:2] = (-1.5, 0)
        arrays[f"{FIRST}/BatchNorm/gamma"] = gamma
    folded = without_gamma(arrays, f"{FIRST}/BatchNorm", epsilon)
    assert list(folded) == list(random_weights(SMALL_GRAPH).arrays)
    assert (folded[f"{FIRST}/BatchNorm/moving_variance"] >= 0).all()
    theirs = first_layer(arrays, images, epsilon)
    np.testing.assert_allclose(first_layer(folded, images), theirs, rtol=1e-5, atol=1e-4)


def test_a_batch_norm_before_a_classifier() -> None:
    rng = np.random.default_rng(3)
    shapes = {"gamma": 7, "beta": 7, "moving_mean": 7, "moving_variance": 7}
    norm = {name: rng.uniform(0.1, 2, shape).astype(np.float32) for name, shape in shapes.items()}
    weights, biases = (rng.normal(size=shape).astype(np.float32) for shape in ((1, 1, 7, 3), 3))
    x = rng.normal(size=(10, 7))
    y = (x - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 0.01)
    folded = with_norm_before({"weights": weights, "biases": biases}, norm, 0.01)
    np.testing.assert_allclose(
        x @ folded["weights"][0, 0] + folded["biases"],
        (y * norm["gamma"] + norm["beta"]) @ weights[0, 0] + biases,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("affine", "name"),
    [
        (Affine((1, 1 + 3e-8, 1), (0, 0, -2e-7)), "-1..1"),
        (Affine((0.5,) * 3, (0.5,) * 3), "0..1"),
        (Affine((127.5,) * 3, (127.5,) * 3), "0..255"),
        (
            Affine((0.5, 1, 2), (0, 0, 1 / 3)),
            "of pixels in -1..1, (0.5, 1, 2) times as much, and (0, 0, 0.333333) added",
        ),
    ],
)
def test_names_of_input_scales(affine: Affine, name: str) -> None:
    assert called(affine) == name
