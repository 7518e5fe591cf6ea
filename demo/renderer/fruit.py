"""Fruit owns what grows to be eaten, and a pizza: on tables, cloths and boards."""

import math

import numpy as np

from demo.renderer import backgrounds, clutter, noise, solids
from demo.renderer.colour import LEAF, Colour, darker, jitter, mix
from demo.renderer.noise import Field
from demo.renderer.scene import Layer, Pose, Scene, ellipse, stand, turned

BOARDS = (backgrounds.wood, backgrounds.cloth, backgrounds.plaster, backgrounds.cloth)


def banana(scene: Scene) -> None:
    """One to three bananas, bent the same way."""
    _serve(scene)
    ripe = jitter(scene.rng, scene.pick(((238, 200, 58), (246, 214, 80), (222, 196, 62))), 8)
    bend = scene.uniform(1.0, 1.6)
    pose = scene.pose((0.74, 0.95), turn=math.pi, drift=0.1)
    count = scene.pick((1, 1, 2, 3))
    body = 0.095 * np.sqrt(np.clip(np.sin(np.linspace(0.1, 3.0, 48)), 0, 1))
    body[:7] = [0.022, 0.026, 0.024, 0.026, 0.034, 0.05, 0.068]
    body[-3:] = [0.05, 0.032, 0.022]
    for row in range(count):
        speckle = scene.uniform(0.0, 0.5)

        def paint(u: Field, s: Field, speckle: float = speckle) -> Field:
            spots = noise.smooth(scene.rng, u.shape, (46, 46)) - 0.86 + 0.3 * speckle
            # Flat faces with soft edges between them, as the real skin has.
            ridge = np.abs(np.abs(s) - 0.42)
            facets = 1.0 - 0.13 * np.clip(1 - ridge * 14, 0, 1) - 0.1 * (s > 0.42)
            skin = solids.flat(ripe, u) * facets[..., None]
            skin = solids.blend(skin, (150, 168, 60), (0.2 - u) * 5)
            skin = solids.blend(skin, (112, 74, 34), spots * 5 * speckle)
            return solids.blend(skin, (62, 44, 28), (u - 0.965) * 60 + (0.012 - u) * 80)

        shift = (row - (count - 1) / 2) * 0.26
        layer = Layer(scene, pose)
        ends = pose.point(-0.82, 0.25 + shift), pose.point(0.82, 0.25 + shift * 1.2)
        solids.lathe(scene, layer, *ends, body, paint, 0.14, bend, 14)
        scene.put(layer, shadow=0.6, distance=0.08, blur=0.05)


def lemon(scene: Scene) -> None:
    """One to three lemons, one of them perhaps cut through."""
    _serve(scene)
    zest = jitter(scene.rng, (246, 216, 52), 10)
    t = np.linspace(0.0, 1.0, 64)
    body = 0.36 * np.sqrt(np.clip(1 - ((t - 0.5) / 0.47) ** 2, 0, 1)) ** 0.9
    nipple = 0.085 * np.sqrt(np.clip(np.minimum(t, 1 - t) / 0.08, 0, 1))
    profile = np.maximum(body, nipple)

    def paint(u: Field, s: Field) -> Field:
        pores = noise.smooth(scene.rng, u.shape, (70, 70))
        skin = solids.flat(zest, u) * (1.0 - 0.1 * np.clip(pores, 0, 1))[..., None]
        skin = solids.blend(skin, (170, 190, 70), (np.abs(u - 0.5) - 0.4) * 4)
        return solids.blend(skin, (120, 110, 50), (0.012 - u) * 60)

    for place in _places(scene, scene.integer(1, 3)):
        layer = Layer(scene, place)
        solids.lathe(scene, layer, place.point(-0.95, 0), place.point(0.95, 0), profile, paint, 0.3)
        scene.put(layer, shadow=0.6, distance=0.12, blur=0.07)
    if scene.chance(0.45):
        _lemon_slice(scene, zest)


