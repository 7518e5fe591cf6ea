"""Control groups: what Linux allows a container or a batch job of processors and memory.

Both versions are looked at, and every group from the process's own up to the root of those that are
to be seen; in a container that is most often the root alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


class _Memory(NamedTuple):
    """The names of a version's files, and of what can be reclaimed in its ``memory.stat``."""

    limit: str
    used: str
    reclaimable: tuple[str, ...]


_VERSIONS = (
    _Memory("memory.max", "memory.current", ("inactive_file", "active_file", "slab_reclaimable")),
    _Memory(
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
)


def cores() -> int | None:
    """Whole processors' worth of time, at least 1; None where it is not limited."""
    found = [count for folder in _folders("cpu") for count in _cores(folder)]
    return min(found, default=None)


def available_memory() -> int | None:
    """Bytes that can still be had; None where they are not limited.

    The kernel counts its cache of files as used, and gives it back when memory is asked for. As in
    its own MemAvailable, for the whole machine, all of it counts as available: what has been read
    twice is active, and as good as free (Kubernetes' working set counts only what is inactive).
    """
    found = [count for folder in _folders("memory") for count in _available(folder)]
    return min(found, default=None)


def _folders(controller: str) -> Iterator[Path]:
    """The folders of the groups that this process is in, innermost first; some may not be there."""
    own = {"": "/", controller: "/"}
    for line in _lines(_OWN):  # "0::/path" of version 2, "4:cpu,cpuacct:/path" of version 1
        _, controllers, path = line.split(":", 2)
        own |= {name: path for name in controllers.split(",") if name in own}
    for name, path in own.items():
        root = _ROOT / name
        group = root / path.lstrip("/")
        while group != root and root in group.parents:
            yield group
            group = group.parent
        yield root


def _cores(folder: Path) -> Iterator[int]:
    # "max 100000", or so many microseconds of processor time in a period of so many.
    both = " ".join(_lines(folder / "cpu.max")).split() or [
        *_lines(folder / "cpu.cfs_quota_us"),
        *_lines(folder / "cpu.cfs_period_us"),
    ]
    if len(both) == 2 and both[0] not in ("max", "-1"):
        yield max(1, int(both[0]) // int(both[1]))


def _available(folder: Path) -> Iterator[int]:
    for version in _VERSIONS:
        limit, used = _lines(folder / version.limit), _lines(folder / version.used)
        if limit and used and limit != ["max"]:
            stat = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat"))
            reclaimable = sum(int(stat.get(name, 0)) for name in version.reclaimable)
            yield max(0, int(limit[0]) - max(0, int(used[0]) - reclaimable))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
