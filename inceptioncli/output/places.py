"""Places: the folders in which outputs are written, each with its note and its lock."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from inceptioncli.errors import ForeignOutputError, OutputError
from inceptioncli.files import beside, cannot_write, remove_orphans
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
        note: where the note is, as of `read_note`.
    """

    def __init__(self, folder: Path, table: str | None, files: Iterable[Path]) -> None:
        self.folder = folder
        self.table = table
        self.files = frozenset(files)
        self.note = folder / notes.NAME

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

    @contextlib.contextmanager
    def note_locked(self) -> Iterator[None]:
        """Keeps outputs in the same folder from taking the same note for theirs."""
        with locked(self.folder, notes.NAME, seconds=60) as ours:
            if not ours:
                raise ForeignOutputError(f"another process is opening {self.note}; try again")
            yield

    def read_note(self) -> dict[str, Any] | None:
        """The note that is there; errors as of `note.read`."""
        if self.table:
            self.note = note_path(self.output)
        return notes.read(self.note)

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
                f"{notes.NAME} beside it); --overwrite replaces it, or choose another -o"
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


def note_path(output: Path) -> Path:
    """Where the note of an output file is: ``run.json`` beside it.

    Where that is another output's, or something else's, it is ``<file name>.run.json``.
    """
    own = output.with_name(f"{output.name}.{notes.NAME}")
    shared = output.with_name(notes.NAME)
    if own.exists():
        return own
    try:
        if shared.exists() and json.loads(shared.read_bytes())["output"] != output.name:
            return own
    except (OSError, ValueError, KeyError, TypeError):
        return own
    return shared


def _has_content(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except OSError:
        return False
