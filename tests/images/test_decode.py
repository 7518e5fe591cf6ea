"""Decoding: the right colours from every mode, the right code for every fault."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from benchmarks.images import camera_like
from inceptioncli.errors import ImageError
from inceptioncli.images import decode as decoding
from inceptioncli.images import read
from inceptioncli.images.decode import decode, load_image, pixels_of
from inceptioncli.images.picture import Decoding
from inceptioncli.images.signatures import ALLOWED_FORMATS
from inceptioncli.records import FAILURE_CODES, FileStamp

RED = (200, 40, 30)
SIZE = 32


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if image_format == "HEIF":
        decoding._register_heif()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def pixels(data: bytes, size: int = SIZE, crop: float = 1.0, *, exact: bool = False) -> np.ndarray:
    """Decoded pixels, as numbers that can be subtracted."""
    values = decode(data, Decoding(size, crop, exact)).pixels
    assert values.dtype == np.uint8
    assert values.shape == (size, size, 3)
    return values.astype(np.float32)


def photo(width: int = 64, height: int = 48) -> Image.Image:
    """Smooth colours with a bright corner, so that orientation shows."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x * 255 / width, y * 255 / height, (x + y) % 256], axis=-1)
    image[: height // 4, : width // 4] = 255
    return Image.fromarray(image.astype(np.uint8))


def test_a_299x299_png_passes_through_untouched() -> None:
    original = np.random.default_rng(0).integers(0, 256, (299, 299, 3), dtype=np.uint8)
    values = decode(encoded(Image.fromarray(original), "PNG"), Decoding(299)).pixels
    np.testing.assert_array_equal(values, original)


@pytest.mark.parametrize("image_format", ALLOWED_FORMATS)
def test_every_allowed_format(image_format: str) -> None:
    data = encoded(Image.new("RGB", (40, 30), RED), image_format)
    assert np.abs(pixels(data) - RED).max() <= 4


def test_mpo_is_read_as_its_first_picture() -> None:
    first, second = Image.new("RGB", (40, 30), RED), Image.new("RGB", (40, 30), (0, 255, 0))
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    assert np.abs(pixels(data) - RED).max() <= 4


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_counts(image_format: str) -> None:
    first, second = Image.new("RGB", (40, 30), RED), Image.new("RGB", (40, 30), (0, 0, 255))
    data = encoded(first, image_format, save_all=True, append_images=[second])
    assert np.abs(pixels(data) - RED).max() <= 4


@pytest.mark.parametrize(
    ("mode", "image_format"),
    [
        ("1", "PNG"),
        ("L", "PNG"),
        ("L", "JPEG"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("LA", "PNG"),
        ("RGBA", "PNG"),
        ("CMYK", "JPEG"),
        ("CMYK", "TIFF"),
        ("YCbCr", "JPEG"),
        ("YCbCr", "TIFF"),
        ("LAB", "TIFF"),
    ],
)
def test_modes_come_out_as_pillow_converts_them(mode: str, image_format: str) -> None:
    image = photo().convert("RGB")
    if mode == "LAB":
        from PIL import ImageCms

        to_lab = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        )
        converted = ImageCms.applyTransform(image, to_lab)
        assert converted is not None
    else:
        converted = image.convert(mode)
    expected = image.convert("L").convert("RGB") if mode in ("1", "L", "LA") else image
    theirs = np.asarray(expected.resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float32)
    tolerance = {"1": 60, "P": 20}.get(mode, 6)
    assert np.abs(pixels(encoded(converted, image_format)) - theirs).mean() < tolerance


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_16_bit_greys_are_scaled_not_cut_off(image_format: str) -> None:
    ramp = np.linspace(0, 65535, SIZE * SIZE).reshape(SIZE, SIZE).astype(np.uint16)
    found = pixels(encoded(Image.fromarray(ramp), image_format))
    expected = np.repeat((ramp / 257.0)[..., np.newaxis], 3, axis=2)
    assert np.abs(found - expected).max() <= 0.51


def test_32_bit_and_floating_point_tiffs() -> None:
    ramp = np.linspace(0, 255, SIZE * SIZE).reshape(SIZE, SIZE)
    expected = np.repeat(ramp[..., np.newaxis], 3, axis=2)
    for values in (ramp.astype(np.int32), (ramp / 255).astype(np.float32), ramp.astype("float32")):
        assert np.abs(pixels(encoded(Image.fromarray(values), "TIFF")) - expected).max() <= 1.01


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparency_shows_white(mode: str) -> None:
    options: dict[str, Any] = {}
    if mode in ("RGBA", "LA"):
        image = Image.new("RGBA", (40, 30), (*RED, 0)).convert(mode)
    else:
        image = Image.new("RGB", (40, 30), RED)
        options["transparency"] = RED
        if mode == "P":
            image = image.quantize(2)
            options["transparency"] = 0
    assert pixels(encoded(image, "PNG", **options)).min() >= 254


def test_half_transparency_is_composited() -> None:
    data = encoded(Image.new("RGBA", (40, 30), (0, 0, 0, 128)), "PNG")
    assert np.abs(pixels(data) - 127).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = photo()
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for method in undo.get(orientation, []):
        stored = stored.transpose(method)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for image_format in ("JPEG", "PNG", "WEBP", "TIFF"):
        options = {"quality": 95} if image_format in ("JPEG", "WEBP") else {}
        data = encoded(stored, image_format, exif=exif, **options)
        difference = np.abs(pixels(data) - pixels(encoded(upright, "PNG"))).mean()
        assert difference < 3, image_format


def test_broken_exif_does_not_cost_the_picture() -> None:
    data = encoded(Image.new("RGB", (40, 30), RED), "JPEG", exif=b"Exif\0\0rubbish rubbish")
    assert np.abs(pixels(data) - RED).max() <= 4


@pytest.mark.parametrize(("width", "height"), [(64, 48), (47, 201), (299, 299), (1, 1), (3, 500)])
@pytest.mark.parametrize("crop", [1.0, 0.875, 0.3])
def test_crop_is_tensorflows_central_crop(width: int, height: int, crop: float) -> None:
    import tensorflow as tf

    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    cropped = Image.fromarray(tf.image.central_crop(image, crop).numpy())
    theirs = np.asarray(cropped.resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float32)
    ours = pixels(encoded(Image.fromarray(image), "PNG"), crop=crop)
    assert np.abs(ours - theirs).max() < 0.01


def test_resizing_is_antialiased() -> None:
    """A fine checkerboard becomes grey; without antialiasing it stays black or white."""
    board = (np.indices((640, 640)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.abs(pixels(encoded(Image.fromarray(board), "PNG")) - 127.5).max() < 3


# Faults


def code_of(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, Decoding(SIZE))
    assert "\n" not in str(caught.value)
    assert caught.value.code in FAILURE_CODES
    return caught.value.code


@pytest.mark.parametrize("image_format", ALLOWED_FORMATS)
@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9])
def test_cut_off_images_are_truncated(image_format: str, fraction: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), image_format)
    assert code_of(data[: int(len(data) * fraction)]) == "truncated"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "unidentified"),
        (b"this is a text file", "unidentified"),
        (b"<html><body>not found</body></html>", "unidentified"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "decode_error"),
        (b"8BPS\0\1\0\0\0\0\0\0\0\3\0\0", "unsupported_format"),
        (b"P6\n2 2\n255\n", "unsupported_format"),
        (b"\x89PNG\r\n\x1a\n" + b"rubbish " * 9, "decode_error"),
    ],
)
def test_what_is_no_image_that_we_read(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_heif_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(photo(), "HEIF")
    assert pixels(data).shape == (SIZE, SIZE, 3)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as where it is not installed
    with pytest.raises(ImageError, match=r"pip install 'inceptioncli\[heif\]'") as caught:
        decode(data, Decoding(SIZE))
    assert caught.value.code == "unsupported_format"


def test_heif_has_the_right_colours_and_is_upright() -> None:
    original = photo(640, 480)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    turned = original.transpose(Image.Transpose.ROTATE_90)
    data = encoded(turned, "HEIF", quality=95, exif=exif.tobytes())
    plain = pixels(encoded(original, "PNG"))
    assert np.abs(pixels(data) - plain).mean() < 3
    see_through = original.convert("RGBA")
    see_through.putalpha(0)
    white = pixels(encoded(see_through, "HEIF", quality=95))
    assert np.abs(white - 255).max() < 3


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "jpeg"])
@pytest.mark.parametrize("cut", [1, 100, 2000])
def test_cut_off_tiffs_of_every_compression(compression: str | None, cut: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "TIFF", compression=compression)
    assert code_of(data[:-cut]) == "truncated"


