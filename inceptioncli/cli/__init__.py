"""The command line: parse, call the library, show; the one place with exit codes and messages."""

from __future__ import annotations

import atexit
import gc
import os
from typing import NoReturn

# What start-up makes lives to the end: looking for garbage in it, or taking it apart at the end
# object by object, is for nothing, and together a fifth of the time of a warm run on one image.
_ALLOCATIONS_BETWEEN_COLLECTIONS = 200_000


def main() -> NoReturn:
    """What the command ``inceptioncli`` calls: `program.run`, with a quick start and end."""
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS)
    atexit.register(gc.freeze)
    # Worker processes begin with the current directory in their module path, before they get ours
    # (Python 3.11 and newer can be told not to); it may be a folder of somebody else's files.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    # Here, because worker processes import the module that their parent was started from.
    from inceptioncli.cli.program import run

    run()
