"""Progress: a bar on standard error, if that is a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inceptioncli.images.inputs import Inputs


class Progress:
    """A bar, where there is a terminal to show it on.

    Args:
        inputs: of which the total is asked, as far as they have been looked up.
        done: so many have their records already.
        shown: whether there is to be one at all.
    """

    def __init__(self, inputs: Inputs, done: int, *, shown: bool) -> None:
        self._inputs = inputs
        self._refreshed_at = time.monotonic()
        self._bar: Any = None
        if not shown or not sys.stderr.isatty():
            return
        from tqdm import tqdm

        # Some terminals (of CI, of `script`) say that they have no room at all.
        sized = os.get_terminal_size(sys.stderr.fileno()).columns > 0
        size: dict[str, Any] = {"dynamic_ncols": True} if sized else {"ncols": 80, "nrows": 24}
        self._bar = tqdm(initial=done, unit="img", smoothing=0.1, **size)

    def show(self, counts: Counter[str | None]) -> None:
        """Shows how many are done, and how many of them failed."""
        if self._bar is not None:
            if failed := counts.total() - counts[None]:
                self._bar.set_postfix_str(f"{failed:,} failed", refresh=False)
            self._set_total(counts.total())
            self._bar.update(counts.total() - self._bar.n)

    def refresh(self) -> None:
        """Keeps the clock going while nothing comes."""
        if self._bar is not None and time.monotonic() - self._refreshed_at > 1:
            self._refreshed_at = time.monotonic()
            self._bar.refresh()

    def close(self) -> None:
        """Leaves the last state on the terminal."""
        if self._bar is not None:
            self._set_total(self._bar.n)
            self._bar.close()

    def _set_total(self, done: int) -> None:
        with contextlib.suppress(OSError):  # A list may be gone.
            total = self._inputs.total()
            self._bar.total = None if total is None else max(total, done)
