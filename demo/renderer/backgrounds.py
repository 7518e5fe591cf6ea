"""Backgrounds owns what a subject stands before or lies on: skies, walls, tables and ground.

Each fills the scene's canvas. Fields are made at the picture's own size and enlarged to the
canvas, which leaves a background slightly softer than its subject, as a lens does.
"""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from demo.renderer import noise
from demo.renderer.colour import Colour, darker, hue, jitter, mix, vivid
from demo.renderer.noise import Field
from demo.renderer.scene import SUPERSAMPLE, Scene

Background = Callable[[Scene], None]

SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((58, 118, 196), (176, 208, 236)),
    ((86, 148, 214), (214, 228, 238)),
    ((150, 170, 190), (216, 218, 216)),
    ((70, 96, 156), (246, 190, 140)),
    ((40, 92, 170), (128, 176, 222)),
)
WALLS: tuple[Colour, ...] = (
    (222, 214, 198),
    (196, 206, 208),
    (208, 180, 150),
    (150, 168, 150),
    (176, 150, 160),
    (120, 140, 164),
    (232, 228, 222),
    (108, 104, 108),
)
WOODS: tuple[Colour, ...] = (
    (164, 112, 66),
    (120, 76, 44),
    (198, 156, 108),
    (146, 104, 76),
    (92, 62, 44),
)


def sky(scene: Scene) -> None:
    """A sky that pales towards the horizon, with or without clouds."""
    high, low = scene.pick(SKIES)
    shape = _shape(scene)
    down = np.linspace(0.0, 1.0, shape[0], dtype=np.float32)[:, None]
    colours = _ramp(jitter(scene.rng, high, 10), jitter(scene.rng, low, 10), down, shape)
    cover = scene.uniform(-0.5, 0.55)
    clouds = noise.fractal(scene.rng, shape, scene.integer(2, 4), 5)
    share = np.clip((clouds + cover) * 1.5, 0.0, 0.9)[..., None]
    white = np.float32(250.0) - np.clip(clouds, 0, 1)[..., None] * np.float32(30.0)
    _lay(scene, colours + (white - colours) * share)


def landscape(scene: Scene) -> None:
    """A sky over a low, soft horizon of hills, trees or fields."""
    sky(scene)
    width, height = scene.size
    pen = ImageDraw.Draw(scene.image)
    ridge = scene.uniform(0.78, 0.9)
    green = scene.pick(((70, 104, 58), (98, 112, 62), (52, 82, 60), (120, 112, 72)))
    for layer in range(3):
        line = noise.smooth(scene.rng, (1, 96), (1, 5 + 7 * layer))[0]
        tops = height * (ridge + 0.05 * layer + 0.025 * line)
        xs = np.linspace(0, width, 96)
        far = mix(jitter(scene.rng, green, 8), (170, 186, 200), 0.5 - 0.25 * layer)
        points = list(zip(xs.tolist(), tops.tolist(), strict=True))
        pen.polygon([*points, (width, height), (0, height)], fill=far)
    _soften(scene, 0.01)


def foliage(scene: Scene) -> None:
    """Leaves far out of focus, with round spots of light."""
    shape = _shape(scene)
    deep = jitter(scene.rng, scene.pick(((40, 72, 34), (62, 88, 40), (30, 56, 40))), 12)
    bright = jitter(scene.rng, scene.pick(((128, 164, 80), (160, 172, 90), (96, 142, 90))), 16)
    field = noise.fractal(scene.rng, shape, scene.integer(2, 4), 3) * 0.75 + 0.45
    _lay(scene, _ramp(deep, bright, np.clip(field, 0, 1), shape))
    bokeh(scene, mix(bright, (255, 255, 220), 0.4), scene.integer(3, 14))


def blobs(scene: Scene) -> None:
    """A room or a street so far out of focus that only blurs of colour are left."""
    shape = _shape(scene)
    first, second = jitter(scene.rng, scene.pick(WALLS), 30), darker(vivid(scene.rng), 0.6)
    field = noise.fractal(scene.rng, shape, 2, 2) * 0.6 + 0.4
    _lay(scene, _ramp(first, second, np.clip(field, 0, 1), shape))
    bokeh(scene, mix(vivid(scene.rng), (255, 240, 210), 0.5), scene.integer(4, 12))


