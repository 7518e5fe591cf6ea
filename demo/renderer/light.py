"""Light owns the lamp: where it stands, how surfaces answer it and the shadows it throws."""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from demo.renderer.noise import Field


class Light(NamedTuple):
    """One lamp and the light from all round; x to the right, y down, z towards the viewer."""

    direction: tuple[float, float, float]
    ambient: float
    softness: float


def choose(rng: np.random.Generator) -> Light:
    """A lamp above and before the subject, left or right, hard or soft."""
    azimuth = rng.uniform(-1.15, 1.15)
    elevation = rng.uniform(0.45, 1.0)
    x = math.sin(azimuth) * math.cos(elevation * 0.6)
    y = -math.sin(elevation)
    z = rng.uniform(0.7, 1.2)
    length = math.sqrt(x * x + y * y + z * z)
    direction = (x / length, y / length, z / length)
    return Light(direction, rng.uniform(0.34, 0.6), rng.uniform(0.3, 1.0))


def answer(
    light: Light, x: Field, y: Field, z: Field, gloss: float, polish: float = 24.0
) -> tuple[Field, Field]:
    """Diffuse factor (0 to about 1) and highlight (0 to `gloss`) of a surface of unit normals.

    Lambert's cosine wrapped a little round the edge, and Blinn's half-vector highlight.
    """
    lx, ly, lz = light.direction
    cosine = x * lx + y * ly + z * lz
    wrapped = np.clip(cosine * 0.85 + 0.15, 0.0, 1.0)
    diffuse = light.ambient + (1.06 - light.ambient) * wrapped
    if gloss <= 0.0:
        return diffuse, np.zeros((1, 1), dtype=np.float32)
    length = math.sqrt(lx * lx + ly * ly + (lz + 1.0) ** 2)
    half = np.clip((x * lx + y * ly + z * (lz + 1.0)) / length, 0.0, 1.0)
    return diffuse, gloss * half**polish


def relief(
    picture: Image.Image, light: Light, *, roundness: float, gloss: float = 0.0
) -> Image.Image:
    """The RGBA `picture` shaded as if its silhouette were puffed up like a cushion.

    `roundness` is the reach of the rounding as a share of the picture's shorter side. The height
    is a sum of blurred silhouettes, taken at a quarter of the resolution: shading is smooth.
    """
    width, height = picture.size
    box = picture.getchannel("A").getbbox()
    if box is None:
        return picture
    small = picture.getchannel("A").resize((width // 4, height // 4), Image.Resampling.BOX)
    reach = roundness * min(small.size)
    inside = np.asarray(small, dtype=np.float32) / 255.0
    total = np.zeros_like(inside)
    for share in (1.0, 0.5, 0.25):
        blurred = small.filter(ImageFilter.GaussianBlur(max(0.6, reach * share)))
        total += np.asarray(blurred, dtype=np.float32) * (share / 255.0)
    surface = np.sqrt(np.clip(total * inside, 1e-4, None)) * reach * 1.8
    slope_y, slope_x = np.gradient(surface)
    steep = np.sqrt(slope_x**2 + slope_y**2 + 1.0)
    diffuse, shine = answer(light, -slope_x / steep, -slope_y / steep, 1.0 / steep, gloss)
    return shade(picture, diffuse, shine if gloss > 0.0 else None)


def shade(picture: Image.Image, diffuse: Field, shine: Field | None = None) -> Image.Image:
    """The RGBA `picture` times `diffuse`, plus white times `shine`; fields may be coarser."""
    dim = _grey(diffuse, picture.size)
    colours = ImageChops.multiply(picture.convert("RGB"), Image.merge("RGB", (dim, dim, dim)))
    if shine is not None:
        bright = _grey(shine, picture.size)
        colours = ImageChops.screen(colours, Image.merge("RGB", (bright, bright, bright)))
    colours.putalpha(picture.getchannel("A"))
    return colours


def shadow(
    ground: Image.Image, alpha: Image.Image, shift: tuple[float, float], blur: float, depth: float
) -> Image.Image:
    """`ground` darkened by `depth` where `alpha`, moved by `shift` px, blurs over `blur` px."""
    width, height = ground.size
    small = alpha.resize((width // 4, height // 4), Image.Resampling.BOX)
    moved = Image.new("L", small.size)
    moved.paste(small, (round(shift[0] / 4), round(shift[1] / 4)))
    moved = moved.filter(ImageFilter.GaussianBlur(blur / 4))
    veil = moved.point(lambda value: round(255 - value * depth)).resize(
        ground.size, Image.Resampling.BILINEAR
    )
    return ImageChops.multiply(ground, Image.merge("RGB", (veil, veil, veil)))


def glow(
    ground: Image.Image, centre: tuple[float, float], radius: float, colour: tuple[int, int, int]
) -> Image.Image:
    """`ground` with a halo of `colour` round `centre` (px) that has faded out at `radius` px."""
    side = 64
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) * (2.0 / (side - 1)) - 1.0
    fall = np.clip(1.0 - np.sqrt(x * x + y * y), 0.0, 1.0) ** 2
    halo = _grey(fall, (max(2, round(2 * radius)), max(2, round(2 * radius))))
    veil = Image.new("RGB", ground.size)
    veil.paste(colour, (round(centre[0] - radius), round(centre[1] - radius)), halo)
    return ImageChops.screen(ground, veil)


def _grey(field: Field, size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(np.clip(field * 255.0, 0, 255).astype(np.uint8))
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)
