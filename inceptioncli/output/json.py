"""JSON: a line for each record (JSON Lines), or one array of them."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from inceptioncli.records import Record


def record_to_json(record: Record) -> str:
    """A record as one line of JSON.

    Names that are no plain text (control characters, bytes that are not UTF-8, as Python's
    surrogates) are written in ASCII with escapes, which every JSON reader undoes.
    """
    fields: dict[str, Any] = {"path": record.path, "status": "ok" if record.ok else "error"}
    if record.failure is None:
        fields["predictions"] = [vars(prediction) for prediction in record.predictions]
    else:
        fields["error"] = record.failure._asdict()
    return json.dumps(fields, ensure_ascii=not record.path.isprintable())


class JsonLinesWriter:
    """One line for each record."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, record: Record) -> None:
        self._stream.write(f"{record_to_json(record)}\n".encode())
        self._stream.flush()

    def close(self) -> None:
        """Nothing ends a run of lines."""


class JsonWriter:
    """One array, an element a line; whole only after `close`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._separator = "[\n"

    def write(self, record: Record) -> None:
        self._stream.write(f"{self._separator}{record_to_json(record)}".encode())
        self._stream.flush()
        self._separator = ",\n"

    def close(self) -> None:
        self._stream.write(b"[]\n" if self._separator == "[\n" else b"\n]\n")
        self._stream.flush()
