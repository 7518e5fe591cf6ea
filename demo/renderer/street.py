"""Street owns what stands or drives out of doors: lights, signs, buses and lighthouses."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from demo.renderer import backgrounds, noise, solids
from demo.renderer.colour import BLACK, STEEL, WHITE, Colour, darker, jitter, mix
from demo.renderer.noise import Field
from demo.renderer.scene import Layer, Pose, Scene, arc, ellipse, rounded

LAMPS: tuple[Colour, ...] = ((255, 56, 44), (255, 186, 40), (60, 232, 130))
ROADS = (
    "MAPLE", "KING", "HARBOR", "ELM", "STATION", "RIVER", "MARKET", "CEDAR", "QUEEN", "HILL",
    "SUNSET", "MILL", "GARDEN", "OAK", "NORTH", "LAKE", "BRIDGE", "5TH", "12TH", "3RD",
)  # fmt: skip
KINDS = ("ST", "AVE", "RD", "BLVD", "LN", "DR", "WAY")


def traffic_light(scene: Scene) -> None:
    """Three lamps in a housing on a pole, one of them lit (or red with amber)."""
    scene.pick((backgrounds.sky, backgrounds.town, backgrounds.town, backgrounds.foliage))(scene)
    pose = scene.pose((0.74, 0.96), turn=0.1, tilt=0.3, drift=0.16)
    housing = jitter(scene.rng, scene.pick(((34, 36, 38), (214, 168, 34), (48, 62, 52))), 8)
    pole = Layer(scene, pose)
    pole.line([(0, 0.7), (0, 2.6)], 0.14, STEEL)
    pole.line([(-0.03, 0.7), (-0.03, 2.6)], 0.04, mix(STEEL, WHITE, 0.4))
    if scene.chance(0.4):
        pole.line([(0, -0.75), (scene.pick((-3, 3)), -0.85)], 0.09, darker(STEEL, 0.8))
    scene.put(pole)
    if scene.chance(0.35):
        plate = Layer(scene, pose)
        plate.polygon(rounded(-0.56, -1.1, 0.56, 1.1, 0.1), WHITE)
        plate.polygon(rounded(-0.53, -1.07, 0.53, 1.07, 0.1), (30, 30, 32))
        scene.put(plate)
    box = Layer(scene, pose)
    box.polygon(rounded(-0.38, -0.95, 0.38, 0.95, 0.09), housing)
    box.round_off(scene.light, 0.03, 0.15)
    lit = scene.pick(((0,), (0,), (1,), (2,), (2,), (0, 1)))
    for lamp, colour in enumerate(LAMPS):
        y = (lamp - 1) * 0.6
        box.ellipse(0, y, 0.275, 0.275, darker(housing, 0.5))
        glass = colour if lamp in lit else darker(colour, 0.24)
        for step in np.linspace(0, 1, 7).tolist():
            bright = (
                mix(glass, (255, 255, 235), step * 0.75)
                if lamp in lit
                else darker(glass, 1 + 0.5 * step)
            )
            box.ellipse(
                0, y + 0.03 * step, 0.24 * (1 - 0.8 * step), 0.24 * (1 - 0.8 * step), bright
            )
        visor = np.vstack(
            [
                arc(0, y, 0.29, 0.29, math.pi, 2 * math.pi),
                arc(0, y + 0.09, 0.27, 0.2, 2 * math.pi, math.pi),
            ]
        )
        box.polygon(visor, darker(housing, 0.62))
    scene.put(box, shadow=0.2)
    for lamp in lit:
        radius = pose.scale * scene.uniform(0.5, 0.8)
        scene.glow(pose.point(0, (lamp - 1) * 0.6), radius, darker(LAMPS[lamp], 0.6))


def street_sign(scene: Scene) -> None:
    """Street-name blades, one or two crossing, on a pole."""
    scene.pick((backgrounds.sky, backgrounds.foliage, backgrounds.town))(scene)
    paint = jitter(
        scene.rng, scene.pick(((0, 106, 70), (0, 106, 70), (24, 74, 150), (30, 96, 60))), 8
    )
    pose = scene.pose((0.8, 0.98), turn=0.08, tilt=0.1, drift=0.08)
    pole = Layer(scene, pose)
    top = scene.uniform(-0.55, -0.4)
    pole.line([(0, top), (0, 2.4)], 0.1, STEEL)
    pole.line([(-0.025, top), (-0.025, 2.4)], 0.03, mix(STEEL, WHITE, 0.5))
    pole.ellipse(0, top, 0.08, 0.05, darker(STEEL, 0.8))
    scene.put(pole)
    levels = (-0.16, 0.28) if scene.chance(0.7) else (0.0,)
    for level, y in enumerate(levels):
        yaw = scene.uniform(0.35, 0.85) * (1 if level else -1) if len(levels) > 1 else 0.15
        blade = _yawed(pose, yaw)
        name = f"{scene.pick(ROADS)} {scene.pick(KINDS)}"
        layer = Layer(scene, blade)
        layer.sheet(_blade(name, paint), (-0.98, y - 0.2, 0.98, y + 0.2))
        scene.put(layer, shadow=0.25, distance=0.06)
    if scene.chance(0.3):
        layer = Layer(scene, pose)
        layer.sheet(_one_way(scene), (-0.42, 0.62, 0.42, 0.9))
        scene.put(layer, shadow=0.25)


def school_bus(scene: Scene) -> None:
    """A yellow school bus from the side."""
    backgrounds.road(scene)
    pose = scene.pose((0.86, 1.02), turn=0.02, tilt=0.0, drift=0.06, at=(0.0, 0.14))
    pose = _yawed(pose, scene.uniform(-0.45, 0.45))
    yellow = jitter(scene.rng, (244, 176, 20), 8)
    bumper = -1 if scene.chance(0.5) else 1
    x, y = pose.point(0, 0.5)
    scene.contact((x, y), (pose.scale * 1.0, pose.scale * 0.09), 0.75)
    body = Layer(scene, pose)

    def side(points: list[tuple[float, float]]) -> np.ndarray:
        return np.asarray(points) * (bumper, 1.0)

    body.polygon(rounded(-0.98, -0.58, 0.66, 0.36, 0.1) * (bumper, 1.0), yellow)
    body.polygon(
        side([(0.6, -0.08), (0.9, -0.04), (0.99, 0.06), (0.99, 0.36), (0.6, 0.36)]), yellow
    )
    body.round_off(scene.light, 0.03, 0.12)
    body.polygon(
        side([(-0.95, -0.5), (0.62, -0.5), (0.58, -0.58), (-0.9, -0.58)]), mix(yellow, WHITE, 0.55)
    )
    windows = scene.integer(6, 8)
    step = 1.32 / windows
    for window in range(windows):
        left = -0.93 + window * step
        glass = jitter(scene.rng, scene.pick(((52, 66, 80), (84, 106, 124), (40, 48, 56))), 10)
        body.polygon(
            side(
                [
                    (left, -0.41),
                    (left + step * 0.82, -0.41),
                    (left + step * 0.82, -0.1),
                    (left, -0.1),
                ]
            ),
            BLACK,
        )
        body.polygon(
            side(
                [
                    (left + 0.012, -0.4),
                    (left + step * 0.82 - 0.012, -0.4),
                    (left + step * 0.82 - 0.012, -0.11),
                    (left + 0.012, -0.11),
                ]
            ),
            glass,
        )
        body.polygon(
            side([(left + 0.02, -0.39), (left + step * 0.5, -0.39), (left + 0.02, -0.2)]),
            mix(glass, WHITE, 0.3),
        )
        body.line(side([(left, -0.25), (left + step * 0.82, -0.25)]), 0.012, BLACK)
    body.polygon(side([(0.44, -0.44), (0.58, -0.44), (0.58, 0.34), (0.44, 0.34)]), BLACK)
    body.polygon(side([(0.455, -0.42), (0.565, -0.42), (0.565, 0.3), (0.455, 0.3)]), (92, 110, 124))
    body.polygon(side([(0.61, -0.44), (0.655, -0.44), (0.7, -0.1), (0.61, -0.1)]), (70, 88, 104))
    for stripe in (0.0, 0.1, 0.24):
        body.line(side([(-0.98, stripe), (0.43, stripe)]), 0.024, BLACK)
    body.line(side([(0.64, 0.24), (0.98, 0.24)]), 0.024, BLACK)
    font = ImageFont.load_default(44)
    words = Image.new("RGBA", (330, 60))
    ImageDraw.Draw(words).text((165, 30), "SCHOOL BUS", BLACK, font, anchor="mm", stroke_width=1)
    body.sheet(
        words, (-0.86 if bumper > 0 else -0.34, -0.525, 0.34 if bumper > 0 else 0.86, -0.405)
    )
    body.polygon(side([(0.92, 0.3), (1.03, 0.3), (1.03, 0.38), (0.92, 0.38)]), BLACK)
    body.polygon(side([(-0.97, 0.3), (-1.02, 0.3), (-1.02, 0.38), (-0.97, 0.38)]), BLACK)
    body.ellipse(0.95 * bumper, 0.12, 0.035, 0.05, (250, 246, 220))
    body.ellipse(-0.955 * bumper, -0.48, 0.03, 0.03, (220, 40, 36))
    body.ellipse(0.6 * bumper, -0.5, 0.03, 0.03, (220, 40, 36))
    if scene.chance(0.6):
        octagon = ellipse(0.3 * bumper, 0.12, 0.11, 0.11, math.pi / 8, 8)
        body.polygon((octagon - (0.3 * bumper, 0.12)) * 1.12 + (0.3 * bumper, 0.12), WHITE)
        body.polygon(octagon, (206, 32, 36))
        body.line([(0.24 * bumper, 0.12), (0.36 * bumper, 0.12)], 0.035, WHITE)
    for wheel in (-0.58, 0.74):
        body.ellipse(wheel * bumper, 0.36, 0.205, 0.205, darker(yellow, 0.35))
        body.ellipse(wheel * bumper, 0.37, 0.18, 0.18, (30, 30, 32))
        body.ellipse(wheel * bumper, 0.37, 0.1, 0.1, (176, 176, 178))
        body.ellipse(wheel * bumper, 0.37, 0.05, 0.05, (90, 90, 94))
    scene.put(body)


def beacon(scene: Scene) -> None:
    """A lighthouse on a rock by the sea."""
    scene.pick((backgrounds.sea, backgrounds.sea, backgrounds.landscape, backgrounds.sky))(scene)
    if scene.chance(0.25):
        scene.image = Image.blend(scene.image, Image.new("RGB", scene.size, (30, 34, 64)), 0.5)
    pose = scene.pose((0.84, 0.96), turn=0.03, tilt=0.0, drift=0.16, at=(0, 0.02))
    _rock(scene, pose)
    white = jitter(scene.rng, (240, 238, 230), 6)
    band = scene.pick(((200, 40, 36), (200, 40, 36), (34, 36, 44), (40, 80, 140), white))
    bands = scene.integer(2, 4)
    spiral = scene.chance(0.2)
    layer = Layer(scene, pose)

    def paint(u: Field, s: Field) -> Field:
        turn = np.arcsin(s) / math.pi if spiral else 0.0
        stripe = np.sin((u * bands + turn) * 2 * math.pi)
        course = np.clip(0.06 - np.abs((u * 26) % 1.0 - 0.5), 0, 0.06) * 1.6
        tower = solids.blend(solids.flat(white, u), band, stripe * 40 + 0.5)
        tower = tower * (1.0 - course)[..., None]
        openings = np.minimum(np.abs(s + 0.05), 1.0) + np.abs((u * 3.3) % 1.0 - 0.5) * 1.1
        return solids.blend(tower, (50, 54, 62), (0.17 - openings) * 30)

    foot = scene.uniform(0.17, 0.22)
    tower = np.linspace(foot, foot * 0.58, 16)
    solids.lathe(scene, layer, pose.point(0, 0.86), pose.point(0, -0.55), tower, paint, 0.05)
    rim = foot * 1.15
    layer.polygon(
        [(-rim, -0.55), (rim, -0.55), (rim * 0.8, -0.48), (-rim * 0.8, -0.48)], darker(band, 0.6)
    )
    lit = scene.chance(0.6)
    glass = (255, 238, 160) if lit else (150, 176, 190)
    room = foot * 0.62
    layer.polygon([(-room, -0.76), (room, -0.76), (room, -0.55), (-room, -0.55)], glass)
    for x in np.linspace(-room, room, 5).tolist():
        layer.line([(x, -0.76), (x, -0.55)], 0.016, BLACK)
    for x in np.linspace(-rim, rim, 9).tolist():
        layer.line([(x, -0.64), (x, -0.55)], 0.01, darker(band, 0.4))
    layer.line([(-rim, -0.64), (rim, -0.64)], 0.014, darker(band, 0.4))
    roof = np.sqrt(np.clip(1 - np.linspace(0, 1, 20) ** 2, 0, 1)) * foot * 0.78 / 0.17

    def roof_paint(u: Field, s: Field) -> Field:
        return solids.flat(band if band != white else (60, 62, 70), u)

    solids.lathe(scene, layer, pose.point(0, -0.75), pose.point(0, -0.92), roof, roof_paint, 0.3)
    layer.line([(0, -0.9), (0, -1.02)], 0.014, BLACK)
    scene.put(layer)
    if lit:
        scene.glow(pose.point(0, -0.66), pose.scale * 0.5, (255, 220, 130))


def _yawed(pose: Pose, yaw: float) -> Pose:
    """The pose swung about its upright axis; the subject's far end recedes."""
    swing = np.array(
        [[math.cos(yaw), 0, 0], [0, 1, 0], [math.sin(yaw) / 4, 0, 1]], dtype=np.float64
    )
    return Pose(pose.matrix @ swing, pose.scale, pose.angle)


