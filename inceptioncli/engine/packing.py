"""Packed weights: a compiled graph's weights in the order that this machine's kernels want.

XNNPACK, which LiteRT runs on, rearranges all weights when a graph is opened. Kept in a file in the
cache, that is done once; the file is mapped into memory, so that a process starts without reading
all of it and processes on the same graph share one copy.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
from pathlib import Path

from inceptioncli.engine.compile import Compiled
from inceptioncli.errors import OutputError
from inceptioncli.files import remove_orphans, replacing
from inceptioncli.weights import cache

_logger = logging.getLogger(__name__)

_CPUINFO = Path("/proc/cpuinfo")
# On x86, then on ARM.
_MODEL = ("vendor_id", "cpu family", "model", "stepping", "flags", "CPU ", "Features")


def packed(compiled: Compiled) -> Path | None:
    """The packed weights of a compiled graph, from the cache or made now.

    Returns:
        None if they can't be kept; the graph runs without them, and starts more slowly.
    """
    path = compiled.path.with_suffix(f".{_machine()}.packed")
    if _sound(path):
        return path
    import filelock

    try:
        with filelock.FileLock(compiled.path.with_suffix(".lock")):
            # Another process may have made them while this one waited.
            if not _sound(path):
                _make(compiled, path)
        return path
    except (OSError, OutputError) as error:
        _logger.debug("the packed weights can't be kept (%s); going on without", error)
        return None


def _sound(path: Path) -> bool:
    # A damaged file would be made anew by whichever process opens it, under the feet of others.
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
        return bool(note["sha256"] == cache.sha256(path))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _make(compiled: Compiled, path: Path) -> None:
    _logger.debug("packing the weights for this machine's cores: %s", path)
    remove_orphans(path)
    with replacing(path) as beside:
        # In a process of its own: XNNPACK ends the process when it can't write.
        command = [sys.executable, "-m", __name__, os.fspath(compiled.path), os.fspath(beside)]
        done = subprocess.run(  # noqa: S603 - our own module, on paths of our own
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise OSError(f"packing ended with {done.returncode}; is the disk full?")
    with replacing(_note(path)) as beside:
        beside.write_text(json.dumps({"sha256": cache.sha256(path)}), encoding="utf-8")


def _write(graph: Path, target: Path) -> None:
    """Has XNNPACK write its packed weights to an empty file."""
    from inceptioncli.engine.litert import close_model, open_model

    close_model(open_model(graph, 1, target))
    made = target.stat().st_size, target.stat().st_mtime_ns
    # What it can't use it makes anew.
    close_model(open_model(graph, 1, target))
    if made != (target.stat().st_size, target.stat().st_mtime_ns):
        raise OSError(f"{target}: not written whole")


def _note(path: Path) -> Path:
    return path.with_suffix(".json")


@functools.cache
def _machine() -> str:
    """A name for the model of this machine's cores, by which XNNPACK chooses its kernels.

    LiteRT's version, by which it chooses them too, is in the compiled file's name.
    """
    try:
        first_core = _CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
        facts = [line for line in first_core.splitlines() if line.startswith(_MODEL)]
    except OSError:  # Not Linux.
        facts = [platform.machine(), platform.processor()]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


if __name__ == "__main__":
    _write(Path(sys.argv[1]), Path(sys.argv[2]))
