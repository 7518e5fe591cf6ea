"""Pictures to measure with: JPEGs with detail at every scale, as a camera's have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SMALL = (500, 375)
LARGE = (4032, 3024)
_DIFFERENT = 8


def make_images(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """So many JPEGs in a folder (a folder of its own for Keras, which wants classes); its path."""
    inner = folder / "images"
    inner.mkdir(parents=True)
    rng = np.random.default_rng(0)
    paths = []
    for number in range(min(count, _DIFFERENT)):
        paths.append(inner / f"{number:05}.jpg")
        camera_like(rng, size).save(paths[-1], quality=90)
    for number in range(len(paths), count):
        (inner / f"{number:05}.jpg").hardlink_to(paths[number % len(paths)])
    return folder


def camera_like(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Noise of five octaves, the coarse ones stronger, as in natural pictures."""
    width, height = size
    picture = np.zeros((height, width, 3), np.float32)
    for side in (4, 16, 64, 256, 1024):
        noise = rng.normal(0, 30 / side**0.25, (side * 3 // 4, side, 3)).astype(np.float32)
        for band in range(3):
            layer = Image.fromarray(noise[..., band]).resize(size, Image.Resampling.BICUBIC)
            picture[..., band] += np.asarray(layer)
    return Image.fromarray(np.clip(picture + 128, 0, 255).astype(np.uint8))
