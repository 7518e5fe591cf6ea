"""Records on a stream: each is shown as it comes."""

from __future__ import annotations

from types import TracebackType
from typing import BinaryIO

from inceptioncli.output.lines import LineFormat
from inceptioncli.records import Record


class StreamWriter:
    """Writes records to a stream that it does not own, in any line format.

    Every record is flushed as it is written. Entered, it writes what the format has before the
    first; left, what it has after the last: an interrupted array is an array all the same.
    """

    def __init__(self, stream: BinaryIO, format: LineFormat) -> None:
        self._stream = stream
        self._format = format.for_terminal() if stream.isatty() else format
        self._count = 0

    def write(self, record: Record) -> None:
        """Writes a record and flushes it."""
        self._write(self._format.encode(record, self._count))
        self._count += 1

    def __enter__(self) -> StreamWriter:
        self._write(self._format.header)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._write(self._format.footer(self._count))

    def _write(self, content: bytes) -> None:
        if content:
            self._stream.write(content)
            self._stream.flush()
