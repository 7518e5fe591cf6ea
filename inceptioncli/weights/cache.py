"""The cache: where downloads and compiled graphs live, and what files in it and beyond hash to."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from inceptioncli.errors import OutputError
from inceptioncli.files import replacing

ENVIRONMENT_VARIABLE = "INCEPTIONCLI_CACHE"
_CHUNK_BYTES = 1 << 20


def cache_folder() -> Path:
    """The folder named by ``INCEPTIONCLI_CACHE``, else the platform's own for caches.

    Reading the environment is the command line's business elsewhere; here the Python API has to
    find the same caches.
    """
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("inceptioncli", appauthor=False)


def downloads_folder() -> Path:
    """Where published weight files are kept."""
    return cache_folder() / "weights"


def compiled_folder() -> Path:
    """Where compiled graphs are kept."""
    return cache_folder() / "compiled"


def keras_folder() -> Path:
    """Where Keras Applications keeps its downloads."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def sha256(path: Path) -> str:
    """The file's SHA-256 in hex; for an unchanged file, the one remembered from last time.

    Unchanged means the same size, inode and times of content and metadata, to the nanosecond.
    Hashing 96 MB on every run would take a fifth of a warm run's time.
    """
    path = path.absolute()
    note = cache_folder() / "digests" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"
    before = _identity(path)
    try:
        remembered = json.loads(note.read_text(encoding="utf-8"))
        if remembered["identity"] == before:
            return str(remembered["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # Never hashed, or a damaged note: hash it now.
    digest = _hash(path)
    if _identity(path) == before:
        try:
            with replacing(note) as beside:
                content = json.dumps({"identity": before, "sha256": digest})
                beside.write_text(content, encoding="utf-8")
        except OutputError:
            pass  # A read-only cache costs time, not correctness.
    return digest


def _identity(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
