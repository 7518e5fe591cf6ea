"""The formats of results: one table of what each is on a stream and in a file.

A format is imported when it is used; the command line reads names for its help.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from inceptioncli.output.lines import GrowingFormat, LineFormat
    from inceptioncli.output.rendered import Renderer


class Format(NamedTuple):
    """A format. Lines are made for records with at most so many predictions.

    Attributes:
        name: what users call it.
        suffixes: of its files.
        stream: its lines on a stream, where records are shown as they come; None if it has none.
        file: the lines that grow in its file and can be continued; None if it is for streams only.
        renderer: for a file that can't grow by lines, what makes it in the end from lines of
            ``file`` that grow beside it.
    """

    name: str
    suffixes: tuple[str, ...] = ()
    stream: Callable[[int], LineFormat] | None = None
    file: Callable[[int], GrowingFormat] | None = None
    renderer: Callable[[], Renderer] | None = None


def _text(columns: int) -> LineFormat:
    from inceptioncli.output.text import TextLines

    return TextLines()


def _json_lines(columns: int) -> GrowingFormat:
    from inceptioncli.output.json import JsonLines

    return JsonLines()


def _json_array(columns: int) -> LineFormat:
    from inceptioncli.output.json import JsonArray

    return JsonArray()


def _csv(columns: int) -> GrowingFormat:
    from inceptioncli.output.csv import CsvLines

    return CsvLines(columns)


def _parquet() -> Renderer:
    from inceptioncli.output.parquet import ParquetRenderer

    return ParquetRenderer()


FORMATS = {
    format.name: format
    for format in (
        Format("text", stream=_text),
        Format("jsonl", (".jsonl", ".ndjson"), stream=_json_lines, file=_json_lines),
        Format("json", stream=_json_array),
        Format("csv", (".csv",), stream=_csv, file=_csv),
        Format("parquet", (".parquet",), file=_csv, renderer=_parquet),
    )
}
STREAM_FORMATS = tuple(format.name for format in FORMATS.values() if format.stream)
FILE_FORMATS = tuple(format.name for format in FORMATS.values() if format.file)
SUFFIXES = {suffix: format for format in FORMATS.values() for suffix in format.suffixes}


def stream_lines(name: str, columns: int) -> LineFormat:
    """The lines of one of `STREAM_FORMATS`; ``columns`` is the most predictions of a record."""
    lines = FORMATS[name].stream
    assert lines is not None, name
    return lines(columns)
