"""The errors that users meet, each with its exit code (one hierarchy; see README, "Exit codes").

Every message is one line: what was found, what was expected, what to do.
"""

from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """How the command line ends; README, "Exit codes", says it for users."""

    OK = 0
    BUG = 1
    USAGE = 2
    SOME_FAILED = 3
    NONE_OK = 4
    WEIGHTS = 5
    OUTPUT = 6
    FOREIGN_OUTPUT = 7
    TOO_MANY_FAILURES = 8
    # As shells have it, 128 and the signal's number; a closed pipe would be SIGPIPE.
    TERMINAL_CLOSED = 129
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143


class InceptionError(Exception):
    """Base of all errors that are not bugs of ours."""

    exit_code: ExitCode = ExitCode.BUG


class UsageError(InceptionError, ValueError):
    """An option or argument that can't be used as given."""

    exit_code = ExitCode.USAGE


class DeviceError(UsageError):
    """A device, or a precision on a device, that is not to be had here."""


class WeightsError(InceptionError):
    """Weights that are missing, unreachable or not what they should be."""

    exit_code = ExitCode.WEIGHTS


class LabelsError(UsageError):
    """Class names that can't be read or don't fit the model."""


class OutputError(InceptionError):
    """A file or folder (the cache is one) that can't be written."""

    exit_code = ExitCode.OUTPUT


class ImageError(InceptionError):
    """One input that is no usable image; costs one record, not the run.

    Attributes:
        code: one of `records.FAILURE_CODES`.
        message: a line for people.
        file: the `records.FileStamp` of what was read; None for what is no file.
    """

    exit_code = ExitCode.NONE_OK

    def __init__(self, code: str, message: str, file: Any = None) -> None:
        super().__init__(code, message, file)  # All, or they would be lost when it is pickled.
        self.code = code
        self.message = message
        self.file = file

    def __str__(self) -> str:
        return self.message


class DataError(UsageError):
    """Training or evaluation data that can't be used as they are."""


class ForeignOutputError(InceptionError):
    """An output that belongs to another run."""

    exit_code = ExitCode.FOREIGN_OUTPUT


class DivergedError(UsageError):
    """A loss that was no number from the start; most often the learning rate is too high."""


class TooManyFailuresError(InceptionError):
    """More inputs failed than the user allows."""

    exit_code = ExitCode.TOO_MANY_FAILURES
