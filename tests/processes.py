"""Processes that a test starts, and that end with it."""

from __future__ import annotations

import contextlib
import subprocess
from typing import Any

_started: list[subprocess.Popen[Any]] = []


def start(command: Any, **options: Any) -> subprocess.Popen[Any]:
    """`subprocess.Popen`; ended, its pipes closed, when the test is over (see `conftest`)."""
    process = subprocess.Popen(command, **options)
    _started.append(process)
    return process


def end_all() -> None:
    """Kills what still runs, and closes all pipes."""
    while _started:
        process = _started.pop()
        process.kill()  # One that has ended is left alone.
        with contextlib.suppress(BrokenPipeError), process:
            pass
