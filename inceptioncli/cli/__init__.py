"""The command line: parse, call the library, show; the one place with exit codes and messages."""

from __future__ import annotations

import atexit
import gc
import os
from typing import NoReturn

# What start-up makes lives to the end: looking for garbage in it, or taking it apart at the end
# object by object, is for nothing, and together a fifth of the time of a warm run on one image.
_ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000


def main() -> NoReturn:
    """What the command ``inceptioncli`` calls: `program.run`, with a quick start and end."""
    atexit.register(_leave_quietly)  # first, so that it is done last
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS)
    # Here, because worker processes import the module that their parent was started from.
    from inceptioncli.cli.program import run

    run()


def _leave_quietly() -> None:
    """Leaves what there is as it is, and no native library a word when Python has ended.

    LiteRT tells of the static objects that it destroys, and nothing turns that off from Python
    (LiteRT's issue 7420).
    """
    gc.freeze()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
