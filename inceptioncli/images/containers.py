"""Containers: where a file of a format ends, by what it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# TIFF's bytes per value by type, and its tags StripOffsets, StripByteCounts, and those of tiles.
_TIFF_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TIFF_PIXELS = (273, 279, 324, 325)


def bytes_missing(data: bytes, image_format: str) -> int:
    """Bytes that the container announces beyond the file's end; 0 where it announces none.

    Most decoders say the same of a file that is cut off as of any other fault, and some take a
    picture without its end for whole.
    """
    end = 0
    if image_format == "WEBP":
        end = 8 + int.from_bytes(data[4:8], "little")
    elif image_format == "PNG":
        # Chunks of length, name, data and checksum (RFC 2083, 3.2), up to IEND.
        end, name = 8, b""
        while end + 8 <= len(data) and name != b"IEND":
            name = data[end + 4 : end + 8]
            if not name.isalpha():
                return 0  # Damaged, not cut off.
            end += 12 + int.from_bytes(data[end : end + 4], "big")
        if name != b"IEND":
            end = max(end, len(data)) + 12
    elif image_format in ("AVIF", "HEIF"):
        # ISO base media: a run of boxes, each of which begins with its size (14496-12, 4.2). A
        # size below 8 stands for the file's end or for 64 bits, and says nothing here.
        while end < len(data) and (size := int.from_bytes(data[end : end + 4], "big")) >= 8:
            end += size
    elif image_format == "TIFF":
        end = _tiff_end(data)
    return max(0, end - len(data))


def _tiff_end(data: bytes) -> int:
    """Where the first directory, its values or its pixels end (TIFF 6.0, section 2)."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"

    def number(start: int, size: int) -> int:
        return int.from_bytes(data[start : start + size], order)

    if number(2, 2) != 42:
        return 0  # BigTIFF has another directory; nothing is told of it.
    directory = number(4, 4)
    entries = range(directory + 2, directory + 2 + 12 * number(directory, 2), 12)
    end = entries.stop + 4
    values: dict[int, NDArray[np.int64]] = {}
    for entry in entries:
        tag, kind, count = number(entry, 2), number(entry + 2, 2), number(entry + 4, 4)
        size = _TIFF_SIZES.get(kind, 1)
        start = entry + 8 if count * size <= 4 else number(entry + 8, 4)
        end = max(end, start + count * size)
        if end <= len(data) and tag in _TIFF_PIXELS and size in (2, 4):
            dtype = f"{'<' if order == 'little' else '>'}u{size}"
            values[tag] = np.frombuffer(data, dtype, count, start).astype(np.int64)
    if end <= len(data):
        for offsets, counts in (_TIFF_PIXELS[:2], _TIFF_PIXELS[2:]):
            if offsets in values and counts in values and len(values[offsets]):
                shorter = min(len(values[offsets]), len(values[counts]))
                ends = values[offsets][:shorter] + values[counts][:shorter]
                end = max(end, int(ends.max(initial=0)))
    return end
