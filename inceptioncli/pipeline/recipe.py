"""The recipe: what is done with one input, in whichever process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from inceptioncli.engine.base import Engine
from inceptioncli.errors import ImageError
from inceptioncli.images.read import read_bytes
from inceptioncli.labels import Label
from inceptioncli.records import Failure, Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PREDICTIONS = "Predictions"


class Input(NamedTuple):
    """One input as it goes to a worker.

    ``data`` is there when only this process could read it (standard input, a named pipe),
    ``failure`` when it is answered already.
    """

    path: str
    data: bytes | None = None
    failure: Failure | None = None


class Ranking(NamedTuple):
    """Predictions that are wanted: the ``top_k`` classes that reach the threshold."""

    labels: tuple[Label, ...]
    top_k: int
    threshold: float


class FeatureOptions(NamedTuple):
    """End points that are wanted, pooled over their positions, as `choices` has it."""

    end_points: tuple[str, ...] = ()
    pool: str = "none"
    dtype: str = "float32"


NO_FEATURES = FeatureOptions()


class Output(NamedTuple):
    """What came of an image: predictions, most probable first; end point to ``[*shape]``."""

    predictions: tuple[Prediction, ...]
    features: dict[str, NDArray[np.floating]]


class Decoding(NamedTuple):
    """How an input becomes pixels; see `images.decode.decode`."""

    image_size: int
    crop: float
    exact: bool = False

    def start(self) -> Callable[[Input], NDArray[np.float32] | Failure]:
        """What a worker that only decodes does; the decoder is imported here."""
        import inceptioncli.images.decode  # noqa: F401

        return self.decode

    def decode(self, input: Input) -> NDArray[np.float32] | Failure:
        """An input's pixels, float32 ``[S, S, 3]`` in [-1, 1]."""
        from inceptioncli.images.decode import decode  # needs numpy and Pillow

        if input.failure is not None:
            return input.failure
        try:
            data = read_bytes(input.path) if input.data is None else input.data
            return decode(data, size=self.image_size, crop=self.crop, exact=self.exact)
        except ImageError as error:
            return Failure(error.code, str(error))


@dataclass(frozen=True)
class Recipe:
    """How an input becomes an `Output`.

    Attributes:
        open_engine: gives an engine that runs on so many threads.
        decoding: how an input becomes pixels.
        portable: whether each worker process may open an engine of its own, as on a CPU; a GPU
            runs its one engine in this process. A portable recipe can be pickled.
        ranking: how predictions are made; None for none.
        features: which end points are kept.
        source: where the weights come from, for messages.
    """

    open_engine: Callable[[int], Engine]
    decoding: Decoding
    portable: bool
    ranking: Ranking | None = None
    features: FeatureOptions = NO_FEATURES
    source: str = ""

    @property
    def end_points(self) -> tuple[str, ...]:
        """What the engine is asked for."""
        names = dict.fromkeys(self.features.end_points)
        return (*names, *([PREDICTIONS] if self.ranking and PREDICTIONS not in names else []))

    def start(self, threads: int) -> Callable[[Input], Output | Failure]:
        """Opens the engine and runs it once; gives the function that answers inputs."""
        import numpy as np

        from inceptioncli.pipeline.inference import infer

        decode, engine = self.decoding.start(), self.open_engine(threads)
        # The first run takes what memory the graph needs, and a fault of its own is no image's.
        side = self.decoding.image_size
        engine.run(np.zeros((1, side, side, 3), np.float32), self.end_points)

        def answer(input: Input) -> Output | Failure:
            image = decode(input)
            return image if isinstance(image, Failure) else infer(self, engine, [image])[0]

        return answer

    def infer(self, engine: Engine, images: Sequence[NDArray[np.float32]]) -> list[Output]:
        """Runs images through the graph and keeps what is wanted of each; see `inference.infer`."""
        from inceptioncli.pipeline.inference import infer  # needs numpy

        return infer(self, engine, images)


def row_shape(shape: tuple[int, ...], pool: str) -> tuple[int, ...]:
    """An end point's shape ``[*shape]`` as a row of features: pooled, without positions of 1x1."""
    return shape[2:] if len(shape) == 3 and (pool != "none" or shape[:2] == (1, 1)) else shape
