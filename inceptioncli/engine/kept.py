"""What is compiled and kept in the cache, and what of the cache nobody needs any more."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from inceptioncli import cache
from inceptioncli.engine import compile as compiler
from inceptioncli.errors import WeightsError
from inceptioncli.weights import collection, download
from inceptioncli.weights.registry import NAMED

# The files of a graph, finished or not, begin with its key.
_OURS = re.compile(r"\.?([0-9a-f]{32})\..+")


class Kept(NamedTuple):
    """A compiled graph with its packed weights.

    Attributes:
        name: the name of the weights that it was compiled from, or that of their file.
        precision: in which it computes.
        variant: its activation, if that is no softmax, and the image size that was asked for.
        bytes: what all its files take.
    """

    name: str
    precision: str
    variant: str
    bytes: int


def kept() -> list[Kept]:
    """The compiled graphs in the cache, by name; raises OutputError if there is no cache."""
    found = []
    for path, files in _by_graph().items():
        note = cache.read_note(cache.note_of(path))
        if path in files and "weights_sha256" in note:
            # Earlier versions did not write down where a graph came from.
            name, precision = (str(note.get(fact, "?")) for fact in ("weights", "precision"))
            found.append(Kept(name, precision, _variant(note), sum(map(_size, files))))
    return sorted(found)


def forget(weights_sha256: str) -> list[Path]:
    """Deletes the compiled graphs of weights with this hash.

    Returns:
        What was deleted.

    Raises:
        OutputError: it can't be.
    """
    deleted = []
    for path, files in _by_graph().items():
        if cache.read_note(cache.note_of(path)).get("weights_sha256") == weights_sha256:
            # The lock stays: another process may hold it.
            for file in files:
                if file != compiler.lock_of(path) and not file.name.startswith("."):
                    deleted += cache.remove(file)
    return deleted


def remove_unused() -> list[Path]:
    """Deletes what no weights that are known here need, and what kills have left.

    A compiled graph is needed if this version would run it, and its weights are named ones that
    are on this machine or a file that is still where it was. Needed graphs keep what was packed
    for other machines, which may share the cache. What another process is at stays, too.

    Returns:
        What was deleted.

    Raises:
        OutputError: it can't be.
    """
    removed = []
    for path, files in _by_graph().items():
        if _is_needed(path):
            files = [file for file in files if _is_unfinished(file, files)]
        if files:
            removed += cache.remove_at_rest(files, [compiler.lock_of(path)])
    removed += download.remove_leftovers(cache.downloads_folder())
    return removed + cache.remove_gone_digests()


def _by_graph() -> dict[Path, list[Path]]:
    """All files of the folder of compiled graphs, by the path of the graph that they belong to."""
    folder = cache.compiled_folder()
    graphs: dict[Path, list[Path]] = {}
    for file in sorted(folder.glob("*")):
        match = _OURS.fullmatch(file.name)
        if match:
            graphs.setdefault(folder / f"{match[1]}.tflite", []).append(file)
    return graphs


def _variant(note: Mapping[str, Any]) -> str:
    size = note.get("image_size")
    activation = note.get("model", {}).get("activation")  # JSON, as all of a model's metadata
    words = [json.loads(activation)] if activation else []
    return ", ".join([*words, f"{size}x{size}"] if size else words)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # gone by now
        return 0


def _is_unfinished(file: Path, files: Sequence[Path]) -> bool:
    """Whether a file of a graph is what a kill has left: written in part, or without its note."""
    packed = file.suffix == ".packed"
    return file.name.startswith(".") or (packed and cache.note_of(file) not in files)


def _is_needed(path: Path) -> bool:
    note = cache.read_note(cache.note_of(path))
    try:
        current = compiler.path_of(
            note["weights_sha256"], note["precision"], note["activation"], note["image_size"]
        )
    except KeyError:
        return False
    return path == current and _is_known(note) and compiler.find(path) is not None


def _is_known(note: Mapping[str, Any]) -> bool:
    """Whether the weights that a graph was compiled from are here."""
    digest = note["weights_sha256"]
    if any(named.sha256 == digest and collection.local_copy(named) for named in NAMED.values()):
        return True
    path = note.get("weights_path")
    try:
        return path is not None and collection.sha256_of(Path(path)) == digest
    except (WeightsError, OSError, ValueError):
        return False