def strawberry(scene: Scene) -> None:
    """One to four strawberries with their green crowns."""
    _serve(scene)
    red = jitter(scene.rng, scene.pick(((214, 36, 40), (196, 26, 36), (226, 54, 48))), 8)
    t = np.linspace(0.0, 1.0, 64)
    profile = 0.44 * np.sqrt(np.clip(np.sin(math.pi * t**0.62), 0, 1)) * (0.62 + 0.38 * (1 - t))
    rows = scene.integer(8, 10)

    def paint(u: Field, s: Field) -> Field:
        around = np.arcsin(s) * np.float32(4.2 / math.pi) * (1.5 - u * 0.6)
        down = u * rows
        shifted = around * 2.2 + 0.5 * (np.floor(down) % 2)
        x, y = shifted % 1.0 - 0.5, (down % 1.0 - 0.5) * 0.9
        pit = np.sqrt(x * x * 1.5 + y * y)
        skin = solids.flat(red, u)
        skin = solids.blend(skin, (232, 150, 110), (0.08 - u) * 8)
        skin = solids.blend(skin, darker(red, 0.55), (0.27 - pit) * 8)
        return solids.blend(skin, (238, 206, 104), (0.15 - pit) * 16)

    for place in _places(scene, scene.integer(1, 4)):
        layer = Layer(scene, place)
        crown, point = place.point(0.0, -0.72), place.point(0.0, 0.95)
        solids.lathe(scene, layer, crown, point, profile, paint, 0.5, 0.0, 30)
        scene.put(layer, shadow=0.6, distance=0.12, blur=0.06)
        _crown(scene, place)


def pizza(scene: Scene) -> None:
    """A round pizza with toppings, seen from above or aslant."""
    scene.pick((backgrounds.wood, backgrounds.wood, backgrounds.cloth, backgrounds.plaster))(scene)
    pose = scene.pose((0.76, 0.96), turn=math.pi, tilt=0.5, drift=0.1)
    if scene.chance(0.5):
        plate = Layer(scene, pose)
        plate.ellipse(0, 0, 1.1, 1.1, jitter(scene.rng, (226, 226, 222), 14))
        plate.round_off(scene.light, 0.03)
        scene.put(plate, shadow=0.5)
    layer = Layer(scene, pose)
    layer.polygon(_ragged(scene, 1.0, 0.012), jitter(scene.rng, (206, 148, 84), 12))
    layer.round_off(scene.light, 0.05)
    scene.put(layer, shadow=0.5, distance=0.05)
    topping = Layer(scene, pose)
    topping.polygon(_ragged(scene, 0.87, 0.02), (190, 70, 36))
    topping.polygon(_ragged(scene, 0.84, 0.03), jitter(scene.rng, (240, 200, 108), 8))
    for _ in range(70):
        x, y = _in_disc(scene, 0.78)
        tone = scene.pick(((250, 226, 150), (222, 158, 70), (214, 110, 50), (246, 214, 130)))
        size = scene.uniform(0.03, 0.11)
        topping.ellipse(x, y, size, size * scene.uniform(0.5, 1), tone, scene.uniform(0, 3))
    topping.round_off(scene.light, 0.03, 0.2)
    scene.put(topping)
    bits = Layer(scene, pose)
    for place in range(scene.integer(9, 15)):
        out = 0.68 if place % 3 else scene.uniform(0.1, 0.38)
        angle = place * 2.4
        x, y = out * math.cos(angle), out * math.sin(angle)
        salami = jitter(scene.rng, (186, 58, 42), 10)
        bits.ellipse(x, y, 0.135, 0.135, darker(salami, 0.75))
        bits.ellipse(x, y, 0.115, 0.115, salami)
        for _ in range(4):
            dx, dy = _in_disc(scene, 0.09)
            bits.ellipse(x + dx, y + dy, 0.016, 0.016, mix(salami, (250, 200, 160), 0.4))
    herb = scene.pick(((52, 110, 44), (36, 34, 38), (90, 140, 60)))
    for _ in range(scene.integer(6, 22)):
        x, y = _in_disc(scene, 0.75)
        size = scene.uniform(0.03, 0.06)
        bits.ellipse(x, y, size, size * 0.5, jitter(scene.rng, herb, 16), scene.uniform(0, 3))
    bits.round_off(scene.light, 0.012, 0.2)
    scene.put(bits, shadow=0.4, distance=0.01, blur=0.01)
    cuts = Layer(scene, pose)
    for cut in range(scene.pick((0, 3, 4))):
        dx, dy = math.cos(cut * math.pi / 4), math.sin(cut * math.pi / 4)
        cuts.line([(-dx, -dy), (dx, dy)], 0.016, (120, 60, 30), 170)
    scene.put(cuts)


