"""The store: the files of a run that can be killed at any moment and continued.

A run's parts grow at their ends; the note (``run.json``) tells which length of each counts and is
replaced, for good, after the parts are safe. What a kill leaves beyond is cut off by the next run.
Records are appended as they come; what a continued run adds between older ones is put in its place
when the run is finished.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from inceptioncli.errors import ForeignOutputError, OutputError, UsageError
from inceptioncli.files import cannot_write, flush
from inceptioncli.output import note as notes
from inceptioncli.output import parquet
from inceptioncli.output.json import IndexLines
from inceptioncli.output.ledger import Ledger, Named
from inceptioncli.output.lines import LineFormat, damaged
from inceptioncli.output.parts import LinesPart, Part
from inceptioncli.records import STDIN, Record

if TYPE_CHECKING:
    from inceptioncli.output.rows import RowsPart

# A kill costs at most so much work.
COMMIT_SECONDS = 5.0
COMMIT_RECORDS = 256

_UNFINISHED = "unfinished"
_FINISHED = "finished"


class Table(NamedTuple):
    """A file of records: where, and in which format its records are kept while it grows.

    ``columns``, the most predictions of a record, is there for Parquet, which can't grow: its
    records are kept as CSV beside it, from which it is rendered at the end.
    """

    path: Path
    format: LineFormat
    columns: int | None = None

    @property
    def growing(self) -> Path:
        """The file that grows."""
        return self.path if self.columns is None else _beside(self.path, "rows")


class Arrays(NamedTuple):
    """A folder of arrays: ``index.jsonl`` and, for each end point, ``<end point>.npy``."""

    folder: Path
    shapes: Mapping[str, tuple[int, ...]]
    dtype: str


class Store:
    """An output that is being written: a table, a folder of arrays, or both in one pass.

    A context manager: at its end what is done is committed, however it ends, and others may have
    the output.

    Args:
        fingerprint: what the run is made with; another run's output is not continued.
        table: the file of records.
        arrays: the folder of arrays.
        overwrite: start anew, whatever is there.
        again: start anew where a run like this one is.
        retry_errors: try failures that are there again.

    Attributes:
        ledger: which inputs have their records.
        committed: so many records are safe.

    Raises:
        ForeignOutputError: what is there belongs to another run, to somebody else, or another
            process is writing it.
        OutputError: it can't be written.
    """

    kept = True

    def __init__(
        self,
        fingerprint: Mapping[str, Any],
        *,
        table: Table | None = None,
        arrays: Arrays | None = None,
        overwrite: bool = False,
        again: bool = False,
        retry_errors: bool = False,
    ) -> None:
        self.ledger = Ledger()
        self._fingerprint = fingerprint
        self._parquet = table if table and table.columns is not None else None
        self._places: list[_Place] = []
        self._lines: list[LinesPart] = []
        self._rows: dict[str, RowsPart] = {}
        if table:
            self._lines.append(LinesPart(table.growing, table.format))
            files = {table.growing, table.path}
            self._places.append(_Place(table.path.parent, table.path.name, files))
        if arrays:
            from inceptioncli.output.rows import RowsPart  # needs numpy

            self._lines.append(LinesPart(arrays.folder / "index.jsonl", IndexLines()))
            self._rows = {
                name: RowsPart(arrays.folder / f"{name}.npy", shape, arrays.dtype)
                for name, shape in arrays.shapes.items()
            }
            files = {self._lines[-1].path, *(rows.path for rows in self._rows.values())}
            self._places.append(_Place(arrays.folder, None, files))
            if table and table.path.parent.resolve() == arrays.folder.resolve():
                raise UsageError(
                    f"{table.path} and the arrays would share a folder, and its {notes.NAME}; "
                    "give --dump-dir one of its own"
                )
        # Replaced as a whole when a record is written as a whole: an interrupt in between leaves
        # what was before.
        self._lengths: dict[Part, int] = {}
        self._frozen = False  # a finished Parquet file, as long as its rows need not grow
        self._changed = False
        self.committed = 0
        self._uncommitted = 0
        self._committed_at = time.monotonic()
        with contextlib.ExitStack() as locks:
            for place in self._places:
                locks.enter_context(place.locked())
            with contextlib.ExitStack() as notes_locked:
                for place in sorted(self._places, key=lambda place: place.folder):
                    notes_locked.enter_context(place.note_locked())
                self._open(overwrite, again, retry_errors)
            self._locks = locks.pop_all()

    @property
    def counts(self) -> Counter[str | None]:
        """How many records that count have each failure's code, None for none."""
        return self.ledger.counts

    def knows(self, path: str) -> bool:
        """See `Ledger.knows`."""
        return self.ledger.knows(path)

    def new(self, sources: Iterable[Named]) -> Iterator[Any]:
        """See `Ledger.new`."""
        return self.ledger.new(sources)

    def append(self, record: Record) -> None:
        """Writes a record, and a row of each array.

        Raises:
            OutputError: it can't be written.
        """
        self._thaw()
        if not self._changed:  # A finished output is to be unfinished before it is longer.
            self._write_note(_UNFINISHED)
            self._changed = True
        lengths = dict(self._lengths)
        row = lengths[next(iter(self._rows.values()))] if self._rows else 0
        for lines in self._lines:
            lengths[lines] = lines.write(lines.format.encode(record, row), lengths[lines])
        if record.ok:
            for name, rows in self._rows.items():
                lengths[rows] = rows.write(record.features[name], row)
        self._lengths = lengths
        self._uncommitted += 1
        self.ledger.append(record.failure.code if record.failure else None)

    def commit_if_due(self) -> bool:
        """Commits if enough has come together, or long ago; whether it did."""
        waited = time.monotonic() - self._committed_at
        due = self._uncommitted >= COMMIT_RECORDS or (
            self._uncommitted > 0 and waited >= COMMIT_SECONDS
        )
        if due:
            self.commit()
        return due

    def commit(self) -> None:
        """Makes all that is written count.

        Raises:
            OutputError: it can't be.
        """
        if self._uncommitted:
            self._commit(_UNFINISHED)

    def finish(self) -> None:
        """To be called when all inputs have their records: puts them in order, renders Parquet.

        Raises:
            OutputError: it can't be written.
        """
        order = self.ledger.final_order()
        if order is not None:
            self._thaw()
            self._commit(_UNFINISHED)
            self._reorder(order)
        if not self._changed:
            return
        if self._parquet:
            assert self._parquet.columns is not None
            self._commit(_UNFINISHED)
            parquet.render(self._parquet.growing, self._parquet.path, self._parquet.columns)
        self._commit(_FINISHED)
        if self._parquet:
            _remove(self._parquet.growing)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, OutputError):
                with contextlib.suppress(OutputError):  # The first one tells what is wrong.
                    self.commit()
            else:
                self.commit()
        finally:
            for part in self._parts:
                part.close()
            self._locks.close()

    @property
    def _parts(self) -> tuple[Part, ...]:
        return (*self._lines, *self._rows.values())

    def _open(self, overwrite: bool, again: bool, retry_errors: bool) -> None:
        found = [place.read_note() for place in self._places]
        for place, note in zip(self._places, found, strict=True):
            if overwrite:
                continue
            if note is not None:
                notes.check_same_run(place.note, note, self._fingerprint)
            elif taken := next(filter(_has_content, sorted(place.files)), None):
                raise ForeignOutputError(
                    f"{taken} is there already and was not written by a run like this one (no "
                    f"{notes.NAME} beside it); --overwrite replaces it, or choose another -o"
                )
        note = found[0]
        there = any(file.exists() for file in self._places[0].files)
        if overwrite or again or note is None or not note["committed"] or not there:
            self._begin(found)
            return
        self._continue(note, retry_errors)
        # A kill may have come right before a note, or between two of them.
        finished = [other is not None and other["status"] == _FINISHED for other in found]
        self._changed = not all(finished)

    def _begin(self, found: Sequence[Mapping[str, Any] | None]) -> None:
        # First of all the note: what a kill leaves from here on is this run's. It names the arrays
        # of the run before, whose end points may have been others.
        replaced = {
            name
            for note in found
            if note is not None
            for name in (*note["committed"], *note.get("replaced", ()))
            if name.endswith(".npy")
        }
        self._write_note(_UNFINISHED, replaced=sorted(replaced))
        for place in self._places:
            old = {place.folder / Path(name).name for name in replaced}
            place.sweep(old)
            for file in place.files | (set() if place.table_name else old):
                _remove(file)
        self._lengths = {part: part.create() for part in self._parts}
        self._commit(_UNFINISHED)
        self._changed = True  # Even no records make a file.

    def _continue(self, note: Mapping[str, Any], retry_errors: bool) -> None:
        if note["renaming"]:
            self._rename()
        if self._parquet and note["status"] == _FINISHED:
            _remove(self._parquet.growing)
            self._frozen = True
        for place in self._places:
            place.sweep()
        for part in self._parts:
            if self._frozen and part is self._lines[0]:
                continue
            name = self._name(part)
            if name not in note["committed"] or not part.path.exists():
                raise ForeignOutputError(
                    f"{part.path} is missing; --overwrite starts anew, or choose another -o"
                )
            self._lengths[part] = note["committed"][name]
            exactly = note["renaming"] or note["status"] == _FINISHED
            part.open(self._lengths[part], exactly=exactly)
        frozen = self._parquet.path if self._parquet and self._frozen else None
        for path, code, _ in parquet.scan(frozen) if frozen else self._lines[0].scan():
            # Standard input may be another picture each time.
            again = path == STDIN or (retry_errors and code is not None)
            self.ledger.add(path, code, again=again)
        if self._rows and sum(code is None for code in self.ledger.codes) != self._length_of_rows:
            raise damaged(self._lines[0].path, "its records do not match the arrays")
        self.committed = self.ledger.counts.total()
        if note["renaming"]:
            self._write_note(_UNFINISHED)

    @property
    def _length_of_rows(self) -> int:
        return self._lengths[next(iter(self._rows.values()))]

    def _thaw(self) -> None:
        """Makes a finished Parquet file's rows grow again."""
        if not self._frozen or not self._parquet:
            return
        parquet.thaw(self._parquet.path, self._parquet.growing)
        length = self._parquet.growing.stat().st_size
        self._lines[0].open(length, exactly=True)
        self._lengths = {self._lines[0]: length, **self._lengths}
        self._frozen = False
        self._commit(_UNFINISHED)

    def _reorder(self, order: Sequence[int]) -> None:
        failed = [code is not None for code in self.ledger.codes]
        lengths: dict[Part, int] = {}
        try:
            for part in self._parts:
                beside = _beside(part.path, "reordered")
                lengths[part] = part.reordered(order, failed, beside)
                flush(beside)
        except OSError as error:
            for part in self._parts:
                _remove(_beside(part.path, "reordered"))
            raise cannot_write(self._places[0].folder, error) from error
        self._lengths = lengths
        # From here on the copies are what counts: a run that ends before all are renamed leaves
        # the rest to the next.
        self._write_note(_UNFINISHED, renaming=True)
        for part in self._parts:
            part.close()
        self._rename()
        for part in self._parts:
            part.open(self._lengths[part], exactly=True)
        self.ledger.keep(order)
        self._changed = True

    def _rename(self) -> None:
        try:
            for part in self._parts:
                beside = _beside(part.path, "reordered")
                if beside.exists():
                    beside.replace(part.path)
            for folder in {part.path.parent for part in self._parts}:
                flush(folder)
        except OSError as error:
            raise cannot_write(self._places[0].folder, error) from error

    def _commit(self, status: str) -> None:
        for part, length in self._lengths.items():
            part.sync(length)
        self._write_note(status)
        self._uncommitted = 0
        self.committed = self.ledger.counts.total()
        self._committed_at = time.monotonic()

    def _write_note(
        self, status: str, *, renaming: bool = False, replaced: Sequence[str] = ()
    ) -> None:
        counts = self.ledger.counts
        ok = counts[None]
        note = {
            **self._fingerprint,
            "status": status,
            "counts": {
                "inputs": counts.total(),
                "ok": ok,
                "failed": counts.total() - ok,
                "failures": {code: counts[code] for code in sorted(filter(None, counts))},
            },
            "committed": {self._name(part): length for part, length in self._lengths.items()},
            "renaming": renaming,
            "replaced": [*replaced],
        }
        for place in self._places:
            notes.write(place.note, {"output": place.name, **note})

    def _name(self, part: Part) -> str:
        """A part's path from where the note is that counts."""
        try:
            return os.path.relpath(part.path, self._places[0].folder)
        except ValueError:  # on another of Windows' drives
            return str(part.path)


