"""Keeps what native libraries print off the terminal."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_logger = logging.getLogger(__name__)


@contextmanager
def native_stderr_hidden() -> Iterator[None]:
    """Sends file descriptor 2 to a temporary file for a while; its text goes to the debug log.

    TensorFlow and LiteRT write to the descriptor itself, before any log level can be set.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # No standard error at all (a daemon, a Windows GUI): nothing to hide.
        yield
        return
    with _scratch() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            hidden.seek(0)
            text = hidden.read().decode("utf-8", "replace").strip()
            if text:
                _logger.debug("native output:\n%s", text)


def _scratch() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError:  # No folder can be written, as in a read-only container.
        return open(os.devnull, "r+b")
