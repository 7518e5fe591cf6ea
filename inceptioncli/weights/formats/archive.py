"""The ``.tar.gz`` in which slim's weights are published: what is in it, and its files."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from inceptioncli.errors import WeightsError
from inceptioncli.weights.registry import Layout

# The published archives unpack to under 110 MB; this is far above that and far below harm.
_LARGEST_MEMBER_BYTES = 1 << 30
_ERRORS = (tarfile.TarError, EOFError, zlib.error, OSError)


def archived_layout(path: Path) -> Layout:
    """Tells what a ``.tar.gz`` holds.

    Raises:
        WeightsError: damaged, or neither a frozen graph nor a checkpoint in it.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                layout = _layout(member)
                if layout is not None:
                    return layout
    except _ERRORS as error:
        raise _damaged(path, error) from error
    raise WeightsError(f"{path}: no frozen graph (.pb) and no checkpoint (.ckpt) in this archive")


def is_archive(path: Path) -> bool:
    """Whether this is an archive, not a file or a checkpoint's prefix itself."""
    return path.is_file() and tarfile.is_tarfile(path)


def members(path: Path, layout: Layout) -> Iterator[tuple[str, bytes]]:
    """The files of a layout in a ``.tar.gz``: base name, since folders could lead anywhere.

    Raises:
        WeightsError: damaged, or a file in it is too large.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                content = archive.extractfile(member) if _layout(member) == layout else None
                if content is None:
                    continue
                name = Path(member.name).name
                if member.size > _LARGEST_MEMBER_BYTES:
                    raise WeightsError(f"{path}: {name} in it has {member.size:,} bytes")
                with content:
                    yield name, content.read()
    except _ERRORS as error:
        raise _damaged(path, error) from error


def _layout(member: tarfile.TarInfo) -> Layout | None:
    """What a file in an archive is, or is a part of; None for what is no weights."""
    name = Path(member.name).name
    if not member.isfile() or name.startswith("."):  # macOS packs a ._file beside each file
        return None
    if name.endswith(".pb"):
        return "slim-frozen"
    return "slim-checkpoint" if ".ckpt" in name else None


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{path}: damaged archive ({error})")
