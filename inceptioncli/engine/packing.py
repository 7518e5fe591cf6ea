"""Packed weights: a compiled graph's weights in the order that this machine's kernels want.

XNNPACK, which LiteRT runs on, rearranges all weights when a graph is opened. Kept in a file in the
cache, that is done once; the file is mapped into memory, so that a process starts without reading
all of it and processes on the same graph share one copy.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import sys
from pathlib import Path

from inceptioncli import cache
from inceptioncli.engine.compile import Compiled, lock_of
from inceptioncli.engine.runtime import close_model, open_model
from inceptioncli.errors import OutputError

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


def prepare(graph: Compiled) -> Path | None:
    """The packed weights of a compiled graph, made now if need be; None if they can't be kept."""
    path = _path(graph)
    try:
        return cache.built_once(
            path,
            functools.partial(find, graph),
            functools.partial(_pack, graph, path),
            lock=lock_of(graph.path),
        )
    except (OSError, OutputError) as error:
        _logger.debug("the packed weights can't be kept (%s); going on without", error)
        return None


def find(graph: Compiled) -> Path | None:
    """The packed weights of a compiled graph; None if there are none that can be used.

    To be asked just before they are opened: what it can't use XNNPACK writes anew, under the feet
    of other processes.
    """
    path = _path(graph)
    note = cache.noted(path)
    try:
        sound = note is not None and note.get("graph_sha256") == cache.sha256(graph.path)
    except OSError:
        sound = False
    return path if sound else None


def write(graph: str, target: str) -> None:
    """Has XNNPACK write its packed weights of a LiteRT file to an empty file.

    It ends the process when it can't, so this is run in one of its own.

    Raises:
        OSError: it could not, and did not say so.
    """
    file = Path(target)
    close_model(open_model(Path(graph), 1, file))
    made = file.stat().st_size, file.stat().st_mtime_ns
    close_model(open_model(Path(graph), 1, file))
    if made != (file.stat().st_size, file.stat().st_mtime_ns):
        raise OSError(f"{target}: not written whole")


def _path(graph: Compiled) -> Path:
    return graph.path.with_suffix(f".{_machine()}.packed")


def _pack(graph: Compiled, path: Path, beside: Path) -> dict[str, str]:
    import subprocess  # not in a warm run

    if not sys.executable or getattr(sys, "frozen", False):
        raise OSError("there is no Python to be started")
    _logger.debug("packing the weights for this machine's processor: %s", path)
    paths = [os.fspath(graph.path), os.fspath(beside)]
    try:
        done = subprocess.run(  # noqa: S603 - our own module, on paths of our own
            [sys.executable, "-c", _CHILD, *paths, *sys.path],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"packing took too long: {error}") from error
    if done.returncode != 0:
        told = done.stderr.decode("utf-8", "replace").strip()
        raise OSError(f"packing ended with {done.returncode}: {told}")
    return {"graph_sha256": cache.sha256(graph.path)}


@functools.cache
def _machine() -> str:
    """A name for the model of this machine's processor, by which XNNPACK chooses its kernels.

    LiteRT's version, by which it chooses them too, is in the compiled file's name.
    """
    try:
        first_core = _CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
        facts = [line for line in first_core.splitlines() if line.startswith(_CPU_FIELDS)]
    except OSError:  # Not Linux.
        import platform

        facts = [platform.machine(), platform.processor()]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]
