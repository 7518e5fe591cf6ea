"""Desk owns things of a house: clocks, papers, keyboards, counting frames, candles, money boxes."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from demo.renderer import backgrounds, clutter, noise, solids
from demo.renderer.colour import (
    BLACK,
    STEEL,
    TIMBER,
    WHITE,
    Colour,
    darker,
    hue,
    jitter,
    mix,
    vivid,
)
from demo.renderer.noise import Field
from demo.renderer.scene import Layer, Pose, Scene, arc, rounded, stand

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
INKS: tuple[Colour, ...] = ((36, 48, 120), (40, 40, 44), (30, 30, 34), (120, 30, 40))
KEY_ROWS: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("\u00b71234567890-=\u2190", (1,) * 13 + (2,)),
    ("\u21e5QWERTYUIOP[]\\", (1.5, *(1,) * 12, 1.5)),
    ("\u21eaASDFGHJKL;'\u21b5", (1.75, *(1,) * 11, 2.25)),
    ("\u21e7ZXCVBNM,./\u21e7", (2.25, *(1,) * 10, 2.75)),
    ("       ", (1.5, 1.25, 1.25, 6.25, 1.25, 1.25, 2.25)),
)
# The lit segments of each digit: top, upper left, upper right, middle, lower left, lower right,
# bottom.
SEGMENTS = ("1110111", "0010010", "1011101", "1011011", "0111010",
            "1101011", "1101111", "1010010", "1111111", "1111011")  # fmt: skip


def analog_clock(scene: Scene) -> None:
    """A round clock face with two or three hands, on a wall."""
    backgrounds.wall(scene)
    pose = scene.pose((0.7, 0.93), turn=0.12, tilt=0.35, drift=0.12)
    rim = scene.pick(((40, 40, 44), (180, 182, 188), TIMBER, (188, 150, 70), (200, 50, 46), WHITE))
    dark = scene.chance(0.2)
    face = jitter(
        scene.rng, (34, 36, 42) if dark else scene.pick(((246, 244, 238), (240, 228, 196)))
    )
    ink = (236, 234, 226) if dark else (30, 28, 30)
    thick = scene.uniform(0.06, 0.15)
    case = Layer(scene, pose)
    case.ellipse(0, 0, 1, 1, jitter(scene.rng, rim, 10))
    case.round_off(scene.light, 0.025, 0.45)
    case.ellipse(0, 0, 1.015 - thick, 1.015 - thick, darker(rim, 0.5))
    case.ellipse(0, 0, 1 - thick, 1 - thick, face)
    scene.put(case, shadow=0.6, distance=0.1, blur=0.06)
    marks = Layer(scene, pose)
    inner = 0.97 - thick
    style = scene.integer(0, 3)
    for minute in range(60):
        hour = minute % 5 == 0
        if not hour and style == 3:
            continue
        angle = minute * math.pi / 30
        long, wide = (0.1, 0.03) if hour else (0.04, 0.012)
        dx, dy = math.sin(angle), -math.cos(angle)
        marks.line(
            [(dx * inner, dy * inner), (dx * (inner - long), dy * (inner - long))], wide, ink
        )
    if style < 3:
        marks.sheet(_numerals(ink, style, inner - 0.22), (-1, -1, 1, 1))
    scene.put(marks)
    hands = Layer(scene, pose)
    hour, minute = scene.uniform(0, 12), scene.uniform(0, 60)
    hour = math.floor(hour) + minute / 60
    _hand(hands, hour * math.pi / 6, 0.48, scene.uniform(0.045, 0.07), ink)
    _hand(hands, minute * math.pi / 30, 0.74, scene.uniform(0.03, 0.05), ink)
    if scene.chance(0.7):
        _hand(hands, scene.uniform(0, 2 * math.pi), 0.78, 0.012, (206, 40, 36))
    hands.ellipse(0, 0, 0.055, 0.055, ink)
    scene.put(hands, shadow=0.4, distance=0.03, blur=0.015)
    if scene.chance(0.5):
        _gleam(scene, pose, 1 - thick)


def digital_clock(scene: Scene) -> None:
    """A box with glowing seven-segment digits."""
    scene.pick((backgrounds.table, backgrounds.table, backgrounds.dusk))(scene)
    pose = scene.pose((0.78, 0.95), turn=0.05, tilt=0.3, drift=0.06, at=(0, 0.06))
    shell = jitter(
        scene.rng, scene.pick(((36, 36, 40), (226, 224, 218), (140, 96, 60), (70, 74, 84))), 10
    )
    glow = scene.pick(
        ((255, 48, 36), (255, 48, 36), (60, 240, 110), (70, 190, 255), (255, 170, 40))
    )
    tall = scene.uniform(0.36, 0.46)
    feet = pose.point(0, tall + 0.08)
    scene.contact(feet, (pose.scale * 1.05, pose.scale * 0.12), 0.7)
    box = Layer(scene, pose)
    rise = scene.uniform(0.06, 0.16)
    box.polygon(
        [(-0.92, -tall - rise), (0.92, -tall - rise), (1, -tall), (-1, -tall)], darker(shell, 1.3)
    )
    box.polygon(rounded(-1, -tall - 0.01, 1, tall + 0.06, 0.07), shell)
    box.round_off(scene.light, 0.03, 0.2)
    if scene.chance(0.6):
        for x in np.linspace(-0.5, 0.5, 5).tolist():
            box.line(
                [(x - 0.06, -tall - rise * 0.5), (x + 0.06, -tall - rise * 0.5)],
                0.05,
                darker(shell, 0.6),
            )
    scene.put(box, shadow=0.4, distance=0.1, blur=0.06)
    screen = Layer(scene, pose)
    screen.polygon(rounded(-0.92, -tall + 0.07, 0.92, tall - 0.03, 0.04), (14, 12, 14))
    screen.sheet(_display(scene, glow), (-0.9, -tall + 0.08, 0.9, tall - 0.04))
    scene.put(screen)
    scene.glow(pose.point(0, 0), pose.scale * 1.1, darker(glow, 0.22))
    if scene.chance(0.4):
        _gleam(scene, pose, 0.4)


def crossword_puzzle(scene: Scene) -> None:
    """A grid of white and black squares with numbers, partly filled in."""
    backgrounds.desk(scene)
    pose = scene.pose((0.8, 1.15), turn=0.5, tilt=0.4, drift=0.12)
    layer = Layer(scene, pose)
    layer.sheet(_crossword(scene), (-1.06, -1.06, 1.06, 1.06))
    scene.put(layer, shadow=0.5, distance=0.03, blur=0.03)
    clutter.scatter(scene, (clutter.pencil, clutter.pencil, clutter.coin), 2, rim=0.7)


def maze(scene: Scene) -> None:
    """A labyrinth: of hedges or walls from the air, or printed on paper."""
    cells = scene.integer(8, 13)
    walls = _labyrinth(scene.rng, cells)
    if scene.chance(0.35):
        backgrounds.desk(scene)
        pose = scene.pose((0.8, 0.98), turn=0.4, tilt=0.35, drift=0.08)
        ink = scene.pick((*INKS, BLACK, BLACK))
        sheet = Image.new("RGBA", (600, 600), (*jitter(scene.rng, (242, 240, 232), 8), 255))
        thick = scene.uniform(0.1, 0.3)
        mask = _wall_mask(walls, cells, 600, 40, thick)
        sheet.paste(ink, (0, 0), mask)
        layer = Layer(scene, pose)
        layer.sheet(sheet, (-1, -1, 1, 1))
        scene.put(layer, shadow=0.5, distance=0.03, blur=0.03)
        clutter.scatter(scene, clutter.DESK, 2, rim=0.95)
        return
    scene.pick((backgrounds.grass, backgrounds.asphalt))(scene)
    pose = scene.pose((0.92, 1.12), turn=0.6, tilt=0.0, drift=0.08)
    pitch = scene.uniform(-0.75, -0.3)
    pose = stand(pose.point(0, 0), pose.scale, pose.angle, pitch)
    green = jitter(scene.rng, (66, 112, 44), 12)
    hedge = scene.pick((green, green, green, (150, 140, 126), (166, 96, 70)))
    path = jitter(scene.rng, scene.pick(((206, 186, 150), (176, 170, 160), (150, 170, 96))), 10)
    mask = _wall_mask(walls, cells, 480, 14, scene.uniform(0.32, 0.45))
    floor = Layer(scene, pose)
    floor.polygon([(-1.02, -1.02), (1.02, -1.02), (1.02, 1.02), (-1.02, 1.02)], path)
    scene.put(floor)
    grain = noise.smooth(scene.rng, (480, 480), (120, 120)) * 0.22
    leaves = np.clip((1.0 + grain)[..., None] * np.asarray(hedge, np.float32), 0, 255)
    top = Image.fromarray(leaves.astype(np.uint8))
    shadow = Layer(scene, pose)
    dark = Image.new("RGBA", mask.size, (20, 24, 16, 0))
    dark.putalpha(mask.point(lambda value: value * 5 // 9))
    lx, ly, _ = scene.light.direction
    shadow.sheet(dark, (-1 - lx * 0.07, -1 - ly * 0.05, 1 - lx * 0.07, 1 - ly * 0.05))
    scene.put(shadow)
    layers = 5
    height = scene.uniform(0.05, 0.09)
    for level in range(layers):
        # The walls are stacked slices: dark sides below, the lit top last.
        lift = height * level / (layers - 1)
        bright = 0.5 + 0.1 * level if level < layers - 1 else 1.1
        slice_ = top.point(lambda value, bright=bright: min(255, round(value * bright)))
        slice_.putalpha(mask)
        raised = Layer(scene, Pose(_raised(pose, lift), pose.scale, pose.angle))
        raised.sheet(slice_, (-1, -1, 1, 1))
        scene.put(raised)


def envelope(scene: Scene) -> None:
    """An envelope: its flap side, or its stamped front."""
    backgrounds.desk(scene)
    clutter.scatter(scene, clutter.DESK, 2, rim=0.95)
    pose = scene.pose((0.78, 0.95), turn=0.6, tilt=0.35, drift=0.12)
    papers: tuple[Colour, ...] = (
        (244, 242, 236),
        (206, 172, 124),
        (236, 226, 200),
        (226, 190, 190),
        (180, 200, 220),
    )
    paper = jitter(scene.rng, scene.pick(papers), 8)
    half = scene.uniform(0.56, 0.7)
    layer = Layer(scene, pose)
    layer.polygon(rounded(-1, -half, 1, half, 0.02), paper)
    airmail = scene.chance(0.25)
    if airmail:
        _airmail(layer, half, paper)
    scene.put(layer, shadow=0.6, distance=0.05, blur=0.04)
    if scene.chance(0.3):
        _address(scene, pose, half, paper)
        return
    meet = scene.uniform(0.0, 0.22)
    lower = Layer(scene, pose)
    inset = 0.09 if airmail else 0.0
    edge, foot = 1 - inset, half - inset
    lower.polygon([(-edge, -foot), (-edge, foot), (-0.05, meet)], darker(paper, 0.95))
    lower.polygon([(edge, -foot), (edge, foot), (0.05, meet)], darker(paper, 0.9))
    scene.put(lower)
    bottom = Layer(scene, pose)
    bottom.polygon(
        [(-edge, foot), (-0.08, meet - 0.02), (0.08, meet - 0.02), (edge, foot)],
        darker(paper, 0.98),
    )
    scene.put(bottom, shadow=0.5, distance=0.02, blur=0.02)
    flap = Layer(scene, pose)
    tip = meet + scene.uniform(0.06, 0.16)
    flap.polygon(
        [(-edge, -foot), (edge, -foot), (0.1, tip - 0.06), (0, tip), (-0.1, tip - 0.06)],
        darker(paper, 1.03),
    )
    scene.put(flap, shadow=0.7, distance=0.03, blur=0.025)
    if scene.chance(0.4):
        seal = Layer(scene, pose)
        wax = scene.pick(((170, 28, 36), (150, 30, 60), (40, 60, 120)))
        seal.ellipse(0, tip - 0.06, 0.14, 0.14, wax)
        seal.ellipse(0, tip - 0.06, 0.09, 0.09, darker(wax, 0.85))
        seal.round_off(scene.light, 0.03, 0.4)
        scene.put(seal, shadow=0.5, distance=0.02, blur=0.02)


def computer_keyboard(scene: Scene) -> None:
    """Rows of lettered keys on a board."""
    backgrounds.desk(scene)
    clutter.scatter(scene, clutter.DESK, 2, rim=0.95)
    schemes: tuple[tuple[Colour, Colour, Colour], ...] = (
        ((44, 44, 48), (64, 65, 70), (236, 236, 236)),
        ((196, 198, 202), (246, 246, 246), (60, 60, 64)),
        ((206, 198, 180), (232, 226, 208), (50, 48, 46)),
        ((30, 30, 34), (44, 46, 52), (110, 220, 255)),
    )
    board, key, ink = scene.pick(schemes)
    pose = scene.pose((0.9, 1.25), turn=0.5, tilt=0.2, drift=0.06)
    pose = stand(pose.point(0, 0), pose.scale, pose.angle, scene.uniform(-0.9, -0.15))
    layer = Layer(scene, pose)
    sheet = _keyboard(jitter(scene.rng, board, 8), jitter(scene.rng, key, 8), ink)
    layer.polygon(rounded(-1, -0.4, 1, 0.45, 0.04), darker(board, 0.55))
    layer.sheet(sheet, (-1, -0.42, 1, 0.42))
    scene.put(layer, shadow=0.6, distance=0.06, blur=0.05)


def abacus(scene: Scene) -> None:
    """A frame of rods strung with coloured beads."""
    scene.pick((backgrounds.wood, backgrounds.plaster, backgrounds.blobs, backgrounds.cloth))(scene)
    pose = scene.pose((0.76, 0.93), turn=0.12, tilt=0.3, drift=0.08)
    timber = jitter(scene.rng, scene.pick((TIMBER, (198, 150, 96), (110, 66, 40))), 10)
    rods = scene.integer(5, 9)
    half = scene.uniform(0.7, 0.9)
    wires = Layer(scene, pose)
    levels = np.linspace(-half + 0.2, half - 0.2, rods).tolist()
    for y in levels:
        wires.line([(-0.95, y), (0.95, y)], 0.025, STEEL)
    scene.put(wires, shadow=0.4, distance=0.08, blur=0.03)
    beads = Layer(scene, pose)
    pitch = levels[1] - levels[0]
    wide = 0.082
    cheerful = scene.chance(0.7)
    single = jitter(scene.rng, scene.pick(((120, 60, 34), (36, 32, 34), (176, 40, 36))), 8)
    start = scene.uniform(0, 1)
    for row, y in enumerate(levels):
        colour = hue((start + row * 0.17) % 1.0, 0.82, 0.85) if cheerful else single
        left = scene.integer(0, 10)
        for bead in range(10):
            near = bead < left
            x = -0.86 + (2 * bead + 1) * wide if near else 0.86 - (2 * (9 - bead) + 1) * wide
            x = x * 0.985
            tone = colour if bead < 5 or not cheerful else mix(colour, WHITE, 0.28)
            tall = min(pitch * 0.44, 0.14)
            for step in range(4):
                share = step / 3
                beads.ellipse(
                    x - 0.02 * share,
                    y - 0.035 * share,
                    (wide - 0.004) * (1 - 0.55 * share),
                    tall * (1 - 0.55 * share),
                    darker(tone, 0.62 + 0.42 * share),
                )
            beads.ellipse(x - 0.026, y - tall * 0.4, 0.014, 0.02, mix(tone, WHITE, 0.75))
    scene.put(beads, shadow=0.5, distance=0.08, blur=0.03)
    frame = Layer(scene, pose)
    for x in (-0.94, 0.94):
        frame.polygon(rounded(x - 0.07, -half - 0.07, x + 0.07, half + 0.07, 0.03), timber)
    for y in (-half, half):
        frame.polygon(rounded(-1.01, y - 0.07, 1.01, y + 0.07, 0.03), darker(timber, 1.08))
    frame.round_off(scene.light, 0.025, 0.1)
    scene.put(frame, shadow=0.5, distance=0.06, blur=0.03)


def candle(scene: Scene) -> None:
    """One to three burning candles in a dim place."""
    backgrounds.dusk(scene)
    base = Layer(scene, stand((0, 0), 1.0, 0.0))
    level = scene.uniform(0.72, 0.82) * scene.size[1]
    dark = jitter(scene.rng, (66, 44, 30), 12)
    base.polygon([(0, level), (scene.size[0], level), scene.size, (0, scene.size[1])], dark)
    scene.put(base)
    count = scene.pick((1, 1, 2, 3))
    wax = jitter(
        scene.rng,
        scene.pick(
            ((244, 234, 208), (244, 234, 208), (190, 40, 40), (230, 200, 120), (120, 150, 190))
        ),
        8,
    )
    for index in range(count):
        side = (index - (count - 1) / 2) * scene.uniform(0.55, 0.66)
        x = scene.size[0] / 2 + side * scene.unit + scene.uniform(-0.08, 0.08) * scene.unit
        foot = level + scene.unit * scene.uniform(0.05, 0.22)
        _candle(scene, x, foot, wax, slim=count > 1)


def piggy_bank(scene: Scene) -> None:
    """A china pig with a slot in its back."""
    backgrounds.table(scene)
    flip = -1 if scene.chance(0.5) else 1
    pose = scene.pose((0.76, 0.92), turn=0.08, tilt=0.0, drift=0.06, at=(0, 0.1))
    pink = jitter(
        scene.rng,
        scene.pick(
            ((240, 160, 170), (240, 160, 170), (236, 130, 150), (244, 190, 190), (150, 190, 230))
        ),
        8,
    )
    scene.contact(pose.point(0, 0.72), (pose.scale * 0.8, pose.scale * 0.14), 0.65)

    def part(
        draw: list[tuple[float, float, float, float, float]], tone: float, gloss: float
    ) -> None:
        layer = Layer(scene, pose)
        for x, y, rx, ry, turn in draw:
            layer.ellipse(x * flip, y, rx, ry, darker(pink, tone), turn * flip)
        layer.round_off(scene.light, 0.07, gloss)
        scene.put(layer)

    tail = Layer(scene, pose)
    t = np.linspace(0, 4.2 * math.pi, 50)
    curl = np.column_stack([-0.8 - t * 0.014 + 0.06 * np.sin(t), -0.1 + 0.075 * np.cos(t)])
    tail.line(curl * (flip, 1), 0.045, darker(pink, 0.85))
    scene.put(tail)
    part([(-0.34, 0.56, 0.14, 0.2, 0), (0.38, 0.56, 0.14, 0.2, 0)], 0.72, 0.0)
    part([(0.52, -0.5, 0.13, 0.2, 0.35)], 0.85, 0.0)
    body = Layer(scene, pose)
    body.ellipse(-0.06 * flip, 0.04, 0.8, 0.6, pink)
    body.ellipse(0.5 * flip, -0.08, 0.38, 0.4, pink)
    body.round_off(scene.light, 0.2, 0.5)
    scene.put(body)
    part([(-0.5, 0.58, 0.15, 0.2, 0), (0.22, 0.6, 0.15, 0.2, 0)], 0.95, 0.2)
    part([(0.3, -0.42, 0.15, 0.22, -0.4)], 0.97, 0.2)
    snout = Layer(scene, pose)
    snout.ellipse(0.84 * flip, 0.02, 0.13, 0.19, darker(pink, 0.9))
    snout.round_off(scene.light, 0.04, 0.3)
    for y in (-0.04, 0.08):
        snout.ellipse(0.87 * flip, y, 0.03, 0.04, darker(pink, 0.4))
    snout.ellipse(0.62 * flip, -0.2, 0.05, 0.06, BLACK)
    snout.ellipse(0.605 * flip, -0.22, 0.016, 0.02, WHITE)
    smile = arc(0.66 * flip, 0.16, 0.1, 0.08, 0.2, math.pi - 0.4)
    snout.line(smile, 0.02, darker(pink, 0.5))
    snout.ellipse(-0.12 * flip, -0.5, 0.2, 0.028, darker(pink, 0.3))
    scene.put(snout)
    if scene.chance(0.6):
        penny = Layer(scene, pose)
        gold = scene.pick(((226, 180, 70), (190, 192, 196)))
        penny.ellipse(-0.12 * flip, -0.66, 0.17, 0.17, darker(gold, 0.7))
        penny.ellipse(-0.12 * flip, -0.66, 0.14, 0.14, gold)
        penny.polygon([(-0.4, -0.5), (0.4, -0.5), (0.4, -0.4), (-0.4, -0.4)], pink)
        cut = penny.image
        box = pose.points([(-0.5, -0.9), (0.5, -0.505)])
        keep = Image.new("RGBA", scene.size)
        area = (int(box[0, 0]), int(box[0, 1]), int(box[1, 0]), int(box[1, 1]))
        keep.paste(cut.crop(area), area[:2])
        penny.replace(keep)
        scene.put(penny)
    for _ in range(scene.integer(0, 4)):
        x, y = scene.uniform(-1, 1), scene.uniform(0.72, 0.9)
        coin = Layer(scene, pose)
        metal = scene.pick(((206, 160, 76), (184, 186, 190), (176, 110, 70)))
        coin.ellipse(x, y + 0.025, 0.13, 0.05, darker(metal, 0.55))
        coin.ellipse(x, y, 0.13, 0.05, metal)
        coin.ellipse(x, y, 0.1, 0.036, darker(metal, 0.86))
        scene.put(coin, shadow=0.4, distance=0.02, blur=0.02)


def _numerals(ink: Colour, style: int, out: float) -> Image.Image:
    sheet = Image.new("RGBA", (600, 600), (*ink, 0))
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(60 if style == 0 else 48)
    roman = ("XII", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI")
    for hour in range(12):
        if style == 1 and hour % 3:
            continue
        angle = hour * math.pi / 6
        at = (300 + 300 * out * math.sin(angle), 300 - 300 * out * math.cos(angle))
        text = roman[hour] if style == 2 else str(hour or 12)
        pen.text(at, text, (*ink, 255), font, anchor="mm", stroke_width=1)
    return sheet


def _hand(layer: Layer, angle: float, long: float, wide: float, ink: Colour) -> None:
    dx, dy = math.sin(angle), -math.cos(angle)
    outline = [
        (-0.14 * dx - wide * dy, -0.14 * dy + wide * dx),
        (long * dx - wide * 0.4 * dy, long * dy + wide * 0.4 * dx),
        (long * dx + wide * 0.4 * dy, long * dy - wide * 0.4 * dx),
        (-0.14 * dx + wide * dy, -0.14 * dy - wide * dx),
    ]
    layer.polygon(outline, ink)


def _gleam(scene: Scene, pose: Pose, reach: float) -> None:
    """A window's reflection across a pane of glass."""
    layer = Layer(scene, pose)
    x = scene.uniform(-0.5, 0.2) * reach
    band = np.array([(x, -0.62), (x + 0.3, -0.68), (x + 0.02, 0.5), (x - 0.3, 0.52)]) * reach
    layer.polygon(band, WHITE)
    layer.image.putalpha(layer.image.getchannel("A").point(lambda value: value // 7))
    scene.put(layer)


def _display(scene: Scene, colour: Colour) -> Image.Image:
    """The glowing digits of a random time, on clear film."""
    mask = Image.new("L", (520, 200))
    pen = ImageDraw.Draw(mask)
    hour, minute = scene.integer(0, 23), scene.integer(0, 59)
    lean = scene.pick((0.0, 0.1))
    for place, digit in enumerate((hour // 10, hour % 10, minute // 10, minute % 10)):
        left = 26 + place * 118 + (34 if place > 1 else 0)
        for segment, lit in enumerate(SEGMENTS[digit]):
            points = [(x + (100 - y) * lean, y) for x, y in _segment(segment, left)]
            pen.polygon(points, fill=255 if lit == "1" else 18)
    for y in (70, 130):
        x = 260 + (100 - y) * lean
        pen.ellipse((x - 10, y - 10, x + 10, y + 10), fill=255)
    halo = mask.filter(ImageFilter.BoxBlur(9)).point(lambda value: value * 3 // 4)
    sheet = Image.new("RGBA", mask.size, (*colour, 0))
    sheet.putalpha(halo)
    sheet.paste((*mix(colour, (255, 255, 255), 0.25), 255), (0, 0), mask)
    return sheet


def _segment(segment: int, left: float) -> list[tuple[float, float]]:
    wide, tall, thick = 84, 156, 11
    x0, x1, y0, y1 = left + thick, left + wide, 22 + thick, 22 + tall - thick
    middle = (y0 + y1) / 2
    ends = (
        ((x0, y0), (x1, y0)), ((x0, y0), (x0, middle)), ((x1, y0), (x1, middle)),
        ((x0, middle), (x1, middle)), ((x0, middle), (x0, y1)), ((x1, middle), (x1, y1)),
        ((x0, y1), (x1, y1)),
    )[segment]  # fmt: skip
    (ax, ay), (bx, by) = ends
    if ay == by:
        return [(ax + 2, ay), (ax + thick, ay - thick), (bx - thick, ay - thick), (bx - 2, ay),
                (bx - thick, ay + thick), (ax + thick, ay + thick)]  # fmt: skip
    return [(ax, ay + 2), (ax + thick, ay + thick), (ax + thick, by - thick), (ax, by - 2),
            (ax - thick, by - thick), (ax - thick, ay + thick)]  # fmt: skip


def _crossword(scene: Scene) -> Image.Image:
    count = scene.pick((11, 13, 13, 15))
    side, edge = 600, 24
    sheet = Image.new("RGBA", (side, side), (*jitter(scene.rng, (240, 236, 224), 8), 255))
    pen = ImageDraw.Draw(sheet)
    pitch = (side - 2 * edge) / count
    black = scene.rng.uniform(0, 1, (count, count)) < 0.1
    black |= black[::-1, ::-1]
    phase = scene.integer(0, 1)
    black[phase::2, phase::2] |= scene.rng.uniform(0, 1, black[phase::2, phase::2].shape) < 0.4
    black |= black[::-1, ::-1]
    filled = scene.uniform(-0.2, 0.9)
    ink = scene.pick(INKS)
    small, large = ImageFont.load_default(11), ImageFont.load_default(round(pitch * 0.62))
    number = 0
    for row in range(count):
        for column in range(count):
            x, y = edge + column * pitch, edge + row * pitch
            box = (x, y, x + pitch, y + pitch)
            if black[row, column]:
                pen.rectangle(box, fill=(26, 25, 28))
                continue
            pen.rectangle(box, fill=(250, 248, 240), outline=(40, 40, 42), width=2)
            before = column == 0 or black[row, column - 1]
            above = row == 0 or black[row - 1, column]
            if before or above:
                number += 1
                pen.text((x + 4, y + 2), str(number), (40, 40, 42), small)
            if scene.rng.uniform() < filled:
                at = (x + pitch * 0.54, y + pitch * 0.56)
                pen.text(at, scene.pick(LETTERS), ink, large, anchor="mm")
    pen.rectangle((edge, edge, side - edge, side - edge), outline=(26, 25, 28), width=4)
    return sheet


def _labyrinth(rng: np.random.Generator, cells: int) -> np.ndarray:
    """A perfect maze by depth-first walk: shape (2 cells + 1, 2 cells + 1), True is wall."""
    size = 2 * cells + 1
    walls = np.ones((size, size), dtype=bool)
    picks = rng.integers(0, 12, 4 * cells * cells).tolist()
    here = (1, 1)
    walls[here] = False
    trail = [here]
    while trail:
        row, column = trail[-1]
        steps = [
            (dr, dc)
            for dr, dc in ((-2, 0), (2, 0), (0, -2), (0, 2))
            if 0 < row + dr < size and 0 < column + dc < size and walls[row + dr, column + dc]
        ]
        if not steps:
            trail.pop()
            continue
        dr, dc = steps[picks.pop() % len(steps)]
        walls[row + dr // 2, column + dc // 2] = False
        walls[row + dr, column + dc] = False
        trail.append((row + dr, column + dc))
    walls[0, 1] = walls[-1, -2] = False
    return walls


def _wall_mask(walls: np.ndarray, cells: int, side: int, edge: int, thick: float) -> Image.Image:
    """The walls as an L mask; `thick` is a wall's width as a share of a cell."""
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    pitch = (side - 2 * edge) / cells
    half = pitch * thick / 2
    for row, column in np.argwhere(walls).tolist():
        if row % 2 and column % 2:
            continue
        x, y = edge + column * pitch / 2, edge + row * pitch / 2
        wide = half if row % 2 else pitch / 2 * (column % 2) + half
        tall = half if column % 2 else pitch / 2 * (row % 2) + half
        pen.rectangle((x - wide, y - tall, x + wide, y + tall), fill=255)
    return mask


def _raised(pose: Pose, lift: float) -> np.ndarray:
    """The pose's matrix with the plane moved up the picture and a little nearer."""
    matrix = pose.matrix.copy()
    matrix[:2] *= 1.0 + lift * 0.1
    origin = np.array(pose.point(0, 0))
    matrix[:2] -= np.outer(origin * lift * 0.1 + (0.0, lift * pose.scale * 0.7), matrix[2])
    return np.asarray(matrix)


def _airmail(layer: Layer, half: float, paper: Colour) -> None:
    colours = ((196, 44, 50), paper, (40, 70, 150), paper)
    step = 0.1
    for mark in range(-11, 11):
        for y in (-half, half - 0.07):
            x = mark * step
            corners = np.array(
                [(x, y), (x + step, y), (x + step + 0.05, y + 0.07), (x + 0.05, y + 0.07)]
            )
            layer.polygon(np.clip(corners, (-1, -1), (1, 1)), colours[mark % 4])
    for mark in range(-7, 7):
        for x in (-1, 0.93):
            y = mark * step
            corners = np.array(
                [(x, y), (x, y + step), (x + 0.07, y + step + 0.05), (x + 0.07, y + 0.05)]
            )
            layer.polygon(np.clip(corners, (-1, -half), (1, half)), colours[mark % 4])


def _address(scene: Scene, pose: Pose, half: float, paper: Colour) -> None:
    """The front: a stamp, its postmark and lines of writing."""
    layer = Layer(scene, pose)
    stamp = vivid(scene.rng)
    layer.polygon(
        [(0.62, -half + 0.1), (0.9, -half + 0.1), (0.9, -half + 0.46), (0.62, -half + 0.46)], WHITE
    )
    layer.polygon(
        [(0.65, -half + 0.13), (0.87, -half + 0.13), (0.87, -half + 0.43), (0.65, -half + 0.43)],
        stamp,
    )
    layer.ellipse(0.76, -half + 0.26, 0.07, 0.09, mix(stamp, WHITE, 0.6))
    mark = darker(paper, 0.45)
    for radius in (0.17, 0.12):
        layer.line(arc(0.48, -half + 0.27, radius, radius, 0, 2 * math.pi), 0.012, mark)
    for wave in range(4):
        x = np.linspace(0.64, 1.0, 14)
        y = -half + 0.18 + 0.06 * wave + 0.014 * np.sin(x * 34)
        layer.line(np.column_stack([x, y]), 0.011, mark)
    ink = scene.pick(INKS)
    for x0, y0, size, rows in ((-0.34, -0.02, 0.055, 3), (-0.92, -half + 0.14, 0.03, 3)):
        for row in range(rows):
            long = scene.uniform(0.5, 0.8) * size / 0.055
            x = np.linspace(0, long, 60)
            wobble = noise.smooth(scene.rng, (1, 60), (1, 26))[0] * size * 0.7
            layer.line(np.column_stack([x0 + x, y0 + row * size * 2.5 + wobble]), 0.016, ink)
    scene.put(layer)


def _keyboard(board: Colour, key: Colour, ink: Colour) -> Image.Image:
    sheet = Image.new("RGBA", (900, 378))
    pen = ImageDraw.Draw(sheet)
    pen.rounded_rectangle((0, 0, 899, 377), 22, fill=(*board, 255))
    font = ImageFont.load_default(22)
    pitch = (900 - 44) / 15
    for row, (legends, widths) in enumerate(KEY_ROWS):
        x, y = 22.0, 28 + row * 65.0
        for legend, width in zip(legends, widths, strict=True):
            right = x + width * pitch
            pen.rounded_rectangle((x + 3, y + 2, right - 3, y + 60), 8, fill=darker(key, 0.55))
            pen.rounded_rectangle((x + 5, y + 2, right - 5, y + 52), 8, fill=darker(key, 0.94))
            pen.rounded_rectangle((x + 8, y + 4, right - 8, y + 48), 7, fill=key)
            # Only what the built-in font can write; the wide keys stay blank.
            if legend.isascii() and legend != " ":
                pen.text((x + 14, y + 7), legend, ink, font)
            x = right
    return sheet


def _candle(scene: Scene, x: float, foot: float, wax: Colour, *, slim: bool) -> None:
    unit = scene.unit
    wide = scene.uniform(0.13, 0.18) if slim else scene.uniform(0.16, 0.3)
    tall = scene.uniform(0.6, 1.0)
    top = foot - tall * unit
    layer = Layer(scene, stand((x, top), unit, 0.0))
    scene.contact((x, foot), (unit * wide * 2, unit * 0.09), 0.6)
    if scene.chance(0.5):
        brass = scene.pick(((150, 112, 52), (120, 122, 128)))
        layer.ellipse(0, tall + 0.02, wide * 1.9, 0.09, darker(brass, 0.6))
        layer.ellipse(0, tall, wide * 1.9, 0.08, brass)
    drips = scene.rng.uniform(0.05, 0.3, 9).tolist()

    def paint(u: Field, s: Field) -> Field:
        # The flame shines through the wax: the top glows.
        body = solids.flat(wax, u) * (0.42 + 0.62 * u**3 + 0.2 * u)[..., None]
        warm = np.asarray((1.12, 0.95, 0.72), dtype=np.float32)
        return np.asarray(body * warm, dtype=np.float32)

    ends = (x, foot), (x, top)
    solids.lathe(scene, layer, *ends, np.full(4, wide / tall), paint, 0.1)
    layer.ellipse(0, tall, wide, wide * 0.14, darker(wax, 0.4))
    for place, drip in enumerate(drips):
        at = -wide + 2 * wide * (place + 0.5) / len(drips)
        tone = darker(mix(wax, (255, 190, 110), 0.3), 0.9 - 0.3 * abs(at / wide))
        layer.line([(at, 0.01), (at, drip * 0.7)], wide * 0.2, tone)
        layer.ellipse(at, drip * 0.7, wide * 0.11, wide * 0.16, tone)
    layer.ellipse(0, 0, wide, wide * 0.24, mix(wax, (255, 214, 140), 0.5))
    layer.ellipse(0, 0.01, wide * 0.72, wide * 0.15, mix(wax, (255, 240, 190), 0.7))
    layer.line([(0, 0.01), (0.008, -0.1)], 0.022, (50, 34, 26))
    scene.put(layer)
    _flame(scene, x, top - 0.08 * unit, unit * scene.uniform(0.36, 0.46))


def _flame(scene: Scene, x: float, foot: float, tall: float) -> None:
    scene.glow((x, foot - tall * 0.45), tall * 2.6, (190, 104, 36))
    lean = scene.uniform(-0.14, 0.14)
    layer = Layer(scene, stand((x, foot), tall, 0.0))
    t = np.linspace(0, 1, 20)
    half = 0.21 * np.sin(math.pi * t**0.62) ** 0.8 * (1 - 0.25 * t)
    for size, colour in (
        (1.0, (255, 150, 40)),
        (0.84, (255, 200, 80)),
        (0.66, (255, 236, 160)),
        (0.45, (255, 252, 226)),
    ):
        spine = lean * t**2 * size
        y = 0.03 - t * size
        left = np.column_stack([spine - half * size, y])
        right = np.column_stack([spine + half * size, y])
        layer.polygon(np.vstack([left, right[::-1]]), colour)
    layer.ellipse(0, 0.0, 0.07, 0.06, (120, 130, 220))
    box = layer.image.getchannel("A").getbbox()
    if box:
        # A flame has no edge.
        edge = layer.image.getchannel("A").filter(ImageFilter.BoxBlur(max(1, tall / 60)))
        layer.image.putalpha(edge)
    scene.put(layer)
    scene.glow((x, foot - tall * 0.45), tall * 0.8, (150, 90, 40))
