"""Aloft owns what the wind carries or turns: balloons, parachutes, umbrellas and pinwheels."""

import math

import numpy as np

from demo.renderer import backgrounds, solids
from demo.renderer.colour import Colour, darker, hue, jitter, mix, vivid
from demo.renderer.noise import Field
from demo.renderer.scene import Layer, Pose, Scene, arc, turned


def balloon(scene: Scene) -> None:
    """One to four hot-air balloons with their baskets."""
    scene.pick((backgrounds.sky, backgrounds.landscape, backgrounds.landscape))(scene)
    for _ in range(scene.pick((0, 0, 1, 2, 3))):
        at = (scene.pick((-0.62, 0.62)), scene.uniform(-0.6, 0.4))
        _balloon(scene, scene.pose((0.12, 0.26), turn=0.06, tilt=0.0, drift=0.2, at=at))
    _balloon(scene, scene.pose((0.72, 0.92), turn=0.1, tilt=0.0, drift=0.12))


def parachute(scene: Scene) -> None:
    """A round canopy, its lines and a jumper far below it."""
    scene.pick((backgrounds.sky, backgrounds.sky, backgrounds.landscape))(scene)
    pose = scene.pose((0.72, 0.92), turn=0.25, tilt=0.12, drift=0.1)
    panels = scene.integer(8, 14)
    colours = _livery(scene)
    edges = np.cos(np.linspace(math.pi, 0.0, panels + 1))
    tall, wide = scene.uniform(0.6, 0.8), scene.uniform(0.72, 0.9)
    hem = -0.12
    jumper = (0.0, 0.82)
    back = Layer(scene, pose)
    for x in edges.tolist():
        rim = hem + 0.13 * math.sqrt(max(0.0, 1 - x * x))
        back.line([(x * wide, rim), (jumper[0] + x * 0.05, jumper[1] - 0.12)], 0.009, (70, 70, 76))
    scene.put(back)
    layer = Layer(scene, pose)
    layer.ellipse(0, hem, wide, 0.13, darker(colours[0], 0.45))
    for panel in range(panels):
        gore = _gore(edges[panel], edges[panel + 1], wide, tall, hem, 0.13)
        layer.polygon(gore, colours[panel % len(colours)])
    layer.round_off(scene.light, 0.22)
    for x in edges.tolist()[1:-1]:
        layer.line(_rib(x, wide, tall, hem, 0.13), 0.012, darker(colours[0], 0.5), 150)
    if scene.chance(0.5):
        layer.ellipse(0, hem - tall + 0.03, 0.1, 0.04, darker(colours[0], 0.4))
    scene.put(layer)
    _jumper(scene, Layer(scene, pose), jumper)


def umbrella(scene: Scene) -> None:
    """An open umbrella from the side, with ribs, scallops and a crooked handle."""
    scene.pick(
        (
            backgrounds.sky,
            backgrounds.blobs,
            backgrounds.plaster,
            backgrounds.town,
            backgrounds.brick,
            backgrounds.sea,
        )
    )(scene)
    pose = scene.pose((0.78, 0.98), turn=0.5, tilt=0.15, drift=0.1)
    panels = scene.integer(5, 8)
    colours = _livery(scene) if scene.chance(0.6) else (jitter(scene.rng, vivid(scene.rng)),)
    wood = scene.pick(((120, 76, 44), (50, 48, 52), (176, 178, 184)))
    wide, tall, hem = scene.uniform(0.86, 0.98), scene.uniform(0.56, 0.72), -0.06
    shaft = Layer(scene, pose)
    shaft.line([(0, -0.6), (0, 0.72)], 0.045, wood)
    hook = arc(-0.13, 0.72, 0.13, 0.17, 0.0, math.pi * 1.05)
    shaft.line(hook, 0.075, mix(wood, (160, 100, 60), 0.4))
    shaft.line([(-0.012, -0.6), (-0.012, 0.72)], 0.012, mix(wood, (255, 255, 255), 0.5))
    layer = Layer(scene, pose)
    edges = np.sin(np.linspace(-math.pi / 2, math.pi / 2, panels + 1))
    deep = scene.uniform(0.05, 0.14)
    under = darker(colours[0], 0.4)
    layer.ellipse(0, hem, wide * 0.97, deep, under)
    for x in edges.tolist():
        layer.line([(x * wide * 0.96, hem), (0, hem - 0.32)], 0.01, (150, 150, 154))
    scene.put(layer, shadow=0.2, distance=0.2, blur=0.1)
    scene.put(shaft, shadow=0.3, distance=0.15, blur=0.05)
    top = Layer(scene, pose)
    top.line([(0, hem - tall), (0, hem - tall - 0.13)], 0.045, wood)
    for panel in range(panels):
        # The hem hangs between the ribs in arches.
        gore = _gore(edges[panel], edges[panel + 1], wide, tall, hem, -deep * 0.15, 0.1)
        top.polygon(gore, colours[panel % len(colours)])
    top.round_off(scene.light, 0.2, 0.12)
    for x in edges.tolist()[1:-1]:
        top.line(_rib(x, wide, tall, hem, 0.0), 0.014, darker(colours[0], 0.55), 170)
    scene.put(top, shadow=0.2, distance=0.2, blur=0.1)


