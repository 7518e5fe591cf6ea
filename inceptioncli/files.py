"""Files that appear whole or not at all: write beside the target, flush to disk, rename."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inceptioncli.errors import OutputError, UsageError


@contextmanager
def replacing(target: Path, *, advice: str = "") -> Iterator[Path]:
    """Gives a path beside ``target`` to write to; what is there at the end becomes ``target``.

    An exception inside leaves ``target`` as it was and removes the unfinished file.

    Args:
        target: the file.
        advice: what to do where it can't be written.

    Raises:
        OutputError: the folder can't be made or written, or the disk is full.
    """
    import tempfile  # not in a warm run

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}.", suffix=".partial"
        )
        os.close(handle)
    except OSError as error:
        raise cannot_write(target, error, advice) from error
    beside = Path(name)
    try:
        try:
            yield beside
            beside.chmod(0o666 & ~_umask())
            flush(beside)
            beside.replace(target)
            flush(target.parent)
        except OSError as error:
            raise cannot_write(target, error, advice) from error
    finally:
        with contextlib.suppress(OSError):  # What went wrong before is what is told.
            beside.unlink(missing_ok=True)


def remove_orphans(target: Path) -> None:
    """Removes what a kill has left of `replacing` a file; nobody else may be at it now."""
    for orphan in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
        orphan.unlink(missing_ok=True)


def beside(path: Path, purpose: str) -> Path:
    """A hidden name in the same folder, for what a file needs while it is written."""
    return path.with_name(f".{path.name}.{purpose}")


def remove(path: Path) -> bool:
    """Removes a file if it is there; whether it was.

    Raises:
        OutputError: it can't be removed.
    """
    try:
        path.unlink()
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise OutputError(f"{path}: cannot be removed: {error.strerror or error}") from error


def cannot_write(path: Path, error: Exception, advice: str = "") -> OutputError:
    """The error for a file or folder that can't be written, with what to do about it."""
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"{path}: cannot write: {reason}{advice and f'; {advice}'}")


def flush(path: Path) -> None:
    """Makes what was written to a file, or the names in a folder, safe from the machine's crash."""
    folder = path.is_dir()
    if folder and os.name != "posix":
        return  # Windows can't open a folder to flush it.
    handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """The process's umask, which mkstemp does not apply; it can only be read by setting it."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


def working_folder() -> str:
    """Where relative paths begin.

    Raises:
        UsageError: it has been removed.
    """
    try:
        return str(Path.cwd())
    except FileNotFoundError as error:
        raise UsageError(
            "the working folder has been removed, and inputs are relative to it; change to one "
            "that is there, or name inputs by absolute paths"
        ) from error
