"""Text for people: a line with the path, then a line for each class."""

from __future__ import annotations

from inceptioncli.output.lines import LineFormat
from inceptioncli.records import Record
from inceptioncli.terminal import printable


class TextLines(LineFormat):
    """Predictions; a failure has no place among results (whoever shows them tells it apart)."""

    def encode(self, record: Record, row: int) -> bytes:
        if record.failure is not None:
            return b""
        lines = [printable(record.path)]
        for prediction in record.predictions:
            suffix = f"  ({printable(prediction.id)})" if prediction.id else ""
            lines.append(f"  {prediction.probability:7.2%}  {printable(prediction.label)}{suffix}")
        if not record.predictions:
            lines.append("  no class reaches the threshold")
        return "".join(f"{line}\n" for line in lines).encode()
