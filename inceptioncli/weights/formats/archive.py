"""The ``.tar.gz`` in which slim's weights are published: what is in it, and its files.

It is unpacked as a stream, as far as what is wanted and no further. Nothing is written under a name
that the archive gives, and its links are passed over.
"""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from inceptioncli.errors import WeightsError
from inceptioncli.weights.formats.found import GZIP_MAGIC, damaged
from inceptioncli.weights.registry import Layout

# The published archives unpack to under 110 MB. A checkpoint that also holds what RMSProp and an
# average of the variables need has four times as much, and this is more than twice that.
_LARGEST_UNPACKED_BYTES = 1 << 30
# Of a header that gives the next file its long name, or notes about it.
_LONGEST_HEADER_BYTES = 1 << 20
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
# A V1 checkpoint is one file; V2's index and shards have suffixes. A .meta is no part of it.
_CHECKPOINT = re.compile(r"(.+\.ckpt(?:-\d+)?)(\.index|\.data-\d{5}-of-(\d{5}))?")


def is_archive(path: Path) -> bool:
    """Whether this is an archive, not a file or a checkpoint's prefix itself."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(GZIP_MAGIC)) == GZIP_MAGIC


def archived_layout(path: Path) -> Layout:
    """Tells what a ``.tar.gz`` holds: the first graph or checkpoint counts.

    Raises:
        WeightsError: damaged, too large, or neither a frozen graph nor a checkpoint in it.
    """
    with _opened(path) as archive:
        for member in archive:
            layout = _layout(member)
            if layout is not None:
                return layout
    raise WeightsError(f"{path}: no frozen graph (.pb) and no checkpoint (.ckpt) in this archive")


def frozen_graph(path: Path) -> bytes:
    """The first frozen graph in a ``.tar.gz``.

    Raises:
        WeightsError: damaged, too large, or there is none.
    """
    with _opened(path) as archive:
        for member in archive:
            if _layout(member) == "slim-frozen":
                with _content(archive, member) as content:
                    return content.read()
    raise WeightsError(f"{path}: no frozen graph (.pb) in this archive")


def unpack_checkpoint(path: Path, folder: Path) -> Path:
    """Unpacks the first checkpoint in a ``.tar.gz``, whose files may stand in any order.

    Returns:
        The file of a V1 checkpoint in the folder; of V2 the prefix.

    Raises:
        WeightsError: damaged, too large, or there is none that is whole.
    """
    chosen, shards, unpacked = "", 1, set()
    with _opened(path) as archive:
        for member in archive:
            match = _CHECKPOINT.fullmatch(_name(member))
            if _layout(member) != "slim-checkpoint" or not match:
                continue
            name, part, of = match.groups(default="")
            chosen = chosen or name
            if name != chosen:
                continue
            with _content(archive, member) as content:
                _write(content, folder / f"model.ckpt{part}", path)
            unpacked.add(part)
            shards = int(of or shards)
            if not part or (".index" in unpacked and len(unpacked) - 1 == shards):
                return folder / "model.ckpt"
    missing = "a shard" if ".index" in unpacked else "the index"
    raise WeightsError(f"{path}: {chosen or 'a checkpoint'} in this archive lacks {missing}")


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with (
            _Bounded(path) as file,
            tarfile.open(fileobj=file, mode="r|", tarinfo=_Member) as archive,
        ):
            yield archive
    except WeightsError:
        raise
    except Exception as error:  # Of gzip, zlib and tarfile, which takes headers at their word.
        raise damaged(path, "archive", error) from error


class _Bounded(gzip.GzipFile):
    """What a compressed file holds, up to a bound."""

    _unpacked = 0

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self._unpacked += len(content)
        if self._unpacked > _LARGEST_UNPACKED_BYTES:
            raise ValueError(f"it unpacks to more than {_LARGEST_UNPACKED_BYTES:,} bytes")
        return content


class _Member(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        member = super().frombuf(buf, encoding, errors)
        if member.type in _HEADERS and member.size > _LONGEST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {member.size:,} bytes")
        return member


def _layout(member: tarfile.TarInfo) -> Layout | None:
    """What a file in an archive is, or is a part of; None for what is no weights."""
    name = _name(member)
    if not member.isreg() or member.issparse():
        return None
    if name.startswith("."):  # macOS packs a ._file beside each file
        return None
    if name.endswith(".pb"):
        return "slim-frozen"
    return "slim-checkpoint" if _CHECKPOINT.fullmatch(name) else None


def _name(member: tarfile.TarInfo) -> str:
    """Without the folders, which could lead anywhere."""
    return Path(member.name).name


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    if member.size > _LARGEST_UNPACKED_BYTES:
        raise ValueError(f"{_name(member)} in it has {member.size:,} bytes")
    content = archive.extractfile(member)
    assert content is not None  # Only links and folders have none.
    return content


def _write(content: IO[bytes], to: Path, path: Path) -> None:
    try:
        with to.open("wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
    except OSError as error:
        if error.errno is None:
            raise  # gzip's, for damage
        raise WeightsError(
            f"{path}: cannot be unpacked in {to.parent}: {error.strerror or error}"
        ) from error
