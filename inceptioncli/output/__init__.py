"""Output: records written as text, JSON Lines, JSON or CSV, each as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Protocol

from inceptioncli.output.csv import CsvWriter
from inceptioncli.output.json import JsonLinesWriter, JsonWriter
from inceptioncli.output.text import TextWriter
from inceptioncli.records import Record


class Writer(Protocol):
    """Writes records, in UTF-8, to a stream that it does not own."""

    def write(self, record: Record) -> None:
        """Writes one record and flushes it."""

    def close(self) -> None:
        """Writes what the format needs at its end."""


FORMATS = ("text", "jsonl", "json", "csv")


def open_writer(format: str, stream: BinaryIO, columns: int) -> Writer:
    """The writer of a format among `FORMATS`; ``columns`` is the most predictions of a record."""
    if format == "csv":
        return CsvWriter(stream, columns)
    writers: dict[str, Callable[[BinaryIO], Writer]] = {
        "text": TextWriter,
        "jsonl": JsonLinesWriter,
        "json": JsonWriter,
    }
    return writers[format](stream)