class _Place:
    """A folder in which a table or arrays are written, with its note and its lock."""

    def __init__(self, folder: Path, table_name: str | None, files: set[Path]) -> None:
        self.folder = folder
        self.files = files
        self.table_name = table_name
        self.name = table_name or folder.name
        self.note = folder / notes.NAME

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder and keeps other processes from writing here."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise OutputError(f"{self.folder} is a file, and a folder is needed there") from error
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        output = self.folder / (self.table_name or "")
        with _lock(self.folder, self.table_name or "index") as locked:
            if not locked:
                raise ForeignOutputError(
                    f"another process is writing {output}; wait for it, or choose another -o"
                )
            yield

    @contextlib.contextmanager
    def note_locked(self) -> Iterator[None]:
        """Keeps outputs in the same folder from taking the same note for theirs."""
        with _lock(self.folder, notes.NAME, seconds=60) as locked:
            if not locked:
                raise ForeignOutputError(f"another process is opening {self.note}; try again")
            yield

    def read_note(self) -> dict[str, Any] | None:
        """The note that is there."""
        if self.table_name:
            self.note = notes.path_for(self.folder / self.table_name)
        return notes.read(self.note)

    def sweep(self, more: Iterable[Path] = ()) -> None:
        """Removes what kills have left of the place's files, and of more, as they were written."""
        names = "|".join(re.escape(file.name) for file in (self.note, *self.files, *more))
        unfinished = re.compile(rf"\.({names})\.(\w+\.partial|reordered)")
        try:
            left = [name for name in os.listdir(self.folder) if unfinished.fullmatch(name)]
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        for name in left:
            _remove(self.folder / name)


@contextlib.contextmanager
def _lock(folder: Path, name: str, seconds: float = 0) -> Iterator[bool]:
    """Holds a lock file that is gone afterwards; gives False if another process has it."""
    import filelock

    path = _beside(folder / name, "lock")
    lock = filelock.FileLock(path)
    try:
        # Before it is said that somebody has it: some file systems answer the wish for a new file
        # that there is no such file, which looks like a lock that is just being removed.
        path.touch()
        lock.acquire(timeout=seconds)
    except filelock.Timeout:
        yield False
        return
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):  # Windows removes none that is held.
            path.unlink(missing_ok=True)
        lock.release()


def _beside(path: Path, purpose: str) -> Path:
    return path.with_name(f".{path.name}.{purpose}")


def _has_content(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except OSError:
        return False


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{file}: cannot be removed: {error.strerror or error}") from error
