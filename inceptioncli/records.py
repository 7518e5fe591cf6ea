"""Results: one record for each input, whatever became of it."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# What users write for standard input.
STDIN = "-"
FAILURE_CODES = (
    "not_found",
    "permission_denied",
    "unsupported_format",
    "unidentified",
    "decode_error",
    "truncated",
    "too_many_pixels",
    "timeout",
    "out_of_memory",
    "decoder_crashed",
    "changed_during_read",
)

# The Gregorian calendar repeats itself; Python's, and some systems', ends too early.
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097


@dataclass(frozen=True)
class Prediction:
    """A class and its probability.

    ``index`` is the model's output index; ``id`` the WordNet id, None for classes without one;
    ``probability`` is the shortest decimal that stands for the float32 value.
    """

    index: int
    id: str | None
    label: str
    probability: float


class Failure(NamedTuple):
    """Why an input has no predictions: one of `FAILURE_CODES`, and a line for people."""

    code: str
    message: str


class FileStamp(NamedTuple):
    """Which state of a file was read.

    Attributes:
        size: in bytes.
        modified: when it was last written to, in UTC, with nine digits of a second:
            ``2026-11-24T08:45:19.123456789Z``.
    """

    size: int
    modified: str

    @classmethod
    def of(cls, status: os.stat_result) -> FileStamp:
        """The stamp of a file with this status."""
        return cls(status.st_size, utc(status.st_mtime_ns))


class Record(NamedTuple):
    """What became of one input: what was asked for, or a failure.

    Attributes:
        path: the input's name; bytes that are not UTF-8 are Python's surrogate escapes.
        predictions: most probable first.
        failure: why there is nothing else.
        features: end point name to ``[*shape]``, float32 or float16.
        file: the file that was read; None for what is none (a pipe, a picture handed over) or can't
            be looked at.
    """

    path: str
    predictions: tuple[Prediction, ...] = ()
    failure: Failure | None = None
    features: Mapping[str, NDArray[np.floating]] = {}
    file: FileStamp | None = None

    @property
    def ok(self) -> bool:
        """Whether the input was classified."""
        return self.failure is None

    @property
    def code(self) -> str | None:
        """The failure's code, None if the input was classified."""
        return self.failure.code if self.failure else None


def utc(nanoseconds: int) -> str:
    """A time, in nanoseconds since 1970, as `FileStamp` has it; any year."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    day, second = divmod(seconds, 86_400)
    hour, minute = second // 3600, second // 60 % 60
    return f"{_date(day)}T{hour:02}:{minute:02}:{second % 60:02}.{fraction:09}Z"


@functools.lru_cache
def _date(day: int) -> str:
    cycles, day = divmod(day, _CYCLE_DAYS)
    date = time.gmtime(day * 86_400)
    return f"{date.tm_year + cycles * _CYCLE_YEARS:04}-{date.tm_mon:02}-{date.tm_mday:02}"
