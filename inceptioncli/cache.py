"""The cache: where it is, how an entry is built once for all processes, what files hash to.

An entry is a file, most of them with a note beside it: a ``.json`` with the file's SHA-256 and
what else is to be known of it. The note appears last; a file that is not what its note says is
none, and is built again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from inceptioncli import files
from inceptioncli.errors import OutputError
from inceptioncli.files import remove_orphans, replacing

ENVIRONMENT_VARIABLE = "INCEPTIONCLI_CACHE"
_ADVICE = f"set {ENVIRONMENT_VARIABLE} to a folder that can be written"
_CHUNK_BYTES = 1 << 20

T = TypeVar("T")

_logger = logging.getLogger(__name__)
_temporary: Path | None = None
_temporary_lock = threading.Lock()


def cache_folder() -> Path:
    """The folder named by ``INCEPTIONCLI_CACHE``, else the platform's own for caches.

    Reading the environment is the command line's business elsewhere; here the Python API has to
    find the same caches.

    Raises:
        OutputError: it would be in the user's home, and there is none.
    """
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    try:
        if given:
            return Path(given).expanduser().absolute()
        import platformdirs

        return platformdirs.user_cache_path("inceptioncli", appauthor=False)
    except RuntimeError as error:  # a service, a container's user of whom nothing is known
        raise OutputError(f"there is no home folder, and so no cache; {_ADVICE}") from error


def downloads_folder() -> Path:
    """Where published weight files are kept; raises as `cache_folder`."""
    return cache_folder() / "weights"


def compiled_folder() -> Path:
    """Where compiled graphs are kept; raises as `cache_folder`."""
    return cache_folder() / "compiled"


def temporary_folder(reason: Exception) -> Path:
    """A folder in place of the cache, for what can't be kept there; removed with this process.

    Args:
        reason: why it can't; said once.

    Raises:
        OutputError: there is no folder for temporary files either.
    """
    global _temporary
    import atexit
    import tempfile  # not in a warm run

    with _temporary_lock:
        if _temporary is None:
            try:
                _temporary = Path(tempfile.mkdtemp(prefix="inceptioncli-"))
            except OSError as error:
                raise OutputError(f"{reason}; and no temporary folder can be made") from error
            atexit.register(_remove_temporary, _temporary, os.getpid())
            _logger.warning(
                "%s; a temporary folder is used instead, and removed at the end", reason
            )
        return _temporary


def _remove_temporary(folder: Path, process: int) -> None:
    if os.getpid() == process:  # A forked child has nothing to remove.
        import shutil

        shutil.rmtree(folder, ignore_errors=True)


def keras_folder() -> Path:
    """Where Keras Applications keeps its downloads.

    Raises:
        OutputError: it would be in the user's home, and there is none.
    """
    home = os.environ.get("KERAS_HOME")
    try:
        return (Path(home) if home else Path.home() / ".keras") / "models"
    except RuntimeError as error:
        raise OutputError("there is no home folder, and so no cache of Keras's") from error


def built_once(
    path: Path,
    find: Callable[[], T | None],
    build: Callable[[Path], Mapping[str, Any] | None],
    *,
    lock: Path,
) -> T:
    """An entry of the cache; of several processes that want it at once, one builds it.

    Args:
        path: the entry's file.
        find: gives what the entry holds, None if it is missing or not sound. Where there is
            something, nothing else is done and no lock is taken.
        build: writes the file to the path that it is given, beside ``path``; gives the facts for
            the entry's note, or None for an entry that needs none.
        lock: file that is locked meanwhile; it stays.

    Raises:
        OutputError: the cache can't be written.
    """
    found = find()
    if found is not None:
        return found
    import filelock

    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(lock):
            # Another process may have built it while this one waited.
            found = find()
            if found is None:
                _build(path, build)
                found = find()
    except OSError as error:
        raise OutputError(
            f"{lock.parent}: cannot write the cache: {error.strerror or error}; {_ADVICE}"
        ) from error
    if found is None:
        raise OutputError(f"{path}: it was written, but something has changed it since; try again")
    return found


def noted(path: Path) -> dict[str, Any] | None:
    """What an entry's note says; None unless the file is the one that the note was written for."""
    note = read_note(note_of(path))
    try:
        return note if "sha256" in note and note["sha256"] == sha256(path) else None
    except OSError:
        return None


