"""Scene owns the picture in the making: its canvas, its lamp, its chances and its layers.

Canvases are drawn at twice the wanted size. A layer holds one subject, in subject units: the
square from -1 to 1, y down, which a pose lays into the picture.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from demo.renderer import light
from demo.renderer.colour import Colour

SUPERSAMPLE = 2

T = TypeVar("T")
Points = NDArray[np.float64]


class Pose(NamedTuple):
    """Where a subject stands: the homography from subject units to canvas px."""

    matrix: NDArray[np.float64]
    scale: float
    angle: float

    def points(self, units: ArrayLike) -> Points:
        """Canvas px, shape (n, 2), of points in subject units, shape (n, 2)."""
        flat = np.atleast_2d(np.asarray(units, dtype=np.float64))
        moved = np.column_stack([flat, np.ones(len(flat))]) @ self.matrix.T
        return np.asarray(moved[:, :2] / moved[:, 2:], dtype=np.float64)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Canvas px of one point in subject units."""
        px, py = self.points((x, y))[0].tolist()
        return px, py


class Scene:
    """The canvas (RGB, `SUPERSAMPLE` times the picture), with the random choices made on it."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.rng = rng
        self.size = (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE)
        self.unit = min(self.size) / 2.0
        self.light = light.choose(rng)
        self.image = Image.new("RGB", self.size)

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """True so often."""
        return bool(self.rng.uniform() < probability)

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, things: Sequence[T]) -> T:
        """One of `things`."""
        return things[int(self.rng.integers(len(things)))]

    def pose(
        self,
        scale: tuple[float, float],
        *,
        turn: float = 0.15,
        tilt: float = 0.25,
        drift: float = 0.14,
        at: tuple[float, float] = (0.0, 0.0),
    ) -> Pose:
        """A random stand: half-size as a share of half the shorter side, `turn` in the picture
        and `tilt` out of it (radians, at most), `drift` from `at` (shares of half the canvas).
        """
        size = self.uniform(*scale) * self.unit
        angle = self.uniform(-turn, turn)
        pitch, yaw = self.uniform(-tilt, tilt), self.uniform(-tilt, tilt)
        x = self.size[0] / 2 * (1 + at[0] + self.uniform(-drift, drift))
        y = self.size[1] / 2 * (1 + at[1] + self.uniform(-drift, drift))
        return stand((x, y), size, angle, pitch, yaw)

    def put(
        self, layer: "Layer", *, shadow: float = 0.0, distance: float = 0.05, blur: float = 0.04
    ) -> None:
        """Lay the layer onto the canvas; `shadow` is how dark its cast shadow is (0: none),
        `distance` and `blur` its reach and softness as shares of half the shorter side.
        """
        if shadow > 0.0:
            x, y, z = self.light.direction
            reach = distance * self.unit / max(z, 0.4)
            spread = self.unit * blur * (0.5 + self.light.softness)
            depth = shadow * (1.25 - self.light.ambient)
            self.image = light.shadow(
                self.image, layer.image.getchannel("A"), (-x * reach, -y * reach), spread, depth
            )
        self.image.paste(layer.image, (0, 0), layer.image)

    def contact(self, centre: tuple[float, float], radii: tuple[float, float], dark: float) -> None:
        """Darken the ground in an ellipse (px): the shadow under a thing that stands on it."""
        alpha = Image.new("L", self.size)
        x, y = centre
        lean = -self.light.direction[0] * radii[0] * 0.35
        ImageDraw.Draw(alpha).ellipse(
            (x - radii[0] + lean, y - radii[1], x + radii[0] + lean, y + radii[1]), fill=255
        )
        self.image = light.shadow(self.image, alpha, (0, 0), max(3.0, radii[1] * 0.6), dark)

    def glow(self, centre: tuple[float, float], radius: float, colour: Colour) -> None:
        """Add a halo of light round `centre` (px)."""
        self.image = light.glow(self.image, centre, radius, colour)


class Layer:
    """One subject on clear film the size of the canvas, drawn through its pose."""

    def __init__(self, scene: Scene, pose: Pose) -> None:
        self.pose = pose
        self.image = Image.new("RGBA", scene.size)
        self.pen = ImageDraw.Draw(self.image)

    def polygon(self, units: ArrayLike, colour: Colour) -> None:
        """Fill the outline through the points."""
        corners = [(x, y) for x, y in self.pose.points(units).tolist()]
        self.pen.polygon(corners, fill=(*colour, 255))

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0
    ) -> None:
        """Fill an ellipse about (x, y), turned by `turn` radians."""
        self.polygon(ellipse(x, y, rx, ry, turn), colour)

    def line(self, units: ArrayLike, width: float, colour: Colour, alpha: int = 255) -> None:
        """Stroke through the points, `width` units wide."""
        corners = [(x, y) for x, y in self.pose.points(units).tolist()]
        thick = max(1, round(width * self.pose.scale))
        self.pen.line(corners, fill=(*colour, alpha), width=thick, joint="curve")

    def sheet(self, picture: Image.Image, box: tuple[float, float, float, float]) -> None:
        """Lay a flat RGBA picture over `box` (left, top, right, bottom in units)."""
        left, top, right, bottom = box
        width, height = picture.size
        to_units = np.array(
            [[(right - left) / width, 0, left], [0, (bottom - top) / height, top], [0, 0, 1]]
        )
        inverse = np.linalg.inv(self.pose.matrix @ to_units)
        inverse /= inverse[2, 2]
        # Only the part of the canvas under the sheet is warped: the warp is the dear step.
        corners = self.pose.points([(left, top), (right, top), (right, bottom), (left, bottom)])
        low = np.clip(np.floor(corners.min(axis=0)), 0, self.image.size).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, self.image.size).astype(int)
        if (high <= low).any():
            return
        shift = np.array([[1, 0, low[0]], [0, 1, low[1]], [0, 0, 1]])
        inverse = inverse @ shift
        inverse /= inverse[2, 2]
        warped = picture.transform(
            (int(high[0] - low[0]), int(high[1] - low[1])),
            Image.Transform.PERSPECTIVE,
            inverse.ravel()[:8].tolist(),
            Image.Resampling.BILINEAR,
        )
        self.stamp(warped, int(low[0]), int(low[1]))

    def stamp(self, picture: Image.Image, left: int, top: int) -> None:
        """Composite an RGBA picture with its corner at canvas px (left, top), cut at the edges."""
        cut = (max(0, -left), max(0, -top))
        if cut[0] < picture.width and cut[1] < picture.height:
            place = (max(0, left), max(0, top))
            if place[0] < self.image.width and place[1] < self.image.height:
                self.image.alpha_composite(picture, place, cut)

    def replace(self, picture: Image.Image) -> None:
        """Go on drawing on `picture`, a worked-over copy of this layer."""
        self.image = picture
        self.pen = ImageDraw.Draw(picture)

    def round_off(self, lamp: light.Light, roundness: float, gloss: float = 0.0) -> None:
        """Shade all drawn so far as one cushion; see `light.relief`."""
        self.replace(light.relief(self.image, lamp, roundness=roundness, gloss=gloss))


def stand(
    centre: tuple[float, float], scale: float, angle: float, pitch: float = 0.0, yaw: float = 0.0
) -> Pose:
    """The pose of a plane turned in space and seen from four units away."""
    far = 4.0
    roll = np.array(
        [
            [math.cos(angle), -math.sin(angle), 0],
            [math.sin(angle), math.cos(angle), 0],
            [0, 0, 1],
        ]
    )
    tip = np.array(
        [
            [1, 0, 0],
            [0, math.cos(pitch), -math.sin(pitch)],
            [0, math.sin(pitch), math.cos(pitch)],
        ]
    )
    swing = np.array(
        [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
    )
    x_row, y_row, z_row = (swing @ tip @ roll)[:, :2]
    depth = np.array([-z_row[0], -z_row[1], far])
    matrix = np.array(
        [
            np.append(scale * far * x_row, 0.0) + centre[0] * depth,
            np.append(scale * far * y_row, 0.0) + centre[1] * depth,
            depth,
        ]
    )
    return Pose(matrix, scale, angle)


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0, steps: int = 48) -> Points:
    """Points round an ellipse."""
    around = np.linspace(0.0, 2 * math.pi, steps, endpoint=False)
    return turned(rx * np.cos(around), ry * np.sin(around), turn) + np.array([x, y])


def arc(
    x: float, y: float, rx: float, ry: float, first: float, last: float, steps: int = 24
) -> Points:
    """Points along an ellipse's arc between two angles (radians, clockwise on the screen)."""
    around = np.linspace(first, last, steps)
    return np.column_stack([x + rx * np.cos(around), y + ry * np.sin(around)])


def turned(x: ArrayLike, y: ArrayLike, angle: float) -> Points:
    """Points (x, y) turned about the origin."""
    across, down = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    cos, sin = math.cos(angle), math.sin(angle)
    return np.column_stack([across * cos - down * sin, across * sin + down * cos])


def rounded(
    left: float, top: float, right: float, bottom: float, radius: float, steps: int = 6
) -> Points:
    """Points round a rectangle with rounded corners."""
    half = math.pi / 2
    return np.vstack(
        [
            arc(right - radius, top + radius, radius, radius, -half, 0, steps),
            arc(right - radius, bottom - radius, radius, radius, 0, half, steps),
            arc(left + radius, bottom - radius, radius, radius, half, 2 * half, steps),
            arc(left + radius, top + radius, radius, radius, 2 * half, 3 * half, steps),
        ]
    )
