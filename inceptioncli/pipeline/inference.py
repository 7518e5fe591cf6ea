"""Inference: a source to its record, in whichever process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from inceptioncli.engine.base import Engine
from inceptioncli.errors import ImageError
from inceptioncli.images.picture import Decoding, Picture
from inceptioncli.images.read import Found
from inceptioncli.images.source import Source
from inceptioncli.products import Outcome, Product
from inceptioncli.records import Record

Products = tuple[Product, ...]


class Decoder(NamedTuple):
    """What a worker does for a GPU: `decode`. The task is the products, for the upright picture."""

    decoding: Decoding

    def start(self) -> Callable[[Found, Source, Products], Picture]:
        """Imports what decoding takes; gives the function that answers."""
        from inceptioncli.images.decode import decode

        def answer(found: Found, source: Source, products: Products) -> Picture:
            try:
                picture = decode(found.content, self.decoding, upright_of(products))
            except ImageError as error:
                error.file = found.file
                raise
            return picture._replace(file=found.file)

        return answer


class Inference(NamedTuple):
    """What a worker with an engine of its own does.

    Attributes:
        open_engine: gives an engine that runs on so many threads.
        threads: so many.
        decoding: how a picture becomes what the graph takes.
        first: the products that will be wanted first.
    """

    open_engine: Callable[[int], Engine]
    threads: int
    decoding: Decoding
    first: Products

    def start(self) -> Callable[[Found, Source, Products], Record]:
        """Opens the engine and runs it once; gives the function that answers."""
        import numpy as np

        decode, engine = Decoder(self.decoding).start(), self.open_engine(self.threads)
        # The first run takes what memory the graph needs, and a fault of its own is no image's.
        side = self.decoding.size
        engine.run(np.zeros((1, side, side, 3), np.uint8), wanted_of(self.first))

        def answer(found: Found, source: Source, products: Products) -> Record:
            picture = decode(found, source, products)
            return infer(engine, [source.path], [picture], products)[0]

        return answer


def infer(
    engine: Engine, names: Sequence[str], pictures: Sequence[Picture], products: Products
) -> list[Record]:
    """Runs pictures through the graph and has the products make their records.

    Raises:
        InceptionError: a product can't be made of what the graph gives.
    """
    import numpy as np

    pixels = [picture.pixels for picture in pictures]
    batch = pixels[0][np.newaxis] if len(pixels) == 1 else np.stack(pixels)  # no copy of one
    rows = engine.run(batch, wanted_of(products))
    records = []
    for place, (name, picture) in enumerate(zip(names, pictures, strict=True)):
        ends = {end_point: values[place] for end_point, values in rows.items()}
        record = Record(name, file=picture.file)
        for product in products:
            record = product.add(record, Outcome(ends, picture.upright))
        records.append(record)
    return records


def wanted_of(products: Products) -> tuple[str, ...]:
    """The end points that the products need, each once."""
    return tuple(dict.fromkeys(name for product in products for name in product.end_points))


def upright_of(products: Products) -> int | None:
    """The size of the upright picture that the products want, the largest of all."""
    return max((product.upright for product in products if product.upright), default=None)
