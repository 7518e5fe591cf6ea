"""Inference: images through the graph, and what is kept of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inceptioncli.engine.base import Engine
from inceptioncli.errors import UsageError, WeightsError
from inceptioncli.pipeline.recipe import PREDICTIONS, Output, Ranking, Recipe, row_shape
from inceptioncli.records import Prediction


def infer(recipe: Recipe, engine: Engine, images: Sequence[NDArray[np.float32]]) -> list[Output]:
    """Runs images through the graph and keeps what the recipe wants of each.

    Raises:
        WeightsError: probabilities that are not numbers.
        UsageError: features that do not fit the type they are wanted in.
    """
    stacked = np.stack(images) if len(images) > 1 else images[0][np.newaxis]  # no copy of one
    batch = engine.run(stacked, recipe.end_points)
    return [
        _output(recipe, {name: values[place] for name, values in batch.items()})
        for place in range(len(images))
    ]


def _output(recipe: Recipe, outputs: Mapping[str, NDArray[np.float32]]) -> Output:
    predictions: tuple[Prediction, ...] = ()
    if recipe.ranking:
        predictions = _rank(outputs[PREDICTIONS], recipe.ranking, recipe.source)
    pool, dtype = recipe.features.pool, np.dtype(recipe.features.dtype)
    features = {
        name: _cast(name, _pooled(outputs[name], pool), dtype)
        for name in recipe.features.end_points
    }
    return Output(predictions, features)


def _rank(
    probabilities: NDArray[np.float32], ranking: Ranking, source: str
) -> tuple[Prediction, ...]:
    if not np.isfinite(probabilities).all():
        raise WeightsError(
            f"{source}: the probabilities are not numbers; these weights' activations overflow"
        )
    # Stable: of equal probabilities the lower index comes first.
    order = np.argsort(-probabilities, kind="stable")[: ranking.top_k]
    return tuple(
        Prediction(index, *ranking.labels[index], float(str(probabilities[index])))
        for index in map(int, order)
        if probabilities[index] >= ranking.threshold
    )


def _pooled(values: NDArray[np.float32], pool: str) -> NDArray[np.float32]:
    """``[H, W, C]`` to ``[C]`` if it is to be pooled or has one position; all else as it is."""
    if values.ndim == 3 and pool == "max":
        values = np.amax(values, axis=(0, 1))
    elif values.ndim == 3 and pool == "avg":
        values = np.mean(values, axis=(0, 1), dtype=np.float32)
    return values.reshape(row_shape(values.shape, pool))


def _cast(
    name: str, values: NDArray[np.float32], dtype: np.dtype[np.floating]
) -> NDArray[np.floating]:
    with np.errstate(over="ignore"):
        cast = values.astype(dtype)
    if not np.isfinite(cast).all() and np.isfinite(values).all():
        raise UsageError(
            f"{name}: the value {values.flat[np.abs(values).argmax()]:g} does not fit {dtype} "
            f"(at most {np.finfo(dtype).max:g}); use --dtype float32"
        )
    return cast
