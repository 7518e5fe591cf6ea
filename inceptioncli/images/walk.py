"""The walk: what the user names (files, folders, standard input) as a lazy run of sources."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from inceptioncli.images.read import failure_to_read, stamp_of
from inceptioncli.images.signatures import ALLOWED_FORMATS, HEAD_BYTES, identify
from inceptioncli.images.source import File, Named, Source, Unusable
from inceptioncli.records import STDIN
from inceptioncli.terminal import printable

_logger = logging.getLogger(__name__)

_SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".gif",
    ".bmp",
    ".webp",
    ".tif",
    ".tiff",
    ".avif",
    ".heic",
    ".heif",
)
# Of what is left out.
_NAMED_AT_MOST = 3


class Tally:
    """How many inputs there are, as far as is known; counted by one thread, read by others.

    Attributes:
        paths: so many of the named paths have been looked at.
        found: so many inputs have come of them.
        ended: whether these are all.
    """

    def __init__(self) -> None:
        self.paths = 0
        self.found = 0
        self.ended = False
        # Of the folders that have been entered: what is still to be looked at, and for what is
        # below the folders among it, how many files a folder has.
        self._files = 0
        self._folders = 0
        self._listed = 0
        self._with_files = 0

    def enter(self, files: int, folders: int) -> None:
        """Counts what a folder holds."""
        self._files += files
        self._folders += folders
        self._listed += files
        self._with_files += files > 0

    def leave(self, *, folder: bool) -> None:
        """Says that one of these has been looked at."""
        if folder:
            self._folders -= 1
        else:
            self._files -= 1

    @property
    def total(self) -> int:
        """Inputs found and to come; of folders that have not been entered yet, a guess."""
        below = self._folders * self._listed / max(1, self._with_files)
        return self.found + self._files + round(below)


def sources(
    paths: Iterable[str | Source],
    *,
    known: Callable[[str], bool] = lambda path: False,
    follow: bool = True,
    tally: Tally | None = None,
) -> Iterator[Source]:
    """Yields the inputs that ``paths`` stand for, in order.

    A file is an input whatever it holds. A folder stands for the images in it and below it, told
    by content, names sorted within each folder; hidden entries are left out, and so are links that
    lead nowhere and are not called images. What can't be read there can't be told from an image, so
    it is an input, and a failure. Below one path each folder is entered once, by whichever way
    comes first.

    Args:
        paths: files, folders, ``-`` for standard input; a source stands for itself.
        known: tells of files that need not be opened to see that they are images.
        follow: enter the folders that links met in a folder lead to.
        tally: where inputs are counted.
    """
    tally = Tally() if tally is None else tally
    for path in paths:
        tally.paths += 1
        if isinstance(path, Source) or path == STDIN or not os.path.isdir(path):
            tally.found += 1
            yield path if isinstance(path, Source) else Source(path, Named(path))
            continue
        before = tally.found
        walk = _Walk(known, follow, tally)
        for source in walk.below(path):
            tally.found += 1
            yield source
        walk.misnamed.tell(path)
        walk.repeated.tell(path)
        if tally.found == before:
            _logger.warning(
                "%s: no images in this folder (looked for %s by content, hidden files left out)",
                printable(path),
                ", ".join(ALLOWED_FORMATS),
            )
    tally.ended = True


class _Level(NamedTuple):
    """A folder that is being walked: its path, and the names still to come, the next one last.

    ``folders`` and ``links`` are those of them that were such when they were listed; ``odd`` are
    neither, nor plain files.
    """

    prefix: str
    names: list[str]
    folders: set[str]
    links: set[str]
    odd: set[str]


class _LeftOut:
    """What is left out of a walk for one reason, which is said once."""

    def __init__(self, why: str) -> None:
        self._why = why
        self._first: list[str] = []
        self._count = 0

    def add(self, path: str) -> None:
        self._count += 1
        if self._count <= _NAMED_AT_MOST:
            self._first.append(path)

    def tell(self, root: str) -> None:
        """Says what, if there is anything."""
        if self._count:
            named = ", ".join(map(printable, self._first))
            more = self._count - len(self._first)
            _logger.warning(
                "%s: left out, %s: %s%s",
                printable(root),
                self._why,
                named,
                f" and {more} more" if more else "",
            )


class _Walk:
    """The walk of one folder and of all below it.

    Attributes:
        misnamed: files that have an image's suffix and are none.
        repeated: ways to folders that had been entered by another.
    """

    def __init__(self, known: Callable[[str], bool], follow: bool, tally: Tally) -> None:
        self.misnamed = _LeftOut("no images whatever their names say")
        self.repeated = _LeftOut("folders that were entered by another way")
        self._known = known
        self._follow = follow
        self._tally = tally
        self._entered: set[tuple[int, int]] = set()  # by device and inode

    def below(self, root: str) -> Iterator[Source]:
        """Depth first, with a stack of its own: folders may be deeper than Python's calls."""
        stack: list[_Level] = []
        found = self._enter(root)
        while True:
            if isinstance(found, Source):
                yield found
            elif found is not None:
                stack.append(found)
            while stack and not stack[-1].names:
                stack.pop()
            if not stack:
                return
            name = stack[-1].names.pop()
            found = self._look_at(name, stack[-1])
            self._tally.leave(folder=name in stack[-1].folders)

    def _look_at(self, name: str, level: _Level) -> Source | _Level | None:
        """What a name in a folder stands for: an input, a folder to walk, or nothing."""
        path = level.prefix + name
        linked = name in level.links
        try:
            # Millions of files are walked faster without a look at each.
            usual = not (linked or name in level.folders or name in level.odd)
            mode = stat.S_IFREG if usual else os.stat(path).st_mode
            if stat.S_ISDIR(mode):
                return self._enter(path) if self._follow or not linked else None
            if not stat.S_ISREG(mode):
                return None
            if self._known(path) or _is_image(path):
                return Source(path, File(path))
        except OSError as error:
            nowhere = linked and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
            return None if nowhere and not _named_as_image(path) else _unreadable(path, error)
        if _named_as_image(path):
            self.misnamed.add(path)
        return None

    def _enter(self, folder: str) -> Source | _Level | None:
        """A folder's entries; a failure if it can't be read; None if it has been entered before."""
        level = _Level(os.path.join(folder, ""), [], set(), set(), set())
        try:
            status = os.stat(folder)
            identity = (status.st_dev, status.st_ino)
            if identity in self._entered:
                self.repeated.add(folder)
                return None
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        level.names.append(entry.name)
                        _note_kind(entry, level)
        except OSError as error:
            return _unreadable(folder, error)
        self._entered.add(identity)
        level.names.sort(reverse=True)
        self._tally.enter(len(level.names) - len(level.folders), len(level.folders))
        return level


def _note_kind(entry: os.DirEntry[str], level: _Level) -> None:
    try:
        if entry.is_symlink():
            level.links.add(entry.name)
        elif entry.is_dir(follow_symlinks=False):
            level.folders.add(entry.name)
        elif not entry.is_file(follow_symlinks=False):
            level.odd.add(entry.name)
    except OSError:
        level.odd.add(entry.name)


def _named_as_image(path: str) -> bool:
    return path.lower().endswith(_SUFFIXES)


def _is_image(path: str) -> bool:
    # Not waiting: it may have become a pipe since its folder was read.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        return identify(os.read(handle, HEAD_BYTES)) is not None
    finally:
        os.close(handle)


def _unreadable(path: str, error: OSError) -> Source:
    return Source(path, Unusable(failure_to_read(error), stamp_of(path)))
