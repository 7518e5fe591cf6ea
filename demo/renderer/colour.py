"""Colour owns how a paint is named, mixed and jittered: red, green, blue from 0 to 255."""

import colorsys

import numpy as np

Colour = tuple[int, int, int]

WHITE: Colour = (250, 250, 246)
BLACK: Colour = (24, 23, 26)
STEEL: Colour = (150, 154, 160)
LEAF: Colour = (74, 134, 50)
TIMBER: Colour = (156, 108, 62)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` at share 0, `second` at share 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def darker(colour: Colour, factor: float) -> Colour:
    """The colour in less light (factor below 1) or in more (above 1), clipped at 255."""
    red, green, blue = (min(255, max(0, round(part * factor))) for part in colour)
    return red, green, blue


def jitter(rng: np.random.Generator, colour: Colour, amount: float = 14.0) -> Colour:
    """The colour with each part moved by up to `amount`."""
    shifts = rng.uniform(-amount, amount, 3)
    red, green, blue = (
        min(255, max(0, round(part + shift)))
        for part, shift in zip(colour, shifts.tolist(), strict=True)
    )
    return red, green, blue


def vivid(rng: np.random.Generator) -> Colour:
    """A saturated paint or cloth colour of any hue."""
    return hue(rng.uniform(), rng.uniform(0.65, 0.95), rng.uniform(0.6, 0.95))


def hue(turn: float, saturation: float, value: float) -> Colour:
    """The colour at `turn` (0 to 1) of the wheel."""
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(turn, saturation, value))
    return red, green, blue
