"""The layout: how many worker processes, with how many threads each, a machine has room for."""

from __future__ import annotations

import os
from typing import NamedTuple

from inceptioncli.errors import UsageError
from inceptioncli.pipeline import cgroups

# Workers may take so much of the memory that is there to be had.
_SHARE_OF_MEMORY = 0.75


class Layout(NamedTuple):
    """``workers`` processes (0: this one alone) that run the graph on ``threads`` threads each."""

    workers: int
    threads: int


def choose(workers: int | None, bytes_per_worker: int) -> Layout:
    """One worker for each core, as far as memory goes; the graph runs best on a thread of its own.

    Args:
        workers: so many, whatever the machine is like; None to choose.
        bytes_per_worker: memory that a worker takes.

    Raises:
        UsageError: fewer than no workers.
    """
    if workers is not None and workers < 0:
        raise UsageError(f"{workers} workers; expected 0 (this process alone) or more")
    available = cores()
    if workers is None:
        room = int(_available_memory() * _SHARE_OF_MEMORY) // bytes_per_worker
        workers = max(1, min(available, room))
    return Layout(workers, max(1, available // max(1, workers)))


def cores() -> int:
    """Cores that this process may use; a container often has fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return min(count, cgroups.cores() or count)


def _available_memory() -> int:
    """Bytes that can be had without swapping, of the machine and of the container."""
    import psutil

    available = int(psutil.virtual_memory().available)
    limited = cgroups.available_memory()
    return available if limited is None else min(available, limited)
