"""The compiler: weights to a LiteRT file in the cache, once for each set of weights and precision.

An entry is ``<key>.tflite`` and its note, which holds the model and what the file was compiled
from, so that a warm run needs neither the weights nor TensorFlow. Beside them `packing` keeps its
own.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

from inceptioncli import cache
from inceptioncli.engine.convert import convert
from inceptioncli.terminal import printable
from inceptioncli.weights import collection
from inceptioncli.weights.collection import Chosen
from inceptioncli.weights.model import Model

_logger = logging.getLogger(__name__)

# Whatever else shapes the compiled file, besides weights and precision.
_VERSIONED = ("inceptioncli", "tensorflow", "ai-edge-litert")


class Compiled(NamedTuple):
    """A compiled graph: the LiteRT file and the model that it runs."""

    path: Path
    model: Model


def compiled(chosen: Chosen, precision: str, *, offline: bool = False) -> Compiled:
    """The compiled graph of chosen weights, from the cache or built now.

    Args:
        chosen: which weights; fetched only if the graph is not in the cache.
        precision: ``float32`` or ``int8``.
        offline: forbid to download the weights.

    Raises:
        WeightsError: the weights are needed and can't be had or read.
        OutputError: the cache can't be written.
    """
    path = path_of(chosen.sha256, precision)
    return cache.built_once(
        path,
        functools.partial(find, path),
        functools.partial(_build, chosen, precision, offline, path),
        lock=lock_of(path),
    )


def find(path: Path) -> Compiled | None:
    """The compiled graph at a path; None if it is not built yet, or is damaged in whatever way."""
    note = cache.noted(path)
    try:
        return None if note is None else Compiled(path, Model.from_metadata(note["model"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def path_of(weights_sha256: str, precision: str) -> Path:
    """Where this version, with the libraries that it has here, keeps a compiled graph."""
    versions = {name: _version(name) for name in _VERSIONED}
    facts = json.dumps([weights_sha256, precision, versions], sort_keys=True)
    key = hashlib.sha256(facts.encode()).hexdigest()[:32]
    return cache.compiled_folder() / f"{key}.tflite"


def lock_of(path: Path) -> Path:
    """The lock of a compiled graph and of all that is made from it."""
    return path.with_suffix(".lock")


def _build(
    chosen: Chosen, precision: str, offline: bool, path: Path, beside: Path
) -> dict[str, Any]:
    weights = collection.load(chosen, offline=offline)
    _logger.info(
        "%s of %s (%s): compiling it for this machine, once; about 10 s ...",
        "damaged cache" if path.exists() else "first use",
        printable(chosen.given),
        precision,
    )
    beside.write_bytes(convert(weights, precision))
    file = chosen.path.absolute() if chosen.path and not chosen.named else None
    return {
        "weights_sha256": chosen.sha256,
        "weights": chosen.given if file is None else file.name,
        "weights_path": None if file is None else str(file),
        "precision": precision,
        "model": weights.model.to_metadata(),
    }


def _version(distribution: str) -> str:
    import importlib.metadata  # not for `weights list`

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # tensorflow-cpu, tf-nightly and the like
        return "unknown"
