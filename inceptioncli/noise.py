"""Keeps what native libraries print off the terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import IO, NamedTuple

_logger = logging.getLogger(__name__)


class _Hidden(NamedTuple):
    """Standard error's own descriptor, and where it leads for a while."""

    kept: int
    scratch: IO[bytes]


# Whether the process is ours: the command line's, a worker's. A host program's descriptors are its
# own, whatever native libraries print there.
_ours = False
# All threads share the descriptor: the first hides it, the last to leave brings it back.
_lock = threading.RLock()
_users = 0
_hidden: _Hidden | None = None


def claim_process() -> None:
    """Says that this process is ours, and its standard error ours to keep clean."""
    global _ours
    _ours = True
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def is_ours() -> bool:
    """Whether somebody has claimed the process."""
    return _ours


@contextlib.contextmanager
def native_stderr_hidden() -> Iterator[None]:
    """Sends file descriptor 2 to a temporary file for a while; its text goes to the debug log.

    TensorFlow and LiteRT write to the descriptor itself, before any log level can be set. In a host
    program this does nothing.
    """
    global _users, _hidden
    if not _ours:
        yield
        return
    with _lock:
        _users += 1
        if _users == 1:
            _hidden = _hide()
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _hidden is not None:
                text = _show(_hidden)
                _hidden = None
                if text:
                    _logger.debug("native output:\n%s", text)


def _hide() -> _Hidden | None:
    _flush()
    try:
        kept = os.dup(2)
    except OSError:  # No standard error at all (a daemon, a Windows GUI): nothing to hide.
        return None
    scratch = _scratch()
    os.dup2(scratch.fileno(), 2)
    return _Hidden(kept, scratch)


def _show(hidden: _Hidden) -> str:
    _flush()
    os.dup2(hidden.kept, 2)
    os.close(hidden.kept)
    with hidden.scratch as scratch:
        scratch.seek(0)
        return scratch.read().decode("utf-8", "replace").strip()


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


def _scratch() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("stderr"), "r+b")
    import tempfile

    try:
        return tempfile.TemporaryFile()
    except OSError:  # No folder can be written, as in a read-only container.
        return open(os.devnull, "r+b")
