"""CSV: a header, then a row for each record."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from inceptioncli.errors import ForeignOutputError
from inceptioncli.output.lines import GrowingFormat, Scanned, damaged
from inceptioncli.records import FileStamp, Record
from inceptioncli.terminal import printable

# The columns of any record.
COMMON = ("path", "status", "error", "message", "size", "modified")


def column_names(columns: int) -> list[str]:
    """`COMMON` and, ``columns`` times, ``id_N,label_N,probability_N``."""
    names = [*COMMON]
    for rank in range(1, columns + 1):
        names += [f"id_{rank}", f"label_{rank}", f"probability_{rank}"]
    return names


def check_columns(name: str | Path, found: Sequence[str]) -> None:
    """Raises ForeignOutputError for a table that an earlier version has written."""
    found = tuple(found[: len(COMMON)])
    if found != COMMON:
        raise ForeignOutputError(
            f"{name}: its first columns are {','.join(found)}, and {','.join(COMMON)} are "
            "expected: an earlier version wrote it; --overwrite starts anew, or choose another -o"
        )


def file_of(row: Sequence[str]) -> FileStamp | None:
    """The file that a row speaks of."""
    size, modified = row[4:6]
    return FileStamp(int(size), modified) if size else None


def csv_row(values: Iterable[str]) -> bytes:
    """One row; bytes of a path that are not UTF-8 stay what they are."""
    text = io.StringIO()
    # The writer quotes what its line ends hold; a lone \r has to be quoted too.
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue()[:-2].encode("utf-8", "surrogateescape") + b"\n"


def raw_rows(file: BinaryIO) -> Iterator[bytes]:
    """The rows of a file as they stand there.

    Raises:
        ForeignOutputError: the file ends within a row.
    """
    row = b""
    for line in file:
        row += line
        # A name may hold newlines; within quotes they are part of it.
        if row.count(b'"') % 2 == 0:
            yield row
            row = b""
    if row:
        raise damaged(file.name, "it ends within a row")


def csv_rows(file: BinaryIO) -> Iterator[tuple[list[str], int]]:
    """The values in the rows of a file, each row with the bytes that it takes; as `raw_rows`."""
    for row in raw_rows(file):
        text = row.decode("utf-8", "surrogateescape")
        if '"' in text:
            yield next(csv.reader(io.StringIO(text, newline=""))), len(row)
        else:
            yield text[:-1].split(","), len(row)


class CsvLines(GrowingFormat):
    """Rows of records; ``error`` is the failure's code, ``message`` what it says.

    Args:
        columns: the most predictions of a record.
        escaped: whether control characters are.
    """

    def __init__(self, columns: int, *, escaped: bool = False) -> None:
        self._columns = columns
        self._names = column_names(columns)
        self._escaped = escaped
        self.header = csv_row(self._names)

    def encode(self, record: Record, row: int) -> bytes:
        code, message = record.failure or ("", "")
        size, modified = record.file or ("", "")
        values = [record.path, "ok" if record.ok else "error", code, message, str(size), modified]
        for prediction in record.predictions:
            values += [prediction.id or "", prediction.label, repr(prediction.probability)]
        values += [""] * (len(self._names) - len(values))
        return csv_row(map(printable, values) if self._escaped else values)

    def for_terminal(self) -> CsvLines:
        return CsvLines(self._columns, escaped=True)

    def scan(self, file: BinaryIO) -> Iterator[Scanned]:
        rows = csv_rows(file)
        check_columns(file.name, next(rows, ([], 0))[0])
        for number, (values, length) in enumerate(rows, 2):
            if (
                len(values) != len(self._names)
                or values[1] not in ("ok", "error")
                or not (values[4] or "0").isdecimal()
            ):
                raise damaged(file.name, f"row {number} is not a record")
            yield Scanned(values[0], values[2] or None, file_of(values), length)
