"""Decoding: untrusted bytes to what the graph takes, float32 ``[S, S, 3]`` in [-1, 1]."""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from inceptioncli.errors import ImageError
from inceptioncli.images.read import allowed_format, read_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TRUNCATION = re.compile(r"truncat|unexpected end|end of (file|data|stream)|premature|eof", re.I)
# Pillow imports all of its plugins at the first format beyond its common ones; these alone do.
_PLUGINS = {"WEBP": "WebPImagePlugin", "TIFF": "TiffImagePlugin", "AVIF": "AvifImagePlugin"}
# TIFF's bytes per value by type, and its tags StripOffsets, StripByteCounts, and those of tiles.
_TIFF_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TIFF_PIXELS = (273, 279, 324, 325)
_TooManyPixels = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_WHITE = (255, 255, 255, 255)
_STRIP_PIXELS = 1 << 20
# Pictures of fewer pixels are decoded and resized in a few milliseconds whatever one does.
_LARGE_PIXELS = 1 << 20
# So many times the final size has to be left of a JPEG that is scaled down in the decoder, and of
# others that are reduced before they are resized (Pillow's documentation calls 3 close to fair).
_ROOM = 2
_REDUCING_GAP = 3


def load_image(
    path: str, *, size: int, crop: float = 1.0, exact: bool = False
) -> NDArray[np.float32]:
    """Reads and decodes one image.

    Args:
        path: a file's path, or ``-`` for standard input.
        size: side of the result, in pixels.
        crop: fraction of each side that is kept, around the centre, before resizing.
        exact: decode every pixel and weigh each, however large the picture; else large ones are
            made smaller on the way where that can't be seen.

    Returns:
        Float32 ``[size, size, 3]``, RGB in [-1, 1].

    Raises:
        ImageError: with one of `records.FAILURE_CODES`.
    """
    return decode(read_bytes(path), size=size, crop=crop, exact=exact)


def decode(
    data: bytes, *, size: int, crop: float = 1.0, exact: bool = False
) -> NDArray[np.float32]:
    """Decodes an image file's content: the first frame, upright, in RGB, without transparency.

    The cropped picture is squashed to ``size x size`` with Pillow's antialiased bilinear filter.
    Unless it is to be ``exact``, a large JPEG of which twice the size is left is decoded at a half,
    a quarter or an eighth (the mean of 2x2 pixels and so on, without the work for the others), and
    other large pictures are reduced by a whole number first.

    Raises:
        ImageError: as `load_image`.
    """
    image_format = allowed_format(data)
    try:
        image = _open(data, image_format)
        scale = not exact and image.width * image.height >= _LARGE_PIXELS
        if scale and image_format == "JPEG":
            enough = math.ceil(_ROOM * size / crop)
            image.draft(image.mode, (enough, enough))
        image.load()
        picture = _resized(_upright_rgb(image), size, crop, _REDUCING_GAP if scale else None)
    except _TooManyPixels as error:
        raise ImageError("too_many_pixels", _pixels_message(error)) from error
    except MemoryError as error:
        raise ImageError(
            "out_of_memory", "too large to be decoded in the memory there is for it"
        ) from error
    except Exception as error:  # Decoders raise nearly anything at bytes that are not theirs.
        raise _decoding_failure(error, data, image_format) from error
    if image_format == "PNG" and (missing := _bytes_missing(data, image_format)):
        raise ImageError("truncated", f"image file is truncated ({missing} bytes missing)")
    # Keras's and slim's scaling alike: [0, 255] to [-1, 1].
    pixels = np.array(picture, dtype=np.float32)
    pixels /= 127.5
    pixels -= 1
    return pixels


def _open(data: bytes, image_format: str) -> Image.Image:
    if image_format in _PLUGINS:
        importlib.import_module(f"PIL.{_PLUGINS[image_format]}")
    image: Image.Image = Image.open(io.BytesIO(data), formats=[image_format])
    # Pillow only warns up to twice its limit; and filters for warnings are not safe in threads.
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise Image.DecompressionBombError(f"{image.width * image.height} pixels")
    return image


def _upright_rgb(image: Image.Image) -> Image.Image:
    with contextlib.suppress(Exception):  # Broken EXIF says nothing; the pixels are sound.
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    # In strips: conversions take several times a large picture's own memory.
    scale = _full_scale(image)
    rgb = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        rgb.paste(_flat_rgb(_eight_bits(strip, scale)), (0, top))
    return rgb


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The picture in pieces of its full width, each with the row at which it begins."""
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _flat_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image)
    return image.convert("RGB")


def _full_scale(image: Image.Image) -> float:
    """What white is, of a picture with greys of more than 8 bits."""
    if image.mode == "I":
        # Pillow's mode for 16-bit PNG in some releases and for 32-bit TIFF; the values tell.
        largest = max(np.asarray(strip).max(initial=0) for _, strip in _strips(image))
        return next((top for top in (255, 65535) if largest <= top), 2**31 - 1)
    if image.mode == "F":
        # Floating-point TIFF: [0, 1] by convention, else 8-bit values.
        values = (np.nan_to_num(np.asarray(strip)) for _, strip in _strips(image))
        return 1 if max(value.max(initial=0) for value in values) <= 1 else 255
    return 65535


def _eight_bits(image: Image.Image, scale: float) -> Image.Image:
    """Greys of 16 and 32 bits scaled to 8; Pillow's own conversion would cut them off at 255."""
    if image.mode.startswith(("I", "F")):
        return _grey(np.nan_to_num(np.asarray(image).astype(np.float64)) * (255 / scale))
    return image


def _grey(values: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _resized(image: Image.Image, size: int, crop: float, reducing_gap: float | None) -> Image.Image:
    width, height = image.size
    # The rounding of tf.image.central_crop, with which slim's accuracy was published.
    left, top = int((width - width * crop) / 2), int((height - height * crop) / 2)
    if left or top:
        # Not `resize(box=...)`: its filter would reach for pixels outside of the box.
        image = image.crop((left, top, width - left, height - top))
    return image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=reducing_gap)


def _pixels_message(error: Exception) -> str:
    count = re.search(r"\d+", str(error))
    found = f"{int(count[0]):,} pixels" if count else "too many pixels"
    return f"{found}; at most {Image.MAX_IMAGE_PIXELS:,} are decoded; make it smaller"


def _decoding_failure(error: Exception, data: bytes, image_format: str) -> ImageError:
    missing = _bytes_missing(data, image_format)
    if missing > 0:
        return ImageError("truncated", f"image file is truncated ({missing} bytes missing)")
    if isinstance(error, UnidentifiedImageError):
        # Its text has an address in it, which differs from run to run.
        return ImageError("decode_error", f"{image_format}: the header is damaged")
    text = " ".join(str(error).split()) or type(error).__name__
    if _TRUNCATION.search(text):
        return ImageError("truncated", text)
    return ImageError("decode_error", f"{image_format}: {text}")


def _bytes_missing(data: bytes, image_format: str) -> int:
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
    elif image_format == "AVIF":
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
