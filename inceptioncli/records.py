"""Results: one record for each input, whatever became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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


@dataclass(frozen=True)
class Prediction:
    """A class and its softmax probability.

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


class Record(NamedTuple):
    """What became of one input: predictions, most probable first, or a failure."""

    path: str
    predictions: tuple[Prediction, ...] = ()
    failure: Failure | None = None

    @property
    def ok(self) -> bool:
        """Whether the input was classified."""
        return self.failure is None
