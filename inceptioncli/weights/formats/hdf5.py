"""HDF5 files from elsewhere: what is read of one is in that file, and plain arrays of floats.

HDF5 can do more than hold arrays: links and arrays may lead to other files, filters load libraries,
a few bytes can stand for any amount of memory. All of that is refused, by name.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import h5py
import numpy as np

from inceptioncli.errors import WeightsError
from inceptioncli.weights.formats.found import Variable, damaged

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FLOATS = (np.dtype("f2"), np.dtype("f4"), np.dtype("f8"))
# Keras nests a group or two for each model inside a model.
_DEEPEST = 64
_LONGEST_TEXT = 64 << 20
# HDF5 makes room for a whole chunk, and one may be larger than its array.
_LARGEST_CHUNK_BYTES = 64 << 20
# These come with HDF5; for any other it looks for a library to load.
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}


@contextmanager
def opened(source: Path | IO[bytes], path: Path) -> Iterator[h5py.File]:
    """Opens an HDF5 file, at ``path`` or in it.

    Raises:
        WeightsError: damaged.
    """
    with telling_damage(path):
        file = h5py.File(source, "r")
    with file:
        yield file


@contextmanager
def telling_damage(path: Path) -> Iterator[None]:
    """Around all that asks h5py, or a function here, something: its errors are of any kind."""
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:
        raise damaged(path, "HDF5 file", error) from error


def members(file: h5py.File, path: Path) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """All groups and datasets of a file with their paths in it, each once, a group before its own.

    Raises:
        WeightsError: nested too deeply, or there is a link that is not an object's name.
    """
    return _members(file, path, {_address(file)}, 0)


def _members(
    group: h5py.Group, path: Path, seen: set[int], depth: int
) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    if depth > _DEEPEST:
        raise WeightsError(f"{path}: groups are nested more than {_DEEPEST} deep")
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            place = getattr(link, "filename", None) or "another place"
            raise WeightsError(
                f"{path}: {group.name.rstrip('/')}/{name} is a link to {link.path} in {place}; "
                "expected arrays in the file itself"
            )
        item = group[name]
        address = _address(item)
        if address in seen or not isinstance(item, h5py.Group | h5py.Dataset):
            continue
        seen.add(address)
        yield item.name.lstrip("/"), item
        if isinstance(item, h5py.Group):
            yield from _members(item, path, seen, depth + 1)


def _address(item: Any) -> int:
    address: int = h5py.h5o.get_info(item.id).addr
    return address


def text_attribute(item: h5py.Group | h5py.Dataset, name: str, path: Path) -> str | None:
    """An attribute that is one text, stored as whichever kind of string; None if there is none.

    Raises:
        WeightsError: it is something else.
    """
    if name not in item.attrs:
        return None
    stored = item.attrs.get_id(name)
    if (
        stored.shape != ()
        or h5py.check_string_dtype(stored.dtype) is None
        or stored.dtype.itemsize > _LONGEST_TEXT
    ):
        shape = "nothing" if stored.shape is None else f"{stored.dtype} {stored.shape}"
        raise WeightsError(f"{path}: attribute {name} of {item.name} is {shape}; expected a text")
    value = item.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def variable(dataset: h5py.Dataset, path: Path) -> Variable:
    """A dataset as a variable that is not read yet.

    Raises:
        WeightsError: it is no array of floats that stands in this file.
    """
    what = _wrong(dataset)
    if what:
        raise WeightsError(f"{path}: {dataset.name} {what}; expected an array of floats")
    return Variable(str(dataset.name), dataset.shape, lambda: _read(dataset))


def _wrong(dataset: h5py.Dataset) -> str:
    """Why a dataset can't be weights; empty if it can."""
    if dataset.shape is None:
        return "is empty"
    if dataset.is_virtual:
        return "is put together from other arrays (a virtual dataset)"
    if dataset.external:
        return f"lies in another file, {dataset.external[0][0]}"
    try:
        dtype = dataset.dtype
    except (TypeError, ValueError):  # numpy has none like it.
        return "is of a type that is no number's"
    if dtype.newbyteorder("=") not in _FLOATS:
        kind = "references, or of arrays or texts of any length" if dtype.hasobject else dtype
        return f"is of {kind}"
    creation = dataset.id.get_create_plist()
    filters = [creation.get_filter(number)[0] for number in range(creation.get_nfilters())]
    if not set(filters) <= _FILTERS or len(filters) > len(set(filters)):
        return "is compressed by other means than gzip"
    if dataset.chunks and _chunk_bytes(dataset) > max(_LARGEST_CHUNK_BYTES, dataset.nbytes):
        return f"is in chunks of {_chunk_bytes(dataset):,} bytes"
    return "" if _is_whole(dataset) else "was not written to its end"


def _is_whole(dataset: h5py.Dataset) -> bool:
    """Whether all values are stored; HDF5 gives zeros for the others."""
    if not dataset.chunks:
        return bool(dataset.id.get_storage_size() >= dataset.nbytes)
    sides = zip(dataset.shape, dataset.chunks, strict=True)
    chunks = math.prod(-(-side // chunk) for side, chunk in sides)
    return bool(dataset.id.get_num_chunks() >= chunks)


def _chunk_bytes(dataset: h5py.Dataset) -> int:
    return int(math.prod(dataset.chunks) * dataset.dtype.itemsize)


def _read(dataset: h5py.Dataset) -> NDArray[Any]:
    if dataset.compression == "gzip":
        _check_compressed(dataset)
    array: NDArray[Any] = dataset[()]
    return array


def _check_compressed(dataset: h5py.Dataset) -> None:
    """Raises ValueError if a chunk holds more than it should: HDF5 would unpack it all the same."""
    expected = _chunk_bytes(dataset)
    chunks: list[Any] = []
    dataset.id.chunk_iter(chunks.append)
    for chunk in chunks:
        if chunk.size > 2 * expected + 1024:
            raise ValueError(f"a chunk of {chunk.size:,} bytes; expected {expected:,}")
        _, content = dataset.id.read_direct_chunk(chunk.chunk_offset)
        unpacked = zlib.decompressobj().decompress(content, expected + 1)
        if len(unpacked) > expected:
            raise ValueError(f"a compressed chunk of more than its {expected:,} bytes")
