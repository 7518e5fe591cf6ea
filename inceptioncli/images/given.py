"""What a program hands over: paths, image files' bytes, open files, decoded pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, TypeGuard

from inceptioncli.errors import ImageError, UsageError
from inceptioncli.images.inputs import Inputs
from inceptioncli.images.read import LARGEST_STREAM, check_size
from inceptioncli.images.source import Content, Locator, Pixels, Source, Unusable
from inceptioncli.records import STDIN, Failure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as PillowImage

    Path = str | os.PathLike[str]
    Picture = bytes | bytearray | memoryview | BinaryIO | PillowImage | NDArray[np.uint8]
    Given = Path | Picture | tuple[str, Picture]
    Images = Given | Iterable[Given]

_CHUNK_BYTES = 1 << 20
_EXPECTED = (
    "expected a path, bytes, an open binary file, a PIL image, a uint8 array [H, W, 3], "
    "a pair (name, picture), or an iterable of these"
)


def given_inputs(images: Images) -> Inputs:
    """The inputs that a Python caller's argument stands for.

    Paths mean what they mean on the command line: files, folders, ``-``. A picture without a name
    is called ``-``; an open file has its own name, and ``(name, picture)`` names any.

    Raises:
        UsageError: neither one image nor an iterable. What an iterable gives is checked at its
            turn.
    """
    if _is_path(images):
        return Inputs([os.fspath(images)])
    if isinstance(images, list | tuple) and all(map(_is_path, images)):
        return Inputs(map(os.fspath, images))
    if _is_one(images):
        return Inputs((), handed_over=_sources([images]))
    if isinstance(images, Iterable) and not isinstance(images, Mapping):
        return Inputs((), handed_over=_sources(images))
    raise _unknown(images)


def _sources(images: Iterable[Any]) -> Iterator[Source | str]:
    for image in images:
        if _is_path(image):
            yield os.fspath(image)
        elif isinstance(image, tuple) and _is_pair(image):
            yield Source(os.fspath(image[0]), _locator(image[1]))
        else:
            name = getattr(image, "name", None) if hasattr(image, "read") else None
            yield Source(name if isinstance(name, str) else STDIN, _locator(image))


def _locator(picture: Any) -> Locator:
    if isinstance(picture, bytes | bytearray | memoryview):
        return Content(bytes(picture))
    if _is_pillow(picture):
        from inceptioncli.images.decode import pixels_of

        try:
            return Pixels(pixels_of(picture))
        except ImageError as error:
            return Unusable(Failure(error.code, error.message))
    if _is_array(picture):
        if picture.dtype != "uint8" or picture.ndim != 3 or picture.shape[2] != 3:
            found = f"{picture.dtype} array {list(picture.shape)}"
            raise UsageError(f"{found}: expected a picture as uint8 [H, W, 3], RGB")
        if 0 in picture.shape:
            return Unusable(Failure("decode_error", "a picture without pixels"))
        from inceptioncli.images.decode import check_pixels

        try:
            check_pixels(picture.shape[1], picture.shape[0])
        except ImageError as error:
            return Unusable(Failure(error.code, error.message))
        return Pixels(picture.copy())  # The caller may fill it with the next one.
    if hasattr(picture, "read"):
        try:
            return Content(_to_end(picture))
        except ImageError as error:
            return Unusable(Failure(error.code, error.message))
    raise _unknown(picture)


def _to_end(file: Any) -> bytes:
    data = bytearray()
    while chunk := file.read(_CHUNK_BYTES):
        if not isinstance(chunk, bytes):
            raise UsageError(f"{file!r} is open for text; open it with mode 'rb'")
        data += chunk
        check_size(len(data), LARGEST_STREAM)
    return bytes(data)


def _is_path(image: Any) -> TypeGuard[Path]:
    return isinstance(image, str | os.PathLike)


def _is_pair(image: tuple[Any, ...]) -> bool:
    return len(image) == 2 and _is_path(image[0]) and not _is_path(image[1])


def _is_one(image: Any) -> bool:
    """Whether this is a picture, and not an iterable of several."""
    return (
        isinstance(image, bytes | bytearray | memoryview)
        or hasattr(image, "read")
        or _is_pillow(image)
        or (_is_array(image) and image.ndim < 4)
        or (isinstance(image, tuple) and _is_pair(image))
    )


def _is_pillow(image: Any) -> bool:
    # Whoever has one has imported the module that it is of.
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def _is_array(image: Any) -> bool:
    module = sys.modules.get("numpy")
    return module is not None and isinstance(image, module.ndarray)


def _unknown(image: Any) -> UsageError:
    return UsageError(f"{type(image).__name__} is nothing that can be classified; {_EXPECTED}")
