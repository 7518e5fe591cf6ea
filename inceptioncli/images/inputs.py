"""Inputs: all that a run is given, as sources, found as they are needed."""

from __future__ import annotations

import itertools
import os
import select
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from inceptioncli.errors import UsageError
from inceptioncli.images.source import Source
from inceptioncli.images.walk import sources
from inceptioncli.records import STDIN

_CHUNK_BYTES = 1 << 16


class Inputs:
    """Paths, then a list of more, then what a program hands over, as sources; iterated once.

    Args:
        paths: files, folders, ``-`` for standard input.
        listed: an open list of paths: one a line.
        nul_separated: the list's entries end with NUL instead.
        handed_over: paths and sources of a program's own (see `images.given`).

    Attributes:
        known: tells of files in folders that need not be looked into any more to see that they are
            images; may be set until iteration begins.
        at_relative: called when the turn of the first relative path has come, which depends on the
            working folder; what it raises ends the iteration there. May be set until then.
    """

    def __init__(
        self,
        paths: Iterable[str],
        listed: BinaryIO | None = None,
        *,
        nul_separated: bool = False,
        handed_over: Iterable[Source | str] | None = None,
    ) -> None:
        self.paths = tuple(paths)
        self._listed = listed
        self._nul_separated = nul_separated
        self.known: Callable[[str], bool] = lambda path: False
        self.at_relative: Callable[[], None] = lambda: None
        self._handed_over = handed_over
        self._found = self._find()
        self._first: list[tuple[Source, bool]] = []

    @property
    def streamed(self) -> bool:
        """Whether inputs may still be in the making, and can't be counted ahead."""
        if self._listed is None:
            return self._handed_over is not None
        return not stat.S_ISREG(os.fstat(self._listed.fileno()).st_mode)

    @property
    def all_come(self) -> bool:
        """Whether every run has all there are; a list or a program may give others each time."""
        return self._listed is None and self._handed_over is None

    def peek(self, count: int) -> int:
        """Looks up to so many inputs up; how many there are of these."""
        missing = max(0, count - len(self._first))
        self._first += itertools.islice(self._found, missing)
        return min(count, len(self._first))

    def __iter__(self) -> Iterator[Source]:
        first, self._first = self._first, []
        absolute = True
        for source, relative in itertools.chain(first, self._found):
            if relative and absolute:
                absolute = False
                self.at_relative()
            yield source

    def again(self) -> Iterator[Source]:
        """The same from the start, without a word on what is left out; not if `streamed`."""
        if self._listed is None:
            yield from sources(self.paths, warn=False)
        else:
            with open(self._listed.name, "rb") as copy:
                yield from sources(self._named(copy), warn=False)

    def provenance(self) -> dict[str, Any]:
        """What a continued run must share; a list may grow in between."""
        # Shells complete a folder's name with a slash, or don't.
        paths = [path.rstrip(os.sep) or path for path in self.paths]
        return {
            "inputs": paths,
            "working_folder": working_folder() if any(map(is_relative, paths)) else None,
            "input_list": None if self._listed is None else str(self._listed.name),
        }

    def _find(self) -> Iterator[tuple[Source, bool]]:
        """The sources, and of each whether it comes of a relative path."""
        for entry in itertools.chain(self._named(self._listed), self._handed_over or ()):
            if isinstance(entry, Source):
                yield entry, False
                continue
            relative = is_relative(entry)
            for source in sources([entry], known=lambda path: self.known(path)):
                yield source, relative

    def _named(self, listed: BinaryIO | None) -> Iterator[str]:
        yield from self.paths
        if listed is not None:
            yield from read_list(listed, nul_separated=self._nul_separated)


def is_relative(path: str) -> bool:
    """Whether a path that a user names depends on the working folder."""
    return path != STDIN and not Path(path).is_absolute()


def working_folder() -> str:
    """Where relative paths begin.

    Raises:
        UsageError: it has been removed.
    """
    try:
        return str(Path.cwd())
    except FileNotFoundError as error:
        raise UsageError(
            "the working folder has been removed, and inputs are relative to it; change to one "
            "that is there, or name inputs by absolute paths"
        ) from error


def read_list(file: BinaryIO, *, nul_separated: bool = False) -> Iterator[str]:
    """Yields the paths in a list, one a line, or separated by NUL; empty entries are left out.

    Bytes that are not UTF-8 come out as Python's file system encoding has them, so that any file
    name can be listed.
    """
    separator = b"\0" if nul_separated else b"\n"
    rest = b""
    # What is there now, so that the first path of a slow `find` is not kept waiting; from below
    # the buffer, whose lock an interrupt would trip on.
    raw = getattr(file, "raw", file)
    while (chunk := raw.read(_CHUNK_BYTES)) != b"":
        if chunk is None:  # Whoever has the pipe too has made it one that does not wait.
            select.select([raw], [], [])
            continue
        *entries, rest = (rest + chunk).split(separator)
        yield from _entries(entries, nul_separated)
    yield from _entries([rest], nul_separated)


def _entries(entries: list[bytes], nul_separated: bool) -> Iterator[str]:
    for entry in entries:
        if not nul_separated:
            entry = entry.removesuffix(b"\r")
        if entry == b"-":
            yield os.path.join(os.curdir, STDIN)  # In a list it is a file of that name.
        elif entry:
            yield os.fsdecode(entry)
