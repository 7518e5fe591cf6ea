"""The pipeline: paths to results, in input order, every input accounted for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inceptioncli.engine.base import Engine
from inceptioncli.errors import ImageError
from inceptioncli.images.decode import load_image
from inceptioncli.images.sources import Source
from inceptioncli.records import Failure

if TYPE_CHECKING:
    from concurrent.futures import Future

    from numpy.typing import NDArray


class Result(NamedTuple):
    """What became of one input: ``outputs`` (end point to float32 ``[*shape]``), or a failure."""

    path: str
    outputs: dict[str, NDArray[np.float32]]
    failure: Failure | None = None


def run(
    sources: Iterable[Source],
    engine: Engine,
    end_points: Sequence[str],
    *,
    crop: float,
    decode_ahead: int = 0,
) -> Iterator[Result]:
    """Decodes each input and runs it through the graph; results come as soon as they are there.

    ``decode_ahead`` so many inputs are decoded in threads while others are run. That is for inputs
    that are all known: the next one is waited for before a result comes out.
    """
    for path, image in _decoded(sources, engine.graph.image_size, crop, decode_ahead):
        if isinstance(image, Failure):
            yield Result(path, {}, image)
        else:
            outputs = engine.run(image[np.newaxis], end_points)
            yield Result(path, {name: values[0] for name, values in outputs.items()})


def _decoded(
    sources: Iterable[Source], size: int, crop: float, ahead: int
) -> Iterator[tuple[str, NDArray[np.float32] | Failure]]:
    def decode(source: Source) -> tuple[str, NDArray[np.float32] | Failure]:
        if source.failure is not None:
            return source.path, source.failure
        try:
            return source.path, load_image(source.path, size=size, crop=crop)
        except ImageError as error:
            return source.path, Failure(error.code, str(error))

    if not ahead:
        yield from map(decode, sources)
        return

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as threads:
        under_way: deque[Future[tuple[str, NDArray[np.float32] | Failure]]] = deque()
        for source in sources:
            under_way.append(threads.submit(decode, source))
            if len(under_way) > ahead:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
