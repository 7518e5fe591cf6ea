"""What an engine is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from inceptioncli.architecture import Graph

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# What the compiled file calls its two graphs (the last end point alone; all of them) and their
# input. Outputs have the names of their end points.
PREDICTIONS_SIGNATURE = "predictions"
END_POINTS_SIGNATURE = "end_points"
INPUT_NAME = "images"


class Engine(Protocol):
    """Something that runs one graph."""

    @property
    def name(self) -> str:
        """``litert`` or ``tensorflow``."""

    @property
    def graph(self) -> Graph:
        """The graph that it runs."""

    @property
    def batch_size(self) -> int:
        """So many images at once are done fastest."""

    def run(
        self, images: NDArray[np.uint8 | np.float32], end_points: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Runs images through the graph.

        Args:
            images: uint8 or float32 ``[N, S, S, 3]`` in 0..255, RGB; N at least 1, S the graph's
                image size.
            end_points: names among ``graph.end_points``.

        Returns:
            End point name to float32 ``[N, *shape]``; an image's values do not depend on N.
        """


def scaled(images: NDArray[np.uint8 | np.float32]) -> NDArray[np.float32]:
    """Pixels in 0..255 as the graph wants them, in [-1, 1]: Keras's and slim's scaling alike."""
    import numpy as np

    pixels = images.astype(np.float32)
    pixels /= 127.5
    pixels -= 1
    return pixels
