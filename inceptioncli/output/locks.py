"""Locks: one process at a time writes an output."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from inceptioncli.files import beside, cannot_write


@contextlib.contextmanager
def locked(folder: Path, name: str, seconds: float = 0) -> Iterator[bool]:
    """Holds a lock file that is gone afterwards; gives False if another process has it.

    Raises:
        OutputError: the folder can't be written.
    """
    import filelock  # not for what is printed

    path = beside(folder / name, "lock")
    lock = filelock.FileLock(path)
    try:
        # Before it is said that somebody has it: some file systems answer the wish for a new file
        # that there is no such file, which looks like a lock that is just being removed.
        path.touch()
        lock.acquire(timeout=seconds)
    except filelock.Timeout:
        yield False
        return
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):  # Windows removes none that is held.
            path.unlink(missing_ok=True)
        lock.release()
