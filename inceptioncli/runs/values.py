"""What a run is told, what it tells while it goes on, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from inceptioncli.choices import TIMEOUT_S
from inceptioncli.errors import ExitCode, UsageError
from inceptioncli.records import Record


class Batch(NamedTuple):
    """How many images are worked through.

    Attributes:
        workers: so many processes decode images and run the graph; 0 for this process alone, None
            for one for each core, as memory allows.
        timeout: seconds that an image may take in a worker; then it is a failure.
        overwrite: start anew, whatever the output holds.
        retry_errors: try the failures in the output again.
        retry_changed: do the results in the output again whose files have changed since.
        strict: failures in the output count for the exit code, too.
        max_errors: end when more images than these have failed in this run; None for never.
    """

    workers: int | None = None
    timeout: float = TIMEOUT_S
    overwrite: bool = False
    retry_errors: bool = False
    retry_changed: bool = False
    strict: bool = False
    max_errors: int | None = None

    def check(self) -> None:
        """Raises UsageError for limits that make no sense; workers are for `layout` to check."""
        if not self.timeout > 0:
            raise UsageError(f"timeout {self.timeout} is not above 0 seconds")
        if self.max_errors is not None and self.max_errors < 0:
            raise UsageError(f"max_errors {self.max_errors} is not 0 or more")


class Committed(NamedTuple):
    """So many records of an output, all in all, are safe from now on, whatever happens.

    Those of the end are, too, when the run has ended.
    """

    records: int


class Waiting(NamedTuple):
    """The next record is not there yet; said about once a second of a run into files."""


class Summary(NamedTuple):
    """What a run came to, and what was in its output before.

    Attributes:
        ok: images that have what was asked for.
        failures: failure code to the number of images, the most frequent first.
        older_ok: images that had it before.
        older_failures: as ``failures``, of those that failed before and were not tried again.
        changed: of ``older_ok``, those whose files have changed since.
        strict: older failures count for the exit code.
    """

    ok: int
    failures: dict[str, int]
    older_ok: int = 0
    older_failures: Mapping[str, int] = {}
    changed: int = 0
    strict: bool = False

    @property
    def failed(self) -> int:
        """Images that failed."""
        return sum(self.failures.values())

    @property
    def older_failed(self) -> int:
        """Images that failed before."""
        return sum(self.older_failures.values())

    @property
    def exit_code(self) -> ExitCode:
        """What the command line ends with."""
        if not self.ok and not self.older_ok:
            return ExitCode.NONE_OK
        failed = self.failures or (self.strict and self.older_failures)
        return ExitCode.SOME_FAILED if failed else ExitCode.OK


Event = Record | Committed | Waiting
