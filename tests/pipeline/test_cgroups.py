"""Limits of control groups, read from folders made like those of Linux."""

from __future__ import annotations

from pathlib import Path

import pytest

from inceptioncli.pipeline import cgroups, layout
from inceptioncli.pipeline.layout import choose

GIB = 1 << 30


class Groups:
    """A tree of control groups, and the line of /proc that says in which ones a process is."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "cgroup"
        self.own = folder / "own"

    def write(self, group: str, **files: str | int) -> None:
        folder = self.root / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name.replace("__", ".")).write_text(f"{content}\n", encoding="ascii")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    """On a machine of 16 cores."""
    groups = Groups(tmp_path)
    monkeypatch.setattr(cgroups, "_ROOT", groups.root)
    monkeypatch.setattr(cgroups, "_OWN", groups.own)
    monkeypatch.setattr(layout.os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    return groups


def test_nothing_is_limited_where_there_are_none(groups: Groups) -> None:
    assert (cgroups.cores(), cgroups.available_memory(), layout.cores()) == (None, None, 16)


@pytest.mark.parametrize(
    ("limit", "count"),
    [("max 100000", 16), ("250000 100000", 2), ("50000 100000", 1), ("6400000 100000", 16)],
)
def test_cores(groups: Groups, limit: str, count: int) -> None:
    groups.write("", cpu__max=limit)
    assert layout.cores() == count


@pytest.mark.parametrize(("quota", "count"), [(-1, 16), (250000, 2)])
def test_cores_of_version_1(groups: Groups, quota: int, count: int) -> None:
    groups.write("cpu", cpu__cfs_quota_us=quota, cpu__cfs_period_us=100000)
    assert layout.cores() == count


def test_what_can_be_reclaimed_is_available(groups: Groups) -> None:
    """As after a large folder has been read, once and twice."""
    stat = f"anon {GIB}\nfile {6 * GIB}\ninactive_file {4 * GIB}\nactive_file {2 * GIB}"
    groups.write("", memory__max=8 * GIB, memory__current=7 * GIB, memory__stat=stat)
    assert cgroups.available_memory() == 7 * GIB
    assert choose(None, GIB).workers >= 5


def test_memory_of_version_1(groups: Groups) -> None:
    stat = f"cache 1\ninactive_file 1\ntotal_inactive_file {2 * GIB}\ntotal_active_file {GIB}"
    groups.write(
        "memory",
        memory__limit_in_bytes=4 * GIB,
        memory__usage_in_bytes=4 * GIB - 1000,
        memory__stat=stat,
    )
    assert cgroups.available_memory() == 3 * GIB + 1000


def test_without_a_limit_the_machine_decides(groups: Groups) -> None:
    groups.write("", memory__max="max", memory__current=GIB)
    assert cgroups.available_memory() is None
    groups.write("memory", memory__limit_in_bytes=(1 << 63) - 4096, memory__usage_in_bytes=GIB)
    assert layout._available_memory() < 1 << 60


@pytest.mark.parametrize("version", [1, 2])
def test_every_group_above_counts(groups: Groups, version: int) -> None:
    """As of a batch system or systemd, where the root is the machine's."""
    inner, outer = "jobs/job 7/step:0", "jobs/job 7"
    if version == 2:
        groups.own.write_text(f"0::/{inner}\n")
        groups.write(inner, memory__max="max", memory__current=0, cpu__max="max 100000")
        groups.write(outer, memory__max=GIB, memory__current=1000, cpu__max="300000 100000")
    else:
        groups.own.write_text(f"9:memory:/{inner}\n2:cpu,cpuacct:/{inner}\n0::/\n")
        groups.write(f"cpu/{inner}", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000)
        groups.write(f"cpu/{outer}", cpu__cfs_quota_us=300000, cpu__cfs_period_us=100000)
        groups.write(f"memory/{outer}", memory__limit_in_bytes=GIB, memory__usage_in_bytes=1000)
    assert (cgroups.available_memory(), layout.cores()) == (GIB - 1000, 3)


def test_a_group_that_cannot_be_seen_is_passed_over(groups: Groups) -> None:
    """A container without a namespace of its own for them, and a process from outside of one."""
    groups.write("", cpu__max="200000 100000")
    for path in ("/docker/0123456789abcdef", "/../../outside"):
        groups.own.write_text(f"0::{path}\n")
        assert layout.cores() == 2
