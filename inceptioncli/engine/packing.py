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
# What tells one model of processor from another, on x86 and then on ARM.
_CPU_FIELDS = ("vendor_id", "cpu family", "model", "stepping", "flags", "CPU ", "Features")
_TIMEOUT_S = 120
# As `multiprocessing` does, with the modules of this process; `-m` would look for them in the
# current directory, which may be a folder of somebody else's files.
_CHILD = """
import sys
graph, target, *sys.path[:] = sys.argv[1:]
from inceptioncli.engine.packing import write
write(graph, target)
"""


def prepare(compiled: Compiled) -> None:
    """Sees to it that there are packed weights of a compiled graph, if they can be kept."""
    path = _path(compiled)
    if _sound(path, compiled):
        return
    import filelock

    try:
        with filelock.FileLock(compiled.path.with_suffix(".lock")):
            # Another process may have made them while this one waited.
            if not _sound(path, compiled):
                _make(compiled, path)
    except (OSError, OutputError, subprocess.SubprocessError) as error:
        _logger.debug("the packed weights can't be kept (%s); going on without", error)


def find(compiled: Compiled) -> Path | None:
    """The packed weights of a compiled graph; None if there are none that can be used.

    To be asked just before they are opened: what it can't use XNNPACK writes anew, under the feet
    of other processes.
    """
    path = _path(compiled)
    return path if _sound(path, compiled) else None


def write(graph: str, target: str) -> None:
    """Has XNNPACK write its packed weights of a LiteRT file to an empty file.

    It ends the process when it can't, so this is run in one of its own.

    Raises:
        OSError: it could not, and did not say so.
    """
    from inceptioncli.engine.litert import close_model, open_model

    file = Path(target)
    close_model(open_model(Path(graph), 1, file))
    made = file.stat().st_size, file.stat().st_mtime_ns
    close_model(open_model(Path(graph), 1, file))
    if made != (file.stat().st_size, file.stat().st_mtime_ns):
        raise OSError(f"{target}: not written whole")


def _path(compiled: Compiled) -> Path:
    return compiled.path.with_suffix(f".{_machine()}.packed")


def _sound(path: Path, compiled: Compiled) -> bool:
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
        return bool(note == _facts(path, compiled))
    except (OSError, ValueError):
        return False


def _facts(path: Path, compiled: Compiled) -> dict[str, str]:
    return {"sha256": cache.sha256(path), "graph_sha256": cache.sha256(compiled.path)}


def _make(compiled: Compiled, path: Path) -> None:
    if not sys.executable or getattr(sys, "frozen", False):
        raise OSError("there is no Python to be started")
    _logger.debug("packing the weights for this machine's processor: %s", path)
    note = _note(path)
    for target in (path, note):
        remove_orphans(target)
    with replacing(path) as beside:
        paths = [os.fspath(compiled.path), os.fspath(beside)]
        done = subprocess.run(  # noqa: S603 - our own module, on paths of our own
            [sys.executable, "-c", _CHILD, *paths, *sys.path],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            told = done.stderr.decode("utf-8", "replace").strip()
            raise OSError(f"packing ended with {done.returncode}: {told}")
    try:
        with replacing(note) as beside:
            beside.write_text(json.dumps(_facts(path, compiled)), encoding="utf-8")
    except OutputError:
        path.unlink(missing_ok=True)
        raise


def _note(path: Path) -> Path:
    return path.with_suffix(".json")


@functools.cache
def _machine() -> str:
    """A name for the model of this machine's processor, by which XNNPACK chooses its kernels.

    LiteRT's version, by which it chooses them too, is in the compiled file's name.
    """
    try:
        first_core = _CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
        facts = [line for line in first_core.splitlines() if line.startswith(_CPU_FIELDS)]
    except OSError:  # Not Linux.
        facts = [platform.machine(), platform.processor()]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]
