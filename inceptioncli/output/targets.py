"""Targets: what a run's output consists of, as values that can be pickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from inceptioncli.errors import OutputError, UsageError
from inceptioncli.output import note as notes
from inceptioncli.output.formats import FILE_FORMATS, FORMATS, SUFFIXES, Format
from inceptioncli.output.json import IndexLines
from inceptioncli.output.parts import LinesPart
from inceptioncli.output.places import Place
from inceptioncli.output.rendered import RenderedPart

if TYPE_CHECKING:
    from inceptioncli.output.rows import RowsPart


class Target(Protocol):
    """A file or a folder that a run writes, with a note of its own."""

    def place(self) -> Place:
        """Where it is."""

    def records(self) -> LinesPart:
        """The part that has a line for each record."""

    def arrays(self) -> Sequence[RowsPart]:
        """The parts that have a row for each record that is no failure."""


class Table(NamedTuple):
    """A file of records.

    Attributes:
        path: the file; no link, or it would be replaced (see `at`).
        format: one that files can have.
        columns: the most predictions of a record.
    """

    path: Path
    format: Format
    columns: int

    @classmethod
    def at(cls, path: Path, format: Format, columns: int) -> Table:
        """The file that a path leads to: of a link it is what it leads to that is written."""
        return cls(path.resolve() if path.is_symlink() else path, format, columns)

    def place(self) -> Place:
        return Place(self.path.parent, self.path.name, {self.path, self.records().path})

    def records(self) -> LinesPart:
        assert self.format.file is not None, self.format.name
        lines = self.format.file(self.columns)
        if self.format.renderer is None:
            return LinesPart(self.path, lines)
        return RenderedPart(self.path, lines, self.format.renderer())

    def arrays(self) -> Sequence[RowsPart]:
        return ()


class Arrays(NamedTuple):
    """A folder of arrays: ``index.jsonl`` and, for each end point, ``<end point>.npy``.

    Attributes:
        folder: the folder.
        shapes: end point to the shape of its rows.
        dtype: of the numbers.
    """

    folder: Path
    shapes: Mapping[str, tuple[int, ...]]
    dtype: str

    def place(self) -> Place:
        parts = (self.records(), *self.arrays())
        return Place(self.folder, None, (part.path for part in parts))

    def records(self) -> LinesPart:
        return LinesPart(self.folder / "index.jsonl", IndexLines())

    def arrays(self) -> Sequence[RowsPart]:
        from inceptioncli.output import rows  # needs numpy

        return [
            rows.RowsPart(self.folder / f"{name}.npy", shape, self.dtype)
            for name, shape in self.shapes.items()
        ]


def file_format(path: Path, name: str | None) -> Format:
    """The format of a file: the one asked for by name, else what its suffix says.

    Raises:
        UsageError: neither says one that files can have, or what it needs is not installed.
        OutputError: it is a folder, or a device.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is no file that can be continued; without -o, results go there")
    if path.name == notes.NAME or path.name.endswith(f".{notes.NAME}"):
        raise UsageError(f"{path}: that name is kept for the note beside an output; choose another")
    found = FORMATS.get(name) if name else SUFFIXES.get(path.suffix.lower())
    if found is None or found.file is None:
        asked = f"format {name}" if name else f"suffix {path.suffix!r}"
        raise UsageError(
            f"{path}: {asked} is none that a file can be continued in; use "
            f"{', '.join(SUFFIXES)}, or -f {'|'.join(FILE_FORMATS)}"
        )
    if found.renderer is not None:
        found.renderer().require()
    return found
