"""What a format of records in lines is, as files that grow and continue need it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from inceptioncli.errors import ForeignOutputError
from inceptioncli.records import Record


class Scanned(NamedTuple):
    """A record found in a file: its path, its failure's code if it is one, its length in bytes."""

    path: str
    code: str | None
    size: int


class LineFormat(Protocol):
    """Records as lines, one after the other."""

    @property
    def header(self) -> bytes:
        """What comes before the first."""

    def encode(self, record: Record, row: int) -> bytes:
        """A record's line; ``row`` is the one of the arrays that its features go to."""

    def renumbered(self, line: bytes, row: int) -> bytes:
        """A line of `encode` for features in another row."""

    def scan(self, file: BinaryIO) -> Iterator[Scanned]:
        """The records of a file that is open behind its header.

        Raises:
            ForeignOutputError: something in it is none of ours.
        """


def damaged(name: str | Path, what: str) -> ForeignOutputError:
    """The error for a file that somebody else has written to."""
    return ForeignOutputError(
        f"{name}: {what}; the file was changed since; --overwrite starts anew, or choose another -o"
    )
