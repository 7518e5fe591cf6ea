"""The ordered map: sources through a pool, answers in the sources' order."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, TimeoutError
from typing import Any

from inceptioncli.images.source import Source
from inceptioncli.pipeline.feed import Feed
from inceptioncli.pipeline.pool import Pool


class Ordered:
    """Answers of a pool to sources, in order, each when it and all before it are answered.

    Args:
        pool: who answers.
        sources: taken in a thread, as they are needed.
        task: what is wanted of them.
        timeout: seconds that an answer may take.
        ahead: so many sources at most are taken whose answers have not been given.
        most_bytes: memory that these and their answers may take.
        nbytes: memory that an answer takes.
    """

    def __init__(
        self,
        pool: Pool,
        sources: Iterable[Source],
        task: Any,
        *,
        timeout: float,
        ahead: int,
        most_bytes: int,
        nbytes: int,
    ) -> None:
        self._closed = False

        def submit(source: Source) -> tuple[str, Future[Any]]:
            future = pool.submit(source, task, timeout)
            if self._closed:
                future.cancel()
            return source.path, future

        self._feed: Feed[tuple[str, Future[Any]]] = Feed(
            sources,
            submit,
            timeout=timeout,
            most=ahead,
            most_bytes=most_bytes,
            nbytes=nbytes,
        )
        self._next: tuple[str, Future[Any]] | None = None

    @property
    def ended(self) -> bool:
        """Whether all answers have been given."""
        return self._feed.ended

    def next(self, patience: float) -> tuple[str, Any] | None:
        """The next source's name and its answer; None if it is not there within so many seconds.

        Raises:
            BaseException: what the sources or a worker raised; see `Pool.submit`.
        """
        if self._next is None:
            self._next = self._feed.next(patience)
        if self._next is None:
            return None
        name, future = self._next
        try:
            answer = future.result(patience)
        except TimeoutError:
            if future.done():
                raise  # a worker's
            return None
        self._next = None
        self._feed.done()
        return name, answer

    def close(self) -> None:
        """Takes no more sources; those that no worker has yet are not answered any more."""
        self._closed = True
        for _, future in (*([self._next] if self._next else ()), *self._feed.close()):
            future.cancel()
