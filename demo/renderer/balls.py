"""Balls owns the balls of sport: what is drawn on the sphere, and where it lies."""

import math

import numpy as np
from numpy.typing import NDArray

from demo.renderer import backgrounds, clutter, noise, solids
from demo.renderer.colour import jitter
from demo.renderer.noise import Field
from demo.renderer.scene import Layer, Scene, stand

GOLDEN = (1 + math.sqrt(5)) / 2


def basketball(scene: Scene) -> None:
    """An orange ball with black seams."""
    leather = jitter(scene.rng, scene.pick(((206, 104, 44), (222, 124, 56), (176, 84, 40))), 12)

    def paint(x: Field, y: Field, z: Field) -> Field:
        curved = np.abs(np.abs(x) - 0.45 - 0.4 * y * y)
        seam = np.minimum(np.minimum(np.abs(x), np.abs(y)), curved * 0.8)
        pebbles = 1.0 + 0.09 * np.sin(x * 130) * np.sin(y * 130) * np.sin(z * 130)
        return solids.blend(
            solids.flat(leather, x) * pebbles[..., None], (34, 26, 24), (0.028 - seam) * 90 + 0.5
        )

    ball(scene, paint, (backgrounds.parquet, backgrounds.asphalt, backgrounds.blobs), 0.12)


def soccer_ball(scene: Scene) -> None:
    """White hexagons and dark pentagons: a truncated icosahedron blown up to a sphere."""
    dark = scene.pick(((28, 28, 32), (28, 28, 32), (30, 40, 90), (140, 26, 34)))
    pentagons, hexagons = _icosahedron()
    # A face's plane stands this far from the centre (in edges): on the sphere, a point belongs to
    # the face whose plane it pierces first.
    pentagons, hexagons = pentagons / np.float32(2.3275), hexagons / np.float32(2.2673)

    def paint(x: Field, y: Field, z: Field) -> Field:
        five, _ = _best(pentagons, x, y, z)
        six, second = _best(hexagons, x, y, z)
        inside = (five - six) * 60 + 0.5
        seam = 0.012 - np.abs(six - np.maximum(five, second))
        white = solids.blend(solids.flat((238, 238, 236), x), (120, 120, 122), seam * 80)
        return solids.blend(white, dark, inside)

    ball(scene, paint, (backgrounds.grass, backgrounds.grass, backgrounds.asphalt), 0.3)


def tennis_ball(scene: Scene) -> None:
    """Yellow-green felt with one winding white seam."""
    felt = jitter(scene.rng, (200, 222, 58), 14)

    def paint(x: Field, y: Field, z: Field) -> Field:
        # The saddle z = 2.4 x y meets the sphere in the seam's curve; its gradient keeps the
        # width even.
        steep = np.sqrt(1.0 + 5.8 * (x * x + y * y))
        seam = np.abs(z - 2.4 * x * y) / steep
        fuzz = 1.0 + 0.12 * noise.smooth(scene.rng, x.shape, (90, 90))
        colours = solids.blend(solids.flat(felt, x), (246, 246, 236), (0.045 - seam) * 60 + 0.5)
        return colours * fuzz[..., None]

    where = (backgrounds.asphalt, backgrounds.grass, backgrounds.blobs, backgrounds.plaster)
    ball(scene, paint, where, 0.0)


def ball(
    scene: Scene,
    paint: solids.BallPaint,
    where: tuple[backgrounds.Background, ...],
    gloss: float,
) -> None:
    """One ball of that paint on one of the grounds, with its shadow."""
    scene.pick(where)(scene)
    clutter.scatter(scene, clutter.LAWN, 2, rim=1.0)
    pose = scene.pose((0.5, 0.86), drift=0.2)
    x, y = pose.point(0.0, 0.0)
    layer = Layer(scene, stand((x, y), pose.scale, 0.0))
    solids.sphere(scene, layer, (x, y), pose.scale, paint, gloss)
    scene.contact((x, y + pose.scale * 0.9), (pose.scale * 0.75, pose.scale * 0.2), 0.55)
    scene.put(layer, shadow=0.45, distance=0.3, blur=0.1)


def _icosahedron() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Unit axes through the 12 corners and the 20 faces, one of each opposite pair."""
    signed = (GOLDEN, -GOLDEN)
    small = 1 / GOLDEN
    corners = [v for a in signed for v in ((0, 1, a), (1, a, 0), (a, 0, 1))]
    faces = [v for a in signed for v in ((small, 0, a), (a, small, 0), (0, a, small))]
    faces += [(1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)]
    return _unit(corners), _unit(faces)


def _unit(vectors: list[tuple[float, float, float]]) -> NDArray[np.float32]:
    array = np.asarray(vectors, dtype=np.float32)
    return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True), dtype=np.float32)


def _best(axes: NDArray[np.float32], x: Field, y: Field, z: Field) -> tuple[Field, Field]:
    """The largest and the second largest |axis . point| of each pixel."""
    first = np.full(x.shape, -1.0, dtype=np.float32)
    second = first.copy()
    for axis in axes:
        along = np.abs(axis[0] * x + axis[1] * y + axis[2] * z)
        np.maximum(second, np.minimum(first, along), out=second)
        np.maximum(first, along, out=first)
    return first, second
