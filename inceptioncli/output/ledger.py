"""The ledger: which inputs have their records already, and in which order all belong."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar


class Named(Protocol):
    """An input."""

    @property
    def path(self) -> str:
        """What its record is found by."""


Source = TypeVar("Source", bound=Named)


class Ledger:
    """The records of an output, by number in the order in which they stand in its files.

    A million records take about 150 MB: of paths only the hash is kept (64 bits; that two of a
    million are the same happens in one of 10^7 runs).

    Attributes:
        codes: of each record its failure's code, None if it is none.
        counts: how many records that count have each code.
    """

    def __init__(self) -> None:
        self.codes: list[str | None] = []
        self.counts: Counter[str | None] = Counter()
        self._untaken: dict[int, int | list[int]] = {}  # hash of a path to its records' numbers
        self._asked_for: set[int] = set()  # those with several records of which one was taken
        self._retried = False
        self._order = array("q")

    def add(self, path: str, code: str | None, *, retry_errors: bool = False) -> None:
        """Enters a record that was there; a failure that is tried again counts no longer."""
        number = len(self.codes)
        self.codes.append(code)
        if code is not None and retry_errors:
            self._retried = True
            return
        self.counts[code] += 1
        key = hash(path)
        present = self._untaken.setdefault(key, number)
        if present != number:
            present = [present] if isinstance(present, int) else present
            self._untaken[key] = [*present, number]

    def append(self, code: str | None) -> None:
        """Enters a new record."""
        self.codes.append(code)
        self.counts[code] += 1

    def knows(self, path: str) -> bool:
        """Whether a record of this path is there that no input has taken."""
        return hash(path) in self._untaken

    def new(self, inputs: Iterable[Source]) -> Iterator[Source]:
        """Gives the inputs that have no record; they are numbered in the order they come out."""
        number = len(self.codes)
        for source in inputs:
            taken = self._take(source.path)
            if taken is None:
                self._order.append(number)
                number += 1
                yield source
            else:
                self._order.append(taken)

    def final_order(self) -> list[int] | None:
        """The numbers of the records in input order; None if they stand so already.

        To be asked when all inputs have their records. Records of inputs that are there no longer
        stay behind the record that they stand behind; superseded ones are left out.
        """
        gone = {
            number
            for key, numbers in self._untaken.items()
            if key not in self._asked_for
            for number in ([numbers] if isinstance(numbers, int) else numbers)
        }
        if not gone and len(self._order) == len(self.codes) and _is_ascending(self._order):
            return None
        order: list[int] = []
        for number in (-1, *self._order):
            if number >= 0:
                order.append(number)
            while number + 1 in gone:
                number += 1
                gone.remove(number)
                order.append(number)
        order += sorted(gone)
        same = len(order) == len(self.codes) and _is_ascending(order)
        return None if same else order

    def keep(self, order: Iterable[int]) -> None:
        """Says that the records with these numbers are all there are now, in this order."""
        self.codes = [self.codes[number] for number in order]
        self.counts = Counter(self.codes)

    def _take(self, path: str) -> int | None:
        key = hash(path)
        numbers = self._untaken.get(key)
        if numbers is None:
            return None
        if isinstance(numbers, int):
            del self._untaken[key]
            return numbers
        # The last is the one that counts, should an earlier failure have been tried again.
        self._asked_for.add(key)
        *rest, taken = numbers
        self._untaken[key] = rest[0] if len(rest) == 1 else rest
        return taken


def _is_ascending(numbers: Iterable[int]) -> bool:
    return all(number == place for place, number in enumerate(numbers))
