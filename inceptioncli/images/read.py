"""Reading: the content of image files and streams, nothing beyond the head of any other."""

from __future__ import annotations

import importlib.util
import os
import select
import stat
import sys
from typing import TYPE_CHECKING, NamedTuple

from inceptioncli.errors import ImageError
from inceptioncli.images.signatures import ALLOWED_FORMATS, HEAD_BYTES, HEIF_PLUGIN, identify
from inceptioncli.records import STDIN, Failure, FileStamp

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# No picture within Pillow's limit of pixels has a larger file, uncompressed 16-bit RGBA included.
_LARGEST_FILE = 1 << 30
# What comes through a pipe is held in memory, and on its way to a worker twice.
LARGEST_STREAM = 1 << 28
_CHUNK_BYTES = 1 << 20
NUL_IN_NAME = Failure("not_found", "no file has NUL in its name (is -0 missing?)")


class Found(NamedTuple):
    """What was read.

    Attributes:
        content: an image file's bytes, or a decoded picture ``[H, W, 3]``.
        file: which file that was, and when; None for what is none.
    """

    content: bytes | NDArray[np.uint8]
    file: FileStamp | None = None


def read_file(path: str, most: int | None = None) -> Found | None:
    """Reads a whole image file; nothing beyond its head if that is no image's.

    Args:
        path: the file.
        most: give None, having read nothing, for a file of more bytes, and for a stream.

    Raises:
        ImageError: unreadable, not an image, of a format that is not allowed, or changed while
            it was read.
    """
    stamp = None
    try:
        # Unbuffered: a large file's content would be put together from two pieces, twice as large.
        with open(path, "rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                return Found(_read_to_end(file.fileno(), None)) if most is None else None
            if most is not None and before.st_size > most:
                return None
            stamp = FileStamp.of(before)
            allowed_format(file.read(HEAD_BYTES))
            check_size(before.st_size, _LARGEST_FILE)
            file.seek(0)
            data = file.readall()
            after = FileStamp.of(os.fstat(file.fileno()))
    except ImageError as error:
        error.file = stamp
        raise
    except OSError as error:
        raise ImageError(*failure_to_read(error), stamp or stamp_of(path)) from error
    except ValueError as error:
        raise ImageError(*NUL_IN_NAME) from error
    except MemoryError as error:
        raise ImageError("out_of_memory", "not enough memory to read this file", stamp) from error
    if after != stamp or len(data) != after.size:
        # The first of the two: whoever compares it later sees that the file has changed since.
        told = "the file changed while it was read; try again"
        raise ImageError("changed_during_read", told, stamp)
    return Found(data, stamp)


def stamp_of(path: str) -> FileStamp | None:
    """What a file is like now; None if it is none, or can't be looked at."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return FileStamp.of(status) if stat.S_ISREG(status.st_mode) else None


def why_unreadable(path: str) -> Failure | None:
    """Why a file can't be opened; None if it can, or is no regular file."""
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            # Not waiting: it may have become a pipe in between.
            os.close(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
    except OSError as error:
        return failure_to_read(error)
    except ValueError:
        return NUL_IN_NAME
    return None


def read_stream(path: str, timeout: float | None = None) -> bytes:
    """Reads standard input (``-``), a named pipe or a device to its end, if its head is an image's.

    Args:
        path: what to read.
        timeout: seconds to wait when nothing comes; standard input may take as long as it likes.

    Raises:
        ImageError: unreadable, not an image, or nothing came.
    """
    try:
        if path == STDIN:
            # The descriptor itself: a buffered stream has a lock that an interrupt would trip on.
            return _read_to_end(sys.stdin.fileno(), None)
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            return _read_to_end(handle, timeout)
        finally:
            os.close(handle)
    except OSError as error:
        raise ImageError(*failure_to_read(error)) from error
    except ValueError as error:
        raise ImageError(*NUL_IN_NAME) from error


def failure_to_read(error: OSError) -> Failure:
    """What a file or folder that can't be read is recorded as."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Failure("not_found", "no such file or folder")
    if isinstance(error, PermissionError):
        return Failure("permission_denied", "permission denied; check who may read it")
    return Failure("decode_error", f"cannot be read: {error.strerror or error}")


def allowed_format(head: bytes | bytearray) -> str:
    """Pillow's name of the format that a file with this head has.

    Raises:
        ImageError: not an image, or of a format that is not allowed.
    """
    signature = identify(bytes(head[:HEAD_BYTES]))
    expected = f"expected {', '.join(ALLOWED_FORMATS[:-1])} or {ALLOWED_FORMATS[-1]}"
    if signature is None:
        what = "the file is empty" if not head else "not an image by its content"
        raise ImageError("unidentified", f"{what}; {expected}")
    if not signature.allowed:
        raise ImageError(
            "unsupported_format", f"{signature.format} images are not supported; {expected}"
        )
    if signature.extra and importlib.util.find_spec(HEIF_PLUGIN) is None:
        raise ImageError(
            "unsupported_format",
            f"{signature.format} images need a decoder: pip install "
            f"'inceptioncli[{signature.extra}]'",
        )
    return signature.format


def _read_to_end(handle: int, timeout: float | None) -> bytes:
    data = bytearray()
    while True:
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            if not poll.poll(None if timeout is None else timeout * 1000):
                raise ImageError("timeout", f"nothing came for {timeout:g} s")
        chunk = os.read(handle, _CHUNK_BYTES)
        if not chunk:
            return bytes(data)
        data += chunk
        if len(data) - len(chunk) < HEAD_BYTES <= len(data):
            allowed_format(data[:HEAD_BYTES])
        check_size(len(data), LARGEST_STREAM)


def check_size(size: int, most: int) -> None:
    """Raises ImageError for more bytes than an image may have."""
    if size > most:
        raise ImageError(
            "out_of_memory",
            f"the file is larger than {most >> 20} MiB; such files are not read",
        )