def pinwheel(scene: Scene) -> None:
    """A toy windmill: folded paper sails, two-tone, on a stick."""
    scene.pick(
        (
            backgrounds.sky,
            backgrounds.foliage,
            backgrounds.plaster,
            backgrounds.blobs,
            backgrounds.landscape,
        )
    )(scene)
    pose = scene.pose((0.68, 0.86), turn=0.3, tilt=0.45, drift=0.08, at=(0.0, -0.16))
    stick = Layer(scene, pose)
    stick.line([(0, 0), (0, 2.4)], 0.07, jitter(scene.rng, (206, 176, 130), 14))
    stick.line([(-0.02, 0), (-0.02, 2.4)], 0.02, (240, 224, 196))
    scene.put(stick, shadow=0.3, distance=0.1)
    sails = scene.pick((4, 4, 6, 8))
    front = _livery(scene)
    back = [mix(colour, (255, 255, 255), 0.45) for colour in front]
    spin = scene.uniform(0, 2 * math.pi)
    for sail in range(sails):
        angle = spin + sail * 2 * math.pi / sails
        wide = min(1.0, 2.0 * math.sin(math.pi / sails))
        layer = Layer(scene, pose)
        # Each sail: the flat half of the paper, and its folded-in corner showing the back.
        t = np.linspace(0, 1, 10)
        curl = np.column_stack([t, -0.62 * wide * np.sin(math.pi * t**1.5) * (1 - 0.25 * t)])
        flat = np.vstack([curl, [(0, 0)]])
        tone = front[sail % len(front)]
        layer.polygon(turned(flat[:, 0], flat[:, 1], angle), tone)
        fold = np.array([(0, 0), (0.98, 0), (0.72, -0.4 * wide), (0.36, -0.3 * wide)])
        layer.polygon(turned(fold[:, 0], fold[:, 1], angle), back[sail % len(front)])
        flap = np.array([(0, 0), (1.0, 0), (0.6, 0.13 * wide)])
        layer.polygon(turned(flap[:, 0], flap[:, 1], angle), darker(tone, 0.72))
        layer.round_off(scene.light, 0.06)
        scene.put(layer, shadow=0.35, distance=0.06, blur=0.03)
    pin = Layer(scene, pose)
    pin.ellipse(0, 0, 0.085, 0.085, scene.pick(((240, 210, 70), (220, 60, 60), (236, 236, 236))))
    pin.round_off(scene.light, 0.03, 0.4)
    scene.put(pin, shadow=0.5, distance=0.02, blur=0.02)


def _livery(scene: Scene) -> tuple[Colour, ...]:
    """Two to four cloth colours that go round the gores."""
    first = scene.uniform(0, 1)
    white = (244, 242, 234)
    return scene.pick(
        (
            (hue(first, 0.85, 0.85), white),
            (hue(first, 0.85, 0.85), hue(first + 0.4, 0.8, 0.9)),
            (hue(first, 0.9, 0.85), hue(first + 0.13, 0.85, 0.95), hue(first + 0.5, 0.8, 0.8)),
            ((208, 44, 40), (240, 190, 40), (40, 96, 178), (50, 140, 70)),
        )
    )


