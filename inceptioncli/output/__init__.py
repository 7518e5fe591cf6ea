"""Output: records and features, to a stream or into files that outlive any crash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from inceptioncli.choices import FILE_FORMATS
from inceptioncli.errors import OutputError, UsageError
from inceptioncli.output import note as notes
from inceptioncli.output import parquet
from inceptioncli.output.csv import CsvLines, CsvWriter
from inceptioncli.output.json import JsonLines, JsonLinesWriter, JsonWriter
from inceptioncli.output.text import TextWriter
from inceptioncli.records import Record

if TYPE_CHECKING:
    from inceptioncli.output.store import Table


class Writer(Protocol):
    """Writes records, in UTF-8, to a stream that it does not own."""

    def write(self, record: Record) -> None:
        """Writes one record and flushes it."""

    def close(self) -> None:
        """Writes what the format needs at its end."""


SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}


def file_format(path: Path, format: str | None) -> str:
    """The format of a file: the one asked for, else what its suffix says.

    Raises:
        UsageError: neither says one that files can have, or pyarrow is missing.
        OutputError: it is a folder, or a device.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is no file that can be continued; without -o, results go there")
    if path.name == notes.NAME or path.name.endswith(f".{notes.NAME}"):
        raise UsageError(f"{path}: that name is kept for the note beside an output; choose another")
    found = format or SUFFIXES.get(path.suffix.lower())
    if found not in FILE_FORMATS:
        asked = f"format {format}" if format else f"suffix {path.suffix!r}"
        raise UsageError(
            f"{path}: {asked} is none that a file can be continued in; use "
            f"{', '.join(SUFFIXES)}, or -f {'|'.join(FILE_FORMATS)}"
        )
    if found == "parquet":
        parquet.require()
    return found


def open_table(path: Path, format: str, columns: int) -> Table:
    """A file of a format among `FILE_FORMATS`; ``columns`` is the most predictions of a record.

    A link is followed: the file it leads to is what grows and is replaced.
    """
    from inceptioncli.output.store import Table  # not for what is printed

    path = path.resolve() if path.is_symlink() else path
    if format == "jsonl":
        return Table(path, JsonLines())
    return Table(path, CsvLines(columns), columns if format == "parquet" else None)


def open_writer(format: str, stream: BinaryIO, columns: int) -> Writer:
    """A writer of a format among `STREAM_FORMATS`; ``columns`` as in `open_table`."""
    if format == "csv":
        return CsvWriter(stream, columns)
    writers: dict[str, Callable[[BinaryIO], Writer]] = {
        "text": TextWriter,
        "jsonl": JsonLinesWriter,
        "json": JsonWriter,
    }
    return writers[format](stream)
