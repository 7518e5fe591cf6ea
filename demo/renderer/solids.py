"""Solids owns the round bodies: spheres in any turn and turned (lathed) bodies, straight or bent.

Each calls a paint function for the colours of its surface, then shades them by its normals.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from demo.renderer import light
from demo.renderer.noise import Field
from demo.renderer.scene import Layer, Scene

# From the coordinates on the body to its colours, shape (rows, columns, 3), 0 to 255.
BallPaint = Callable[[Field, Field, Field], Field]
LathePaint = Callable[[Field, Field], Field]


def sphere(
    scene: Scene,
    layer: Layer,
    centre: tuple[float, float],
    radius: float,
    paint: BallPaint,
    gloss: float = 0.2,
) -> None:
    """Draw a ball (px) turned at random; `paint` gets the unit sphere's x, y, z of each pixel."""
    turn = _random_turn(scene.rng)
    left, top = math.floor(centre[0] - radius) - 1, math.floor(centre[1] - radius) - 1
    side = math.ceil(2 * radius) + 3
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    x = (x + np.float32(left + 0.5 - centre[0])) / np.float32(radius)
    y = (y + np.float32(top + 0.5 - centre[1])) / np.float32(radius)
    squared = x * x + y * y
    z = np.sqrt(np.clip(1.0 - squared, 0.0, 1.0))
    colours = paint(*(row[0] * x + row[1] * y + row[2] * z for row in turn))
    alpha = np.clip((1.0 - np.sqrt(squared)) * radius + 0.5, 0.0, 1.0)
    diffuse, shine = light.answer(scene.light, x, y, z, gloss)
    layer.stamp(_film(colours, alpha, diffuse, shine), left, top)


def lathe(
    scene: Scene,
    layer: Layer,
    base: tuple[float, float],
    tip: tuple[float, float],
    profile: ArrayLike,
    paint: LathePaint,
    gloss: float = 0.15,
    bend: float = 0.0,
    polish: float = 24.0,
) -> None:
    """Draw a body turned about the axis from `base` to `tip` (px).

    `profile` lists its radii at even steps from base to tip, as shares of the axis' length;
    `paint` gets u (0 at the base, 1 at the tip) and s (-1 to 1 from edge to edge). `bend` is the
    angle, in radians, through which the axis turns along its length.
    """
    chord = math.dist(base, tip)
    if chord < 2.0:
        return
    ax, ay = (tip[0] - base[0]) / chord, (tip[1] - base[1]) / chord
    radii = np.asarray(profile, dtype=np.float32)
    curve = abs(bend) > 1e-3
    ring = chord / (2 * math.sin(bend / 2)) if curve else math.inf
    length = abs(ring * bend) if curve else chord
    widest = float(radii.max()) * length + 2
    reach = widest + (chord / 2 * math.tan(abs(bend) / 4) if curve else 0.0)
    xs, ys = sorted((base[0], tip[0])), sorted((base[1], tip[1]))
    left = max(0, math.floor(xs[0] - reach))
    top = max(0, math.floor(ys[0] - reach))
    right = min(scene.size[0], math.ceil(xs[1] + reach))
    bottom = min(scene.size[1], math.ceil(ys[1] + reach))
    if right <= left or bottom <= top:
        return
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    x = x + np.float32(0.5 - (base[0] + tip[0]) / 2)
    y = y + np.float32(0.5 - (base[1] + tip[1]) / 2)
    along, across = x * ax + y * ay, y * ax - x * ay
    if curve:
        from_centre = np.float32(ring * math.cos(bend / 2)) - across
        angle = np.arctan2(along * np.sign(ring), from_centre * np.sign(ring))
        u = angle / np.float32(bend) + 0.5
        across = np.float32(ring) - np.hypot(along, from_centre) * np.float32(np.sign(ring))
        forward_along, forward_across = np.cos(angle), np.sin(angle)
    else:
        u = along / np.float32(chord) + 0.5
        forward_along, forward_across = np.float32(1.0), np.float32(0.0)
    stops = np.linspace(0.0, 1.0, len(radii))
    radius = np.interp(u, stops, radii).astype(np.float32) * np.float32(length)
    slope = np.interp(u, stops, np.gradient(radii, stops)).astype(np.float32)
    s = np.clip(across / np.maximum(radius, 0.5), -1.0, 1.0)
    inside = np.clip(radius - np.abs(across) + 0.5, 0.0, 1.0)
    ends = np.clip(np.minimum(u, 1.0 - u) * np.float32(length) + 0.5, 0.0, 1.0)
    facing = np.sqrt(1.0 - s * s)
    steep = 1.0 / np.sqrt(1.0 + slope * slope)
    # The normal in the axis' frame, then turned into the picture's.
    normal_along = -slope * steep * forward_along - s * steep * forward_across
    normal_across = -slope * steep * forward_across + s * steep * forward_along
    diffuse, shine = light.answer(
        scene.light,
        normal_along * ax - normal_across * ay,
        normal_along * ay + normal_across * ax,
        facing * steep,
        gloss,
        polish,
    )
    layer.stamp(_film(paint(u, s), inside * ends, diffuse, shine), left, top)


def flat(colour: ArrayLike, like: Field) -> Field:
    """One colour all over a body."""
    return np.broadcast_to(np.asarray(colour, dtype=np.float32), (*like.shape, 3))


def blend(first: Field, colour: ArrayLike, share: Field) -> Field:
    """`colour` over `first` by `share` (0 to 1, shape rows x columns)."""
    paint = np.asarray(colour, dtype=np.float32)
    weight = np.clip(share, 0.0, 1.0).astype(np.float32)[..., None]
    return np.asarray(first + (paint - first) * weight, dtype=np.float32)


def _random_turn(rng: np.random.Generator) -> NDArray[np.float32]:
    """A rotation matrix, uniform over all turns: a random unit quaternion's."""
    w, x, y, z = (lambda q: q / np.linalg.norm(q))(rng.standard_normal(4)).tolist()
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ],
        dtype=np.float32,
    )


def _film(colours: Field, alpha: Field, diffuse: Field, shine: Field) -> Image.Image:
    lit = colours * diffuse[..., None] + (shine * np.float32(255.0))[..., None]
    film = np.empty((*alpha.shape, 4), dtype=np.uint8)
    film[..., :3] = np.clip(lit, 0.0, 255.0)
    film[..., 3] = alpha * np.float32(255.0)
    return Image.fromarray(film)
