"""Records on a stream: each is shown as it comes."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import BinaryIO

from inceptioncli.output.base import Output
from inceptioncli.output.ledger import Ledger
from inceptioncli.output.lines import LineFormat
from inceptioncli.records import Record


class StreamWriter:
    """An `Output` on a stream that it does not own.

    Every record is flushed as it is written. Entered, it writes what the format has before the
    first; left, what it has after the last: an interrupted array is an array all the same.
    """

    def __init__(self, stream: BinaryIO, format: LineFormat) -> None:
        self.ledger = Ledger()
        self._stream = stream
        self._format = format.for_terminal() if stream.isatty() else format

    def append(self, record: Record) -> None:
        """Writes a record and flushes it."""
        self._write(self._format.encode(record, self.ledger.counts.total()))
        self.ledger.append(record.code)

    def commit_if_due(self) -> bool:
        """There is nothing to commit."""
        return False

    def finish(self) -> None:
        """There is nothing to put in order."""

    def __enter__(self) -> StreamWriter:
        self._write(self._format.header)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._write(self._format.footer(self.ledger.counts.total()))

    def _write(self, content: bytes) -> None:
        if content:
            self._stream.write(content)
            self._stream.flush()


class Shown:
    """An `Output` whose records are shown on a stream as well.

    The ledger is the output's.
    """

    def __init__(self, output: Output, writer: StreamWriter) -> None:
        self.ledger = output.ledger
        self._output = output
        self._writer = writer
        self._open = contextlib.ExitStack()

    def append(self, record: Record) -> None:
        """Shows a record, then keeps it."""
        self._writer.append(record)
        self._output.append(record)

    def commit_if_due(self) -> bool:
        """As the output."""
        return self._output.commit_if_due()

    def finish(self) -> None:
        """As the output."""
        self._output.finish()

    def __enter__(self) -> Shown:
        self._open.enter_context(self._output)
        self._open.enter_context(self._writer)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, traceback)
