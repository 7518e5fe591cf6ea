"""The pipeline: paths to results, in input order, every input accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inceptioncli.engine.base import Engine
from inceptioncli.errors import ImageError
from inceptioncli.images.decode import load_image
from inceptioncli.images.sources import Source
from inceptioncli.records import Failure

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Result(NamedTuple):
    """What became of one input: ``outputs`` (end point to float32 ``[*shape]``), or a failure."""

    path: str
    outputs: dict[str, NDArray[np.float32]]
    failure: Failure | None = None


def run(
    sources: Iterable[Source], engine: Engine, end_points: Sequence[str], *, crop: float
) -> Iterator[Result]:
    """Decodes each input and runs it through the graph; results come as soon as they are there."""
    for source in sources:
        if source.failure is not None:
            yield Result(source.path, {}, source.failure)
            continue
        try:
            image = load_image(source.path, size=engine.graph.image_size, crop=crop)
        except ImageError as error:
            yield Result(source.path, {}, Failure(error.code, str(error)))
            continue
        outputs = engine.run(image[np.newaxis], end_points)
        yield Result(source.path, {name: values[0] for name, values in outputs.items()})
