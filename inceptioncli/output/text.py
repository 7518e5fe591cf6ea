"""Text for people: a line with the path, then a line for each class."""

from __future__ import annotations

from typing import BinaryIO

from inceptioncli.records import Record
from inceptioncli.terminal import printable


class TextWriter:
    """Writes predictions; a failure has no place among results (the caller tells it apart)."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, record: Record) -> None:
        if record.failure is not None:
            return
        lines = [printable(record.path)]
        for prediction in record.predictions:
            suffix = f"  ({printable(prediction.id)})" if prediction.id else ""
            lines.append(f"  {prediction.probability:7.2%}  {printable(prediction.label)}{suffix}")
        if not record.predictions:
            lines.append("  no class reaches the threshold")
        self._stream.write("".join(f"{line}\n" for line in lines).encode())
        self._stream.flush()

    def close(self) -> None:
        """Nothing ends a text."""
