"""The command line: parse, call the library, show; the one place with exit codes and messages."""

from __future__ import annotations

import atexit
import gc
from typing import NoReturn

# What start-up makes lives to the end, so that looking for garbage in it is for nothing. Nor is it
# taken apart at the end, object by object: together a fifth of the time of a warm run on one image.
_ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000


def main() -> NoReturn:
    """Runs the command line and exits with the design's exit codes."""
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS)
    atexit.register(gc.freeze)
    # Here, because worker processes import the module that their parent was started from.
    from inceptioncli.cli.program import run

    run()
