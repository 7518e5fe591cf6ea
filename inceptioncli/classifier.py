"""The Python API: a classifier is an engine with labels and preprocessing."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import inceptioncli
from inceptioncli import pipeline
from inceptioncli.choices import DTYPES, POOLS, TIMEOUT_S, nearest
from inceptioncli.engine import Ready, devices, prepare
from inceptioncli.engine.base import Engine
from inceptioncli.errors import ImageError, UsageError, WeightsError
from inceptioncli.images.sources import Source, sources
from inceptioncli.labels import Label, check_count, read_labels
from inceptioncli.pipeline import layout
from inceptioncli.pipeline.layout import Layout
from inceptioncli.pipeline.recipe import (
    NO_FEATURES,
    Decoding,
    FeatureOptions,
    Ranking,
    Recipe,
    row_shape,
)
from inceptioncli.records import Record
from inceptioncli.summary import Shape, summarize
from inceptioncli.terminal import printable
from inceptioncli.weights import collection
from inceptioncli.weights.registry import DEFAULT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

StrPath = str | os.PathLike[str]
Paths = StrPath | Iterable[StrPath]


def load(
    weights: StrPath = DEFAULT,
    *,
    device: str = "auto",
    precision: str = "float32",
    labels: StrPath | None = None,
    crop: float | None = None,
    exact_decode: bool = False,
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
        exact_decode: decode every pixel of large pictures, too; see `images.decode.decode`.
        offline: never download.
        at_least: so many images are to come; lets ``auto`` see whether a GPU repays its start.

    Raises:
        UsageError: an argument that can't be used, or labels that don't fit.
        WeightsError: weights that can't be had or read.
        OutputError: the cache can't be written.
    """
    devices.check(device, precision)
    if crop is not None and not 0 < crop <= 1:
        raise UsageError(f"crop {crop} is not in (0, 1]; 1.0 keeps the whole image")
    given_labels = read_labels(Path(labels)) if labels is not None else None
    chosen = collection.choose(os.fspath(weights))
    ready = prepare(chosen, device, precision, offline=offline, at_least=at_least)
    if given_labels is not None:
        check_count(given_labels, ready.model.graph.classes, os.fspath(labels or ""))
    return Classifier(ready, given_labels, crop, exact_decode)


