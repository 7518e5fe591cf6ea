"""The errors that users meet, each with its exit code (one hierarchy; see README, "Exit codes").

Every message is one line: what was found, what was expected, what to do.
"""


class InceptionError(Exception):
    """Base of all errors that are not bugs of ours."""

    exit_code = 1


class UsageError(InceptionError, ValueError):
    """An option or argument that can't be used as given."""

    exit_code = 2


class DeviceError(UsageError):
    """A device, or a precision on a device, that is not to be had here."""


class WeightsError(InceptionError):
    """Weights that are missing, unreachable or not what they should be."""

    exit_code = 5


class LabelsError(UsageError):
    """Class names that can't be read or don't fit the model."""


class OutputError(InceptionError):
    """A file or folder (the cache is one) that can't be written."""

    exit_code = 6


class ImageError(InceptionError):
    """One input that is no usable image; costs one record, not the run.

    ``code`` is one of `records.FAILURE_CODES`.
    """

    exit_code = 4

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DataError(UsageError):
    """Training or evaluation data that can't be used as they are."""


class ForeignOutputError(InceptionError):
    """An output that belongs to another run."""

    exit_code = 7


class DivergedError(UsageError):
    """A loss that was no number from the start; most often the learning rate is too high."""


class TooManyFailuresError(InceptionError):
    """More inputs failed than the user allows."""

    exit_code = 8
