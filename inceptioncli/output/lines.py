"""Line formats: how records stand in a stream or a file, one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from inceptioncli.errors import ForeignOutputError
from inceptioncli.records import FileStamp, Record


class Scanned(NamedTuple):
    """A record found in a file.

    Attributes:
        path: its path.
        code: its failure's code if it is one.
        file: which file it speaks of, if it says so.
        length: in bytes.
    """

    path: str
    code: str | None
    file: FileStamp | None
    length: int


class LineFormat(ABC):
    """Records as lines, in UTF-8.

    Attributes:
        header: what comes before the first.
    """

    header = b""

    @abstractmethod
    def encode(self, record: Record, row: int) -> bytes:
        """A record's line, empty if it has none.

        ``row`` is the record's number in a stream, and in a file the row of the arrays that its
        features go to; both count from 0.
        """

    def footer(self, rows: int) -> bytes:
        """What comes after so many records in a stream."""
        return b""

    def for_terminal(self) -> LineFormat:
        """The same for a terminal, which would obey control characters in a name."""
        return self


class GrowingFormat(LineFormat):
    """Lines of files that grow at their end and can be read back to be continued."""

    def renumbered(self, line: bytes, row: int) -> bytes:
        """A line of `encode` for features in another row."""
        return line

    @abstractmethod
    def scan(self, file: BinaryIO) -> Iterator[Scanned]:
        """The records of a file that is open at its beginning.

        Raises:
            ForeignOutputError: something in it is none of ours.
        """


def damaged(name: str | Path, what: str) -> ForeignOutputError:
    """The error for a file that somebody else has written to."""
    return ForeignOutputError(
        f"{name}: {what}; the file was changed since; --overwrite starts anew, or choose another -o"
    )


def missing(path: Path) -> ForeignOutputError:
    """The error for a file of an output that is there no longer."""
    return ForeignOutputError(f"{path} is missing; --overwrite starts anew, or choose another -o")
