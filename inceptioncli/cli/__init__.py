"""The command line: parse, call the library, show; the one place with exit codes and messages."""

from __future__ import annotations

import atexit
import gc
import os
import signal

TYPE_CHECKING = False  # Of `typing`, which is not imported yet; see `main`.
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

# What start-up makes lives to the end: looking for garbage in it, or taking it apart at the end
# object by object, is for nothing, and together a fifth of the time of a warm run on one image.
_ALLOCATIONS_BETWEEN_COLLECTIONS = 200_000


def main() -> NoReturn:
    """What the command ``inceptioncli`` calls: `program.run`, with a quick start and end."""
    before = signal.signal(signal.SIGINT, _end)  # Nothing is there yet for an exception to save.
    if before is not signal.default_int_handler:  # ignored, as in the background
        signal.signal(signal.SIGINT, before)
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS)
    atexit.register(gc.freeze)
    # Worker processes begin with the current directory in their module path, before they get ours
    # (Python 3.11 and newer can be told not to); it may be a folder of somebody else's files.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    # Here, because worker processes import the module that their parent was started from.
    from inceptioncli.cli.program import run

    run()


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """Ends the process on Ctrl-C while it imports, where an exception may come up anywhere."""
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(128 + number)
