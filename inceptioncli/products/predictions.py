"""Predictions: the most probable classes."""

from __future__ import annotations

from typing import NamedTuple

from inceptioncli.errors import UsageError, WeightsError
from inceptioncli.labels import Label
from inceptioncli.products.base import Outcome
from inceptioncli.records import Prediction, Record
from inceptioncli.weights.model import Model

END_POINT = "Predictions"
# Of a prediction in memory, with its label.
_BYTES = 400


class Predictions(NamedTuple):
    """The ``top_k`` classes that reach the threshold, most probable first; by `predictions_of`.

    Attributes:
        labels: one for each class.
        top_k: so many at most, 1 or more.
        threshold: lowest probability, in [0, 1].
        source: the weights as the user named them, for messages.
    """

    labels: tuple[Label, ...]
    top_k: int
    threshold: float
    source: str

    @property
    def end_points(self) -> tuple[str, ...]:
        return (END_POINT,)

    @property
    def upright(self) -> None:
        return None

    @property
    def nbytes(self) -> int:
        return _BYTES * min(self.top_k, len(self.labels))

    def add(self, record: Record, outcome: Outcome) -> Record:
        """See `Product`.

        Raises:
            WeightsError: probabilities that are not numbers.
        """
        import numpy as np

        probabilities = outcome.end_points[END_POINT]
        if not np.isfinite(probabilities).all():
            raise WeightsError(
                f"{self.source}: the probabilities are not numbers; these weights' activations "
                "overflow"
            )
        # Stable: of equal probabilities the lower index comes first.
        order = np.argsort(-probabilities, kind="stable")[: self.top_k]
        predictions = tuple(
            Prediction(index, *self.labels[index], float(str(probabilities[index])))
            for index in map(int, order)
            if probabilities[index] >= self.threshold
        )
        return record._replace(predictions=predictions)


def predictions_of(
    model: Model,
    labels: tuple[Label, ...],
    top_k: int = 5,
    threshold: float = 0.0,
    *,
    given: str,
) -> Predictions:
    """The predictions of a model, with a label for each class; ``given``, its weights' name.

    Raises:
        UsageError: ``top_k`` below 1, or a threshold outside of [0, 1].
        WeightsError: the model has no classifier.
    """
    if top_k < 1:
        raise UsageError(f"top-k {top_k} is not 1 or more")
    if not 0 <= threshold <= 1:
        raise UsageError(f"threshold {threshold} is not in [0, 1]")
    model.require_classes(given)
    return Predictions(labels, top_k, threshold, given)
