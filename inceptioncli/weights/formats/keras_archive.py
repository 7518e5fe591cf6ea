"""Keras's ``.keras``: a zip with the description of a model and the file of its arrays."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from inceptioncli.errors import WeightsError
from inceptioncli.weights.formats import hdf5
from inceptioncli.weights.formats.found import Found, damaged
from inceptioncli.weights.formats.keras_config import LARGEST_BYTES
from inceptioncli.weights.formats.keras_h5 import found_in

CONFIG = "config.json"
WEIGHTS = "model.weights.h5"

# With the optimizer's arrays there are 0.3 GB in one; this is far above that.
_LARGEST_WEIGHTS_BYTES = 1 << 30


def is_keras_archive(path: Path) -> bool:
    """Whether a zip archive holds what a ``.keras`` does.

    Raises:
        WeightsError: damaged.
    """
    with _archive(path) as archive:
        return {CONFIG, WEIGHTS} <= set(archive.namelist())


@contextmanager
def open_keras_archive(path: Path) -> Iterator[Found]:
    """Opens a ``.keras`` file; the arrays are unpacked into a temporary file.

    Raises:
        WeightsError: damaged, too large, or of a model that isn't ours.
    """
    with tempfile.TemporaryFile(prefix="inceptioncli-") as unpacked:
        with _archive(path) as archive:
            description = _member(archive, CONFIG, LARGEST_BYTES, path).read()
            with _member(archive, WEIGHTS, _LARGEST_WEIGHTS_BYTES, path) as content:
                _unpack(content, unpacked, path)
        with hdf5.opened(unpacked, path) as file:
            with hdf5.telling_damage(path):
                found = found_in(file, path, description)
            yield found


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except WeightsError:
        raise
    except Exception as error:  # zipfile's are of any kind
        raise damaged(path, "zip archive", error) from error


def _member(archive: zipfile.ZipFile, name: str, largest: int, path: Path) -> IO[bytes]:
    """A file in the archive; no more of it is read than the size that the archive tells."""
    size = archive.getinfo(name).file_size
    if size > largest:
        raise WeightsError(f"{path}: {name} in it has {size:,} bytes; {largest:,} are the most")
    return archive.open(name)


def _unpack(content: IO[bytes], unpacked: IO[bytes], path: Path) -> None:
    while piece := content.read(1 << 20):
        try:
            unpacked.write(piece)
        except OSError as error:
            raise WeightsError(
                f"{path}: cannot be unpacked in {tempfile.gettempdir()}: {error.strerror or error}"
            ) from error
