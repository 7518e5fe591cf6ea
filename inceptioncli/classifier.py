"""The Python API: a classifier is an engine with labels and preprocessing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inceptioncli import pipeline
from inceptioncli.engine import select
from inceptioncli.engine.base import Engine
from inceptioncli.errors import ImageError, UsageError, WeightsError
from inceptioncli.images.sources import Source, sources
from inceptioncli.labels import Label, check_count, read_labels
from inceptioncli.records import Prediction, Record
from inceptioncli.summary import Shape, summarize
from inceptioncli.terminal import printable
from inceptioncli.weights import collection
from inceptioncli.weights.model import Model
from inceptioncli.weights.registry import DEFAULT

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREDICTIONS = "Predictions"

StrPath = str | os.PathLike[str]
Paths = StrPath | Iterable[StrPath]


def load(
    weights: StrPath = DEFAULT,
    *,
    device: str = "auto",
    precision: str = "float32",
    labels: StrPath | None = None,
    crop: float | None = None,
    offline: bool = False,
    at_least: int = 1,
) -> Classifier:
    """Loads a classifier.

    Args:
        weights: a name (``inceptioncli weights list``) or the path of a weight file.
        device: ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
        precision: ``float32``, on the CPU also ``int8``, on a GPU also ``bfloat16``, ``float16``.
        labels: file with class names, in place of the model's own.
        crop: central fraction of each side to keep, in (0, 1]; None for the model's own.
        offline: never download.
        at_least: so many images are to come; lets ``auto`` see whether a GPU repays its start.

    Raises:
        UsageError: an argument that can't be used, or labels that don't fit.
        WeightsError: weights that can't be had or read.
        OutputError: the cache can't be written.
    """
    select.check(device, precision)
    if crop is not None and not 0 < crop <= 1:
        raise UsageError(f"crop {crop} is not in (0, 1]; 1.0 keeps the whole image")
    given_labels = read_labels(Path(labels)) if labels is not None else None
    chosen = collection.choose(os.fspath(weights))
    engine, model = select.open_engine(
        chosen, device, precision, offline=offline, at_least=at_least
    )
    if given_labels is not None:
        check_count(given_labels, model.graph.classes, os.fspath(labels or ""))
    return Classifier(engine, model, given_labels, crop)


class Classifier:
    """Predictions and features from images; made by `load`."""

    def __init__(
        self,
        engine: Engine,
        model: Model,
        labels: tuple[Label, ...] | None = None,
        crop: float | None = None,
    ) -> None:
        self.engine = engine
        self.model = model
        self.labels = model.class_labels if labels is None else labels
        self.crop = model.crop if crop is None else crop

    def classify(self, paths: Paths, top_k: int = 5, threshold: float = 0.0) -> Iterator[Record]:
        """Classifies files, and the images in folders, in order, each when its turn comes.

        Args:
            paths: one or several files, folders, ``-`` for standard input.
            top_k: so many classes at most, 1 or more.
            threshold: leave out classes below this probability.

        Returns:
            One record for each input; a bad image is a record with a failure, not an exception.

        Raises:
            UsageError: ``top_k`` below 1, or a threshold outside of [0, 1].
            WeightsError: the weights have no classifier, or give probabilities that are no numbers.
        """
        return self.classify_sources(sources(_as_strings(paths)), top_k, threshold)

    def classify_sources(
        self, inputs: Iterable[Source], top_k: int = 5, threshold: float = 0.0
    ) -> Iterator[Record]:
        """As `classify`, for inputs that are found already."""
        if top_k < 1:
            raise UsageError(f"top-k {top_k} is not 1 or more")
        if not 0 <= threshold <= 1:
            raise UsageError(f"threshold {threshold} is not in [0, 1]")
        if not self.model.graph.classes:
            raise WeightsError(
                f"{self.model.source} has no classifier (a file without the top); "
                "it gives features only"
            )
        results = pipeline.run(inputs, self.engine, [PREDICTIONS], crop=self.crop)
        return (self._record(result, top_k, threshold) for result in results)

    def features(
        self, paths: Paths, end_points: str | Sequence[str] = ("PreLogits",)
    ) -> dict[str, NDArray[np.float32]]:
        """Activations of end points (``inceptioncli model`` lists them), in memory.

        Returns:
            End point name to float32 ``[rows, *shape]``, one row for each input, in order;
            positions of 1x1 are dropped (PreLogits: ``[rows, 2048]``).

        Raises:
            UsageError: an unknown end point.
            ImageError: an input can't be decoded; rows could no longer be told apart.
        """
        # Each once, and one name is not taken for its letters.
        end_points = (
            [end_points] if isinstance(end_points, str) else list(dict.fromkeys(end_points))
        )
        for name in end_points:
            if name not in self.model.graph.end_points:
                raise UsageError(
                    f"unknown end point {name!r}; known: {', '.join(self.model.graph.end_points)}"
                )
        rows: dict[str, list[NDArray[np.float32]]] = {name: [] for name in end_points}
        inputs = sources(_as_strings(paths))
        for result in pipeline.run(inputs, self.engine, end_points, crop=self.crop):
            if result.failure is not None:
                code, message = result.failure
                raise ImageError(code, f"{printable(result.path)}: {message}")
            for name in end_points:
                rows[name].append(result.outputs[name])
        shapes = {end.name: end.shape for end in summarize(self.model.graph).end_points}
        return {
            name: np.array(values, np.float32).reshape(-1, *_row_shape(shapes[name]))
            for name, values in rows.items()
        }

    def _record(self, result: pipeline.Result, top_k: int, threshold: float) -> Record:
        if result.failure is not None:
            return Record(result.path, failure=result.failure)
        probabilities = result.outputs[PREDICTIONS]
        if not np.isfinite(probabilities).all():
            raise WeightsError(
                f"{self.model.source}: the probabilities are not numbers; "
                "these weights' activations overflow"
            )
        # Stable: of equal probabilities the lower index comes first.
        order = np.argsort(-probabilities, kind="stable")[:top_k]
        return Record(
            result.path,
            tuple(
                Prediction(index, *self.labels[index], float(str(probabilities[index])))
                for index in map(int, order)
                if probabilities[index] >= threshold
            ),
        )


def _row_shape(shape: Shape) -> Shape:
    """An end point's shape without positions of 1x1."""
    return shape[2:] if shape[:2] == (1, 1) else shape


def _as_strings(paths: Paths) -> Iterable[str]:
    if isinstance(paths, str | os.PathLike):
        return [os.fspath(paths)]
    return (os.fspath(path) for path in paths)