class Classifier:
    """Predictions and features from images; made by `load`.

    Attributes:
        ready: the model, and how an engine for it is opened.
        labels: one for each class.
        crop: central fraction of each side that is kept.
        exact_decode: whether large pictures are decoded to the last pixel.
    """

    def __init__(
        self,
        ready: Ready,
        labels: tuple[Label, ...] | None = None,
        crop: float | None = None,
        exact_decode: bool = False,
    ) -> None:
        self.ready = ready
        self.labels = ready.model.class_labels if labels is None else labels
        self.crop = ready.model.crop if crop is None else crop
        self.exact_decode = exact_decode
        self._engine: Engine | None = None

    def classify(
        self, paths: Paths, top_k: int = 5, threshold: float = 0.0, *, workers: int = 0
    ) -> Iterator[Record]:
        """Classifies files, and the images in folders, in order, each when its turn comes.

        Args:
            paths: one or several files, folders, ``-`` for standard input.
            top_k: so many classes at most, 1 or more.
            threshold: leave out classes below this probability.
            workers: so many processes, which a decoder that crashes or hangs can't take the run
                down with; 0 for this process. They import the calling script, which needs its
                ``if __name__ == "__main__":``.

        Returns:
            One record for each input; a bad image is a record with a failure, not an exception.

        Raises:
            UsageError: ``top_k`` below 1, or a threshold outside of [0, 1].
            WeightsError: the weights have no classifier, or give probabilities that are no numbers.
        """
        ranking = self.ranking(top_k, threshold)
        results = self.run(sources(_as_strings(paths)), self.layout(workers), ranking=ranking)
        return (Record(result.path, result.predictions, result.failure) for result in results)

    def features(
        self,
        paths: Paths,
        end_points: str | Sequence[str] = ("PreLogits",),
        *,
        pool: str = "none",
        dtype: str = "float32",
        workers: int = 0,
    ) -> dict[str, NDArray[np.floating]]:
        """Activations of end points (``inceptioncli model`` lists them), in memory.

        Args:
            paths: as in `classify`.
            end_points: names of end points, or one name.
            pool: over the positions: ``none``, ``avg`` or ``max``.
            dtype: ``float32`` or ``float16``.
            workers: as in `classify`.

        Returns:
            End point name to ``[rows, *shape]``, one row for each input, in order; positions of
            1x1 are dropped (PreLogits: ``[rows, 2048]``).

        Raises:
            UsageError: an unknown end point, pool or type, or values that don't fit the type.
            ImageError: an input can't be decoded; rows could no longer be told apart.
        """
        import numpy as np

        names = [end_points] if isinstance(end_points, str) else end_points
        options = self.feature_options(names, pool, dtype)
        rows: dict[str, list[NDArray[np.floating]]] = {name: [] for name in options.end_points}
        inputs = sources(_as_strings(paths))
        for result in self.run(inputs, self.layout(workers), features=options):
            if result.failure is not None:
                code, message = result.failure
                raise ImageError(code, f"{printable(result.path)}: {message}")
            for name, values in result.features.items():
                rows[name].append(values)
        return {
            name: np.array(rows[name], options.dtype).reshape(-1, *shape)
            for name, shape in self.row_shapes(options).items()
        }

    def ranking(self, top_k: int = 5, threshold: float = 0.0) -> Ranking:
        """What `run` needs to give predictions; raises as `classify`."""
        if top_k < 1:
            raise UsageError(f"top-k {top_k} is not 1 or more")
        if not 0 <= threshold <= 1:
            raise UsageError(f"threshold {threshold} is not in [0, 1]")
        if not self.ready.model.graph.classes:
            raise WeightsError(
                f"{self.ready.model.source} has no classifier (a file without the top); "
                "it gives features only"
            )
        return Ranking(self.labels, top_k, threshold)

    def feature_options(
        self, end_points: Iterable[str], pool: str = "none", dtype: str = "float32"
    ) -> FeatureOptions:
        """What `run` needs to give features; each end point once. Raises as `features`."""
        known = self.ready.model.graph.end_points
        names = tuple(dict.fromkeys(end_points))
        for name in names:
            if name not in known:
                near = nearest(name, known)
                hint = f"did you mean {near}? " if near else ""
                raise UsageError(f"unknown end point {name!r}; {hint}known: {', '.join(known)}")
        if pool not in POOLS:
            raise UsageError(f"unknown pool {pool!r}; expected {', '.join(POOLS)}")
        if dtype not in DTYPES:
            raise UsageError(f"unknown dtype {dtype!r}; expected {' or '.join(DTYPES)}")
        return FeatureOptions(names, pool, dtype)

    def row_shapes(self, options: FeatureOptions) -> dict[str, Shape]:
        """End point name to the shape of one row of features."""
        shapes = {end.name: end.shape for end in summarize(self.ready.model.graph).end_points}
        return {name: row_shape(shapes[name], options.pool) for name in options.end_points}

    def layout(self, workers: int | None) -> Layout:
        """So many workers, or as many as the machine has room for, with threads to match."""
        return layout.choose(workers, self.ready.memory)

    def provenance(self) -> dict[str, Any]:
        """What results depend on, apart from options and images, as JSON can hold it."""
        ready = self.ready
        labels = json.dumps([*self.labels]).encode()
        side = ready.model.graph.image_size
        return {
            "version": inceptioncli.__version__,
            "weights": {"name": ready.weights.given, "sha256": ready.weights.sha256},
            "engine": ready.engine,
            "precision": ready.precision,
            "crop": self.crop,
            "decode": "exact" if self.exact_decode else "scaled",
            "resize": f"squashed to {side}x{side}, bilinear, antialiased",
            "labels": {"classes": len(self.labels), "sha256": hashlib.sha256(labels).hexdigest()},
        }

    def run(
        self,
        inputs: Iterable[Source],
        layout: Layout,
        *,
        ranking: Ranking | None = None,
        features: FeatureOptions = NO_FEATURES,
        timeout: float = TIMEOUT_S,
        while_waiting: Callable[[], None] | None = None,
    ) -> Generator[pipeline.Result, None, None]:
        """Runs inputs that are found already through the graph; see `pipeline.run`."""
        recipe = Recipe(
            self.ready.open if layout.workers else self._open_here,
            Decoding(self.ready.model.graph.image_size, self.crop, self.exact_decode),
            self.ready.portable,
            ranking,
            features,
            self.ready.model.source,
        )
        values = sum(map(math.prod, self.row_shapes(features).values()))
        return pipeline.run(
            inputs,
            recipe,
            layout,
            timeout=timeout,
            output_bytes=4 * values,  # of float32; others are smaller
            while_waiting=while_waiting,
        )

    def _open_here(self, threads: int) -> Engine:
        """This process's engine, opened once."""
        if self._engine is None:
            self._engine = self.ready.open(threads)
        return self._engine


def _as_strings(paths: Paths) -> Iterable[str]:
    if isinstance(paths, str | os.PathLike):
        return [os.fspath(paths)]
    return (os.fspath(path) for path in paths)
