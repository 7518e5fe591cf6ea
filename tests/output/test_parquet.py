"""Parquet against what the records say, and against the rows that it was made of."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
from pyarrow.parquet import ParquetFile, read_table, write_table

from inceptioncli.errors import ForeignOutputError
from inceptioncli.output import parquet
from inceptioncli.output.csv import CsvLines
from inceptioncli.output.parquet import ParquetRenderer
from inceptioncli.records import Failure, FileStamp, Prediction, Record, utc

# What CSV, its readers or Arrow's might take for something else.
PIECES = ["a", "\n", "\r", "\r\n", '"', ",", "\0", "é", "猫", " ", "\t", "\ufeff", "\u2028", "\x85"]
PIECES += ["NA", "null", "nan", "\\", "'", "\x1b", "#"]
NO_UTF8 = "\udcff"


def strange_records(count: int, pieces: list[str], seed: int) -> list[Record]:
    rng = random.Random(seed)

    def text(most: int) -> str:
        return "".join(rng.choices(pieces, k=rng.randrange(most)))

    def prediction() -> Prediction:
        probability = np.uint32(rng.randrange(0x3F800001)).view(np.float32)
        label = text(4).encode("utf-8", "ignore").decode()
        return Prediction(0, rng.choice([None, "n1"]), label, float(str(probability)))

    def file() -> FileStamp | None:
        times = rng.randrange(2**63), -rng.randrange(9_223_372_036 * 10**9)
        return rng.choice([None, *(FileStamp(rng.randrange(1 << 50), utc(time)) for time in times)])

    records = []
    for number in range(count):
        if number % 5 == 3:
            message = text(9).encode("utf-8", "ignore").decode()
            records.append(Record(text(9), failure=Failure("truncated", message), file=file()))
        else:
            predictions = tuple(prediction() for _ in range(rng.randrange(3)))
            records.append(Record(text(9), predictions, file=file()))
    return records


def write_rows(file: Path, records: list[Record]) -> None:
    lines = CsvLines(2)
    file.write_bytes(lines.header + b"".join(lines.encode(record, 0) for record in records))


def nanoseconds(file: FileStamp) -> int:
    return int(np.datetime64(file.modified.removesuffix("Z"), "ns").astype(np.int64))


def expected(record: Record, binary: bool) -> list[Any]:
    row = [os.fsencode(record.path) if binary else record.path, "ok" if record.ok else "error"]
    row += [record.code, record.failure.message or None if record.failure else None]
    row += [record.file.size, nanoseconds(record.file)] if record.file else [None, None]
    for place in range(2):
        if place < len(record.predictions):
            _, id, label, probability = vars(record.predictions[place]).values()
            row += [id, label or None, np.float32(probability)]
        else:
            row += [None] * 3
    return row


@pytest.mark.parametrize("group", [1, 7, 400])
@pytest.mark.parametrize("binary", [False, True])
def test_rendered_as_the_records_are_and_restored(
    binary: bool, group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_CELLS", group * 12)
    rows, target, again = (tmp_path / name for name in ("rows", "out.parquet", "again"))
    records = strange_records(300, [*PIECES, NO_UTF8] if binary else PIECES, seed=group)
    write_rows(rows, records)
    renderer = ParquetRenderer()
    renderer.render(rows, target)

    table = read_table(target)
    paths = pyarrow.binary() if binary else pyarrow.string()
    float32, string = pyarrow.float32(), pyarrow.string()
    assert table.schema.types == [
        *[paths, string, string, string, pyarrow.int64(), pyarrow.timestamp("ns", "UTC")],
        *[string, string, float32] * 2,
    ]
    names = ["path", "status", "error", "message", "size", "modified", "id_1"]
    assert table.column_names[:7] == names
    # Python's own dates have no nanoseconds.
    table = table.set_column(5, "modified", table["modified"].cast(pyarrow.int64()))
    found = [list(row.values()) for row in table.to_pylist()]
    assert found == [expected(record, binary) for record in records]
    with ParquetFile(target) as file:
        assert file.num_row_groups == -(-300 // group)

    assert [(path, code, file) for path, code, file, _ in renderer.scan(target)] == [
        (record.path, record.code, record.file) for record in records
    ]
    renderer.restore(target, again)
    assert again.read_bytes() == rows.read_bytes()


def test_probabilities_are_restored_as_they_were_written(tmp_path: Path) -> None:
    """numpy and Python part at 0.0001, which numpy has as 1e-04."""
    values = [0.0001, 9.999e-05, 1e-45, 1.1754944e-38, 0.1, 0.33333334, 1.0, 0.0]
    write_rows(
        tmp_path / "rows", [Record("a", (Prediction(0, None, "x", value),)) for value in values]
    )
    ParquetRenderer().render(tmp_path / "rows", tmp_path / "out")
    ParquetRenderer().restore(tmp_path / "out", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "rows").read_bytes()


def test_times_as_pandas_reads_them_and_none_beyond_their_range(tmp_path: Path) -> None:
    """Some file systems have times up to the year 292,277,026,596."""
    texts = ["2026-11-24T08:45:19.123456789Z", "1969-12-31T23:59:59.999999999Z"]
    texts += ["1677-09-21T00:12:44.000000000Z", "2262-04-11T23:47:16.854775807Z"]
    beyond = ["1677-09-21T00:12:43.999999999Z", "2262-04-11T23:47:16.854775808Z"]
    beyond += [utc(10**19 * 7), utc(-(10**20)), "0001-01-01T00:00:00.000000000Z"]
    write_rows(tmp_path / "rows", [Record("a", file=FileStamp(1, text)) for text in texts + beyond])
    ParquetRenderer().render(tmp_path / "rows", tmp_path / "out")
    found = pandas.read_parquet(tmp_path / "out")["modified"]
    assert list(found[:4]) == [pandas.Timestamp(text) for text in texts]
    assert found[4:].isna().all()
    # What is restored renders to the same.
    ParquetRenderer().restore(tmp_path / "out", tmp_path / "again")
    ParquetRenderer().render(tmp_path / "again", tmp_path / "out again")
    assert (tmp_path / "out again").read_bytes() == (tmp_path / "out").read_bytes()
    assert [file for _, _, file, _ in ParquetRenderer().scan(tmp_path / "out")] == [
        *(FileStamp(1, text) for text in texts), *[FileStamp(1, "")] * len(beyond),
    ]  # fmt: skip


def test_the_columns_of_an_earlier_version(tmp_path: Path) -> None:
    old = pyarrow.table({"path": ["a"], "status": ["ok"], "error": [None], "id_1": ["n1"]})
    write_table(old, tmp_path / "out")
    for work in (
        lambda: list(ParquetRenderer().scan(tmp_path / "out")),
        lambda: ParquetRenderer().restore(tmp_path / "out", tmp_path / "rows"),
    ):
        with pytest.raises(ForeignOutputError, match=r"path,status,error,id_1, and .*message,size"):
            work()
    assert not (tmp_path / "rows").exists()


def test_no_records(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows", [])
    ParquetRenderer().render(tmp_path / "rows", tmp_path / "out")
    assert read_table(tmp_path / "out").shape == (0, 12)
    assert list(ParquetRenderer().scan(tmp_path / "out")) == []


def test_a_folder_whose_name_is_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / f"x{NO_UTF8}"
    folder.mkdir()
    write_rows(folder / "rows", [Record("a")])
    ParquetRenderer().render(folder / "rows", folder / "out")
    ParquetRenderer().restore(folder / "out", folder / "again")
    assert [path for path, *_ in ParquetRenderer().scan(folder / "out")] == ["a"]


@pytest.mark.parametrize("content", [b"", b"PAR1 not at all"])
def test_something_else(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(content)
    with pytest.raises(ForeignOutputError, match="--overwrite"):
        list(ParquetRenderer().scan(tmp_path / "out"))
