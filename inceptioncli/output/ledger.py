"""The ledger: which inputs have their records already, and in which order all belong."""

from __future__ import annotations

import itertools
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from inceptioncli.records import Failure, FileStamp

# Failures of which every run looks whether they still are.
_PASSING = ("not_found", "permission_denied")


class Input(Protocol):
    """An input, as the ledger asks about it."""

    @property
    def path(self) -> str:
        """What its record is found by."""

    def stamp(self) -> FileStamp | None:
        """What its file is like now; None if it is none."""

    def unreadable(self) -> Failure | None:
        """Why it can't be read now, as far as that can be told without reading it."""


Source = TypeVar("Source", bound=Input)


class Ledger:
    """The records of an output, by number in the order in which they stand in its files.

    A million records take about 160 MB: of paths only the hash is kept (64 bits; that two of a
    million are the same happens in one of 10^7 runs), and of their files' stamps.

    Args:
        retry_errors: inputs whose record is a failure are new.
        retry_changed: inputs whose file has changed since it was read are new.

    Attributes:
        codes: of each record its failure's code, None if it is none.
        before: how many of the records that were there have each code; those whose inputs are new
            are not counted.
        fresh: how many of the records of this run have each code.
    """

    def __init__(self, *, retry_errors: bool = False, retry_changed: bool = False) -> None:
        self.codes: list[str | None] = []
        # Two, for there are two threads: one takes inputs, the other enters their records.
        self.before: Counter[str | None] = Counter()
        self.fresh: Counter[str | None] = Counter()
        self._retry_errors = retry_errors
        self._retry_changed = retry_changed
        self._committed = 0
        self._stamps = array("q")  # of the records that were there; 0 for none
        # The hash of a path to its record's number until an input has taken it, or to the numbers
        # of its records: those of a file that was given several times, or a failure and what came
        # of it when it was tried again.
        self._numbers: dict[int, int | list[int]] = {}
        self._taken: Counter[int] = Counter()  # of paths with several records
        # Results that are kept although their files have changed.
        self._changed: set[int] = set()
        # Inputs' numbers: so many first ones that count upwards from 0, as all do in a new run, and
        # then the rest.
        self._straight = 0
        self._order = array("q")
        self._all_come = True

    def add(
        self, path: str, code: str | None, file: FileStamp | None = None, *, again: bool = False
    ) -> None:
        """Enters a record that was there; one whose input is to be done ``again`` is no more."""
        number = len(self.codes)
        self.codes.append(code)
        self._stamps.append(_hash(file))
        if again:
            return
        self.before[code] += 1
        key = hash(path)
        present = self._numbers.setdefault(key, number)
        if isinstance(present, list):
            present.append(number)
        elif present != number:
            self._numbers[key] = [present, number]

    def append(self, code: str | None) -> None:
        """Enters a new record."""
        self.codes.append(code)
        self.fresh[code] += 1

    @property
    def counts(self) -> Counter[str | None]:
        """How many records that count have each code."""
        return self.before + self.fresh

    @property
    def changed(self) -> int:
        """How many results that are kept are of files that have changed since."""
        return len(self._changed)

    @property
    def uncommitted(self) -> int:
        """How many records a crash would cost."""
        return self.fresh.total() - self._committed

    @property
    def committed(self) -> int:
        """How many records are safe from a crash."""
        return self.before.total() + self._committed

    def commit(self) -> None:
        """Says that all records are safe."""
        self._committed = self.fresh.total()

    def knows(self, path: str) -> bool:
        """Whether a result of this path is there that no input has taken, and that will be kept."""
        key = hash(path)
        numbers = self._numbers.get(key)
        if numbers is None or self._retry_changed:
            return False
        if isinstance(numbers, int):
            return self.codes[numbers] is None
        return self._taken[key] < len(numbers) and self.codes[numbers[-1]] is None

    def new(self, inputs: Iterable[Source], *, all_come: bool = True) -> Iterator[Source]:
        """Gives the inputs that have no record; they are numbered in the order they come out.

        A failure is none if it is to be tried again, or its file has changed since; not_found and
        permission_denied are none if they are no longer so.

        Args:
            inputs: all that are to have a record.
            all_come: an input that does not come is there no longer; else it may have been one of
                an earlier list.
        """
        self._all_come = all_come
        number = len(self.codes)
        for source in inputs:
            taken = self._take(source)
            if taken is None:
                self._enter(number)
                number += 1
                yield source
            else:
                self._enter(taken)

    def final_order(self) -> list[int] | None:
        """The numbers of the records in input order; None if they stand so already.

        To be asked when all inputs have their records. Of inputs that are there no longer what has
        been computed stays, behind the record that it stands behind; failures go. Superseded
        records are left out.
        """
        if self._straight == len(self.codes) and not (self._numbers or self._order):
            return None
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
            for number in self._staying(numbers)
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
        order = [*order]
        self._changed.intersection_update(order)
        self.codes = [self.codes[number] for number in order]
        self.before = Counter(self.codes) - self.fresh

    def _enter(self, number: int) -> None:
        if number == self._straight and not self._order:
            self._straight += 1
        else:
            self._order.append(number)

    def _take(self, source: Source) -> int | None:
        key = hash(source.path)
        numbers = self._numbers.get(key)
        if numbers is None:
            return None
        if isinstance(numbers, int):
            del self._numbers[key]
            return numbers if self._stands(numbers, source) else None
        if key not in self._taken:
            # What is to be done again, or has been done again by a run that was interrupted.
            numbers = [number for number in numbers if self._stands(number, source)]
            if not numbers:
                del self._numbers[key]
                return None
            self._numbers[key] = numbers
        taken = self._taken[key]
        if taken == len(numbers):
            return None
        self._taken[key] += 1
        return numbers[taken]

    def _stands(self, number: int, source: Source) -> bool:
        """Whether a record still is the one of its input."""
        code, stamp = self.codes[number], self._stamps[number]
        if code is None:
            changed = stamp != 0 and _is_other(source.stamp(), stamp)
            if changed:
                self._changed.add(number)
            stands = not (changed and self._retry_changed)
        elif self._retry_errors or _is_other(source.stamp(), stamp):
            stands = False
        elif code in _PASSING:
            failure = source.unreadable()
            stands = failure is not None and failure.code == code
        else:
            stands = True
        if not stands:
            self.before[code] -= 1
            self._changed.discard(number)
        return stands

    def _counting(self, key: int, count: int) -> Iterator[tuple[int, int]]:
        numbers = self._numbers[key]
        assert isinstance(numbers, list)
        return zip(numbers[:count], numbers[-count:], strict=True)

    def _staying(self, numbers: int | Sequence[int]) -> Sequence[int]:
        """Those of the records of a path that no input has taken that are kept."""
        numbers = [numbers] if isinstance(numbers, int) else numbers
        sound = [number for number in numbers if self.codes[number] is None]
        if sound or self._all_come:
            return sound
        return numbers


def _hash(file: FileStamp | None) -> int:
    return hash(file) if file is not None else 0


def _is_other(now: FileStamp | None, then: int) -> bool:
    """Whether a file is there and another than it was; a time that was not kept is any time."""
    return now is not None and then != hash(now) and then != hash(now._replace(modified=""))
