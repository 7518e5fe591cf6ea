"""Decoding: untrusted bytes to what the graph takes, uint8 ``[S, S, 3]``."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import math
import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from inceptioncli.errors import ImageError
from inceptioncli.images.containers import bytes_missing
from inceptioncli.images.picture import Decoding, Picture
from inceptioncli.images.read import allowed_format, read_file

_TRUNCATION = re.compile(r"truncat|unexpected end|end of (file|data|stream)|premature|eof", re.I)
# Pillow imports all of its plugins at the first format beyond its common ones; these alone do.
_PLUGINS = {"WEBP": "WebPImagePlugin", "TIFF": "TiffImagePlugin", "AVIF": "AvifImagePlugin"}
_TooManyPixels = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_WHITE = (255, 255, 255, 255)
_STRIP_PIXELS = 1 << 20
# Pictures of fewer pixels are decoded and resized in a few milliseconds whatever one does.
_LARGE_PIXELS = 1 << 20
# So many times the final size has to be left of a JPEG that is scaled down in the decoder, and of
# others that are reduced before they are resized (Pillow's documentation calls 3 close to fair).
_ROOM = 2
_REDUCING_GAP = 3


def decode(
    content: bytes | NDArray[np.uint8], decoding: Decoding, upright: int | None = None
) -> Picture:
    """Decodes an image file's content: the first frame, upright, in RGB, without transparency.

    The cropped picture is squashed to ``size x size`` with Pillow's antialiased bilinear filter.
    Unless it is to be ``exact``, a large JPEG of which twice the size is left is decoded at a half,
    a quarter or an eighth (the mean of 2x2 pixels and so on, without the work for the others), and
    other large pictures are reduced by a whole number first.

    Args:
        content: an image file's bytes, or a picture ``[H, W, 3]`` that is decoded already.
        decoding: how.
        upright: give the whole picture too, from the same decoding, its longer side at most this.

    Raises:
        ImageError: with one of `records.FAILURE_CODES`.
    """
    if not isinstance(content, bytes):
        image = Image.fromarray(content)
        return _picture(image, decoding, upright, scale=_is_large(image) and not decoding.exact)
    image_format = allowed_format(content)
    with _failures(content, image_format):
        image = _open(content, image_format)
        scale = _is_large(image) and not decoding.exact
        if scale and image_format == "JPEG":
            enough = math.ceil(_ROOM * decoding.size / decoding.crop)
            image.draft(image.mode, (enough, enough))
        image.load()
        picture = _picture(_upright_rgb(image), decoding, upright, scale=scale)
    if image_format == "PNG" and (missing := bytes_missing(content, image_format)):
        raise ImageError("truncated", f"image file is truncated ({missing} bytes missing)")
    return picture


def load_image(path: str, decoding: Decoding) -> Picture:
    """Reads and decodes one image file.

    Raises:
        ImageError: as `decode`.
    """
    found = read_file(path)
    assert found is not None  # However large it is.
    return decode(found.content, decoding)


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """An opened picture's pixels, ``[H, W, 3]``: upright, in RGB, without transparency.

    Raises:
        ImageError: as `decode`.
    """
    with _failures(None, image.format or "picture"):
        check_pixels(image.width, image.height)
        return np.array(_upright_rgb(image.copy()))


def check_pixels(width: int, height: int) -> None:
    """Raises ImageError for more pixels than are decoded."""
    # Pillow only warns up to twice its limit; and filters for warnings are not safe in threads.
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise ImageError("too_many_pixels", _pixels_message(f"{width * height}"))


@contextlib.contextmanager
def _failures(content: bytes | None, image_format: str) -> Iterator[None]:
    """Turns what decoders raise into ImageError."""
    try:
        yield
    except ImageError:
        raise
    except _TooManyPixels as error:
        raise ImageError("too_many_pixels", _pixels_message(str(error))) from error
    except MemoryError as error:
        raise ImageError(
            "out_of_memory", "too large to be decoded in the memory there is for it"
        ) from error
    except Exception as error:  # Decoders raise nearly anything at bytes that are not theirs.
        raise _decoding_failure(error, content, image_format) from error


def _is_large(image: Image.Image) -> bool:
    return image.width * image.height >= _LARGE_PIXELS


def _picture(
    image: Image.Image, decoding: Decoding, upright: int | None, *, scale: bool
) -> Picture:
    gap = _REDUCING_GAP if scale else None
    pixels = np.array(_resized(image, decoding.size, decoding.crop, gap))
    if upright is None:
        return Picture(pixels)
    image.thumbnail((upright, upright), Image.Resampling.BILINEAR, reducing_gap=gap or 2.0)
    return Picture(pixels, np.array(image))


def _open(data: bytes, image_format: str) -> Image.Image:
    if image_format in _PLUGINS:
        importlib.import_module(f"PIL.{_PLUGINS[image_format]}")
    elif image_format == "HEIF":
        _register_heif()
    image: Image.Image = Image.open(io.BytesIO(data), formats=[image_format])
    check_pixels(image.width, image.height)
    return image


@functools.cache
def _register_heif() -> None:
    import pillow_heif

    # The picture alone; a worker has one core.
    pillow_heif.register_heif_opener(
        thumbnails=False, depth_images=False, aux_images=False, decode_threads=1
    )


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


def _pixels_message(told: str) -> str:
    count = re.search(r"\d+", told)
    found = f"{int(count[0]):,} pixels" if count else "too many pixels"
    return f"{found}; at most {Image.MAX_IMAGE_PIXELS:,} are decoded; make it smaller"


def _decoding_failure(error: Exception, data: bytes | None, image_format: str) -> ImageError:
    missing = 0 if data is None else bytes_missing(data, image_format)
    if missing > 0:
        return ImageError("truncated", f"image file is truncated ({missing} bytes missing)")
    if isinstance(error, UnidentifiedImageError):
        # Its text has an address in it, which differs from run to run.
        return ImageError("decode_error", f"{image_format}: the header is damaged")
    text = " ".join(str(error).split()) or type(error).__name__
    if _TRUNCATION.search(text):
        return ImageError("truncated", text)
    return ImageError("decode_error", f"{image_format}: {text}")