def test_a_png_without_its_end_is_truncated() -> None:
    data = encoded(photo(), "PNG")
    for cut in (1, 11, 12, 13, 20):
        assert code_of(data[:-cut]) == "truncated"
    assert pixels(data + b"trailing bytes are no fault").shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize("image_format", ALLOWED_FORMATS)
def test_messages_are_the_same_each_time(image_format: str) -> None:
    data = encoded(photo(), image_format)[:40]
    messages = set()
    for _ in range(3):
        with pytest.raises(ImageError) as caught:
            decode(data, Decoding(SIZE))
        messages.add(str(caught.value))
    assert len(messages) == 1
    assert "0x" not in messages.pop()


def test_decompression_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    big = encoded(Image.new("1", (12_000, 8_000)), "PNG")  # 96 million pixels in 12 kB
    assert len(big) < 100_000
    with pytest.raises(ImageError, match="96,000,000 pixels; at most 89,478,485") as caught:
        decode(big, Decoding(SIZE))
    assert caught.value.code == "too_many_pixels"
    assert code_of(encoded(Image.new("1", (20_000, 10_000)), "PNG")) == "too_many_pixels"


def test_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decoding, "_resized", no_memory)
    assert code_of(encoded(photo(), "PNG")) == "out_of_memory"


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(ImageError, match="NUL") as caught:
        load_image("a\0b.jpg", Decoding(SIZE))
    assert caught.value.code == "not_found"


