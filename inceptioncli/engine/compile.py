"""The compiler: weights to a LiteRT file in the cache, once for each set of weights and precision.

An entry is ``<key>.tflite`` and its note, which holds the model and what the file was compiled
from, so that a warm run does not need the weights. Beside them `packing` keeps its own.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from inceptioncli import cache
from inceptioncli.architecture import Activation
from inceptioncli.engine.base import COMPILED_VERSION
from inceptioncli.errors import InceptionError, OutputError
from inceptioncli.terminal import printable
from inceptioncli.weights import collection
from inceptioncli.weights.collection import Chosen
from inceptioncli.weights.model import Model

_logger = logging.getLogger(__name__)


class Compiled(NamedTuple):
    """A compiled graph: the LiteRT file and the model that it runs."""

    path: Path
    model: Model


def compiled(
    chosen: Chosen,
    precision: str,
    *,
    offline: bool = False,
    building: Callable[[], None] = lambda: None,
) -> Compiled:
    """The compiled graph of chosen weights, from the cache or built now.

    Args:
        chosen: which weights; fetched only if the graph is not in the cache.
        precision: ``float32`` or ``int8``.
        offline: forbid to download the weights.
        building: called first, if it is built now.

    Raises:
        WeightsError: the weights are needed and can't be had or read.
        OutputError: neither the cache nor a temporary folder can be written.
    """
    name = _name(chosen.sha256, precision, chosen.activation, chosen.image_size)
    try:
        path = cache.compiled_folder() / name
        return again(chosen, precision, path, offline=offline, building=building)
    except OutputError as error:
        path = cache.temporary_folder(error) / name
        return again(chosen, precision, path, offline=offline, building=building)


def again(
    chosen: Chosen,
    precision: str,
    path: Path,
    *,
    offline: bool = False,
    building: Callable[[], None] = lambda: None,
) -> Compiled:
    """The compiled graph at a path, built there if it is not, or not any more.

    Raises:
        WeightsError: as `compiled`.
        OutputError: it can't be written there.
    """

    def build(beside: Path) -> dict[str, Any]:
        building()
        return _build(chosen, precision, offline, path, beside)

    return cache.built_once(path, functools.partial(find, path), build, lock=lock_of(path))


def find(path: Path) -> Compiled | None:
    """The compiled graph at a path; None if it is not built yet, or is damaged in whatever way."""
    note = cache.noted(path)
    try:
        return None if note is None else Compiled(path, Model.from_metadata(note["model"]))
    except (ValueError, KeyError, TypeError, AttributeError, InceptionError):
        return None


def path_of(
    weights_sha256: str,
    precision: str,
    activation: Activation | None = None,
    image_size: int | None = None,
) -> Path:
    """Where this version, with the libraries that it has here, keeps a compiled graph.

    Args:
        weights_sha256: of the weights.
        precision: ``float32`` or ``int8``.
        activation: as `Chosen` has it.
        image_size: as `Chosen` has it.

    Raises:
        OutputError: there is no cache.
    """
    return cache.compiled_folder() / _name(weights_sha256, precision, activation, image_size)


def lock_of(path: Path) -> Path:
    """The lock of a compiled graph and of all that is made from it."""
    return path.with_suffix(".lock")


def _name(
    weights_sha256: str, precision: str, activation: Activation | None, image_size: int | None
) -> str:
    facts = json.dumps(
        [weights_sha256, precision, activation, image_size, COMPILED_VERSION, _litert_version()]
    )
    return f"{hashlib.sha256(facts.encode()).hexdigest()[:32]}.tflite"


def _build(
    chosen: Chosen, precision: str, offline: bool, path: Path, beside: Path
) -> dict[str, Any]:
    from inceptioncli.engine import writer  # numpy and LiteRT's schema, not for a warm run

    weights = collection.load(chosen, offline=offline)
    _logger.debug(
        "%s of %s (%s): compiling it for this machine, once ...",
        "damaged cache" if path.exists() else "first use",
        printable(chosen.given),
        precision,
    )
    writer.write(weights, precision, beside)
    file = chosen.path.absolute() if chosen.path and not chosen.named else None
    return {
        "weights_sha256": chosen.sha256,
        "weights": chosen.given if file is None else file.name,
        "weights_path": None if file is None else str(file),
        "precision": precision,
        "activation": chosen.activation,
        "image_size": chosen.image_size,
        "model": weights.model.to_metadata(),
    }


def _litert_version() -> str:
    """LiteRT's version, by which the file is run, and its weights are packed."""
    # Not asked of `importlib.metadata` if it can be helped, nor of LiteRT itself: with what they
    # import they take a tenth of a warm run.
    import importlib.util

    spec = importlib.util.find_spec("ai_edge_litert")
    site = Path(spec.origin).parents[1] if spec and spec.origin else None
    found = [entry.name for entry in site.glob("ai_edge_litert-*.dist-info")] if site else []
    if len(found) == 1:
        return found[0].removeprefix("ai_edge_litert-").removesuffix(".dist-info")
    import importlib.metadata

    try:
        return importlib.metadata.version("ai-edge-litert")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
