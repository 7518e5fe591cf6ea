"""Samples owns the pictures in `sample_images/`: which class, seed, size and format each has."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from demo.renderer import render

ORIENTATION = 0x0112


class Sample(NamedTuple):
    """A picture: its class, its seed, its size in px as seen, and how it is saved."""

    class_name: str
    seed: int
    size: tuple[int, int]
    save: Callable[[Image.Image, Path], None]
    suffix: str


def _jpeg(image: Image.Image, path: Path) -> None:
    image.save(path, "JPEG", quality=88)


def _grey_jpeg(image: Image.Image, path: Path) -> None:
    image.convert("L").save(path, "JPEG", quality=88)


def _sideways_jpeg(image: Image.Image, path: Path) -> None:
    """As a phone that is held upright saves it: turned, with an EXIF tag that says so."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(path, "JPEG", quality=88, exif=exif)


def _cmyk_jpeg(image: Image.Image, path: Path) -> None:
    image.convert("CMYK").save(path, "JPEG", quality=88)


def _png(image: Image.Image, path: Path) -> None:
    image.quantize(200).save(path, "PNG", optimize=True)


def _round_png(image: Image.Image, path: Path) -> None:
    """Transparent outside of the inscribed ellipse."""
    from PIL import ImageDraw

    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse((0, 0, *image.size), fill=255)
    image.putalpha(mask)
    image.save(path, "PNG", optimize=True)


def _plain(image_format: str, **options: object) -> Callable[[Image.Image, Path], None]:
    def save(image: Image.Image, path: Path) -> None:
        image.save(path, image_format, **options)

    return save


SAMPLES = (
    Sample("analog_clock", 103, (500, 375), _jpeg, ".jpg"),
    Sample("balloon", 100, (480, 480), _jpeg, ".jpg"),
    Sample("banana", 101, (375, 500), _sideways_jpeg, ".jpg"),
    Sample("basketball", 100, (320, 320), _round_png, ".png"),
    Sample("beacon", 101, (640, 480), _jpeg, ".jpg"),
    Sample("candle", 104, (360, 480), _plain("WEBP", quality=85), ".webp"),
    Sample("computer_keyboard", 105, (600, 360), _jpeg, ".jpg"),
    Sample("crossword_puzzle", 104, (400, 400), _grey_jpeg, ".jpg"),
    Sample("daisy", 101, (400, 400), _plain("AVIF", quality=70), ".avif"),
    Sample("digital_clock", 100, (400, 320), _plain("GIF"), ".gif"),
    Sample("lemon", 101, (480, 360), _cmyk_jpeg, ".jpg"),
    Sample("mushroom", 101, (480, 480), _jpeg, ".jpg"),
    Sample("school_bus", 101, (640, 400), _jpeg, ".jpg"),
    Sample("soccer_ball", 103, (320, 256), _plain("BMP"), ".bmp"),
    Sample("strawberry", 102, (500, 375), _jpeg, ".jpg"),
    Sample("street_sign", 102, (400, 300), _png, ".png"),
    Sample("traffic_light", 104, (375, 500), _jpeg, ".jpg"),
    Sample("umbrella", 104, (320, 320), _plain("TIFF", compression="tiff_deflate"), ".tiff"),
)


def write(folder: Path) -> list[Path]:
    """Draws all samples into `folder`; the same bytes each time, for one release of Pillow."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for sample in SAMPLES:
        path = folder / f"{sample.class_name}{sample.suffix}"
        sample.save(render(sample.class_name, sample.seed, sample.size), path)
        paths.append(path)
    return paths
