"""Places: the folders in which outputs are written, each with its note and its lock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from inceptioncli.errors import ForeignOutputError, InceptionError, OutputError, UsageError
from inceptioncli.files import beside, cannot_write, flush, remove_orphans
from inceptioncli.output import note as notes
from inceptioncli.output.locks import locked

# What a part is called while it is put in order.
REORDERED = "reordered"


class Place:
    """Where a file of records or a folder of arrays is written.

    Args:
        folder: the folder.
        table: the name of the file of records in it; None if the folder is the output.
        files: what is written there.

    Attributes:
        note: where the note is: a file's beside it, a folder's in it.
    """

    def __init__(self, folder: Path, table: str | None, files: Iterable[Path]) -> None:
        self.folder = folder
        self.table = table
        self.files = frozenset(files)
        self.note = folder / (f"{table}.{notes.NAME}" if table else notes.NAME)
        self._shared = folder / notes.NAME

    @property
    def output(self) -> Path:
        """The file or folder."""
        return self.folder / (self.table or "")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder and keeps other processes from writing here.

        Raises:
            ForeignOutputError: one is writing already.
            OutputError: the folder can't be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise OutputError(f"{self.folder} is a file, and a folder is needed there") from error
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        with locked(self.folder, self.table or "index") as ours:
            if not ours:
                raise ForeignOutputError(
                    f"another process is writing {self.output}; wait for it, or choose another -o"
                )
            yield

    def read_note(self, *, any_will_do: bool = False) -> dict[str, Any] | None:
        """The output's note, by its old name too; errors as of `note.read`.

        Where ``any_will_do``, as one that is to be replaced does, it is None in place of an error.
        """
        try:
            if self.table is None:
                return None if self._misnamed() else notes.read(self.note)
            return notes.read(self.note) or (
                notes.read(self._shared) if self._misnamed() == self.table else None
            )
        except InceptionError:
            if any_will_do:
                return None
            raise

    def rename_old_note(self) -> None:
        """Gives a note of the old naming its new name, before ours is written.

        In one step: a kill leaves it under one of them, and both are understood. In a folder's way
        it is most often another output's.

        Raises:
            ForeignOutputError: another process is writing that output.
            OutputError: it can't be renamed.
        """
        table = self._misnamed()
        if table is None or self.table not in (None, table):
            return
        name = self.folder / f"{table}.{notes.NAME}"
        with contextlib.ExitStack() as stack:
            if self.table is None and not stack.enter_context(locked(self.folder, table)):
                raise ForeignOutputError(
                    f"another process is writing {self.folder / table}; wait for it, or choose "
                    "another -o"
                )
            try:
                if not name.exists():
                    self._shared.replace(name)
                    flush(self.folder)
            except OSError as error:
                raise cannot_write(name, error) from error

    def write_note(self, note: Mapping[str, Any]) -> None:
        """Puts a note there, for good; errors as of `note.write`."""
        notes.write(self.note, {"output": self.output.name, **note})

    def check_ours(self, note: Mapping[str, Any] | None, fingerprint: Mapping[str, Any]) -> None:
        """Raises ForeignOutputError unless what is there is of a run like this one, or nothing."""
        if note is not None:
            notes.check_same_run(self.note, note, fingerprint)
        elif taken := next(filter(_has_content, sorted(self.files)), None):
            raise ForeignOutputError(
                f"{taken} is there already and was not written by a run like this one (no "
                f"{self.note.name} beside it); --overwrite replaces it, or choose another -o"
            )

    def sweep(self, more: Iterable[Path] = ()) -> None:
        """Removes what kills have left of the place's files, and of more, as they were written.

        Raises:
            OutputError: it can't be removed.
        """
        try:
            for file in (self.note, *self.files, *more):
                remove_orphans(file)
                beside(file, REORDERED).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def _misnamed(self) -> str | None:
        """The table whose note the folder's ``run.json`` is, by the old naming."""
        try:
            note = notes.read(self._shared)
        except InceptionError:
            return None
        return notes.misnamed_table(note) if note else None


def check_apart(places: Sequence[Place]) -> None:
    """Raises UsageError if the places of one run would write the same file."""
    files = [place.folder.resolve() / file.name for place in places for file in place.files]
    if len({*files}) < len(files):
        raise UsageError(
            f"{places[0].output} has the name of a file of arrays in the same folder; choose "
            "another -o, or another --dump-dir"
        )


def note_of(output: Path) -> dict[str, Any] | None:
    """The note of a file or a folder, read without touching anything.

    None if there is none that can be read; whoever opens the output is told why.
    """
    output = output.resolve()
    table = None if output.is_dir() else output.name
    place = Place(output if table is None else output.parent, table, ())
    return place.read_note(any_will_do=True)


def _has_content(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except OSError:
        return False
