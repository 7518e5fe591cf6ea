"""Inputs: all that a run is given, as sources, found as they are needed."""

from __future__ import annotations

import itertools
import os
import select
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from inceptioncli.files import working_folder
from inceptioncli.images.source import Source, Unusable
from inceptioncli.images.walk import Tally, sources
from inceptioncli.records import STDIN, Failure

_CHUNK_BYTES = 1 << 16
# No system has longer paths (Linux: 4 KiB). Of an entry that is none so much is its record's name.
_LONGEST_ENTRY = 1 << 16
_NAME_LENGTH = 200
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Inputs:
    """Paths, then a list of more, then what a program hands over, as sources; iterated once.

    Args:
        paths: files, folders, ``-`` for standard input.
        listed: an open list of paths: one a line.
        nul_separated: the list's entries end with NUL instead.
        follow: enter the folders that links in folders lead to.
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
        follow: bool = True,
        handed_over: Iterable[Source | str] | None = None,
    ) -> None:
        self.paths = tuple(paths)
        self._listed = listed
        self._nul_separated = nul_separated
        self._follow = follow
        self._tally = Tally()
        self._count: int | None = None  # of paths, the list's included; counted when asked for
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

    def total(self) -> int | None:
        """How many there are, as far as is known (see `walk.Tally`); None if `streamed`."""
        if self.streamed:
            return None
        if self._tally.ended:
            return self._tally.found
        if self._count is None:
            self._count = len(self.paths) + self._count_entries()
        return self._tally.total + max(0, self._count - self._tally.paths)

    def provenance(self) -> dict[str, Any]:
        """What a continued run must share; a list may grow in between."""
        # Shells complete a folder's name with a slash, or don't.
        paths = [path.rstrip(os.sep) or path for path in self.paths]
        return {
            "inputs": paths,
            "working_folder": working_folder() if any(map(is_relative, paths)) else None,
            "input_list": None if self._listed is None else str(self._listed.name),
            # Not in notes of runs without it, which are as they were before there was such a thing.
            **({} if self._follow else {"links_followed": False}),
        }

    def _find(self) -> Iterator[tuple[Source, bool]]:
        """The sources, and of each whether it comes of a relative path."""
        relative = False

        def entries() -> Iterator[str | Source]:
            nonlocal relative
            for entry in itertools.chain(self._named(self._listed), self._handed_over or ()):
                relative = isinstance(entry, str) and is_relative(entry)
                yield entry

        walk = sources(
            entries(),
            known=lambda path: self.known(path),
            follow=self._follow,
            tally=self._tally,
        )
        for source in walk:
            yield source, relative

    def _count_entries(self) -> int:
        if self._listed is None:
            return 0
        separator = _separator(self._nul_separated)
        with open(self._listed.name, "rb", buffering=0) as copy:
            chunks = iter(lambda: copy.read(_CHUNK_BYTES), b"")
            return sum(chunk.count(separator) for chunk in chunks)

    def _named(self, listed: BinaryIO | None) -> Iterator[str | Source]:
        yield from self.paths
        if listed is not None:
            yield from read_list(listed, nul_separated=self._nul_separated)


def is_relative(path: str) -> bool:
    """Whether a path that a user names depends on the working folder."""
    return path != STDIN and not Path(path).is_absolute()


def read_list(file: BinaryIO, *, nul_separated: bool = False) -> Iterator[str | Source]:
    """Yields the paths in a list, one a line, or separated by NUL; empty entries are left out.

    Bytes that are not UTF-8 come out as Python's file system encoding has them, so that any file
    name can be listed. An entry of more than 64 KiB is no path but a failure, with a name made of
    its beginning: it may be the whole of a list of another kind.
    """
    separator = _separator(nul_separated)
    mark = _BYTE_ORDER_MARK  # before the first entry alone
    rest, skipped = b"", 0
    # What is there now, so that the first path of a slow `find` is not kept waiting; from below
    # the buffer, whose lock an interrupt would trip on.
    raw = getattr(file, "raw", file)
    while (chunk := raw.read(_CHUNK_BYTES)) != b"":
        if chunk is None:  # Whoever has the pipe too has made it one that does not wait.
            select.select([raw], [], [])
            continue
        *entries, rest = (rest + chunk).split(separator)
        for entry in entries:
            yield from _entry(entry.removeprefix(mark), skipped, nul_separated)
            mark, skipped = b"", 0
        # Of what is too long no more than shows that it is.
        skipped += max(0, len(rest) - _LONGEST_ENTRY - 1)
        rest = rest[: _LONGEST_ENTRY + 1]
    yield from _entry(rest.removeprefix(mark), skipped, nul_separated)


def _entry(entry: bytes, skipped: int, nul_separated: bool) -> Iterator[str | Source]:
    """What an entry stands for; so many of its bytes are ``skipped``."""
    if not nul_separated:
        entry = entry.removesuffix(b"\r")
    if len(entry) > _LONGEST_ENTRY:
        size = f"{len(entry) + skipped:,} bytes"
        name = os.fsdecode(entry[: 4 * _NAME_LENGTH + 3])[:_NAME_LENGTH]
        expected = "NUL after each path" if nul_separated else "a path on each line, or -0 and NUL"
        message = f"an entry of {size} is no path; expected {expected}"
        yield Source(f"{name}... ({size})", Unusable(Failure("not_found", message)))
    elif entry == b"-":
        yield os.path.join(os.curdir, STDIN)  # In a list it is a file of that name.
    elif entry:
        yield os.fsdecode(entry)


def _separator(nul_separated: bool) -> bytes:
    return b"\0" if nul_separated else b"\n"
