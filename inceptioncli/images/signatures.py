"""Image formats told by their first bytes, never by a file's name."""

from __future__ import annotations

import re
from typing import NamedTuple

HEAD_BYTES = 32


class Signature(NamedTuple):
    """A format: Pillow's name for it, or for one that we refuse its common name.

    ``extra`` is that of this package which brings the decoder, if Pillow has none of its own.
    """

    format: str
    allowed: bool
    pattern: re.Pattern[bytes]
    extra: str | None = None


def _signature(
    format: str, pattern: bytes, *, allowed: bool = True, extra: str | None = None
) -> Signature:
    return Signature(format, allowed, re.compile(pattern, re.DOTALL), extra)


# Allowed formats have decoders that are fuzzed and kept; the others are known only so that a
# message can name them. Brands of AVIF and HEIF share a container; the brand tells them apart.
SIGNATURES = (
    _signature("JPEG", rb"\xff\xd8\xff"),
    _signature("PNG", rb"\x89PNG\r\n\x1a\n"),
    _signature("GIF", rb"GIF8[79]a"),
    _signature("BMP", rb"BM.{11}\0[\x0c-\x7c]\0\0\0"),
    _signature("WEBP", rb"RIFF.{4}WEBP"),
    _signature("TIFF", rb"II[*+]\0|MM\0[*+]"),
    _signature("AVIF", rb".{4}ftyp(avif|avis|mif1.{4}.*avif)"),
    _signature("HEIF", rb".{4}ftyp(hei[cmsx]|hev[cmx]|mif1|msf1)", extra="heif"),
    _signature("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", allowed=False),
    _signature("JPEG 2000", rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", allowed=False),
    _signature("Photoshop", rb"8BPS\0[\1\2]", allowed=False),
    _signature("OpenEXR", rb"\x76\x2f\x31\x01", allowed=False),
    _signature("QOI", rb"qoif", allowed=False),
    _signature("Netpbm", rb"P[1-6]\s+(#[^\n]*\n\s*)*\d+\s+\d+\s", allowed=False),
)

ALLOWED_FORMATS = tuple(signature.format for signature in SIGNATURES if signature.allowed)
HEIF_PLUGIN = "pillow_heif"


def identify(head: bytes) -> Signature | None:
    """The image format whose signature ``head`` (the first `HEAD_BYTES` bytes) carries, if any."""
    for signature in SIGNATURES:
        if signature.pattern.match(head):
            return signature
    return None
