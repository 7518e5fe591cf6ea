"""Rendered files: those that can't grow by lines, and are made of lines in the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from inceptioncli.files import beside, remove
from inceptioncli.output.lines import GrowingFormat, Scanned, missing
from inceptioncli.output.parts import LinesPart


class Renderer(Protocol):
    """Makes a whole file of rows, and the rows of the file again."""

    def require(self) -> None:
        """Raises UsageError if what it needs is not installed."""

    def render(self, rows: Path, target: Path) -> None:
        """Puts a file of the rows in place of what is there, for good.

        The same rows give the same bytes.

        Raises:
            OutputError: it can't be written.
        """

    def restore(self, target: Path, rows: Path) -> None:
        """Writes the rows that a file was made of, so that they can grow.

        Raises:
            ForeignOutputError: it is not a file of `render`.
            OutputError: they can't be written.
        """

    def scan(self, target: Path) -> Iterator[Scanned]:
        """The records of a file; their lengths mean nothing.

        Raises:
            ForeignOutputError: it is not a file of `render`.
        """


class RenderedPart(LinesPart):
    """Rows that grow beside a file until it is rendered from them.

    A finished file is at rest: it has no rows beside it, until they are to grow.
    """

    def __init__(self, target: Path, format: GrowingFormat, renderer: Renderer) -> None:
        super().__init__(beside(target, "rows"), format)
        self.target = target
        self._renderer = renderer
        self._at_rest = False

    def render(self) -> None:
        """Makes the file; all rows are on the disk."""
        self._renderer.render(self.path, self.target)

    def rest(self) -> None:
        """Removes the rows of a finished file.

        Raises:
            ForeignOutputError: there is no such file.
        """
        self.close()
        if not self.target.exists():
            raise missing(self.target)
        remove(self.path)
        self._at_rest = True

    def restore(self, length: int) -> int:
        """Makes the rows of a file at rest again; their length."""
        if not self._at_rest:
            return length
        self._renderer.restore(self.target, self.path)
        length = self.path.stat().st_size
        self.open(length, exactly=True)
        self._at_rest = False
        return length

    def scan(self) -> Iterator[Scanned]:
        return self._renderer.scan(self.target) if self._at_rest else super().scan()