def orange(scene: Scene) -> None:
    """One to three oranges; a half may show its segments."""
    _serve(scene)
    peel = jitter(scene.rng, (242, 138, 28), 10)

    def paint(x: Field, y: Field, z: Field) -> Field:
        pores = np.clip(noise.smooth(scene.rng, x.shape, (80, 80)), 0, 1)
        skin = solids.flat(peel, x) * (1.0 - 0.14 * pores)[..., None]
        skin = solids.blend(skin, darker(peel, 0.75), (z - 0.975) * 50)
        return solids.blend(skin, (96, 110, 40), (z - 0.992) * 300)

    places = _places(scene, scene.integer(1, 2))
    for place in places:
        layer = Layer(scene, place)
        radius = place.scale * 0.82
        solids.sphere(scene, layer, place.point(0, 0), radius, paint, 0.28)
        scene.put(layer, shadow=0.6, distance=0.15, blur=0.08)
    low = scene.pose((0.34, 0.44), turn=3, tilt=0.35, drift=0.2, at=(0.25, 0.35))
    _slice(scene, low, peel, (248, 224, 170), (246, 152, 36))


def _serve(scene: Scene) -> None:
    scene.pick(BOARDS)(scene)
    clutter.scatter(scene, clutter.KITCHEN, 2, rim=1.0)


def _places(scene: Scene, count: int) -> list[Pose]:
    """Stands for `count` fruits side by side, the nearest last."""
    whole = scene.uniform(0, 2 * math.pi)
    poses = []
    for index in range(count):
        angle = whole + index * 2 * math.pi / count
        out = 0.0 if count == 1 else scene.uniform(0.42, 0.5)
        size = (0.66, 0.86) if count == 1 else (0.42, 0.54)
        at = (out * math.cos(angle), out * math.sin(angle))
        poses.append(scene.pose(size, turn=1.2, tilt=0.0, drift=0.08, at=at))
    return sorted(poses, key=lambda pose: pose.point(0, 0)[1])


def _lemon_slice(scene: Scene, zest: Colour) -> None:
    pose = scene.pose((0.26, 0.36), turn=3, tilt=0.4, drift=0.15, at=(0.45, 0.5))
    _slice(scene, pose, zest, (250, 244, 206), (246, 226, 110))


def _slice(scene: Scene, pose: Pose, peel: Colour, pith: Colour, flesh: Colour) -> None:
    """A citrus fruit cut through: peel, pith and the wedges of flesh."""
    layer = Layer(scene, pose)
    layer.ellipse(0, 0, 1.0, 1.0, peel)
    layer.ellipse(0, 0, 0.93, 0.93, pith)
    wedges = scene.integer(8, 10)
    for wedge in range(wedges):
        angle = wedge * 2 * math.pi / wedges
        half = math.pi / wedges * 0.86
        rim = [(math.cos(a), math.sin(a)) for a in np.linspace(angle - half, angle + half, 7)]
        outline = [(0.1 * math.cos(angle), 0.1 * math.sin(angle))]
        outline += [(0.84 * x, 0.84 * y) for x, y in rim]
        layer.polygon(outline, jitter(scene.rng, flesh, 8))
        for _ in range(5):
            a, out = angle + scene.uniform(-half, half) * 0.7, scene.uniform(0.35, 0.6)
            ends = [
                (out * math.cos(a), out * math.sin(a)),
                ((out + 0.18) * math.cos(a), (out + 0.18) * math.sin(a)),
            ]
            layer.line(ends, 0.02, mix(flesh, pith, 0.4))
    scene.put(layer, shadow=0.6, distance=0.06, blur=0.04)


def _crown(scene: Scene, place: Pose) -> None:
    x, y = place.point(0.0, -0.66)
    layer = Layer(scene, stand((x, y), place.scale * 0.55, place.angle))
    for leaf in range(9):
        angle = leaf * 2 * math.pi / 9 + scene.uniform(-0.2, 0.2)
        long = scene.uniform(0.7, 1.0)
        outline = turned([0, 0.4 * long, long, 0.4 * long], [-0.12, -0.2, 0, 0.2], angle)
        layer.polygon(outline * (1.0, 0.55), darker(LEAF, scene.uniform(0.75, 1.2)))
    layer.line([(0, 0), (0.08, -0.55)], 0.12, (110, 150, 70))
    scene.put(layer, shadow=0.4, distance=0.03, blur=0.02)


def _ragged(scene: Scene, radius: float, ragged: float) -> np.ndarray:
    points = ellipse(0, 0, radius, radius, steps=72)
    wobble = noise.smooth(scene.rng, (1, 72), (1, 16))[0] * ragged
    return np.asarray(points * (1.0 + wobble[:, None]))


def _in_disc(scene: Scene, radius: float) -> tuple[float, float]:
    out, angle = radius * math.sqrt(scene.uniform(0, 1)), scene.uniform(0, 2 * math.pi)
    return out * math.cos(angle), out * math.sin(angle)
