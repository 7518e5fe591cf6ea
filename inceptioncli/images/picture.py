"""A picture as the graph and the products take it, and how it is decoded to that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inceptioncli.records import FileStamp

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Decoding(NamedTuple):
    """How a picture becomes what the graph takes.

    Attributes:
        size: side of the result, in pixels.
        crop: fraction of each side that is kept, around the centre, before resizing.
        exact: decode every pixel and weigh each, however large the picture; else large ones are
            made smaller on the way where that can't be seen.
    """

    size: int
    crop: float = 1.0
    exact: bool = False


class Picture(NamedTuple):
    """A decoded picture.

    Attributes:
        pixels: what the graph takes, ``[size, size, 3]``, RGB in 0..255.
        upright: the whole picture ``[H, W, 3]``, if it was asked for.
        file: which file it was read from.
    """

    pixels: NDArray[np.uint8]
    upright: NDArray[np.uint8] | None = None
    file: FileStamp | None = None
