"""The store: the files of a run that can be killed at any moment and continued.

A run's parts grow at their ends; the note tells which length of each counts and is replaced, for
good, after the parts are safe. What a kill leaves beyond is cut off by the next run.
Records are appended as they come; what a continued run adds between older ones is put in its place
when the run is finished.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from inceptioncli.errors import OutputError
from inceptioncli.files import beside, cannot_write, flush, remove
from inceptioncli.output import note as notes
from inceptioncli.output.addition import Addition, abandon, check_addable, remove_unfinished
from inceptioncli.output.base import is_due
from inceptioncli.output.ledger import Ledger
from inceptioncli.output.lines import damaged, missing
from inceptioncli.output.parts import Part
from inceptioncli.output.places import REORDERED, check_apart
from inceptioncli.output.rendered import RenderedPart
from inceptioncli.output.targets import Target
from inceptioncli.records import STDIN, Record

if TYPE_CHECKING:
    from inceptioncli.output.rows import RowsPart

_UNFINISHED = "unfinished"
_FINISHED = "finished"


class Store:
    """An `Output` in files: a table, a folder of arrays, or both in one pass.

    At its end as a context manager what is done is committed, however it ends, and others may have
    the output.

    Args:
        fingerprint: what the run is made with; another run's output is not continued.
        targets: what is written, no file twice.
        overwrite: start anew, whatever is there.
        again: start anew where a run like this one is.
        retry_errors: try failures that are there again.
        retry_changed: do results of files that have changed since again.

    Attributes:
        ledger: which inputs have their records.
        addition: arrays that the folder of a finished run lacks, to be written first; None if none.

    Raises:
        ForeignOutputError: what is there belongs to another run, to somebody else, or another
            process is writing it.
        OutputError: it can't be written.
    """

    kept = True

    def __init__(
        self,
        fingerprint: Mapping[str, Any],
        *targets: Target,
        overwrite: bool = False,
        again: bool = False,
        retry_errors: bool = False,
        retry_changed: bool = False,
    ) -> None:
        self.ledger = Ledger(retry_errors=retry_errors, retry_changed=retry_changed)
        self.addition: Addition | None = None
        self._fingerprint = fingerprint
        self._working_folder: str | None = fingerprint.get("working_folder")
        self._places = [target.place() for target in targets]
        self._records = [target.records() for target in targets]
        self._rendered = [part for part in self._records if isinstance(part, RenderedPart)]
        self._arrays = [array for target in targets for array in target.arrays()]
        # Replaced as a whole when a record is written as a whole: an interrupt in between leaves
        # what was before.
        self._lengths: dict[Part, int] = {}
        self._growing = False  # whether the notes say that the output is unfinished
        self._committed_at = time.monotonic()
        check_apart(self._places)
        with contextlib.ExitStack() as held:
            for place in self._places:
                held.enter_context(place.locked())
            for part in self._parts:
                held.callback(part.close)
            self._open(overwrite, again)
            self._held = held.pop_all()

    def found_from(self, working_folder: str) -> None:
        """Says where the relative inputs begin that come from now on.

        May be called in another thread. The note says so together with the first of their records
        that counts.

        Raises:
            ForeignOutputError: earlier ones began elsewhere.
        """
        notes.check_same_folder(self._places[0].note, self._working_folder, working_folder)
        self._working_folder = working_folder

    def append(self, record: Record) -> None:
        """Writes a record, and a row of each array from its features.

        Raises:
            OutputError: it can't be written.
        """
        self._grow()
        lengths = dict(self._lengths)
        row = lengths[self._arrays[0]] if self._arrays else 0
        for part in self._parts:
            lengths[part] = part.append(record, row, lengths[part])
        self._lengths = lengths
        self.ledger.append(record.code)

    def commit_if_due(self) -> bool:
        """Commits if enough has come together, or long ago; whether it did."""
        due = is_due(self.ledger.uncommitted, self._committed_at)
        if due:
            self.commit()
        return due

    def commit(self) -> None:
        """Makes all that is written count.

        Raises:
            OutputError: it can't be.
        """
        if self.ledger.uncommitted:
            self._commit(_UNFINISHED)

    def finish(self) -> None:
        """To be called when all inputs have their records: puts them in order, and renders.

        Raises:
            OutputError: it can't be written.
        """
        order = self.ledger.final_order()
        if order is not None:
            self._grow()
            self._commit(_UNFINISHED)
            self._reorder(order)
        if not self._growing:
            return
        if self._rendered:
            self._commit(_UNFINISHED)
        for part in self._rendered:
            part.render()
        self._commit(_FINISHED)
        self._growing = False
        for part in self._rendered:
            part.rest()

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
            self._held.close()

    @property
    def _parts(self) -> tuple[Part, ...]:
        return (*self._records, *self._arrays)

    def _open(self, overwrite: bool, again: bool) -> None:
        found = [place.read_note(any_will_do=overwrite) for place in self._places]
        if not overwrite:
            for place, note in zip(self._places, found, strict=True):
                place.check_ours(note, self._fingerprint)
        for place in self._places:
            place.rename_old_note()
        note = found[0]
        there = any(file.exists() for file in self._places[0].files)
        if overwrite or again or note is None or not note["committed"] or not there:
            self._begin(found)
        else:
            self._working_folder = self._working_folder or note.get("working_folder")
            # A kill may have come right before a note, or between two of them.
            finished = all(other is not None and other["status"] == _FINISHED for other in found)
            self._continue(note, finished)

    def _begin(self, found: Sequence[Mapping[str, Any] | None]) -> None:
        # First of all the note: what a kill leaves from here on is this run's. It names the arrays
        # of the run before, whose end points may have been others.
        replaced = {
            name
            for note in found
            if note is not None
            for name in (*note["committed"], *note.get("replaced", ()), *note.get("adding", ()))
            if name.endswith(".npy")
        }
        self._write_note(_UNFINISHED, replaced=sorted(replaced))
        for place in self._places:
            old = {place.folder / Path(name).name for name in replaced}
            place.sweep(old)
            for file in place.files | (set() if place.table else old):
                remove(file)
                remove_unfinished(file)
        self._lengths = {part: part.create() for part in self._parts}
        self._commit(_UNFINISHED)
        self._growing = True  # Even no records make a file.

    def _continue(self, note: Mapping[str, Any], finished: bool) -> None:
        if note["renaming"]:
            self._rename()
        for place in self._places:
            place.sweep()
        lacking = [part for part in self._arrays if self._name(part) not in note["committed"]]
        if lacking:
            check_addable(self._places[0], lacking, finished=finished)
            self._arrays = [part for part in self._arrays if part not in lacking]
        for part in self._parts:
            name = self._name(part)
            if name not in note["committed"]:
                raise missing(part.path)
            self._lengths[part] = note["committed"][name]
            if finished and isinstance(part, RenderedPart):
                part.rest()
            else:
                part.open(self._lengths[part], exactly=finished or note["renaming"])
        for path, code, file, _ in self._records[0].scan():
            # Standard input may be another picture each time.
            again = path == STDIN or (code is not None and file is None and _is_open_folder(path))
            self.ledger.add(path, code, file, again=again)
        rows = sum(code is None for code in self.ledger.codes)
        if self._arrays and rows != self._lengths[self._arrays[0]]:
            raise damaged(self._records[0].path, "its records do not match the arrays")
        self.ledger.commit()
        if note["renaming"]:
            self._write_note(_UNFINISHED)
        self._growing = not finished
        if lacking:
            self.addition = Addition(
                self._places[0], note, self._records[0], lacking, lambda: self._take(lacking, rows)
            )
        else:
            abandon(self._places[0], note)

    def _take(self, added: Sequence[RowsPart], rows: int) -> None:
        for part in added:
            part.open(rows, exactly=True)
            self._lengths[part] = rows
        self._arrays += added
        self._write_note(_FINISHED)

    def _grow(self) -> None:
        """Makes a finished output unfinished, before it is longer."""
        if self._growing:
            return
        for part in self._rendered:
            self._lengths[part] = part.restore(self._lengths[part])
        self._write_note(_UNFINISHED)
        self._growing = True

    def _reorder(self, order: Sequence[int]) -> None:
        failed = [code is not None for code in self.ledger.codes]
        lengths: dict[Part, int] = {}
        try:
            for part in self._parts:
                copy = _copy_of(part)
                lengths[part] = part.reordered(order, failed, copy)
                flush(copy)
        except OSError as error:
            for place in self._places:
                place.sweep()
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

    def _rename(self) -> None:
        try:
            for part in self._parts:
                copy = _copy_of(part)
                if copy.exists():
                    copy.replace(part.path)
            for folder in {part.path.parent for part in self._parts}:
                flush(folder)
        except OSError as error:
            raise cannot_write(self._places[0].folder, error) from error

    def _commit(self, status: str) -> None:
        for part, length in self._lengths.items():
            part.sync(length)
        self._write_note(status)
        self.ledger.commit()
        self._committed_at = time.monotonic()

    def _write_note(
        self, status: str, *, renaming: bool = False, replaced: Sequence[str] = ()
    ) -> None:
        counts = self.ledger.counts
        ok = counts[None]
        note = {
            **self._fingerprint,
            "working_folder": self._working_folder,
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
            place.write_note(note)

    def _name(self, part: Part) -> str:
        """A part's path from where the note is that counts."""
        try:
            return os.path.relpath(part.path, self._places[0].folder)
        except ValueError:  # on another of Windows' drives
            return str(part.path)


def _is_open_folder(path: str) -> bool:
    """Whether the images in it are inputs, whatever kept it from being read before."""
    return os.path.isdir(path) and os.access(path, os.R_OK | os.X_OK)


def _copy_of(part: Part) -> Path:
    """Where a part is put in order; a leftover until a note says that it counts."""
    return beside(part.path, REORDERED)
