"""The feed: takes sources in a thread, ahead of the work, within bounds of number and memory."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Generic, TypeVar

from inceptioncli.images.source import Source

Item = TypeVar("Item")


class Feed(Generic[Item]):
    """Sources that are taken in a thread, so that a slow one holds up nothing else.

    Args:
        sources: taken as there is room for them.
        take: what is done with each in the thread; what it gives is what `next` gives.
        timeout: seconds to wait when nothing comes from a pipe.
        most: so many at once are taken and not `done`.
        most_bytes: memory that these may take; one alone may take more.
        nbytes: memory that the answer to each takes.

    Attributes:
        ended: all have been given.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        take: Callable[[Source], Item],
        *,
        timeout: float,
        most: int,
        most_bytes: int,
        nbytes: int = 0,
    ) -> None:
        self.ended = False
        self._sources = sources
        self._take = take
        self._timeout = timeout
        self._most = most
        self._most_bytes = most_bytes
        self._nbytes = nbytes
        self._items: deque[Item] = deque()
        self._sizes: deque[int] = deque()  # of what has been given and is not done, too
        self._taken = 0  # their sum
        self._error: BaseException | None = None
        self._exhausted = False
        self._closed = False
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="feed", daemon=True).start()

    def next(self, patience: float) -> Item | None:
        """The next item; None if there is none within so many seconds, or no more.

        Raises:
            BaseException: what the sources, or ``take``, raised.
        """
        deadline = time.monotonic() + patience
        with self._changed:
            while not self._items and not self._exhausted:
                if not self._changed.wait(deadline - time.monotonic()):
                    return None
            if self._items:
                return self._items.popleft()
        self.ended = True
        if self._error is not None:
            raise self._error
        return None

    def done(self) -> None:
        """Says that the oldest item that was given takes no memory any more."""
        with self._changed:
            self._taken -= self._sizes.popleft()
            self._changed.notify_all()

    def close(self) -> list[Item]:
        """Tells the thread to end; one that is kept waiting by its source ends with the process.

        Returns:
            What has been taken and not given.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return list(self._items)

    def _run(self) -> None:
        try:
            for source in self._sources:
                held = source.held(self._timeout)
                if not self._make_room(held.locator.nbytes + self._nbytes):
                    return
                item = self._take(held)
                with self._changed:
                    self._items.append(item)
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error
        finally:
            # Here, because nobody can close a generator while this thread is in it.
            if isinstance(self._sources, Generator):
                self._sources.close()
            with self._changed:
                self._exhausted = True
                self._changed.notify_all()

    def _make_room(self, size: int) -> bool:
        """Waits until one more of this size may be taken; False if the feed is closed."""
        with self._changed:
            while not self._closed:
                fits = len(self._sizes) < self._most and self._taken + size <= self._most_bytes
                if fits or not self._sizes:
                    self._sizes.append(size)
                    self._taken += size
                    return True
                self._changed.wait()
        return False
