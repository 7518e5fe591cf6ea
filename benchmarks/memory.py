"""Memory of a process and its workers, watched from outside while they run (Linux)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Watch:
    """Resident memory of a process and of those it has started, in MB.

    Attributes:
        peaks: process id to the most it has had.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peaks: dict[int, float] = {}

    def now(self) -> dict[int, float]:
        """Process id to what it has now; the parent first."""
        found = {}
        pids = [self.pid]
        try:
            # Any of its threads may have started them.
            for children in Path(f"/proc/{self.pid}/task").glob("*/children"):
                pids += map(int, children.read_text(encoding="ascii").split())
        except OSError:
            return {}
        for pid in pids:
            try:
                status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            except OSError:
                continue
            sizes = {
                line.split(":")[0]: int(line.split()[1]) / 1024
                for line in status.splitlines()
                if line.startswith(("VmRSS", "VmHWM"))
            }
            if "VmRSS" in sizes:
                found[pid] = sizes["VmRSS"]
                self.peaks[pid] = max(self.peaks.get(pid, 0), sizes["VmHWM"])
        return found


@contextmanager
def watched(pid: int, seconds: float = 0.05) -> Iterator[Watch]:
    """Looks so often at a process, in a thread."""
    watch = Watch(pid)
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(seconds):
            watch.now()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()
