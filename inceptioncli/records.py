"""Results: one record for each input, whatever became of it."""

from __future__ import annotations

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


class Record(NamedTuple):
    """What became of one input: what was asked for, or a failure.

    Attributes:
        path: the input's name; bytes that are not UTF-8 are Python's surrogate escapes.
        predictions: most probable first.
        failure: why there is nothing else.
        features: end point name to ``[*shape]``, float32 or float16.
    """

    path: str
    predictions: tuple[Prediction, ...] = ()
    failure: Failure | None = None
    features: Mapping[str, NDArray[np.floating]] = {}

    @property
    def ok(self) -> bool:
        """Whether the input was classified."""
        return self.failure is None

    @property
    def code(self) -> str | None:
        """The failure's code, None if the input was classified."""
        return self.failure.code if self.failure else None