def bokeh(scene: Scene, colour: Colour, count: int) -> None:
    """Discs of light out of focus, over whatever is there."""
    width, height = (side // 4 for side in scene.size)
    veil = Image.new("L", (width, height))
    pen = ImageDraw.Draw(veil)
    for _ in range(count):
        x, y = scene.uniform(0, width), scene.uniform(0, height)
        radius = scene.uniform(0.02, 0.09) * min(width, height)
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(box, fill=scene.integer(30, 120))
    veil = veil.filter(ImageFilter.GaussianBlur(1.5)).resize(scene.size, Image.Resampling.BILINEAR)
    scene.image.paste(colour, (0, 0), veil)


def plaster(scene: Scene) -> None:
    """A painted wall, lit from one side."""
    shape = _shape(scene)
    base = jitter(scene.rng, scene.pick(WALLS), 16)
    grain = noise.fractal(scene.rng, shape, 4, 5) * scene.uniform(0.02, 0.1)
    _lay(scene, _tint(base, 1.0 + grain + _falloff(scene, shape)))


def striped_paper(scene: Scene) -> None:
    """Striped wallpaper."""
    shape = _shape(scene)
    base = jitter(scene.rng, scene.pick(WALLS), 10)
    x = np.linspace(0, scene.uniform(5, 14), shape[1], dtype=np.float32)[None, :]
    stripe = np.clip(np.sin(x * 2 * math.pi) * 3, -1, 1) * scene.uniform(0.03, 0.1)
    _lay(scene, _tint(base, 1.0 + stripe + _falloff(scene, shape)))


def brick(scene: Scene) -> None:
    """A brick wall."""
    shape = _shape(scene)
    rows = scene.uniform(7, 14)
    side = min(shape)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32) / np.float32(side) * rows
    course = np.floor(y)
    x = x / np.float32(2.4) + course * 0.5 + scene.uniform(0, 1)
    y_edge, x_edge = np.minimum(y % 1.0, 1 - y % 1.0), np.minimum(x % 1.0, 1 - x % 1.0) * 2.4
    shades = scene.rng.uniform(-0.16, 0.16, (64, 64)).astype(np.float32)
    each = shades[course.astype(int) % 64, np.floor(x).astype(int) % 64]
    base = jitter(scene.rng, scene.pick(((160, 84, 62), (176, 110, 84), (190, 180, 170))), 14)
    mortar = jitter(scene.rng, (186, 178, 168), 14)
    joint = np.clip((0.09 - np.minimum(y_edge, x_edge)) * 16 + 0.5, 0, 1)
    grain = noise.fractal(scene.rng, shape, 16, 3) * 0.12
    colours = _tint(base, 1.0 + each + grain)
    colours += (np.asarray(mortar, np.float32) - colours) * joint[..., None]
    _lay(scene, colours * (1.0 + _falloff(scene, shape))[..., None])


def wood(scene: Scene) -> None:
    """Boards seen from above, or a wooden wall."""
    picture = _boards(scene, _shape(scene), scene.pick(WOODS), scene.integer(2, 7))
    if scene.chance(0.5):
        turned = picture.transpose(Image.Transpose.ROTATE_90)
        picture = turned.resize(picture.size, Image.Resampling.BILINEAR)
    scene.image = picture.resize(scene.size, Image.Resampling.BILINEAR)


