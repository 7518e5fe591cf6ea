"""Parquet: CSV's columns with types, rendered from rows in CSV when a run is finished."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from inceptioncli.errors import ForeignOutputError, UsageError
from inceptioncli.files import replacing
from inceptioncli.output.csv import COMMON, check_columns, csv_row, file_of, raw_rows
from inceptioncli.output.lines import Scanned
from inceptioncli.records import utc

# Of a row group: large enough to compress, small enough to be held while it is put together.
_CELLS = 1 << 20
# What nanoseconds in 64 bits can reach, in 1677 and 2262; Arrow reads no part of the first second.
_EARLIEST, _LATEST = utc(-9_223_372_036 * 10**9), utc(2**63 - 1)


@dataclass(frozen=True)
class ParquetRenderer:
    """Tables of rows in CSV (a `Renderer`).

    ``path`` is a string, or binary where some path is not UTF-8: neither Parquet's strings nor
    its readers can hold such bytes. ``size`` is int64, ``modified`` a time in nanoseconds (null
    before September 1677 and after April 2262, beyond its range), probabilities are float32;
    nulls are CSV's empty fields.
    """

    def require(self) -> None:
        import importlib.util

        if importlib.util.find_spec("pyarrow") is None:
            raise UsageError("Parquet needs pyarrow: pip install pyarrow; or write .jsonl or .csv")

    def render(self, rows: Path, target: Path) -> None:
        import pyarrow
        from pyarrow import parquet

        with rows.open("rb") as file:
            names = file.readline().decode().rstrip("\n").split(",")
            types = {name: pyarrow.string() for name in names}
            types |= {name: pyarrow.float32() for name in names if name.startswith("probability_")}
            types |= {"size": pyarrow.int64(), "modified": pyarrow.timestamp("ns", "UTC")}
            if not _is_utf8(file):
                types["path"] = pyarrow.binary()
        schema = pyarrow.schema(list(types.items()))
        rows_of_group = max(1, _CELLS // len(names))
        with (
            replacing(target) as beside,
            rows.open("rb") as file,
            beside.open("wb") as made,  # Given a path, Arrow wants UTF-8.
            parquet.ParquetWriter(made, schema) as writer,
        ):
            header, content = file.readline(), raw_rows(file)
            while group := b"".join(itertools.islice(content, rows_of_group)):
                writer.write_table(_parsed(header + group, schema))

    def restore(self, target: Path, rows: Path) -> None:
        with replacing(rows) as beside, beside.open("wb") as file:
            batches = _batches(target, None)
            file.write(csv_row(next(batches)))
            for columns in batches:
                texts = ([_as_text(value) for value in column] for column in columns)
                file.writelines(map(csv_row, zip(*texts, strict=True)))

    def scan(self, target: Path) -> Iterator[Scanned]:
        batches = _batches(target, [*COMMON])
        next(batches)
        for columns in batches:
            for row in zip(*columns, strict=True):
                path, _, code, *_ = texts = [_as_text(value) for value in row]
                yield Scanned(path, code or None, file_of(texts), 0)


def _is_utf8(file: BinaryIO) -> bool:
    try:
        for line in file:
            line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parsed(rows: bytes, schema: Any) -> Any:
    """CSV with its header as a table; an empty field is null, but a path is what it is."""
    import pyarrow
    from pyarrow import csv

    modified = schema.get_field_index("modified")
    texts = schema.set(modified, schema.field(modified).with_type(pyarrow.string()))
    reader = csv.open_csv(
        pyarrow.BufferReader(rows),
        # One block: of a name with "\r\n" that lies across two, Arrow's reader loses the "\n".
        csv.ReadOptions(block_size=len(rows), use_threads=False),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(column_types=texts, null_values=[""], strings_can_be_null=True),
    )
    table = reader.read_all()
    if table["path"].null_count:
        table = table.set_column(0, schema.field(0), table["path"].fill_null(""))
    return table.set_column(modified, schema.field(modified), _times(table["modified"]))


def _times(texts: Any) -> Any:
    """Texts of `FileStamp.modified` as times; null for what nanoseconds in 64 bits can't reach."""
    import pyarrow
    from pyarrow import compute

    inside = compute.and_(
        compute.equal(compute.utf8_length(texts), len(_EARLIEST)),
        compute.and_(compute.greater_equal(texts, _EARLIEST), compute.less_equal(texts, _LATEST)),
    )
    found = compute.if_else(inside, texts, pyarrow.scalar(None, pyarrow.string()))
    return found.cast(pyarrow.timestamp("ns", "UTC"))


def _batches(target: Path, columns: list[str] | None) -> Iterator[list[Any]]:
    """The names of the columns, then their values, some thousands at a time."""
    import pyarrow
    from pyarrow import parquet

    try:
        with target.open("rb") as made, parquet.ParquetFile(made) as file:
            check_columns(target, file.schema_arrow.names)
            yield columns or file.schema_arrow.names
            rows = max(1, _CELLS // len(columns or file.schema_arrow.names))
            for batch in file.iter_batches(rows, columns=columns):
                yield [_values(column) for column in batch.columns]
    except (pyarrow.ArrowException, KeyError) as error:
        raise ForeignOutputError(
            f"{target}: not the Parquet file that was written ({error}); "
            "--overwrite starts anew, or choose another -o"
        ) from error


def _values(column: Any) -> list[Any]:
    import pyarrow

    if column.type == pyarrow.float32():
        # As in CSV: the repr of the number that the float32's shortest decimal stands for.
        texts = column.to_numpy(zero_copy_only=False).astype(str).tolist()
        return [None if text == "nan" else repr(float(text)) for text in texts]
    if pyarrow.types.is_timestamp(column.type):
        times = column.cast(pyarrow.int64()).to_pylist()
        return [None if time is None else utc(time) for time in times]
    values: list[Any] = column.to_pylist()
    return values


def _as_text(value: bytes | str | int | None) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return "" if value is None else str(value)
