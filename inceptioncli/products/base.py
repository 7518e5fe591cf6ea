"""What a product is: a small value that says what it needs of an image and makes its part of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from inceptioncli.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Outcome(NamedTuple):
    """What the graph gave for one image.

    Attributes:
        end_points: name to float32 ``[*shape]``; at least those that the product needs.
        upright: the whole picture, uint8 ``[H, W, 3]``, if some product wants it.
    """

    end_points: Mapping[str, NDArray[np.float32]]
    upright: NDArray[np.uint8] | None = None


class Product(Protocol):
    """One thing that is wanted of every image. Picklable; workers get it once for a run."""

    @property
    def end_points(self) -> tuple[str, ...]:
        """Names of the end points that it needs."""

    @property
    def upright(self) -> int | None:
        """The longer side at most of the upright picture that it wants; None for no picture."""

    @property
    def nbytes(self) -> int:
        """Memory that its part of a record takes, about."""

    def add(self, record: Record, outcome: Outcome) -> Record:
        """The record with this product's part.

        Raises:
            InceptionError: nothing can be made of these values; a reason to end the run.
        """
