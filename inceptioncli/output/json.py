"""JSON: a line for each record (JSON Lines), or one array of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from inceptioncli.output.lines import GrowingFormat, LineFormat, Scanned, damaged
from inceptioncli.records import FileStamp, Record

# The beginning of every line of ours; whoever continues a run needs no more of it.
_LINE = re.compile(
    rb'\{"path": ("(?:[^"\\]|\\.)*"), "status": "(ok|error)"'
    rb'(?:, "file": \{"size": (\d+), "modified": "([-\d:.TZ]+)"\})?'
    rb'(?:, "error": \{"code": "(\w+)")?'
)
_ROW = re.compile(rb'"row": \d+\}\n$')


def record_to_json(record: Record, **fields: Any) -> str:
    """A record as one line of JSON; ``fields`` are in place of its predictions.

    A line with anything in it that is no plain text (control and bidirectional characters, bytes
    that are not UTF-8, as Python's surrogates) is written in ASCII with escapes, which every JSON
    reader undoes: in files as on terminals, since files are shown on terminals, too.
    """
    line: dict[str, Any] = {"path": record.path, "status": "ok" if record.ok else "error"}
    if record.file is not None:
        line["file"] = record.file._asdict()
    if record.failure is not None:
        line["error"] = record.failure._asdict()
    else:
        line |= fields or {"predictions": [vars(prediction) for prediction in record.predictions]}
    text = json.dumps(line, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(line)


class JsonLines(GrowingFormat):
    """Lines of records with their predictions."""

    def encode(self, record: Record, row: int) -> bytes:
        return f"{record_to_json(record)}\n".encode()

    def scan(self, file: BinaryIO) -> Iterator[Scanned]:
        for number, line in enumerate(file, 1):
            match = _LINE.match(line)
            if not match or not line.endswith(b"}\n") or (match[2] == b"ok") != (match[5] is None):
                raise damaged(file.name, f"line {number} is not a record")
            path, _, size, modified, code = match.groups()
            stamp = FileStamp(int(size), modified.decode()) if size else None
            yield Scanned(json.loads(path), code.decode() if code else None, stamp, len(line))


class IndexLines(JsonLines):
    """Lines that tell which row of the arrays belongs to which path; failures have none."""

    def encode(self, record: Record, row: int) -> bytes:
        return f"{record_to_json(record, row=row)}\n".encode()

    def renumbered(self, line: bytes, row: int) -> bytes:
        return _ROW.sub(b'"row": %d}\n' % row, line)


class JsonArray(LineFormat):
    """One array, an element a line; whole only with its footer."""

    header = b"["

    def encode(self, record: Record, row: int) -> bytes:
        return f"{',' if row else ''}\n{record_to_json(record)}".encode()

    def footer(self, rows: int) -> bytes:
        return b"\n]\n" if rows else b"]\n"
