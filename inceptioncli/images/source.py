"""A source: the name that its record will carry, and how its bytes are got.

How is a locator's business. A file is read by whoever decodes it; a pipe can be read by this
process alone; some pictures are in memory already. A new kind of place is a new locator.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from inceptioncli.errors import ImageError
from inceptioncli.images.read import (
    NUL_IN_NAME,
    Found,
    failure_to_read,
    read_file,
    read_stream,
    stamp_of,
    why_unreadable,
)
from inceptioncli.records import STDIN, Failure, FileStamp, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Locator:
    """Where an image is. Picklable, once it is `held`.

    Attributes:
        nbytes: memory that it takes on its way to a worker; 0 for what the worker reads itself.
    """

    nbytes = 0

    def held(self, timeout: float) -> Locator:
        """Itself for other processes: what this one alone can read is read.

        Args:
            timeout: seconds to wait when nothing comes from a pipe.
        """
        return self

    def read(self, most: int | None = None) -> Found | None:
        """The content, and which file it is of.

        Args:
            most: give None, at no cost, for more bytes than these.

        Raises:
            ImageError: with one of `records.FAILURE_CODES`.
        """
        raise NotImplementedError

    def stamp(self) -> FileStamp | None:
        """What its file is like now; None if it is none, or can't be looked at."""
        return None

    def unreadable(self) -> Failure | None:
        """Why it can't be read, as far as that can be told without reading it."""
        return None


class Source(NamedTuple):
    """One input. ``path`` is its name: a file's as the user would write it, or ``-``."""

    path: str
    locator: Locator

    def held(self, timeout: float) -> Source:
        """The source as other processes can read it; see `Locator.held`."""
        return self._replace(locator=self.locator.held(timeout))

    def stamp(self) -> FileStamp | None:
        """See `Locator.stamp`."""
        return self.locator.stamp()

    def unreadable(self) -> Failure | None:
        """See `Locator.unreadable`."""
        return self.locator.unreadable()

    def failed(self, error: ImageError) -> Record:
        """Its record when it is no usable image."""
        return Record(self.path, failure=Failure(error.code, error.message), file=error.file)


class File(Locator):
    """A regular file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self, most: int | None = None) -> Found | None:
        return read_file(self.path, most)

    def stamp(self) -> FileStamp | None:
        return stamp_of(self.path)

    def unreadable(self) -> Failure | None:
        return why_unreadable(self.path)


class Named(File):
    """What a user has named: a file, a pipe, standard input (``-``), or nothing at all."""

    def held(self, timeout: float) -> Locator:
        try:
            if self.path != STDIN and stat.S_ISREG(os.stat(self.path).st_mode):
                return File(self.path)
            return Content(read_stream(self.path, timeout))
        except OSError as error:
            return Unusable(failure_to_read(error))
        except ValueError:
            return Unusable(NUL_IN_NAME)
        except ImageError as error:
            return Unusable(Failure(error.code, error.message))

    def stamp(self) -> FileStamp | None:
        return None if self.path == STDIN else super().stamp()

    def unreadable(self) -> Failure | None:
        return None if self.path == STDIN else super().unreadable()


class Content(Locator):
    """An image file's bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.nbytes = len(data)

    def read(self, most: int | None = None) -> Found:
        return Found(self.data)


class Pixels(Locator):
    """A decoded picture, upright, in RGB: uint8 ``[H, W, 3]``."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self.array = array
        self.nbytes = array.nbytes

    def read(self, most: int | None = None) -> Found:
        return Found(self.array)


class Unusable(Locator):
    """What is known to be a failure already.

    Args:
        failure: which.
        file: of which file, if it is one.
    """

    def __init__(self, failure: Failure, file: FileStamp | None = None) -> None:
        self.failure = failure
        self._file = file

    def read(self, most: int | None = None) -> Found:
        raise ImageError(*self.failure, self._file)

    def stamp(self) -> FileStamp | None:
        return self._file

    def unreadable(self) -> Failure:
        return self.failure
