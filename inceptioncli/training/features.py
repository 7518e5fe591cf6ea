"""Features of labelled images, extracted once and kept on disk as they come."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tqdm import tqdm

from inceptioncli import pipeline
from inceptioncli.engine import Ready
from inceptioncli.images.sources import Source
from inceptioncli.pipeline import layout
from inceptioncli.pipeline.recipe import Decoding, FeatureOptions, Recipe
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
    shards = sorted(folder.glob("features-*.safetensors")) if folder.is_dir() else []
    kept = {row.path: row for shard in shards for row in _read_shard(shard)}
    # Taken before anything is read: what changes from here on is extracted anew the next time.
    stamps = {example.path: file_stamp(example.path) for example in examples}
    rows = {
        path: kept[path].values
        for path, stamp in stamps.items()
        if path in kept and kept[path].stamp == stamp
    }
    missing = [example.path for example in examples if example.path not in rows]
    if rows and missing:
        _logger.info("continuing: features of %d images are there", len(rows))
    skipped: list[Skipped] = []
    fresh: list[_Row] = []
    number = len(shards)
    recipe = Recipe(
        ready.open,
        Decoding(ready.model.graph.image_size, crop),
        ready.portable,
        features=FeatureOptions((_END_POINT,)),
    )
    results = pipeline.run(map(Source, missing), recipe, layout.choose(None, ready.memory))
    for result in tqdm(results, "features", len(missing), unit="image", leave=False, disable=None):
        if result.failure is not None:
            skipped.append(Skipped(result.path, result.failure.message))
            continue
        row = _Row(result.path, stamps[result.path], result.features[_END_POINT])
        rows[row.path] = row.values
        fresh.append(row)
        if len(fresh) == _SHARD_IMAGES:
            _write_shard(folder / f"features-{number:06}.safetensors", fresh)
            fresh, number = [], number + 1
    if fresh:
        _write_shard(folder / f"features-{number:06}.safetensors", fresh)
    return Features(rows, tuple(skipped))


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
