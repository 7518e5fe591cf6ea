"""Garden owns flowers, fungi and the works of small creatures."""

import math

import numpy as np
from PIL import Image

from demo.renderer import backgrounds, clutter, noise, solids
from demo.renderer.colour import LEAF, Colour, darker, jitter, mix
from demo.renderer.noise import Field
from demo.renderer.scene import SUPERSAMPLE, Layer, Scene, ellipse, stand, turned


def daisy(scene: Scene) -> None:
    """One to three daisies: white rays round a yellow disc."""
    scene.pick((backgrounds.foliage, backgrounds.grass, backgrounds.foliage, backgrounds.sky))(
        scene
    )
    count = scene.pick((1, 1, 2, 3))
    for index in range(count):
        angle = index * 2 * math.pi / count + scene.uniform(0, 2)
        out = 0.0 if count == 1 else 0.52
        size = (0.66, 0.92) if count == 1 else (0.4, 0.56)
        at = (out * math.cos(angle), out * math.sin(angle))
        pose = scene.pose(size, turn=math.pi, tilt=0.75, drift=0.1, at=at)
        _stem(scene, pose.point(0, 0))
        layer = Layer(scene, pose)
        petals = scene.integer(15, 24)
        white = jitter(
            scene.rng, scene.pick(((244, 244, 240), (244, 244, 240), (250, 236, 240))), 4
        )
        for ring, reach in ((0, 1.0), (1, 0.93)):
            for petal in range(petals):
                a = (petal + 0.5 * ring + scene.uniform(-0.18, 0.18)) * 2 * math.pi / petals
                long = reach * scene.uniform(0.92, 1.04)
                _petal(layer, a, long, 2.1 / petals, darker(white, scene.uniform(0.86, 1.0)))
        layer.round_off(scene.light, 0.02)
        scene.put(layer, shadow=0.4, distance=0.1, blur=0.05)
        heart = Layer(scene, pose)
        yolk = jitter(scene.rng, (240, 186, 30), 12)
        heart.ellipse(0, 0, 0.3, 0.3, yolk)
        for seed in range(150):
            out = 0.29 * math.sqrt((seed + 0.5) / 150)
            a = seed * 2.39996
            tone = darker(yolk, 0.72 if seed % 2 else 1.1)
            heart.ellipse(out * math.cos(a), out * math.sin(a), 0.015, 0.015, tone)
        heart.round_off(scene.light, 0.12)
        scene.put(heart, shadow=0.5, distance=0.02, blur=0.02)


def mushroom(scene: Scene) -> None:
    """One to three mushrooms on the forest floor: pale stem, domed cap, perhaps with spots."""
    backgrounds.foliage(scene)
    _floor(scene)
    spotted = scene.chance(0.5)
    caps: tuple[Colour, ...] = (
        ((200, 40, 30),)
        if spotted
        else ((150, 98, 58), (176, 130, 84), (226, 210, 184), (126, 78, 50))
    )
    cap = jitter(scene.rng, scene.pick(caps), 10)
    count = scene.pick((1, 1, 2, 3))
    for index in range(count):
        size = (0.68, 0.85) if index == count - 1 else (0.3, 0.5)
        side = 0.0 if index == count - 1 else scene.pick((-0.55, 0.55)) + 0.15 * index
        at = (side, 0.1 if index == count - 1 else 0.28)
        pose = scene.pose(size, turn=0.16, tilt=0.0, drift=0.06, at=at)
        _mushroom(scene, Layer(scene, pose), cap, spotted)
    clutter.scatter(scene, clutter.LAWN, 3)