def _blade(name: str, paint: Colour) -> Image.Image:
    sheet = Image.new("RGBA", (490, 100), (*WHITE, 255))
    pen = ImageDraw.Draw(sheet)
    pen.rounded_rectangle((4, 4, 485, 95), 8, fill=paint)
    size = 62 if len(name) < 9 else 50
    pen.text((245, 50), name, WHITE, ImageFont.load_default(size), anchor="mm", stroke_width=1)
    return sheet


def _one_way(scene: Scene) -> Image.Image:
    sheet = Image.new("RGBA", (300, 100), (*BLACK, 255))
    pen = ImageDraw.Draw(sheet)
    pen.polygon([(20, 30), (220, 30), (220, 8), (290, 50), (220, 92), (220, 70), (20, 70)], WHITE)
    pen.text((120, 50), "ONE WAY", BLACK, ImageFont.load_default(36), anchor="mm", stroke_width=1)
    return sheet


def _rock(scene: Scene, pose: Pose) -> None:
    layer = Layer(scene, pose)
    stone = jitter(scene.rng, scene.pick(((112, 104, 94), (92, 92, 94), (84, 104, 62))), 10)
    xs = np.linspace(-2.4, 2.4, 40)
    ridge = (
        0.98 - 0.18 * np.exp(-(xs**2) * 1.6) + noise.smooth(scene.rng, (1, 40), (1, 12))[0] * 0.06
    )
    for step in range(5):
        lower = ridge + 0.09 * step + noise.smooth(scene.rng, (1, 40), (1, 20))[0] * 0.05
        outline = np.vstack([np.column_stack([xs, lower]), [(2.4, 2.2), (-2.4, 2.2)]])
        layer.polygon(outline, darker(stone, 1.08 - 0.11 * step))
    scene.put(layer)
