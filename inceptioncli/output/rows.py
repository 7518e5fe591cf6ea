"""Arrays that grow: the part of an output that numpy opens (`.npy`)."""

from __future__ import annotations

import io
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inceptioncli.files import beside, replacing
from inceptioncli.output.parts import GrowingFile
from inceptioncli.records import Record


class RowsPart(GrowingFile):
    """An array of ``[rows, *shape]`` in numpy's format; lengths are rows.

    The header tells the rows that count, so that the file can be opened at any time. The file's
    name is that of the end point whose features it holds.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        super().__init__(path)
        self._shape = shape
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._row_bytes = self._dtype.itemsize * int(np.prod(shape))
        # numpy leaves room for the number of rows to grow (numpy.lib.format, version 1.0).
        self._header_bytes = len(self._header(0))

    def create(self) -> int:
        # Whole from the start: a file without its header could not be opened.
        with replacing(self.path) as unfinished:
            unfinished.write_bytes(self._header(0))
        self._open(0)
        return 0

    def open(self, length: int, *, exactly: bool) -> None:
        self._open(0)
        size = self._header_bytes + length * self._row_bytes
        self._check_size(size, exactly)
        # In this order: the header may count rows that are about to go.
        header = self._header(length)
        with self.path.open("rb") as file:
            there = file.read(len(header))
        if there != header:  # What is as it should be is not touched.
            self._write(header, 0)
        self._cut(size)

    def append(self, record: Record, row: int, length: int) -> int:
        return self.write(record.features[self.path.stem], length) if record.ok else length

    def write(self, values: NDArray[np.floating], length: int) -> int:
        """Writes a row behind so many; the new length."""
        content = np.ascontiguousarray(values, self._dtype).tobytes()
        self._write(content, self._header_bytes + length * self._row_bytes)
        return length + 1

    def sync(self, length: int) -> None:
        size = self._header_bytes + length * self._row_bytes
        self._sync(size)
        # Only when the rows are on the disk does the header count them. It fits one page, and a
        # kill leaves the old one or the new one.
        self._write(self._header(length), 0)
        self._sync(size)

    def reordered(self, order: Sequence[int], failed: Sequence[bool], beside: Path) -> int:
        rows = array("q", [0])
        for has_none in failed:
            rows.append(rows[-1] + (not has_none))
        count = sum(not failed[number] for number in order)
        with beside.open("wb") as copy, self.path.open("rb") as original:
            copy.write(self._header(count))
            for number in order:
                if not failed[number]:
                    original.seek(self._header_bytes + rows[number] * self._row_bytes)
                    copy.write(original.read(self._row_bytes))
        return count

    def beside(self, purpose: str) -> RowsPart:
        """An array of such rows under a hidden name in the same folder."""
        return RowsPart(beside(self.path, purpose), self._shape, self._dtype.str)

    def _header(self, rows: int) -> bytes:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (rows, *self._shape),
            },
        )
        return header.getvalue()