def _balloon(scene: Scene, pose: Pose) -> None:
    colours = np.asarray(_livery(scene), dtype=np.float32)
    gores = len(colours) * scene.integer(2, 4)
    kind = scene.integer(0, 2)
    phase = scene.uniform(0, 1)
    t = np.linspace(0, 1, 64)
    # From the mouth up: a cone that swells into a ball.
    profile = np.where(
        t < 0.52,
        0.09 + 0.37 * np.sin(t / 0.52 * math.pi / 2) ** 1.15,
        0.46 * np.sqrt(np.clip(1 - ((t - 0.52) / 0.48) ** 2, 0, 1)),
    )

    def paint(u: Field, s: Field) -> Field:
        around = (np.arcsin(s) / math.pi + phase) * gores
        turn = around + (u * 3 if kind == 1 else 0)
        band = np.floor(u * 9) if kind == 2 else np.floor(turn)
        skin = colours[band.astype(int) % len(colours)]
        seam = np.minimum(around % 1.0, 1 - around % 1.0)
        bulge = 0.9 + 0.14 * np.clip(seam * 3, 0, 1)
        return np.asarray(skin * bulge[..., None], dtype=np.float32)

    layer = Layer(scene, pose)
    for x in (-0.12, 0.12):
        for side in (0.75, 1.0):
            layer.line([(x * side, 0.5), (x * 0.7, 0.8)], 0.012, (60, 56, 54))
    solids.lathe(scene, layer, pose.point(0, 0.55), pose.point(0, -1.0), profile, paint, 0.12)
    wicker = jitter(scene.rng, (142, 96, 54), 12)
    layer.polygon([(-0.11, 0.78), (0.11, 0.78), (0.09, 0.97), (-0.09, 0.97)], wicker)
    layer.polygon([(0.02, 0.78), (0.11, 0.78), (0.09, 0.97), (0.02, 0.97)], darker(wicker, 0.7))
    layer.line([(-0.12, 0.78), (0.12, 0.78)], 0.03, darker(wicker, 0.55))
    layer.ellipse(-0.03, 0.74, 0.03, 0.045, (60, 50, 60))
    layer.ellipse(0.045, 0.74, 0.03, 0.045, (110, 60, 60))
    scene.put(layer)


def _gore(
    first: float, last: float, wide: float, tall: float, hem: float, droop: float, arch: float = 0.0
) -> np.ndarray:
    """The outline of one panel of a dome, between the ribs that meet the hem at those x."""
    low, high = _rib(first, wide, tall, hem, droop), _rib(last, wide, tall, hem, droop)
    share = np.linspace(0, 1, 9)[:, None]
    edge = low[-1] + (high[-1] - low[-1]) * share
    edge = edge - np.array([0.0, arch]) * 4 * share * (1 - share)
    return np.vstack([low, edge, high[::-1]])


def _rib(x: float, wide: float, tall: float, hem: float, droop: float) -> np.ndarray:
    """A rib from the crown down to the hem at x (-1 to 1)."""
    t = np.linspace(0, math.pi / 2, 14)
    end = hem + droop * math.sqrt(max(0.0, 1 - x * x))
    top = hem - tall
    return np.column_stack([x * wide * np.sin(t), top + (end - top) * (1 - np.cos(t))])


def _jumper(scene: Scene, layer: Layer, at: tuple[float, float]) -> None:
    x, y = at
    suit = darker(vivid(scene.rng), 0.7)
    layer.line([(x, y - 0.04), (x - 0.06, y + 0.16)], 0.05, darker(suit, 0.7))
    layer.line([(x, y - 0.04), (x + 0.05, y + 0.17)], 0.05, darker(suit, 0.8))
    layer.ellipse(x, y - 0.04, 0.06, 0.1, suit)
    for side in (-1, 1):
        layer.line([(x, y - 0.1), (x + side * 0.08, y - 0.2)], 0.035, suit)
    layer.ellipse(x, y - 0.17, 0.045, 0.05, (220, 180, 150))
    layer.polygon(arc(x, y - 0.18, 0.05, 0.05, math.pi, 2 * math.pi), (50, 50, 56))
    scene.put(layer)
