"""Noise owns the smooth random fields that clouds, grain, dirt and wood are made of."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]


def smooth(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Field:
    """Random values of mean 0 on a grid of `cells` (rows, columns), interpolated to `shape`.

    The values drawn do not depend on `shape`, so one seed gives one scene at every size.
    """
    grid = rng.uniform(-1.0, 1.0, cells).astype(np.float32)
    picture = Image.fromarray(grid).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.float32)


def fractal(
    rng: np.random.Generator, shape: tuple[int, int], cells: int = 3, octaves: int = 4
) -> Field:
    """Sum of `octaves` smooth fields, each twice as fine and half as strong; about -1 to 1."""
    total = np.zeros(shape, dtype=np.float32)
    for octave in range(octaves):
        side = cells << octave
        total += smooth(rng, shape, (side, side)) * np.float32(0.5**octave)
    return total * np.float32(0.7)


def streaks(rng: np.random.Generator, shape: tuple[int, int], along: int, across: int) -> Field:
    """Noise drawn out along x: `along` cells across the width, `across` down the height."""
    coarse = smooth(rng, shape, (across, along))
    fine = smooth(rng, shape, (across * 3, along * 2))
    return coarse * np.float32(0.65) + fine * np.float32(0.35)
