"""An addition: arrays of further end points, for the rows that a finished folder has."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from inceptioncli.errors import ForeignOutputError, OutputError
from inceptioncli.files import beside, cannot_write, flush, remove, remove_orphans, working_folder
from inceptioncli.labels import counted
from inceptioncli.output import note as notes
from inceptioncli.output.base import is_due
from inceptioncli.output.ledger import Ledger
from inceptioncli.output.lines import Scanned, missing
from inceptioncli.output.parts import LinesPart
from inceptioncli.output.places import Place
from inceptioncli.records import STDIN, FileStamp, Record
from inceptioncli.terminal import printable

if TYPE_CHECKING:
    from inceptioncli.output.rows import RowsPart

_logger = logging.getLogger(__name__)

# What an array is called until it is whole.
_ADDED = "adding"


class Addition:
    """An `Output` that wants a record, with features, of the picture of every row, in order.

    The arrays grow under hidden names and get theirs when they are whole. Nothing else in the
    folder is touched but the note: it says how far they are, and stays that of a finished run.

    Args:
        place: the folder.
        note: its note.
        index: its records; as many as there are rows are no failures.
        arrays: those that are added.
        added: called when they are there under their names, to say so for good.

    Raises:
        ForeignOutputError: a picture that has a row is gone, or has changed; or a file is in the
            way. Nothing has been touched.
        OutputError: the folder can't be written.
    """

    kept = True

    def __init__(
        self,
        place: Place,
        note: Mapping[str, Any],
        index: LinesPart,
        arrays: Sequence[RowsPart],
        added: Callable[[], None],
    ) -> None:
        self.ledger = Ledger()
        self._place = place
        self._note = note
        self._index = index
        self._growing = {array: array.beside(_ADDED) for array in arrays}
        self._added = added
        self._rows = sum(1 for _ in self._checked())
        abandon(place, note, [array.path.name for array in arrays])
        self._length = self._open()
        self._expected = self._coming()
        self._committed_at = time.monotonic()

    @property
    def names(self) -> tuple[str, ...]:
        """The end points."""
        return tuple(array.path.stem for array in self._growing)

    def paths(self) -> Iterator[str]:
        """The pictures whose rows are still to come."""
        return (row.path for row in self._coming())

    def append(self, record: Record) -> None:
        """Writes a row of each array.

        Raises:
            ForeignOutputError: the picture has changed, or gives no row now.
            OutputError: it can't be written.
        """
        row = next(self._expected)
        assert row.path == record.path, (row.path, record.path)
        if record.failure is not None:
            raise self._refused(row.path, f"gives none now ({': '.join(record.failure)})")
        if None not in (row.file, record.file) and row.file != record.file:
            raise self._refused(row.path, "has changed since")
        for array, growing in self._growing.items():
            growing.write(record.features[array.path.stem], self._length)
        self._length += 1
        self.ledger.append(None)

    def commit_if_due(self) -> bool:
        due = is_due(self.ledger.uncommitted, self._committed_at)
        if due:
            self._commit()
        return due

    def finish(self) -> None:
        self._commit()
        self._close()
        try:
            for array, growing in self._growing.items():
                growing.path.replace(array.path)
            flush(self._place.folder)
        except OSError as error:
            raise cannot_write(self._place.folder, error) from error
        self._added()
        _logger.info(
            "%s: %s added for %s",
            printable(str(self._place.output)),
            ", ".join(self.names),
            counted(self._rows, "image", "images"),
        )

    def __enter__(self) -> Addition:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self.ledger.uncommitted and not isinstance(error, OutputError):
                self._commit()
        finally:
            self._close()

    def _checked(self) -> Iterator[Scanned]:
        """The records that have rows, as long as their pictures are what they were."""
        recorded = self._note.get("working_folder")
        here: str | None = None
        for row in self._in_index():
            if here is None and row.path != STDIN and not Path(row.path).is_absolute():
                here = working_folder()
                notes.check_same_folder(self._place.note, recorded, here)
            try:
                status = os.stat(row.path)
                if row.path == STDIN or not stat.S_ISREG(status.st_mode):
                    raise self._refused(row.path, "is no file, to be read once more")
                if row.file not in (None, FileStamp.of(status)):
                    raise self._refused(row.path, "has changed since")
            except (OSError, ValueError) as error:
                raise self._refused(row.path, "is gone") from error
            yield row

    def _open(self) -> int:
        """Opens the arrays where the last run that added them ended; how many rows they have."""
        lengths = [self._note.get("adding", {}).get(array.path.name) for array in self._growing]
        whole = set(lengths) == {self._rows}
        for array, growing in self._growing.items():
            if array.path.exists():
                if not whole:
                    raise ForeignOutputError(
                        f"{array.path} is there already and was not written by a run like this "
                        "one; move it away, or choose another -o"
                    )
                if not growing.path.exists():  # Killed before the note could say so.
                    array.path.replace(growing.path)
        length = lengths[0]
        if length is not None and set(lengths) == {length} and length <= self._rows:
            with contextlib.suppress(ForeignOutputError):  # They are not what the note says.
                for growing in self._growing.values():
                    growing.open(length, exactly=False)
                return int(length)
        self._write_note(0)
        for growing in self._growing.values():
            remove_orphans(growing.path)
            growing.create()
        return 0

    def _commit(self) -> None:
        for growing in self._growing.values():
            growing.sync(self._length)
        self._write_note(self._length)
        self.ledger.commit()
        self._committed_at = time.monotonic()

    def _write_note(self, length: int) -> None:
        adding = {array.path.name: length for array in self._growing}
        self._place.write_note({**self._note, "adding": adding})

    def _close(self) -> None:
        for growing in self._growing.values():
            growing.close()

    def _in_index(self) -> Iterator[Scanned]:
        return (record for record in self._index.scan() if record.code is None)

    def _coming(self) -> Iterator[Scanned]:
        rows = self._in_index()
        for _ in range(self._length):
            next(rows)
        return rows

    def _refused(self, name: str, why: str) -> ForeignOutputError:
        return ForeignOutputError(
            f"{name} has a row in {self._place.output} and {why}; {', '.join(self.names)} can be "
            "added only while every picture is as it was; bring it back, run with --retry-changed "
            f"and without -e {' -e '.join(self.names)} first, or choose another -o"
        )


def check_addable(place: Place, lacking: Sequence[RowsPart], *, finished: bool) -> None:
    """Raises ForeignOutputError unless a run's arrays may get others beside them."""
    if place.table is not None:
        raise missing(lacking[0].path)
    if not finished:
        names = ", ".join(array.path.stem for array in lacking)
        raise ForeignOutputError(
            f"{place.output} is not finished; end its run with the end points that it has, and "
            f"then add {names}"
        )


def abandon(place: Place, note: Mapping[str, Any], but: Collection[str] = ()) -> None:
    """Removes what there is of arrays that are being added, by a note, but for some of them.

    Raises:
        OutputError: it can't be removed.
    """
    for name, length in note.get("adding", {}).items():
        if name not in but:
            array = place.folder / name
            remove_unfinished(array)
            if length == note["counts"]["ok"]:  # It may have its name.
                remove(array)


def remove_unfinished(array: Path) -> None:
    """Removes what there is of one array that is not whole; errors as of `files.remove`."""
    remove_orphans(beside(array, _ADDED))
    remove(beside(array, _ADDED))
