"""What an engine is, and what the compiled file that one of them runs promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from inceptioncli.architecture import Graph
from inceptioncli.weights.collection import Chosen
from inceptioncli.weights.model import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A compiled file has two signatures, each for one image, ``images [1, S, S, 3]``, so that scores
# can't depend on neighbours: one gives the last end point alone and leaves its buffers reusable,
# the other gives them all.
# To be raised when the bytes that the writer writes change, or what is read from a weight file.
COMPILED_VERSION = 2
INPUT_NAME = "images"
PREDICTIONS_SIGNATURE = "predictions"
END_POINTS_SIGNATURE = "end_points"


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


class Ready(NamedTuple):
    """A model that is ready to run.

    Attributes:
        model: what runs.
        weights: which weights they are.
        engine: ``litert`` or ``tensorflow``.
        device: ``cpu``, ``gpu`` or ``gpu:N``.
        precision: one of `choices.PRECISIONS`.
        open: gives an engine that runs on so many CPU threads; of LiteRT any number can be opened,
            in this process and in others.
        memory: bytes that a worker process takes, about.
        portable: whether `open` can be pickled, and called in other processes.
    """

    model: Model
    weights: Chosen
    engine: str
    device: str
    precision: str
    open: Callable[[int], Engine]
    memory: int
    portable: bool