def failure_of(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(str(path), Decoding(SIZE))
    return caught.value.code


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert failure_of(tmp_path / "nowhere.jpg") == "not_found"
    locked = tmp_path / "locked.png"
    locked.write_bytes(encoded(photo(), "PNG"))
    locked.chmod(0)
    if not os.access(locked, os.R_OK):
        assert failure_of(locked) == "permission_denied"


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)  # chmod does not stop root
    assert failure_of(tmp_path / "x.png") == "permission_denied"


def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(encoded(photo(), "PNG"))
    before = FileStamp.of(path.stat())

    def grow(size: int, most: int) -> None:
        with path.open("ab") as more:
            more.write(b"more")

    monkeypatch.setattr(read, "check_size", grow)  # between the head and the rest
    with pytest.raises(ImageError) as caught:
        load_image(str(path), Decoding(SIZE))
    assert (caught.value.code, caught.value.file) == ("changed_during_read", before)


def test_a_pipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = encoded(photo(), "PNG")
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    picture = load_image(str(path), Decoding(SIZE))
    writer.join()
    np.testing.assert_array_equal(picture.pixels, decode(data, Decoding(SIZE)).pixels)


# Pictures that are handed over


def test_the_upright_picture_is_whole_and_at_most_so_large() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photo(), "PNG", exif=exif)
    upright = decode(data, Decoding(SIZE, crop=0.5), upright=1000).upright
    np.testing.assert_array_equal(upright, np.asarray(photo().rotate(-90, expand=True)))
    small = decode(data, Decoding(SIZE), upright=32).upright
    assert small is not None
    assert small.shape == (32, 24, 3)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16"])
def test_a_picture_in_memory_is_what_its_file_is(mode: str) -> None:
    image = photo().convert("L").convert("I").convert(mode) if mode == "I;16" else photo()
    image = image.convert(mode)
    if mode == "RGBA":
        image.putalpha(100)
    before = image.copy()
    data = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    handed_over = decode(pixels_of(image), Decoding(SIZE)).pixels
    np.testing.assert_array_equal(handed_over, decode(data, Decoding(SIZE)).pixels)
    assert image == before


def test_a_picture_in_memory_that_can_not_be_loaded() -> None:
    data = encoded(photo(400, 300), "JPEG")
    image = Image.open(io.BytesIO(data[: len(data) // 2]))
    with pytest.raises(ImageError) as caught:
        pixels_of(image)
    assert caught.value.code == "truncated"


def _corpus() -> list[bytes]:
    image = photo()
    ImageDraw.Draw(image).ellipse((5, 5, 40, 40), fill=RED)
    return [encoded(image, image_format) for image_format in ALLOWED_FORMATS]


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    data=st.sampled_from(_corpus()),
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=8),
    keep=st.floats(0.2, 1),
)
def test_mutated_images_decode_or_fail_by_code(
    data: bytes, edits: list[tuple[float, bytes]], keep: float
) -> None:
    mutated = bytearray(data)
    for where, bytes_ in edits:
        start = int(where * (len(mutated) - 1))
        mutated[start : start + len(bytes_)] = bytes_
    mutated = mutated[: int(len(mutated) * keep)]
    try:
        values = decode(bytes(mutated), Decoding(SIZE)).pixels
    except ImageError:
        code_of(bytes(mutated))
    else:
        assert values.shape == (SIZE, SIZE, 3)
        assert values.dtype == np.uint8


# Scaled decoding


@pytest.mark.parametrize("size", [(2016, 1512), (1198, 900)])
@pytest.mark.parametrize(("format", "options"), [("JPEG", {"quality": 90}), ("PNG", {})])
@pytest.mark.parametrize("crop", [1.0, 0.875])
def test_scaled_decoding_can_not_be_seen(
    size: tuple[int, int], format: str, options: dict[str, int], crop: float
) -> None:
    picture = camera_like(np.random.default_rng(0), size)
    data = encoded(picture, format, **options)
    scaled, exact = (pixels(data, 299, crop, exact=exact) for exact in (False, True))
    assert np.abs(scaled - exact).mean() < 0.5
    assert np.abs(scaled - exact).max() < 6


def test_small_pictures_are_decoded_exactly() -> None:
    data = encoded(camera_like(np.random.default_rng(0), (1000, 1000)), "JPEG")
    scaled, exact = (pixels(data, 75, exact=exact) for exact in (False, True))
    np.testing.assert_array_equal(scaled, exact)


def test_scaled_decoding_sees_what_exact_decoding_sees() -> None:
    """Orientation, the end of a file that is cut off, and Keras's own scaling within reason."""
    picture = camera_like(np.random.default_rng(1), (2000, 1400))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = pixels(encoded(picture.rotate(-90, expand=True), "PNG"), 299)
    turned = pixels(encoded(picture, "JPEG", exif=exif, quality=95), 299)
    assert np.abs(upright - turned).mean() < 1
    data = encoded(picture, "JPEG")
    assert code_of(data[: len(data) * 2 // 3]) == "truncated"
