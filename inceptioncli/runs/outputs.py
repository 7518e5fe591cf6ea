"""What a run needs of an output, and the output of a run whose records nobody keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Protocol

from inceptioncli.images.source import Source
from inceptioncli.records import Record


class Output(Protocol):
    """Where records are kept. A context manager: at its end, however it ends, what is done counts.

    Attributes:
        kept: whether records are kept at all; then they are to be committed now and then.
        committed: so many records are safe.
    """

    kept: bool
    committed: int

    @property
    def counts(self) -> Counter[str | None]:
        """How many records that count there are with each failure's code, None for none."""

    def knows(self, path: str) -> bool:
        """Whether there is a record of this path that no source has taken yet."""

    def new(self, sources: Iterable[Source]) -> Iterator[Source]:
        """Gives the sources that have no record yet."""

    def append(self, record: Record) -> None:
        """Takes a record."""

    def commit_if_due(self) -> bool:
        """Makes what has been taken count, if it is time; whether it did."""

    def finish(self) -> None:
        """To be called when all sources have their records."""

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Unkept:
    """The output of a run whose records are printed, or handed over: it counts them."""

    kept = False

    def __init__(self) -> None:
        self.counts: Counter[str | None] = Counter()
        self.committed = 0

    def knows(self, path: str) -> bool:
        return False

    def new(self, sources: Iterable[Source]) -> Iterator[Source]:
        return iter(sources)

    def append(self, record: Record) -> None:
        self.counts[record.failure.code if record.failure else None] += 1

    def commit_if_due(self) -> bool:
        return False

    def finish(self) -> None:
        pass

    def __enter__(self) -> Unkept:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass
