from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest

from inceptioncli.errors import ForeignOutputError, UsageError
from inceptioncli.output.formats import FILE_FORMATS, FORMATS, STREAM_FORMATS, SUFFIXES
from inceptioncli.output.json import JsonLines
from inceptioncli.output.targets import Arrays, Table, file_format


def test_every_format_goes_somewhere() -> None:
    assert {*STREAM_FORMATS, *FILE_FORMATS} == set(FORMATS)
    for name, format in FORMATS.items():
        assert format.name == name
        assert format.file is not None or not (format.suffixes or format.renderer)
    assert len(SUFFIXES) == sum(len(format.suffixes) for format in FORMATS.values())


@pytest.mark.parametrize(
    ("file", "asked", "found"),
    [
        ("a.jsonl", None, "jsonl"),
        ("a.NDJSON", None, "jsonl"),
        ("a.csv", None, "csv"),
        ("a.csv", "jsonl", "jsonl"),
        ("a.parquet", None, "parquet"),
    ],
)
def test_a_files_format(file: str, asked: str | None, found: str) -> None:
    assert file_format(Path(file), asked) is FORMATS[found]


@pytest.mark.parametrize(
    ("file", "asked", "told"),
    [
        ("a.json", None, "suffix '.json' is none that a file can be continued in"),
        ("a.csv", "text", "format text is none that a file can be continued in"),
        ("run.json", "csv", "kept for the note"),
    ],
)
def test_a_file_that_can_not_be(file: str, asked: str | None, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        file_format(Path(file), asked)


@pytest.mark.parametrize("name", FILE_FORMATS)
def test_targets_are_values(name: str, tmp_path: Path) -> None:
    """They go to other processes, and to other machines."""
    table = Table.at(tmp_path / "out", FORMATS[name], 3)
    arrays = Arrays(tmp_path, {"Logits": (1001,)}, "float16")
    assert pickle.loads(pickle.dumps((table, arrays))) == (table, arrays)


def test_lines_of_an_earlier_version_speak_of_no_file() -> None:
    lines = io.BytesIO(
        b'{"path": "a", "status": "ok", "predictions": []}\n'
        b'{"path": "b", "status": "error", "error": {"code": "truncated", "message": ""}}\n'
    )
    assert [each[:3] for each in JsonLines().scan(lines)] == [
        ("a", None, None),
        ("b", "truncated", None),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b'{"path": "a", "status": "error", "predictions": []}\n',
        b'{"path": "a", "status": "ok", "error": {"code": "truncated", "message": ""}}\n',
        b'{"path": "a", "status": "ok", "row": 3',
    ],
)
def test_what_is_no_record_is_damage(line: bytes) -> None:
    lines = io.BytesIO(line)
    lines.name = "out.jsonl"
    with pytest.raises(ForeignOutputError, match="line 1 is not a record"):
        list(JsonLines().scan(lines))
