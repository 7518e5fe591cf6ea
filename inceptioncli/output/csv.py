"""CSV: a header, then a row for each record."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import BinaryIO

from inceptioncli.records import Record
from inceptioncli.terminal import printable


class CsvWriter:
    """Columns ``path,status,error`` and, ``columns`` times, ``id_N,label_N,probability_N``.

    ``error`` is the failure's code. A path's bytes stay as they are, UTF-8 or not, except on a
    terminal, which would obey them.
    """

    def __init__(self, stream: BinaryIO, columns: int) -> None:
        self._stream = stream
        self._columns = columns
        self._show: Callable[[str], str] = printable if stream.isatty() else str
        header = ["path", "status", "error"]
        for rank in range(1, columns + 1):
            header += [f"id_{rank}", f"label_{rank}", f"probability_{rank}"]
        self._row(header)

    def write(self, record: Record) -> None:
        row = [record.path, "ok" if record.ok else "error"]
        row.append(record.failure.code if record.failure else "")
        for prediction in record.predictions:
            row += [prediction.id or "", prediction.label, repr(prediction.probability)]
        self._row(row + [""] * (3 + 3 * self._columns - len(row)))

    def close(self) -> None:
        """Nothing ends a table."""

    def _row(self, row: list[str]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(map(self._show, row))
        self._stream.write(text.getvalue().encode("utf-8", "surrogateescape"))
        self._stream.flush()
