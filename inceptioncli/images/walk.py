"""The walk: what the user names (files, folders, standard input) as a lazy run of sources."""

from __future__ import annotations

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

_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif")


def sources(
    paths: Iterable[str],
    *,
    known: Callable[[str], bool] = lambda path: False,
    warn: bool = True,
) -> Iterator[Source]:
    """Yields the inputs that ``paths`` stand for, in order.

    A file is an input whatever it holds. A folder stands for the images in it and below it, told
    by content, names sorted within each folder; hidden entries are left out. What can't be read
    there can't be told from an image, so it is an input, and a failure.

    Args:
        paths: files, folders, ``-`` for standard input.
        known: tells of files that need not be opened to see that they are images.
        warn: say what is left out of folders.
    """
    for path in paths:
        if path == STDIN or not os.path.isdir(path):
            yield Source(path, Named(path))
            continue
        count = 0
        misnamed: list[str] = []
        for source in _walk(path, misnamed, known, warn):
            count += 1
            yield source
        if misnamed and warn:
            _logger.warning(
                "%s: left out, no images whatever their names say: %s%s",
                printable(path),
                ", ".join(printable(name) for name in misnamed[:3]),
                f" and {len(misnamed) - 3} more" if len(misnamed) > 3 else "",
            )
        if count == 0 and warn:
            _logger.warning(
                "%s: no images in this folder (looked for %s by content, hidden files left out)",
                printable(path),
                ", ".join(ALLOWED_FORMATS),
            )


class _Level(NamedTuple):
    """A folder that is being walked: its identity, its path, and the names still to come.

    ``unusual`` are those of them that are no plain files.
    """

    identity: tuple[int, int]
    prefix: str
    names: Iterator[str]
    unusual: frozenset[str]


def _walk(
    root: str, misnamed: list[str], known: Callable[[str], bool], warn: bool
) -> Iterator[Source]:
    """Depth first, with a stack of its own: folders may be nested deeper than Python's calls.

    Files that have an image's suffix and are none are added to ``misnamed``.
    """
    stack: list[_Level] = []
    entered: Source | _Level | None = _enter(root, stack, warn)
    if isinstance(entered, Source):
        yield entered
        return
    assert entered is not None  # Nothing is above the root for it to lead back to.
    stack.append(entered)
    while stack:
        _, prefix, names, unusual = stack[-1]
        name = next(names, None)
        if name is None:
            stack.pop()
            continue
        path = prefix + name
        try:
            # Millions of files are walked faster without a look at each.
            mode = os.stat(path).st_mode if name in unusual else stat.S_IFREG
            if stat.S_ISDIR(mode):
                entered = _enter(path, stack, warn)
                if isinstance(entered, Source):
                    yield entered
                elif entered is not None:
                    stack.append(entered)
            elif not stat.S_ISREG(mode):
                continue
            elif known(path) or _is_image(path):
                yield Source(path, File(path))
            elif path.lower().endswith(_SUFFIXES):
                misnamed.append(path)
        except OSError as error:
            yield _unreadable(path, error)


def _enter(folder: str, above: list[_Level], warn: bool) -> Source | _Level | None:
    """A folder's entries; a failure if it can't be read; None if it is one of those above it."""
    try:
        status = os.stat(folder)
        names, unusual = [], set()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                names.append(entry.name)
                if not _is_plain(entry):
                    unusual.add(entry.name)
    except OSError as error:
        return _unreadable(folder, error)
    identity = (status.st_dev, status.st_ino)
    if any(level.identity == identity for level in above):
        if warn:
            _logger.warning("%s: leads back to a folder above it; left out", printable(folder))
        return None
    names.sort()
    return _Level(identity, os.path.join(folder, ""), iter(names), frozenset(unusual))


def _is_plain(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:
        return False


def _is_image(path: str) -> bool:
    # Not waiting: it may have become a pipe since its folder was read.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        return identify(file.read(HEAD_BYTES)) is not None


def _unreadable(path: str, error: OSError) -> Source:
    return Source(path, Unusable(failure_to_read(error), stamp_of(path)))