def parquet(scene: Scene) -> None:
    """A sports hall's floor: pale boards with painted lines."""
    pale = scene.pick(((214, 170, 116), (196, 148, 94), (222, 186, 140)))
    picture = _boards(scene, _shape(scene), pale, scene.integer(9, 14))
    pen = ImageDraw.Draw(picture)
    for _ in range(scene.integer(0, 2)):
        ends = [(scene.uniform(-0.2, 1.2) * s, scene.uniform(-0.2, 1.2) * s) for s in picture.size]
        paint = scene.pick(((240, 238, 232), (40, 60, 130), (180, 40, 40)))
        points = [(ends[0][0], ends[1][0]), (ends[0][1], ends[1][1])]
        pen.line(points, fill=paint, width=max(3, picture.width // 40))
    scene.image = picture.resize(scene.size, Image.Resampling.BILINEAR)


def grass(scene: Scene) -> None:
    """A lawn seen from above."""
    shape = _shape(scene)
    base = jitter(scene.rng, scene.pick(((82, 128, 48), (104, 140, 56), (66, 106, 50))), 12)
    patches = noise.fractal(scene.rng, shape, 4, 5) * 0.25
    _lay(scene, _tint(base, 0.9 + patches))
    pen = ImageDraw.Draw(scene.image)
    width, height = scene.size
    starts = scene.rng.uniform(0, 1, (700, 2)) * (width, height)
    sways = scene.rng.uniform(-0.03, 0.03, (700, 2)) * scene.unit * 2 - (0, 0.02 * height)
    shades = scene.rng.uniform(0.6, 1.4, 700).tolist()
    for start, sway, strength in zip(starts.tolist(), sways.tolist(), shades, strict=True):
        end = (start[0] + sway[0], start[1] + sway[1])
        pen.line([tuple(start), end], fill=darker(base, strength), width=3)


def asphalt(scene: Scene) -> None:
    """Rough ground: asphalt, concrete, sand or earth."""
    base = scene.pick(((112, 112, 114), (168, 164, 156), (204, 184, 148), (116, 92, 70)))
    shape = _shape(scene)
    grain = noise.fractal(scene.rng, shape, 3, 4) * 0.12
    grit = noise.smooth(scene.rng, shape, (150, 150)) * 0.16
    _lay(scene, _tint(jitter(scene.rng, base, 12), 1.0 + grain + grit))


def cloth(scene: Scene) -> None:
    """A tablecloth: plain, checked or striped."""
    shape = _shape(scene)
    base = scene.pick((hue(scene.uniform(0, 1), 0.35, 0.8), jitter(scene.rng, (220, 214, 204))))
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32) / np.float32(min(shape))
    angle, pitch = scene.uniform(-0.6, 0.6), scene.uniform(4, 9)
    across = np.sin((x * math.cos(angle) + y * math.sin(angle)) * 2 * math.pi * pitch)
    down = np.sin((y * math.cos(angle) - x * math.sin(angle)) * 2 * math.pi * pitch)
    kind = scene.integer(0, 2)
    pattern = (across > 0) * (0.14 * (kind > 0)) + (down > 0) * (0.14 * (kind > 1))
    folds = noise.fractal(scene.rng, shape, 2, 3) * 0.14
    weave = noise.smooth(scene.rng, shape, (140, 140)) * 0.05
    _lay(scene, _tint(base, 1.06 - pattern + folds + weave + _falloff(scene, shape)))


def table(scene: Scene) -> None:
    """A table top that meets a soft wall: the place for things seen from the side."""
    shape = _shape(scene)
    scene.pick((plaster, blobs, striped_paper, foliage))(scene)
    _soften(scene, 0.02)
    edge = scene.uniform(0.5, 0.62)
    depth = shape[0] - round(edge * shape[0])
    boards = _boards(
        scene, (depth, shape[1]), scene.pick((*WOODS, *WALLS[:3])), scene.integer(2, 4)
    )
    near = boards.resize((scene.size[0], scene.size[1] - round(edge * scene.size[1])))
    veil = np.linspace(60, 0, 32, dtype=np.float32)[:, None].repeat(2, axis=1)
    shade = Image.fromarray(veil.astype(np.uint8)).resize(near.size)
    near.paste((30, 26, 24), (0, 0), shade)
    scene.image.paste(near, (0, round(edge * scene.size[1])))


def road(scene: Scene) -> None:
    """A street: trees or houses out of focus over a strip of asphalt."""
    scene.pick((foliage, town, landscape))(scene)
    width, height = scene.size
    _soften(scene, 0.014)
    shape = _shape(scene)
    top = round(scene.uniform(0.66, 0.72) * height)
    grain = noise.fractal(scene.rng, shape, 8, 3) * 0.1
    ground = _picture(_tint(jitter(scene.rng, (118, 116, 116), 12), 1.0 + grain))
    scene.image.paste(ground.resize((width, height - top)), (0, top))
    pen = ImageDraw.Draw(scene.image)
    kerb = jitter(scene.rng, (170, 166, 158), 10)
    pen.rectangle((0, top, width, top + height // 60), fill=kerb)
    if scene.chance(0.5):
        line = top + round(height * scene.uniform(0.2, 0.26))
        pen.rectangle((0, line, width, line + height // 70), fill=(214, 204, 160))


def town(scene: Scene) -> None:
    """House fronts far out of focus under a sky."""
    sky(scene)
    pen = ImageDraw.Draw(scene.image)
    width, height = scene.size
    x = -scene.uniform(0, 0.2) * width
    while x < width:
        wide, top = scene.uniform(0.14, 0.34) * width, scene.uniform(0.15, 0.6) * height
        wall = darker(jitter(scene.rng, scene.pick(WALLS), 16), scene.uniform(0.6, 0.95))
        pen.rectangle((x, top, x + wide, height), fill=wall)
        step = wide / scene.integer(3, 5)
        for row in range(int((height - top) / step)):
            for column in range(round(wide / step)):
                left, upper = x + step * (column + 0.25), top + step * (row + 0.3)
                window = darker(wall, scene.pick((0.5, 0.6, 1.25)))
                pen.rectangle((left, upper, left + step / 2, upper + step * 0.55), fill=window)
        x += wide
    _soften(scene, scene.uniform(0.015, 0.035))


def sea(scene: Scene) -> None:
    """A sky over the sea."""
    sky(scene)
    shape = _shape(scene)
    width, height = scene.size
    top = round(scene.uniform(0.62, 0.72) * height)
    base = scene.pick(((40, 86, 124), (62, 112, 132), (84, 104, 120)))
    waves = noise.streaks(scene.rng, shape, 10, 60) * 0.22
    water = _picture(_tint(jitter(scene.rng, base, 10), 1.0 + waves))
    scene.image.paste(water.resize((width, height - top)), (0, top))


def dusk(scene: Scene) -> None:
    """A dark room, with a few far lamps."""
    shape = _shape(scene)
    base = scene.pick(((44, 30, 24), (24, 26, 40), (52, 38, 26), (34, 24, 32)))
    field = noise.fractal(scene.rng, shape, 2, 3) * 0.3
    _lay(scene, _tint(jitter(scene.rng, base, 10), 1.0 + field))
    bokeh(scene, scene.pick(((200, 140, 70), (190, 110, 60), (120, 120, 170))), scene.integer(0, 9))


def desk(scene: Scene) -> None:
    """Any flat ground that papers and small things lie on, seen from above."""
    scene.pick((wood, wood, cloth, asphalt, plaster))(scene)


def wall(scene: Scene) -> None:
    """Any wall."""
    scene.pick((plaster, plaster, striped_paper, brick, wood))(scene)


def ground(scene: Scene) -> None:
    """Any ground that a ball lies on, seen from above."""
    scene.pick((grass, asphalt, wood, parquet))(scene)


def outdoors(scene: Scene) -> None:
    """Open air behind a thing that stands up."""
    scene.pick((sky, landscape, foliage, town))(scene)


def _shape(scene: Scene) -> tuple[int, int]:
    return scene.size[1] // SUPERSAMPLE, scene.size[0] // SUPERSAMPLE


def _falloff(scene: Scene, shape: tuple[int, int]) -> Field:
    """The wall's light fades away from the lamp."""
    x, y, _ = scene.light.direction
    across = np.linspace(-0.5, 0.5, shape[1], dtype=np.float32)[None, :]
    down = np.linspace(-0.5, 0.5, shape[0], dtype=np.float32)[:, None]
    return np.float32(scene.uniform(0.15, 0.5)) * (across * np.float32(x) + down * np.float32(y))


def _tint(colour: Colour, factor: Field) -> Field:
    return factor[..., None] * np.asarray(colour, dtype=np.float32)


def _ramp(first: Colour, second: Colour, share: Field, shape: tuple[int, int]) -> Field:
    low, high = np.asarray(first, np.float32), np.asarray(second, np.float32)
    return np.broadcast_to(low + (high - low) * share[..., None], (*shape, 3)).copy()


def _picture(colours: Field) -> Image.Image:
    return Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))


def _lay(scene: Scene, colours: Field) -> None:
    scene.image = _picture(colours).resize(scene.size, Image.Resampling.BILINEAR)


def _soften(scene: Scene, share: float) -> None:
    """Blur the canvas over a share of its shorter side, at a quarter of the resolution."""
    small = scene.image.reduce(4).filter(ImageFilter.GaussianBlur(share * min(scene.size) / 4))
    scene.image = small.resize(scene.size, Image.Resampling.BILINEAR)


def _boards(scene: Scene, shape: tuple[int, int], colour: Colour, count: int) -> Image.Image:
    """Wood grain along x, in `count` boards."""
    base = jitter(scene.rng, colour, 12)
    grain = noise.streaks(scene.rng, shape, 3, 40) * 0.13
    y = np.linspace(0, count, shape[0], dtype=np.float32, endpoint=False)
    board = np.floor(y).astype(int)
    shades = scene.rng.uniform(-0.1, 0.1, count).astype(np.float32)[board]
    gap = np.clip(0.03 - np.minimum(y % 1.0, 1.0 - y % 1.0), 0, 0.03) * 12
    factor = 1.0 + grain + shades[:, None] - gap[:, None] + _falloff(scene, shape)
    return _picture(_tint(base, factor))
