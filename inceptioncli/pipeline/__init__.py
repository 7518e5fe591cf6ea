"""The pipeline: sources to records, in their order, in this process or in worker processes."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Generator, Iterable
from typing import Any

from inceptioncli.choices import TIMEOUT_S
from inceptioncli.engine.base import Engine, Ready
from inceptioncli.errors import ImageError, UsageError
from inceptioncli.images.picture import Decoding
from inceptioncli.images.source import Source
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.pipeline.inference import Decoder, Inference, Products, infer, upright_of
from inceptioncli.pipeline.layout import Layout
from inceptioncli.records import Record

# So many answers may wait for their turn behind a slow one, within so many bytes for each worker.
_AHEAD = 64
_AHEAD_BYTES = 64 << 20
# So often is said that the next record is not there yet.
_PATIENCE_S = 1.0

Records = Generator[Record | None, None, None]


class Pipeline:
    """An engine and its workers: opened as they are needed, and kept for run after run.

    Safe to be used by many threads. To be closed, or used as a context manager.

    Args:
        ready: the model, and how an engine for it is opened.
        decoding: how a picture becomes what the graph takes.
        layout: 0 workers for this process alone, where a decoder that crashes or hangs takes the
            run with it.
    """

    def __init__(self, ready: Ready, decoding: Decoding, layout: Layout) -> None:
        self._ready = ready
        self._decoding = decoding
        self._layout = layout
        self._lock = threading.Lock()  # of what is opened once
        self._engine: Engine | None = None
        self._pool: Any = None  # a `pool.Pool`, whose imports a run without workers does without
        self._closed = False

    def records(
        self,
        sources: Iterable[Source],
        products: Products,
        *,
        timeout: float = TIMEOUT_S,
        ticks: bool = True,
    ) -> Records:
        """Makes the products of each source; records come in order, each as soon as it is there.

        None stands for a record that is not there yet, about once a second or oftener.

        Args:
            sources: the inputs, taken as they are needed.
            products: what is wanted of each.
            timeout: seconds that an image may take in a worker.
            ticks: give None in this process alone, too, which takes a thread.

        Raises:
            UsageError: it is closed, now or before the last record.
            InceptionError: as of the products and the workers.
        """
        if self._layout.workers == 0:
            return self._alone(sources, products, timeout, ticks)
        if self._ready.portable:
            return self._in_workers(sources, products, timeout)
        return self._in_batches(sources, products, timeout)

    def close(self) -> None:
        """Ends the workers, whatever they are at."""
        with self._lock:
            self._closed = True
            pool, self._pool, self._engine = self._pool, None, None
        if pool is not None:
            pool.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _alone(
        self, sources: Iterable[Source], products: Products, timeout: float, ticks: bool
    ) -> Records:
        engine = self._opened_engine()
        decode = Decoder(self._decoding).start()

        def record(source: Source) -> Record:
            self._check()
            try:
                with native_stderr_hidden():
                    found = source.locator.read()
                    assert found is not None
                    picture = decode(found, source, products)
            except ImageError as error:
                return source.failed(error)
            return infer(engine, [source.path], [picture], products)[0]

        if not ticks:
            for source in sources:
                yield record(source.held(timeout))
            return
        from inceptioncli.pipeline.feed import Feed

        feed: Feed[Source] = Feed(
            sources, lambda source: source, timeout=timeout, most=_AHEAD, most_bytes=_AHEAD_BYTES
        )
        try:
            while True:
                held = feed.next(_PATIENCE_S)
                if feed.ended:
                    return
                yield None if held is None else record(held)
                if held is not None:
                    feed.done()
        finally:
            feed.close()

    def _in_workers(self, sources: Iterable[Source], products: Products, timeout: float) -> Records:
        size = sum(product.nbytes for product in products)
        with contextlib.closing(self._ordered(sources, products, timeout, size)) as answers:
            while True:
                found = answers.next(_PATIENCE_S)
                if answers.ended:
                    return
                yield None if found is None else found[1]

    def _in_batches(self, sources: Iterable[Source], products: Products, timeout: float) -> Records:
        """While the device is at a batch, the workers decode the next."""
        engine = self._opened_engine()
        size = 3 * (self._decoding.size**2 + (upright_of(products) or 0) ** 2)
        with contextlib.closing(self._ordered(sources, products, timeout, size)) as answers:
            batch: list[tuple[str, Any]] = []
            while not answers.ended:
                # What is there already goes together.
                try:
                    found = answers.next(0 if batch else _PATIENCE_S)
                except Exception:
                    if batch:
                        yield from _infer_batch(engine, batch, products)
                    raise
                if found is not None:
                    batch.append(found)
                    if len(batch) < engine.batch_size:
                        continue
                if batch:
                    yield from _infer_batch(engine, batch, products)
                    batch = []
                elif not answers.ended:
                    yield None

    def _ordered(
        self, sources: Iterable[Source], products: Products, timeout: float, nbytes: int
    ) -> Any:
        from inceptioncli.pipeline.ordered import Ordered

        workers = self._layout.workers
        return Ordered(
            self._opened_pool(products),
            sources,
            products,
            timeout=timeout,
            ahead=_AHEAD * workers,
            most_bytes=_AHEAD_BYTES * workers,
            nbytes=nbytes,
        )

    def _opened_engine(self) -> Engine:
        with self._lock:
            self._check()
            if self._engine is None:
                self._engine = self._ready.open(self._layout.threads)
            return self._engine

    def _opened_pool(self, products: Products) -> Any:
        from inceptioncli.pipeline.pool import Pool

        with self._lock:
            self._check()
            if self._pool is None or self._pool.broken:
                ready, threads = self._ready, self._layout.threads
                job = Inference(ready.open, threads, self._decoding, products)
                start = job.start if ready.portable else Decoder(self._decoding).start
                self._pool = Pool(start, self._layout.workers)
                # For when nobody has this pipeline any more, nor a run of it. At the end of the
                # program workers end by themselves.
                weakref.finalize(self, self._pool.close, wait=False).atexit = False
            return self._pool

    def _check(self) -> None:
        if self._closed:
            raise UsageError("this classifier is closed; load it again")


def _infer_batch(
    engine: Engine, batch: list[tuple[str, Any]], products: Products
) -> Generator[Record, None, None]:
    decoded = [(name, picture) for name, picture in batch if not isinstance(picture, Record)]
    names, pictures = [name for name, _ in decoded], [picture for _, picture in decoded]
    records = iter(infer(engine, names, pictures, products) if decoded else ())
    for _, answer in batch:
        yield answer if isinstance(answer, Record) else next(records)
