"""Lens owns what the camera adds: foreground blur, exposure, cast, vignette, blur and grain."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from demo.renderer.colour import darker, mix, vivid
from demo.renderer.scene import SUPERSAMPLE, Scene


def photograph(scene: Scene) -> Image.Image:
    """The finished RGB picture, at its own size, of a scene."""
    if scene.chance(0.22):
        _foreground(scene)
    picture = scene.image.reduce(SUPERSAMPLE)
    side = min(picture.size)
    softness = scene.uniform(-0.6, 1.0) ** 3 * side / 260
    if softness > 0.15:
        picture = picture.filter(ImageFilter.GaussianBlur(softness))
    return _develop(scene, picture)


def _foreground(scene: Scene) -> None:
    """A leaf, a finger or a post far before the focus, at the picture's edge."""
    width, height = (side // 8 for side in scene.size)
    veil = Image.new("L", (width, height))
    pen = ImageDraw.Draw(veil)
    colour = scene.pick(
        ((52, 78, 40), (40, 36, 36), (150, 112, 90), mix(vivid(scene.rng), (90, 90, 90), 0.4))
    )
    angle = scene.uniform(0, 2 * math.pi)
    x = width / 2 * (1 + 1.25 * math.cos(angle))
    y = height / 2 * (1 + 1.25 * math.sin(angle))
    for _ in range(scene.integer(1, 3)):
        rx, ry = (scene.uniform(0.1, 0.3) * min(width, height) for _ in range(2))
        pen.ellipse((x - rx, y - ry, x + rx, y + ry), fill=scene.integer(150, 235))
        x += scene.uniform(-0.2, 0.2) * width
        y += scene.uniform(-0.2, 0.2) * height
    veil = veil.filter(ImageFilter.GaussianBlur(scene.uniform(1.5, 4.0)))
    veil = veil.resize(scene.size, Image.Resampling.BILINEAR)
    scene.image.paste(darker(colour, scene.uniform(0.7, 1.2)), (0, 0), veil)


def _develop(scene: Scene, picture: Image.Image) -> Image.Image:
    width, height = picture.size
    rng = scene.rng
    values = np.asarray(picture, dtype=np.float32)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    vignette = 1.0 - np.float32(scene.uniform(0.0, 0.22)) * (x * x + y * y)
    warmth, tint = rng.normal(0, 0.035), rng.normal(0, 0.015)
    cast = np.array([1 + warmth, 1 + tint, 1 - warmth], dtype=np.float32)
    exposure, contrast = scene.uniform(0.84, 1.16), scene.uniform(0.86, 1.14)
    strength = np.float32(abs(rng.normal(0, 4.0)) + 0.8)
    # The grain comes last, for its draws alone depend on the picture's size.
    grain = rng.standard_normal((height, width), dtype=np.float32) * strength
    colour_grain = rng.standard_normal((height // 2 + 1, width // 2 + 1, 3), dtype=np.float32)
    values = (values - 122.0) * np.float32(contrast) + 122.0
    values = values * (cast * np.float32(exposure))
    values = values * vignette[..., None] + grain[..., None]
    coarse = (colour_grain * (strength * np.float32(0.5))).repeat(2, axis=0).repeat(2, axis=1)
    values = values + coarse[:height, :width]
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
