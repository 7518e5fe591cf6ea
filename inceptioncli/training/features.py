"""Features of labelled images, extracted once and kept on disk as they come."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tqdm import tqdm

from inceptioncli.engine.base import Ready
from inceptioncli.errors import OutputError
from inceptioncli.images.inputs import Inputs
from inceptioncli.images.picture import Decoding
from inceptioncli.images.source import Named, Source
from inceptioncli.output.ledger import Ledger
from inceptioncli.pipeline import Pipeline
from inceptioncli.pipeline.layout import choose
from inceptioncli.products.features import features_of
from inceptioncli.records import Record
from inceptioncli.runs.run import Run
from inceptioncli.runs.values import Batch
from inceptioncli.training.data import Example, Skipped, file_stamp
from inceptioncli.weights.formats.own import write_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

_logger = logging.getLogger(__name__)

# A kill costs at most so many images' features.
_SHARD_IMAGES = 256
_END_POINT = "PreLogits"


class Features(NamedTuple):
    """PreLogits by path, and the images that have none."""

    rows: dict[str, NDArray[np.float32]]
    skipped: tuple[Skipped, ...]


class _Row(NamedTuple):
    """One image's features, with what its file was like when they were extracted."""

    path: str
    stamp: tuple[int, int]
    values: NDArray[np.float32]


def extract(examples: Sequence[Example], ready: Ready, *, crop: float, folder: Path) -> Features:
    """PreLogits ``[2048 * depth multiplier]`` of every example, kept in ``folder`` as they come.

    An interrupted extraction goes on with the images that are not there yet, or have changed.

    Raises:
        OutputError: the folder can't be written.
    """
    graph = ready.model.graph
    shards = Shards(folder, [example.path for example in examples])
    if shards.rows and shards.missing:
        _logger.info("continuing: features of %d images are there", len(shards.rows))
    inputs = Inputs((), handed_over=(Source(path, Named(path)) for path in shards.missing))
    products = (features_of(graph, [_END_POINT]),)
    skipped: list[Skipped] = []
    bar = tqdm(desc="features", total=len(shards.missing), unit="image", leave=False, disable=None)
    with (
        bar,
        Pipeline(ready, Decoding(graph.image_size, crop), choose(None, ready.memory)) as pipeline,
        Run(inputs, pipeline, products, shards, Batch()) as run,
    ):
        for event in run:
            if not isinstance(event, Record):
                continue
            bar.update()
            if event.failure is not None:
                skipped.append(Skipped(event.path, event.failure.message))
    return Features(shards.rows, tuple(skipped))


class Shards:
    """Features in a folder of files, some hundred images in each: an `output.base.Output`.

    Args:
        folder: where they are.
        paths: the images that are wanted.

    Attributes:
        rows: those that are there and still true of their images, by path.
        missing: paths of the others.
    """

    kept = True

    def __init__(self, folder: Path, paths: Sequence[str]) -> None:
        self.ledger = Ledger()
        self._folder = folder
        files = sorted(folder.glob("features-*.safetensors")) if folder.is_dir() else []
        self._number = len(files)
        there = {row.path: row for file in files for row in _read_shard(file)}
        # Taken before anything is read: what changes from here on is extracted anew the next time.
        self._stamps = {path: file_stamp(path) for path in paths}
        self.rows = {
            path: there[path].values
            for path, stamp in self._stamps.items()
            if path in there and there[path].stamp == stamp
        }
        self.missing = [path for path in paths if path not in self.rows]
        for path in self.rows:
            self.ledger.add(path, None)
        self.ledger.commit()
        self._fresh: list[_Row] = []

    def append(self, record: Record) -> None:
        self.ledger.append(record.code)
        if record.ok:
            values = record.features[_END_POINT].astype(np.float32, copy=False)
            self.rows[record.path] = values
            self._fresh.append(_Row(record.path, self._stamps[record.path], values))

    def commit_if_due(self) -> bool:
        due = len(self._fresh) >= _SHARD_IMAGES
        if due:
            self.finish()
        return due

    def finish(self) -> None:
        if self._fresh:
            _write_shard(self._folder / f"features-{self._number:06}.safetensors", self._fresh)
            self._fresh, self._number = [], self._number + 1
        self.ledger.commit()

    def __enter__(self) -> Shards:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not isinstance(error, OutputError):
            self.finish()


def _write_shard(path: Path, rows: Sequence[_Row]) -> None:
    names = "\0".join(row.path for row in rows).encode("utf-8", "surrogateescape")
    write_arrays(
        path,
        {
            "paths": np.frombuffer(names, np.uint8),
            "stamps": np.array([row.stamp for row in rows], np.int64),
            "features": np.stack([row.values for row in rows]),
        },
    )


def _read_shard(path: Path) -> Iterator[_Row]:
    try:
        arrays = load_file(path)
    except SafetensorError:
        return  # Its images are done again.
    names = arrays["paths"].tobytes().decode("utf-8", "surrogateescape").split("\0")
    for name, (size, changed), values in zip(
        names, arrays["stamps"].tolist(), arrays["features"], strict=True
    ):
        yield _Row(name, (size, changed), values)