def note_of(path: Path) -> Path:
    """Where the note of an entry's file is."""
    return path.with_suffix(".json")


def read_note(note: Path) -> dict[str, Any]:
    """What a note says; nothing if it is not there or damaged."""
    try:
        facts = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def remove(path: Path) -> list[Path]:
    """Deletes a file, if it is there, and says which.

    Raises:
        OutputError: it can't be.
    """
    return [path] if files.remove(path) else []


def remove_at_rest(paths: Iterable[Path], locks: Iterable[Path]) -> list[Path]:
    """Deletes files that nobody is at: none of them while another process holds one of the locks.

    A lock may be among the files; a process that waits for it goes on with a new one.

    Returns:
        What was deleted.

    Raises:
        OutputError: it can't be.
    """
    import filelock

    with contextlib.ExitStack() as held:
        for lock in locks:
            if not lock.exists():
                held.callback(remove, lock)  # made here
            try:
                held.enter_context(filelock.FileLock(lock, blocking=False))
            except filelock.Timeout:
                return []
            except OSError as error:
                raise OutputError(f"{lock}: cannot be locked: {error.strerror or error}") from error
        return [removed for path in paths for removed in remove(path)]


def sha256(path: Path, *, anew: bool = False) -> str:
    """The file's SHA-256 in hex; for an unchanged file, the one remembered from last time.

    ``anew``, it is read whatever is remembered, and what is remembered put right.

    Unchanged means the same size, inode and times of content and metadata, to the nanosecond.
    Hashing 96 MB on every run would take a fifth of a warm run's time. What is remembered needs no
    lock: processes that write it at once write the same.
    """
    path = path.absolute()
    try:
        note = _digests_folder() / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"
    except OutputError:  # No cache costs time, not correctness; one that is read-only as well.
        return hashed(path)
    before = _identity(path)
    remembered = {} if anew else read_note(note)
    if remembered.get("identity") == before and "sha256" in remembered:
        return str(remembered["sha256"])
    digest = hashed(path)
    if _identity(path) == before:
        with contextlib.suppress(OutputError):
            _write(note, {"path": os.fspath(path), "identity": before, "sha256": digest})
    return digest


def hashed(path: Path) -> str:
    """The file's SHA-256 in hex, from its content, whatever is remembered."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def remove_gone_digests() -> list[Path]:
    """Deletes the digests of files that are gone, and what kills have left beside them.

    Returns:
        What was deleted.

    Raises:
        OutputError: it can't be.
    """
    folder = _digests_folder()
    gone = [note for note in sorted(folder.glob("*.json")) if _is_of_nothing(read_note(note))]
    return [removed for path in (*gone, *folder.glob(".*.partial")) for removed in remove(path)]


def _build(path: Path, build: Callable[[Path], Mapping[str, Any] | None]) -> None:
    """Puts an entry in place; only one process at a time is here."""
    note = note_of(path)
    for target in (path, note):
        remove_orphans(target)
    with replacing(path, advice=_ADVICE) as beside:
        facts = build(beside)
    if facts is None:
        return
    try:
        _write(note, {"sha256": sha256(path), **facts})
    except OutputError:
        path.unlink(missing_ok=True)  # Nobody would ever believe it.
        raise


def _write(note: Path, facts: Mapping[str, Any]) -> None:
    with replacing(note, advice=_ADVICE) as beside:
        beside.write_text(json.dumps(facts), encoding="utf-8")


def _digests_folder() -> Path:
    """Where digests are kept; raises as `cache_folder`."""
    return cache_folder() / "digests"


def _identity(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


def _is_of_nothing(digest: Mapping[str, Any]) -> bool:
    """Whether a digest's file is gone, or not known (earlier versions did not write it down)."""
    try:
        Path(digest["path"]).stat()
    except (FileNotFoundError, NotADirectoryError, KeyError, TypeError, ValueError):
        return True
    except OSError:
        pass  # It can't be told: a folder that may not be entered, a server that is away.
    return False
