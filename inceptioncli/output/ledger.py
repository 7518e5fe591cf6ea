"""The ledger: which inputs have their records already, and in which order all belong."""

from __future__ import annotations

import itertools
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
        committed: so many of them are safe from a crash.
    """

    def __init__(self) -> None:
        self.codes: list[str | None] = []
        self.counts: Counter[str | None] = Counter()
        self.committed = 0
        # The hash of a path to its record's number until an input has taken it, or to the numbers
        # of its records: those of a file that was given several times, or a failure and what came
        # of it when it was tried again.
        self._numbers: dict[int, int | list[int]] = {}
        self._taken: Counter[int] = Counter()  # of paths with several records
        # Inputs' numbers: so many first ones that count upwards from 0, as all do in a new run, and
        # then the rest.
        self._straight = 0
        self._order = array("q")

    def add(self, path: str, code: str | None, *, again: bool = False) -> None:
        """Enters a record that was there; one whose input is to be done ``again`` is no more."""
        number = len(self.codes)
        self.codes.append(code)
        if again:
            return
        self.counts[code] += 1
        key = hash(path)
        present = self._numbers.setdefault(key, number)
        if isinstance(present, list):
            present.append(number)
        elif present != number:
            self._numbers[key] = [present, number]

    def append(self, code: str | None) -> None:
        """Enters a new record."""
        self.codes.append(code)
        self.counts[code] += 1

    @property
    def uncommitted(self) -> int:
        """How many records a crash would cost."""
        return self.counts.total() - self.committed

    def commit(self) -> None:
        """Says that all records are safe."""
        self.committed = self.counts.total()

    def knows(self, path: str) -> bool:
        """Whether a record of this path is there that no input has taken."""
        key = hash(path)
        numbers = self._numbers.get(key)
        return isinstance(numbers, int) or (numbers is not None and self._taken[key] < len(numbers))

    def new(self, inputs: Iterable[Source]) -> Iterator[Source]:
        """Gives the inputs that have no record; they are numbered in the order they come out."""
        number = len(self.codes)
        for source in inputs:
            taken = self._take(hash(source.path))
            if taken is None:
                self._enter(number)
                number += 1
                yield source
            else:
                self._enter(taken)

    def final_order(self) -> list[int] | None:
        """The numbers of the records in input order; None if they stand so already.

        To be asked when all inputs have their records. Records of inputs that are there no longer
        stay behind the record that they stand behind; superseded failures are left out.
        """
        if not self._numbers and not self._order:
            return None  # a new run
        # Of more records than inputs the last are those that count.
        instead = {
            first: last
            for key, count in self._taken.items()
            for first, last in self._counting(key, count)
        }
        gone = {
            number
            for key, numbers in self._numbers.items()
            if key not in self._taken
            for number in self._without_superseded(numbers)
        }
        order: list[int] = []
        for number in itertools.chain([-1], range(self._straight), self._order):
            number = instead.get(number, number)
            if number >= 0:
                order.append(number)
            while number + 1 in gone:
                number += 1
                gone.remove(number)
                order.append(number)
        order += sorted(gone)
        in_order = all(number == place for place, number in enumerate(order))
        return None if in_order and len(order) == len(self.codes) else order

    def keep(self, order: Iterable[int]) -> None:
        """Says that the records with these numbers are all there are now, in this order."""
        self.codes = [self.codes[number] for number in order]
        self.counts = Counter(self.codes)

    def _enter(self, number: int) -> None:
        if number == self._straight and not self._order:
            self._straight += 1
        else:
            self._order.append(number)

    def _take(self, key: int) -> int | None:
        numbers = self._numbers.get(key)
        if numbers is None:
            return None
        if isinstance(numbers, int):
            del self._numbers[key]
            return numbers
        taken = self._taken[key]
        if taken == len(numbers):
            return None
        self._taken[key] += 1
        return numbers[taken]

    def _counting(self, key: int, count: int) -> Iterator[tuple[int, int]]:
        numbers = self._numbers[key]
        assert isinstance(numbers, list)
        return zip(numbers[:count], numbers[-count:], strict=True)

    def _without_superseded(self, numbers: int | Sequence[int]) -> Sequence[int]:
        numbers = [numbers] if isinstance(numbers, int) else numbers
        sound = [number for number in numbers if self.codes[number] is None]
        return sound or numbers
