"""CSV: a header, then a row for each record."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from inceptioncli.output.lines import Scanned, damaged
from inceptioncli.records import Record
from inceptioncli.terminal import printable


def column_names(columns: int) -> list[str]:
    """``path,status,error`` and, ``columns`` times, ``id_N,label_N,probability_N``."""
    names = ["path", "status", "error"]
    for rank in range(1, columns + 1):
        names += [f"id_{rank}", f"label_{rank}", f"probability_{rank}"]
    return names


def csv_row(values: Iterable[str]) -> bytes:
    """One row; bytes of a path that are not UTF-8 stay what they are."""
    text = io.StringIO()
    # The writer quotes what its line ends hold; a lone \r has to be quoted too.
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue()[:-2].encode("utf-8", "surrogateescape") + b"\n"


def csv_rows(file: BinaryIO) -> Iterator[tuple[list[str], int]]:
    """The rows of a file, each with the bytes that it takes.

    Raises:
        ForeignOutputError: the file ends within a row.
    """
    row = b""
    for line in file:
        row += line
        # A name may hold newlines; within quotes they are part of it.
        if row.count(b'"') % 2 == 0:
            if b'"' in row:
                text = row.decode("utf-8", "surrogateescape")
                values = next(csv.reader(io.StringIO(text, newline="")))
            else:
                values = row[:-1].decode("utf-8", "surrogateescape").split(",")
            yield values, len(row)
            row = b""
    if row:
        raise damaged(file.name, "it ends within a row")


class CsvLines:
    """Rows of records (`output.lines.LineFormat`); ``error`` is the failure's code."""

    def __init__(self, columns: int) -> None:
        self._names = column_names(columns)
        self.header = csv_row(self._names)

    def encode(self, record: Record, row: int) -> bytes:
        return csv_row(self.values(record))

    def renumbered(self, line: bytes, row: int) -> bytes:
        return line

    def scan(self, file: BinaryIO) -> Iterator[Scanned]:
        for number, (values, size) in enumerate(csv_rows(file), 2):
            if len(values) != len(self._names) or values[1] not in ("ok", "error"):
                raise damaged(file.name, f"row {number} is not a record")
            yield Scanned(values[0], values[2] or None, size)

    def values(self, record: Record) -> list[str]:
        """A record's row."""
        row = [record.path, "ok" if record.ok else "error"]
        row.append(record.failure.code if record.failure else "")
        for prediction in record.predictions:
            row += [prediction.id or "", prediction.label, repr(prediction.probability)]
        return row + [""] * (len(self._names) - len(row))


class CsvWriter:
    """Rows for a stream; a terminal, which would obey a path's bytes, gets them escaped."""

    def __init__(self, stream: BinaryIO, columns: int) -> None:
        self._stream = stream
        self._lines = CsvLines(columns)
        self._terminal = stream.isatty()
        self._write(self._lines.header)

    def write(self, record: Record) -> None:
        values = self._lines.values(record)
        self._write(csv_row(map(printable, values) if self._terminal else values))

    def close(self) -> None:
        """Nothing ends a table."""

    def _write(self, row: bytes) -> None:
        self._stream.write(row)
        self._stream.flush()
