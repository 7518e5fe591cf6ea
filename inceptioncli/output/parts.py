"""Parts: files of an output that grow at their end, and can be cut back to a length that counts.

The length is the caller's to keep; whatever lies beyond it, written in full or in part, is
overwritten by what comes next. A crash therefore needs no mending.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from inceptioncli.files import cannot_write
from inceptioncli.output.lines import GrowingFormat, Scanned, damaged, missing
from inceptioncli.records import Record


class Part(Protocol):
    """A growing file. Lengths are counted in bytes, or in rows of an array."""

    @property
    def path(self) -> Path:
        """Where it is."""

    def create(self) -> int:
        """Makes it anew; its length."""

    def open(self, length: int, *, exactly: bool) -> None:
        """Opens it and cuts it back to a length.

        Raises:
            ForeignOutputError: it is not there, shorter, or not ``exactly`` so long.
        """

    def append(self, record: Record, row: int, length: int) -> int:
        """Writes what it has of a record behind a length; the new length.

        ``row`` is the one of the arrays that the record's features go to.
        """

    def sync(self, length: int) -> None:
        """Makes the disk's content so long, and safe from a crash of the machine."""

    def reordered(self, order: Sequence[int], failed: Sequence[bool], beside: Path) -> int:
        """Writes the records with these numbers, in this order, to another file; its length.

        ``failed`` tells of every record there is whether it has no row in the arrays.
        """

    def close(self) -> None:
        """Lets go of the file."""


class GrowingFile:
    """What parts have in common: a descriptor that is written to at given places.

    Its methods with an underscore are for parts; each raises OutputError when it can't.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = -1

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _open(self, flags: int) -> None:
        self.close()
        if not flags & os.O_CREAT and not self.path.exists():
            raise missing(self.path)
        flags |= os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        try:
            self._handle = os.open(self.path, flags, 0o666)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _check_size(self, size: int, exactly: bool) -> None:
        found = os.fstat(self._handle).st_size
        if found < size or (exactly and found > size):
            raise damaged(self.path, f"it has {found} bytes, but {size} were written")

    def _write(self, content: bytes | memoryview, offset: int) -> None:
        try:
            os.lseek(self._handle, offset, os.SEEK_SET)
            content = memoryview(content)
            while content:
                content = content[os.write(self._handle, content) :]
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _cut(self, size: int) -> None:
        try:
            if os.fstat(self._handle).st_size != size:
                os.ftruncate(self._handle, size)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _sync(self, size: int) -> None:
        self._cut(size)
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise cannot_write(self.path, error) from error


class LinesPart(GrowingFile):
    """Records in lines; lengths are bytes."""

    def __init__(self, path: Path, format: GrowingFormat) -> None:
        super().__init__(path)
        self.format = format

    def create(self) -> int:
        self._open(os.O_CREAT | os.O_TRUNC)
        self._write(self.format.header, 0)
        return len(self.format.header)

    def open(self, length: int, *, exactly: bool) -> None:
        self._open(0)
        self._check_size(length, exactly)
        self._cut(length)

    def append(self, record: Record, row: int, length: int) -> int:
        line = self.format.encode(record, row)
        self._write(line, length)
        return length + len(line)

    def sync(self, length: int) -> None:
        self._sync(length)

    def scan(self) -> Iterator[Scanned]:
        """The records in the file."""
        with self.path.open("rb") as file:
            yield from self.format.scan(file)

    def reordered(self, order: Sequence[int], failed: Sequence[bool], beside: Path) -> int:
        ends = array("q", [len(self.format.header)])
        for record in self.scan():
            ends.append(ends[-1] + record.length)
        row = 0
        with beside.open("wb") as copy, self.path.open("rb") as original:
            copy.write(self.format.header)
            for number in order:
                original.seek(ends[number])
                line = original.read(ends[number + 1] - ends[number])
                copy.write(self.format.renumbered(line, row))
                row += not failed[number]
            return copy.tell()
