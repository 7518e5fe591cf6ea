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
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from inceptioncli import cache
from inceptioncli.engine.compile import Compiled, lock_of
from inceptioncli.engine.runtime import close_model, import_runtime, open_model
from inceptioncli.errors import OutputError

if TYPE_CHECKING:
    import subprocess

_logger = logging.getLogger(__name__)

_CPUINFO = Path("/proc/cpuinfo")
# What tells one model of processor from another, on x86 and then on ARM.
_CPU_FIELDS = ("vendor_id", "cpu family", "model", "stepping", "flags", "CPU ", "Features")
_TIMEOUT_S = 120
# As `multiprocessing` does, with the modules of this process; `-m` would look for them in the
# current directory, which may be a folder of somebody else's files.
_CHILD = """
import sys
sys.path[:] = sys.argv[1:]
from inceptioncli.engine import packing
packing.serve()
"""


class Packer:
    """Makes packed weights, in a process of its own that ends with the ``with`` block.

    XNNPACK ends the process in which it can't write. Started before the graph is there, it
    imports LiteRT meanwhile.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Packer:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()

    def start(self) -> None:
        """Starts the process, if it can be; `pack` says what is in the way."""
        import subprocess  # not in a warm run

        if self._child is None and sys.executable and not getattr(sys, "frozen", False):
            self._child = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-c", _CHILD, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )

    def pack(self, graph: Path, target: Path) -> None:
        """Writes the packed weights of a LiteRT file to an empty one.

        Raises:
            OSError: they can't be written.
        """
        import subprocess  # As above.

        self.start()
        if self._child is None:
            raise OSError("there is no Python to be started")
        order = json.dumps([os.fspath(graph), os.fspath(target)]).encode()
        meanwhile = threading.Thread(target=import_runtime, daemon=True)
        meanwhile.start()  # This process will want it next.
        try:
            told = self._child.communicate(order, timeout=_TIMEOUT_S)[1]
        except subprocess.TimeoutExpired as error:
            raise OSError(f"packing took too long: {error}") from error
        finally:
            meanwhile.join()
        if self._child.returncode != 0:
            reason = told.decode("utf-8", "replace").strip()
            raise OSError(f"packing ended with {self._child.returncode}: {reason}")


def serve() -> None:
    """The packer's process: reads one order, when it comes, and carries it out."""
    import_runtime()
    order = sys.stdin.buffer.read()
    if order:
        write(*json.loads(order))


def prepare(graph: Compiled, packer: Packer) -> Path | None:
    """The packed weights of a compiled graph, made now if need be; None if they can't be kept."""
    path = _path(graph)
    try:
        return cache.built_once(
            path,
            functools.partial(find, graph),
            functools.partial(_build, graph, path, packer),
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


def _build(graph: Compiled, path: Path, packer: Packer, beside: Path) -> dict[str, str]:
    _logger.debug("packing the weights for this machine's processor: %s", path)
    packer.pack(graph.path, beside)
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
