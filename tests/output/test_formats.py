from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from inceptioncli.errors import UsageError
from inceptioncli.output.formats import FILE_FORMATS, FORMATS, STREAM_FORMATS, SUFFIXES
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
