"""What a run writes to, whatever stands behind it."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol

from inceptioncli.output.ledger import Ledger
from inceptioncli.records import Record

# A kill costs at most so much work.
COMMIT_SECONDS = 5.0
COMMIT_RECORDS = 256


class Output(Protocol):
    """Where a run's records go.

    A context manager: however it ends, what was appended is kept and whole.

    Attributes:
        kept: whether records are kept at all; then they are to be committed now and then.
    """

    kept: bool

    @property
    def ledger(self) -> Ledger:
        """Which inputs have their records already, and how many of each outcome there are."""

    def append(self, record: Record) -> None:
        """Writes a record.

        Raises:
            OutputError: it can't be written.
        """

    def commit_if_due(self) -> bool:
        """Makes records safe from a crash if it is time; True if it was."""

    def finish(self) -> None:
        """To be called when all inputs have their records."""

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Unkept:
    """The `Output` of a run whose records are shown, or handed over: it counts them."""

    kept = False

    def __init__(self) -> None:
        self.ledger = Ledger()

    def append(self, record: Record) -> None:
        self.ledger.append(record.code)

    def commit_if_due(self) -> bool:
        return False

    def finish(self) -> None:
        """There is nothing to put in order."""

    def __enter__(self) -> Unkept:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """There is nothing to make safe."""


def is_due(uncommitted: int, committed_at: float) -> bool:
    """Whether to commit so many records, since a time of `time.monotonic`."""
    waited = time.monotonic() - committed_at
    return uncommitted >= COMMIT_RECORDS or (uncommitted > 0 and waited >= COMMIT_SECONDS)
