"""Clutter owns the small things that lie about a subject: pencils, coins, leaves and crumbs."""

import math
from collections.abc import Callable

import numpy as np

from demo.renderer.colour import LEAF, darker, jitter, mix, vivid
from demo.renderer.scene import Layer, Scene, ellipse, rounded, stand

Litter = Callable[[Scene, Layer], None]


def scatter(scene: Scene, things: tuple[Litter, ...], most: int, *, rim: float = 0.85) -> None:
    """Up to `most` of the `things`, near the picture's edge: `rim` is how far out at least."""
    for _ in range(scene.integer(0, most)):
        angle = scene.uniform(0, 2 * math.pi)
        out = scene.uniform(rim, rim + 0.3)
        x = scene.size[0] / 2 * (1 + out * math.cos(angle))
        y = scene.size[1] / 2 * (1 + out * math.sin(angle))
        size = scene.unit * scene.uniform(0.16, 0.3)
        layer = Layer(scene, stand((x, y), size, scene.uniform(0, 2 * math.pi)))
        scene.pick(things)(scene, layer)
        scene.put(layer, shadow=0.5, distance=0.03, blur=0.02)


def pencil(scene: Scene, layer: Layer) -> None:
    """A pencil."""
    paint = vivid(scene.rng)
    for row, strength in enumerate((1.1, 0.9, 0.7)):
        top = -0.12 + 0.08 * row
        layer.polygon(
            [(-2, top), (1.4, top), (1.4, top + 0.08), (-2, top + 0.08)], darker(paint, strength)
        )
    layer.polygon([(1.4, -0.12), (1.4, 0.12), (1.9, 0)], (222, 186, 140))
    layer.polygon([(1.75, -0.036), (1.75, 0.036), (1.9, 0)], (50, 48, 50))
    layer.polygon([(-2, -0.12), (-2, 0.12), (-2.3, 0.12), (-2.3, -0.12)], (224, 130, 130))


def coin(scene: Scene, layer: Layer) -> None:
    """A coin."""
    metal = scene.pick(((196, 150, 70), (176, 178, 182), (170, 104, 66)))
    layer.ellipse(0, 0, 0.5, 0.5, darker(metal, 0.75))
    layer.ellipse(0, 0, 0.43, 0.43, metal)
    layer.ellipse(0.03, 0.03, 0.22, 0.26, darker(metal, 0.85))


def leaf(scene: Scene, layer: Layer) -> None:
    """A leaf, green or dry."""
    colour = jitter(scene.rng, scene.pick((LEAF, LEAF, (170, 120, 50), (186, 90, 40))), 20)
    along = np.linspace(-1, 1, 16)
    wide = 0.42 * (1 - along**2) ** 0.8
    outline = np.vstack([np.column_stack([along, -wide]), np.column_stack([along, wide])[::-1]])
    layer.polygon(outline, colour)
    layer.polygon(np.column_stack([along, wide]), darker(colour, 0.82))
    layer.line([(-1.3, 0), (0.9, 0)], 0.05, mix(colour, (230, 230, 180), 0.35))


def scrap(scene: Scene, layer: Layer) -> None:
    """A rubber, a block or a slip of paper."""
    layer.polygon(rounded(-0.5, -0.3, 0.5, 0.3, 0.06), jitter(scene.rng, vivid(scene.rng), 20))
    layer.polygon(rounded(-0.5, -0.3, 0.1, 0.3, 0.06), jitter(scene.rng, (226, 222, 212), 16))


def pebble(scene: Scene, layer: Layer) -> None:
    """A stone."""
    grey = jitter(scene.rng, (140, 134, 126), 24)
    layer.polygon(ellipse(0, 0, 0.5, scene.uniform(0.3, 0.45)), grey)
    layer.round_off(scene.light, 0.05)


DESK: tuple[Litter, ...] = (pencil, coin, scrap)
KITCHEN: tuple[Litter, ...] = (coin, leaf, scrap)
LAWN: tuple[Litter, ...] = (leaf, pebble)
