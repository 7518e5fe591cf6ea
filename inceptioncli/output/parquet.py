"""Parquet: CSV's columns with types, rendered from rows in CSV when a run is finished."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from inceptioncli.errors import ForeignOutputError, UsageError
from inceptioncli.files import replacing
from inceptioncli.output.csv import column_names, csv_row, csv_rows
from inceptioncli.output.lines import Scanned

# Of a row group: large enough to compress, small enough to be held while it is put together.
_CELLS = 1 << 20


def require() -> None:
    """Raises UsageError unless pyarrow is installed."""
    import importlib.util

    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("Parquet needs pyarrow: pip install pyarrow; or write .jsonl or .csv")


def render(rows: Path, target: Path, columns: int) -> None:
    """Writes a file of CSV rows as Parquet.

    ``path`` is a string, or binary where some path is not UTF-8: neither Parquet's strings nor
    its readers can hold such bytes. Probabilities are float32, nulls are CSV's empty fields.

    Raises:
        OutputError: it can't be written.
    """
    import pyarrow
    from pyarrow import parquet

    with rows.open("rb") as file:
        binary = any(not _is_utf8(values[0]) for values, _ in csv_rows(file))
    paths = pyarrow.binary() if binary else pyarrow.string()
    types = {"path": paths}
    for name in column_names(columns)[1:]:
        types[name] = pyarrow.float32() if name.startswith("probability_") else pyarrow.string()
    schema = pyarrow.schema(list(types.items()))
    with (
        replacing(target) as beside,
        rows.open("rb") as file,
        parquet.ParquetWriter(beside, schema) as writer,
    ):
        content = (values for values, _ in csv_rows(file))
        rows_of_group = max(1, _CELLS // len(next(content)))
        while group := list(itertools.islice(content, rows_of_group)):
            arrays = [
                pyarrow.array(map(_converter(field), column), field.type)
                for field, column in zip(schema, zip(*group, strict=True), strict=True)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def thaw(target: Path, rows: Path) -> None:
    """Writes a Parquet file of `render` as CSV rows again, so that it can grow.

    Raises:
        OutputError: it can't be written.
    """
    with replacing(rows) as beside, beside.open("wb") as file:
        batches = _batches(target, None)
        names = next(batches)
        file.write(csv_row(names))
        for columns in batches:
            texts = ([_as_text(value) for value in column] for column in columns)
            for values in zip(*texts, strict=True):
                file.write(csv_row(values))


def scan(target: Path) -> Iterator[Scanned]:
    """The records of a file of `render`."""
    batches = _batches(target, ["path", "error"])
    next(batches)
    for paths, codes in batches:
        for path, code in zip(paths, codes, strict=True):
            yield Scanned(_as_text(path), code, 0)


def _batches(target: Path, columns: list[str] | None) -> Iterator[list[Any]]:
    """The names of the columns, then their values, some thousands at a time."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(target) as file:
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
        # The shortest decimal of the float32, as records have it.
        texts = column.to_numpy(zero_copy_only=False).astype(str).tolist()
        return [None if text == "nan" else text for text in texts]
    values: list[Any] = column.to_pylist()
    return values


def _as_text(value: bytes | str | None) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value or ""


def _converter(field: Any) -> Callable[[str], Any]:
    import pyarrow

    if field.type == pyarrow.binary():
        return lambda text: text.encode("utf-8", "surrogateescape")
    if field.type == pyarrow.float32():
        return lambda text: float(text) if text else None
    return lambda text: text if text or field.name == "path" else None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