def honeycomb(scene: Scene) -> None:
    """Wax cells from edge to edge, empty, filled with honey or capped."""
    pose = scene.pose((0.9, 1.2), turn=math.pi, tilt=0.35)
    width, height = (side // SUPERSAMPLE for side in scene.size)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) * SUPERSAMPLE
    (a, b, c), (d, e, f), (g, h, i) = np.linalg.inv(pose.matrix).astype(np.float32)
    depth = g * x + h * y + i
    pitch = np.float32(scene.uniform(3.2, 5.5))
    px, py = (a * x + b * y + c) / depth * pitch, (d * x + e * y + f) / depth * pitch
    bend = noise.smooth(scene.rng, (height, width), (4, 4)) * 0.12
    px, py = px + bend, py + bend[::-1]
    # Nearest centre of two rectangular lattices, which together are the hexagonal one.
    root = np.float32(math.sqrt(3))
    ax, ay = px - np.round(px), py - np.round(py / root) * root
    bx = px - np.floor(px) - 0.5
    by = py - (np.floor(py / root) + 0.5) * root
    nearer = ax * ax + ay * ay < bx * bx + by * by
    ox, oy = np.where(nearer, ax, bx), np.where(nearer, ay, by)
    column = np.where(nearer, np.round(px) * 2, np.floor(px) * 2 + 1).astype(int)
    row = np.where(nearer, np.round(py / root) * 2, np.floor(py / root) * 2 + 1).astype(int)
    rim = np.maximum(np.abs(ox), np.abs(ox) * 0.5 + np.abs(oy) * (root / 2)) * 2
    shares = scene.rng.uniform(0, 1, (64, 64)).astype(np.float32)
    fields = noise.smooth(scene.rng, (64, 64), (5, 5)) * 0.6 + shares * 0.4
    fill = fields[row % 64, column % 64]
    wax = jitter(scene.rng, scene.pick(((226, 168, 70), (206, 140, 54), (236, 196, 116))), 10)
    honey = jitter(scene.rng, scene.pick(((206, 118, 20), (224, 146, 32), (160, 84, 20))), 10)
    lx, ly, _ = scene.light.direction
    # A cell is a pit: the wall away from the lamp is lit, the wall near it dark.
    slope = -(ox * np.float32(lx) + oy * np.float32(ly)) * 1.3
    depth_shade = np.clip(0.55 + slope + 0.25 * rim, 0.2, 1.15)
    colours = solids.flat(darker(wax, 0.7), rim) * depth_shade[..., None]
    full = (fill > scene.uniform(-0.3, 0.5)).astype(np.float32)
    spark = np.clip(0.2 - np.hypot(ox - lx * 0.2, oy - ly * 0.2), 0, 0.1) * 9
    wet = solids.flat(honey, rim) * (0.8 + slope * 0.45)[..., None]
    colours = solids.blend(colours, wet, full)
    colours = solids.blend(colours, (255, 240, 200), spark * full)
    edge = np.clip((rim - 0.84) * 9, 0, 1)
    crest = solids.flat(wax, rim) * (1.0 - slope * 0.5)[..., None]
    colours = solids.blend(colours, crest, edge)
    light = 1.0 + noise.fractal(scene.rng, (height, width), 2, 3) * 0.2
    picture = Image.fromarray(np.clip(colours * light[..., None], 0, 255).astype(np.uint8))
    scene.image = picture.resize(scene.size, Image.Resampling.BILINEAR)
    for _ in range(scene.pick((0, 0, 0, 1, 2, 3))):
        _bee(scene)


def spider_web(scene: Scene) -> None:
    """An orb web between blurred leaves, perhaps with dew and its spider."""
    scene.pick((backgrounds.foliage, backgrounds.foliage, backgrounds.dusk))(scene)
    scene.image = scene.image.point(lambda value: round(value * 0.6))
    pose = scene.pose((1.0, 1.3), turn=math.pi, tilt=0.35, drift=0.2)
    layer = Layer(scene, pose)
    silk = jitter(scene.rng, (226, 230, 234), 8)
    spokes = scene.integer(14, 24)
    angles = (np.arange(spokes) + scene.rng.uniform(-0.22, 0.22, spokes)) * 2 * math.pi / spokes
    reach = scene.rng.uniform(0.85, 1.1, spokes)
    for angle in angles.tolist():
        layer.line([(0, 0), (2.2 * math.cos(angle), 2.2 * math.sin(angle))], 0.009, silk, 220)
    rings = scene.integer(13, 20)
    sag = scene.uniform(0.05, 0.13)
    dew = scene.chance(0.5)
    for ring in range(rings):
        out = 0.12 + 0.88 * ring / rings
        threads = []
        for spoke in range(spokes):
            last = (spoke + 1) % spokes
            r0 = (out + 0.88 / rings * spoke / spokes) * reach[spoke]
            r1 = (out + 0.88 / rings * (spoke + 1) / spokes) * reach[last]
            a0, a1 = angles[spoke], angles[last] + (2 * math.pi if last == 0 else 0)
            share = np.linspace(0, 1, 5)[:-1]
            r = (r0 + (r1 - r0) * share) * (1 - sag * 4 * share * (1 - share))
            a = a0 + (a1 - a0) * share
            threads.append(np.column_stack([r * np.cos(a), r * np.sin(a)]))
        spiral = np.vstack(threads)
        layer.line(spiral, 0.008, silk, 205)
        if dew:
            for x, y in pose.points(spiral[:: scene.integer(2, 3)]).tolist():
                drop = 0.011 * pose.scale * scene.uniform(0.5, 1.2)
                layer.pen.ellipse((x - drop, y - drop, x + drop, y + drop), (246, 250, 255, 235))
    scene.put(layer)
    if scene.chance(0.55):
        _spider(scene, pose.point(0, 0), pose.scale * scene.uniform(0.14, 0.24))


def ladybug(scene: Scene) -> None:
    """A ladybird on a leaf, seen from above."""
    backgrounds.foliage(scene)
    leaf = Layer(scene, scene.pose((1.5, 1.9), turn=math.pi, tilt=0.3, drift=0.2))
    green = jitter(scene.rng, scene.pick((LEAF, (110, 160, 60), (60, 120, 60))), 14)
    along = np.linspace(-1, 1, 24)
    half = 0.62 * (1 - along**2) ** 0.7
    leaf.polygon(
        np.vstack([np.column_stack([along, half]), np.column_stack([along, -half])[::-1]]), green
    )
    for vein in np.linspace(-0.8, 0.6, 8).tolist():
        for side in (-0.5, 0.5):
            leaf.line([(vein, 0), (vein + 0.3, side)], 0.012, darker(green, 0.85))
    leaf.line([(-1, 0), (1, 0)], 0.025, mix(green, (220, 230, 160), 0.4))
    scene.put(leaf, shadow=0.3)
    pose = scene.pose((0.46, 0.68), turn=math.pi, tilt=0.2, drift=0.2)
    legs = Layer(scene, pose)
    black = (26, 24, 26)
    for side in (-1, 1):
        for place in (-0.45, 0.05, 0.5):
            legs.line(
                [(0, place), (side * 0.95, place - 0.1), (side * 1.12, place + 0.12)], 0.07, black
            )
        legs.line([(side * 0.15, -0.95), (side * 0.38, -1.3)], 0.04, black)
    legs.ellipse(0, -0.9, 0.42, 0.28, black)
    legs.ellipse(0, -0.74, 0.62, 0.34, black)
    for side in (-1, 1):
        legs.ellipse(side * 0.42, -0.78, 0.14, 0.14, (238, 236, 228))
    legs.round_off(scene.light, 0.03, 0.25)
    scene.put(legs, shadow=0.6, distance=0.05, blur=0.03)
    shell = Layer(scene, pose)
    shell.ellipse(0, 0.1, 0.82, 0.88, jitter(scene.rng, (212, 40, 24), 16))
    shell.line([(0, -0.76), (0, 0.98)], 0.035, black)
    shell.ellipse(0, -0.56, 0.16, 0.16, black)
    size = scene.uniform(0.12, 0.18)
    for side in (-1, 1):
        for x, y in ((0.32, -0.26), (0.56, 0.16), (0.26, 0.3), (0.38, 0.64)):
            shell.ellipse(side * x, y, size, size, black)
    shell.round_off(scene.light, 0.16, 0.55)
    scene.put(shell, shadow=0.4, distance=0.04, blur=0.03)


def _stem(scene: Scene, top: tuple[float, float]) -> None:
    layer = Layer(scene, stand(top, scene.unit, 0.0))
    lean = scene.uniform(-0.3, 0.3)
    t = np.linspace(0, 1, 12)
    layer.line(np.column_stack([lean * t * t, 2.4 * t]), 0.06, (92, 140, 60))
    layer.line(np.column_stack([lean * t * t - 0.015, 2.4 * t]), 0.02, (130, 176, 90))
    scene.put(layer, shadow=0.3)


def _petal(layer: Layer, angle: float, long: float, wide: float, colour: Colour) -> None:
    along = np.array([0.2, 0.45, 0.75, 0.92, 1.0, 0.92, 0.75, 0.45, 0.2]) * long
    across = np.array([-0.35, -0.8, -1.0, -0.7, 0.0, 0.7, 1.0, 0.8, 0.35]) * wide
    layer.polygon(turned(along, across, angle), colour)
    groove = turned([0.3 * long, 0.9 * long], [0.25 * wide, 0.25 * wide], angle)
    layer.line(groove, 0.012, darker(colour, 0.88))


def _floor(scene: Scene) -> None:
    """Moss and soil over the lower part of the picture."""
    whole = scene.image
    scene.pick((backgrounds.grass, backgrounds.asphalt, backgrounds.grass))(scene)
    width, height = scene.size
    ramp = np.clip((np.linspace(0, 1, 64, dtype=np.float32) - 0.62) * 9, 0, 1)[:, None]
    veil = Image.fromarray((ramp * 255).astype(np.uint8).repeat(2, axis=1))
    scene.image = Image.composite(scene.image, whole, veil.resize((width, height)))


def _mushroom(scene: Scene, layer: Layer, cap: Colour, spotted: bool) -> None:
    pose = layer.pose
    pale = jitter(scene.rng, (234, 224, 204), 8)
    wide = scene.uniform(0.13, 0.2)
    stem = wide * (1.0 + 0.5 * np.linspace(1, 0, 24) ** 3)

    def stem_paint(u: Field, s: Field) -> Field:
        fibre = noise.streaks(scene.rng, (u.shape[1], u.shape[0]), 3, 40).T * 0.08
        return solids.flat(pale, u) * (1.0 + fibre)[..., None]

    scene.contact(pose.point(0, 0.95), (pose.scale * 0.5, pose.scale * 0.14), 0.6)
    solids.lathe(scene, layer, pose.point(0, 0.97), pose.point(0, -0.25), stem, stem_paint, 0.0)
    if spotted:
        layer.polygon(
            [
                (-wide * 1.3, 0.02),
                (wide * 1.3, 0.02),
                (wide * 2, 0.24),
                (0, 0.3),
                (-wide * 2, 0.24),
            ],
            darker(pale, 0.92),
        )
    broad, tall = scene.uniform(0.75, 0.95), scene.uniform(0.62, 0.85)
    gills = scene.uniform(0.1, 0.2)
    layer.ellipse(0, -0.12, broad, gills, darker(pale, 0.62))
    for line in np.linspace(0.1, math.pi - 0.1, 30).tolist():
        end = (broad * math.cos(line), -0.12 + gills * math.sin(line))
        layer.line([(0, -0.12), end], 0.01, darker(pale, 0.46))
    t = np.linspace(0, 1, 40)
    dome = broad / tall * np.clip(1 - t**2.3, 0, 1) ** 0.5
    spots = [(scene.uniform(0.1, 0.95), scene.uniform(-1.3, 1.3)) for _ in range(16)]

    def cap_paint(u: Field, s: Field) -> Field:
        patches = noise.smooth(scene.rng, u.shape, (12, 12)) * 0.05
        colours = solids.flat(cap, u) * (0.86 + 0.2 * u + patches)[..., None]
        if spotted:
            around = np.arcsin(s)
            for height, angle in spots:
                gap = np.hypot((u - height) * 1.0, (around - angle) * (1.05 - height) * 0.8)
                colours = solids.blend(colours, (242, 236, 222), (0.075 - gap) * 60)
        return colours

    solids.lathe(
        scene, layer, pose.point(0, -0.12), pose.point(0, -0.12 - tall), dome, cap_paint, 0.28
    )
    scene.put(layer, shadow=0.4, distance=0.15, blur=0.08)


def _bee(scene: Scene) -> None:
    pose = scene.pose((0.2, 0.3), turn=math.pi, drift=0.6)
    layer = Layer(scene, pose)
    for side in (-1, 1):
        for place in (-0.3, 0.0, 0.3):
            layer.line([(place, 0), (place * 1.8, side * 0.75)], 0.06, (40, 30, 24))
    layer.ellipse(0.5, 0, 0.65, 0.36, (196, 132, 40))
    for band in (0.3, 0.6, 0.88):
        tall = 0.36 * math.sqrt(max(0.0, 1 - ((band - 0.5) / 0.65) ** 2))
        layer.line([(band, -tall), (band, tall)], 0.13, (48, 34, 24))
    layer.ellipse(-0.2, 0, 0.36, 0.34, (120, 84, 44))
    layer.ellipse(-0.62, 0, 0.2, 0.24, (44, 34, 30))
    layer.round_off(scene.light, 0.03)
    scene.put(layer, shadow=0.6, distance=0.05, blur=0.03)
    wings = Layer(scene, pose)
    for side in (-1, 1):
        wings.ellipse(0.35, side * 0.36, 0.7, 0.2, (226, 220, 204), side * 0.35)
    wings.image.putalpha(wings.image.getchannel("A").point(lambda value: value * 3 // 5))
    scene.put(wings)


def _spider(scene: Scene, centre: tuple[float, float], size: float) -> None:
    layer = Layer(scene, stand(centre, size, scene.uniform(0, 2 * math.pi)))
    body = jitter(scene.rng, scene.pick(((70, 50, 34), (40, 36, 34), (120, 84, 40))), 8)
    for side in (-1, 1):
        for angle in (-1.0, -0.4, 0.25, 0.9):
            knee = (side * 0.6 * math.cos(angle), 0.6 * math.sin(angle) - 0.25)
            foot = (side * 1.25 * math.cos(angle * 1.1), 1.25 * math.sin(angle * 1.1))
            layer.line([(0, -0.1), knee, foot], 0.09, darker(body, 0.8))
    layer.polygon(ellipse(0, 0.32, 0.36, 0.48), body)
    layer.ellipse(0, 0.3, 0.08, 0.3, mix(body, (240, 220, 180), 0.5))
    layer.ellipse(0, -0.28, 0.22, 0.24, darker(body, 0.85))
    layer.round_off(scene.light, 0.02, 0.2)
    scene.put(layer, shadow=0.3)
