"""The basket and the ball: backboard, ring, net and stand; balls of several makes, lit and blurred."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from bball_pl.court.camera import Array, Camera, Image
from bball_pl.court.figure import Event, Light, Soup, box_soup
from bball_pl.court.hall import COURT_LENGTH, Colour

#: Middle of the ring, its radius and its height in metres (FIBA Official Basketball Rules 2024, Equipment).
RING_X, RING_RADIUS, RING_Z = 1.575, 0.228, 3.05
_BOARD_X, _BOARD_HALF, _BOARD_LOW, _BOARD_HIGH = 1.2, 0.9, 2.9, 3.95


def _strip(start: Array, end: Array, half: Array) -> Array:
    return np.stack([start - half, end - half, end + half, start + half])


def hoop_soup(
    camera: Camera, light: Light, far_end: bool, glass: bool, colour: Colour
) -> tuple[list[Soup], list[Event]]:
    """Return a basket's polygons, and the painting of what is no polygon: its net and its glass.

    Args:
        camera: who looks.
        light: the gym's light.
        far_end: whether it stands at the other end of the court.
        glass: whether the board is glass instead of painted wood.
        colour: colour of the stand's padding, RGB 0–255.
    """
    sign, shift = (-1.0, COURT_LENGTH) if far_end else (1.0, 0.0)

    def world(x: float, y: float, z: float) -> Array:
        return np.array([shift + sign * x, y, z])

    def box(low: tuple[float, float, float], high: tuple[float, float, float], tone: Colour) -> Soup:
        a, b = world(*low), world(*high)
        return box_soup(np.minimum(a, b), np.maximum(a, b), tone, camera, light)

    soups = [
        box((-1.9, -0.45, 0), (-1.0, 0.45, 0.5), colour),
        box((-1.5, -0.14, 0.5), (-1.22, 0.14, 2.2), colour),
        box((-1.46, -0.09, 2.2), (-1.28, 0.09, 3.3), (70, 74, 84)),
        *(box((x, -0.07, 3.2), (x + 0.5, 0.07, 3.4), (70, 74, 84)) for x in (-1.4, -0.9, -0.4, 0.1, 0.6)),
        box((1.2, -0.08, 3.0), (1.36, 0.08, 3.07), (214, 74, 30)),
    ]
    # The ring is a thin tube: its quads face outward and inward by turns, so it needs no culling.
    turn = np.linspace(0, 2 * np.pi, 29)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    towards_lamp = 0.75 + 0.25 * light.key[2]
    bands = []
    for low, high in (
        ((RING_RADIUS, RING_Z + 0.014), (RING_RADIUS, RING_Z - 0.014)),
        ((RING_RADIUS - 0.014, RING_Z), (RING_RADIUS + 0.014, RING_Z)),
    ):
        lower = np.stack(
            [shift + sign * (RING_X + low[0] * circle[:, 0]), low[0] * circle[:, 1], np.full(29, low[1])], axis=1
        )
        upper = np.stack(
            [shift + sign * (RING_X + high[0] * circle[:, 0]), high[0] * circle[:, 1], np.full(29, high[1])], axis=1
        )
        bands.append(np.stack([lower[:-1], lower[1:], upper[1:], upper[:-1]], axis=1))
    ring = np.concatenate(bands)
    tint = np.concatenate([np.full((28, 3), 0.85), np.full((28, 3), 1.1)]) * towards_lamp
    soups.append(Soup(ring, np.minimum(np.array([228, 82, 34]) * tint, 255), np.full(len(ring), 0.02)))

    y, z = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    tone = 232.0 * float(np.clip(0.62 + 0.5 * light.key_colour.mean(), 0.5, 1.1))
    edges = []
    lines: list[tuple[float, float, float, float]] = [
        (-_BOARD_HALF, _BOARD_LOW, _BOARD_HALF, _BOARD_LOW), (-_BOARD_HALF, _BOARD_HIGH, _BOARD_HALF, _BOARD_HIGH),
        (-_BOARD_HALF, _BOARD_LOW, -_BOARD_HALF, _BOARD_HIGH), (_BOARD_HALF, _BOARD_LOW, _BOARD_HALF, _BOARD_HIGH),
        (-0.295, RING_Z, 0.295, RING_Z), (-0.295, RING_Z + 0.45, 0.295, RING_Z + 0.45),
        (-0.295, RING_Z, -0.295, RING_Z + 0.45), (0.295, RING_Z, 0.295, RING_Z + 0.45),
    ]  # fmt: skip
    for y0, z0, y1, z1 in lines:
        half = (z if z0 == z1 else y) * 0.026
        edges.append(_strip(world(_BOARD_X, y0, z0), world(_BOARD_X, y1, z1), half))
    ink = (236.0, 236.0, 236.0) if glass else (34.0, 36.0, 44.0)
    soups.append(Soup(np.stack(edges), np.repeat(np.array([ink]), len(edges), axis=0), np.full(len(edges), 0.06)))
    corners = ((-1, _BOARD_LOW), (1, _BOARD_LOW), (1, _BOARD_HIGH), (-1, _BOARD_HIGH))
    board = np.stack([world(_BOARD_X, side * _BOARD_HALF, height) for side, height in corners])
    events: list[Event] = []
    pixels, depth = camera.project(board)
    if depth.min() > 0.3:
        events.append((float(depth.max()), lambda canvas: _glaze(canvas, pixels, tone, 0.3 if glass else 0.97)))
    strands, far = _net(camera, world)
    if far.min() > 0.3:
        thick = max(1, round(camera.focal * 0.012 / float(far.mean())))
        events.append((
            float(far.mean()) - 0.02,
            lambda canvas: cv2.polylines(canvas, strands, False, (236, 236, 232), thick, cv2.LINE_AA, 4),
        ))  # fmt: skip
    return soups, events


def _net(camera: Camera, place: Callable[[float, float, float], Array]) -> tuple[list[Image], Array]:
    """Return the net's strands as pixel lines in sixteenths, and their depths; `place` is from basket to world."""
    lines, depths = [], []
    for strand in range(12):
        for lean in (-1, 1):
            points = []
            for level in range(5):
                radius = (0.225, 0.19, 0.155, 0.135, 0.13)[level]
                angle = 2 * np.pi * (strand + lean * level * 0.5) / 12
                points.append(place(RING_X + radius * np.cos(angle), radius * np.sin(angle), RING_Z - 0.1 * level))
            pixels, depth = camera.project(np.stack(points))
            lines.append(np.round(np.clip(pixels, -30000, 30000) * 16).astype(np.int32))
            depths.append(depth)
    return lines, np.concatenate(depths)


def _glaze(canvas: Image, polygon: Array, tone: float, cover: float) -> None:
    """Lay a whitish pane with opacity `cover` 0–1 over a polygon `[n, 2]` of the canvas."""
    left, top = np.maximum(np.floor(polygon.min(axis=0)).astype(int) - 1, 0)
    right, low = np.ceil(polygon.max(axis=0)).astype(int) + 2
    part = canvas[top:low, left:right]
    if left >= canvas.shape[1] or top >= canvas.shape[0] or part.size == 0:
        return
    pane = part.copy()
    points = np.round((np.clip(polygon, -30000, 30000) - np.array([left, top])) * 16).astype(np.int32)
    cv2.fillConvexPoly(pane, points, (tone * 0.97, tone, tone), cv2.LINE_AA, 4)
    cv2.addWeighted(pane, cover, part, 1 - cover, 0.0, dst=part)


def paint_ball(
    canvas: Image, pixel: Array, radius: float, smear: Array, light: Light, camera: Camera, spin: Array, colour: Colour
) -> None:
    """Paint the ball into `canvas` RGB uint8 `[H, W, 3]`.

    Args:
        canvas: the picture.
        pixel: place of its middle `[2]`.
        radius: in pixels.
        smear: its way in pixels `[2]` while the shutter is open.
        light: the gym's light.
        camera: who looks.
        spin: rotation matrix `[3, 3]` of its seams.
        colour: RGB 0–255.
    """
    reach = int(np.ceil(radius + np.abs(smear).max() / 2)) + 2
    left, top = int(np.floor(pixel[0])) - reach, int(np.floor(pixel[1])) - reach
    side = 2 * reach + 1
    height, width = canvas.shape[:2]
    if left >= width or top >= height or left + side <= 0 or top + side <= 0:
        return
    ys, xs = np.mgrid[0:side, 0:side].astype(np.float64)
    x, y = (xs + left - pixel[0]) / radius, (ys + top - pixel[1]) / radius
    square = x * x + y * y
    depth = np.sqrt(np.clip(1 - square, 0, 1))
    normal = np.stack([x, y, -depth], axis=-1) @ camera.rotation  # camera axes to the world's
    seam = normal @ spin
    thick = 0.05
    dark = (np.abs(seam[..., 0]) < thick) | (np.abs(seam[..., 1]) < thick)
    dark |= np.abs(np.abs(seam[..., 1]) - 0.28 - 0.52 * seam[..., 0] ** 2) < thick * 1.2
    albedo = np.where(dark[..., None], np.array(colour) * 0.22, np.array(colour))
    up = normal[..., 2:3] * 0.5 + 0.5
    total = up * light.sky + (1 - up) * light.bounce
    total = total + np.clip(normal @ light.key, 0, None)[..., None] * light.key_colour
    total = total + np.clip(normal @ light.side, 0, None)[..., None] * light.side_colour
    lit = albedo * total * (0.55 + 0.45 * depth[..., None])
    half = light.key - camera.rotation[2]
    lit = lit + 60 * np.clip(normal @ (half / np.linalg.norm(half)), 0, 1)[..., None] ** 18
    alpha = np.clip((1 - np.sqrt(square)) * radius + 0.5, 0, 1)
    layer: Image = np.concatenate([np.clip(lit, 0, 255) * alpha[..., None], alpha[..., None]], axis=-1).astype(
        np.float32
    )
    length = float(np.hypot(*smear))
    if length > 2:
        size = int(np.ceil(length)) | 1
        kernel = np.zeros((size, size), np.float32)
        way = smear / length * (size - 1) / 2
        middle = (size - 1) / 2
        ends = [(round(middle - way[0]), round(middle - way[1])), (round(middle + way[0]), round(middle + way[1]))]
        cv2.line(kernel, ends[0], ends[1], 1.0, 1)
        layer = cv2.filter2D(layer, -1, kernel / kernel.sum(), borderType=cv2.BORDER_CONSTANT)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    cut = layer[y0 - top : y1 - top, x0 - left : x1 - left]
    under = canvas[y0:y1, x0:x1]
    canvas[y0:y1, x0:x1] = (under * (1 - cut[..., 3:]) + cut[..., :3] + 0.5).clip(0, 255).astype(np.uint8)


_LEATHERS: tuple[Colour, ...] = (
    (214, 112, 48), (196, 92, 40), (224, 128, 60), (180, 84, 44), (160, 72, 40), (232, 140, 84), (206, 104, 66),
    (138, 66, 42), (238, 120, 30), (186, 70, 40),
)  # fmt: skip
_RARE: tuple[Colour, ...] = (
    (230, 230, 230),
    (40, 42, 48),
    (200, 30, 50),
    (40, 80, 190),
    (110, 60, 160),
    (240, 200, 40),
)
_PRINTS = ("OFFICIAL", "BASKETBALL", "PRO 7", "STREET", "INDOOR", "COURT 7", "RIM&CO", "GRIP", "LEAGUE", "T-700")


@dataclass(frozen=True)
class BallMake:
    """Appearance of a ball; colours RGB 0–255.

    Attributes:
        leather: Colour of the leather.
        panel: Colour of every second panel, often equal to `leather`.
        seam: Colour of the seams.
        thick: Half width of a seam as a share of the radius.
        print_text: Printed words, or "".
        ink: Colour of the print.
        pebble: Strength of the leather's grain, 0–1.
        shine: Strength of the highlight, 0–255.
    """

    leather: Colour
    panel: Colour
    seam: Colour
    thick: float
    print_text: str
    ink: Colour
    pebble: float
    shine: float


def sample_ball(rng: np.random.Generator) -> BallMake:
    """Sample a ball: mostly orange or brown leather, sometimes in two colours, rarely another colour."""
    colours = _LEATHERS if rng.random() < 0.93 else _RARE
    leather = _jitter(rng, colours[int(rng.integers(len(colours)))])
    panel = leather
    if rng.random() < 0.14:
        panel = ((236, 206, 160), (240, 236, 226), (60, 52, 50), (250, 190, 80))[int(rng.integers(4))]
    seam = (26, 22, 22)
    if rng.random() < 0.12:
        seam = ((240, 236, 226), (236, 190, 90), (90, 50, 30))[int(rng.integers(3))]
    return BallMake(
        leather=leather,
        panel=panel,
        seam=seam,
        thick=float(rng.uniform(0.028, 0.062)),
        print_text=_PRINTS[int(rng.integers(len(_PRINTS)))] if rng.random() < 0.7 else "",
        ink=((24, 20, 20), (240, 214, 140), (244, 240, 232))[int(rng.integers(3))],
        pebble=float(rng.uniform(0.0, 0.22)),
        shine=float(rng.uniform(10, 110)),
    )


def _jitter(rng: np.random.Generator, colour: Colour) -> Colour:
    red, green, blue = (int(np.clip(channel * rng.uniform(0.88, 1.1), 0, 255)) for channel in colour)
    return red, green, blue


def paint_make(
    canvas: Image,
    pixel: Array,
    radius: float,
    make: BallMake,
    light: Light,
    axes: Array,
    spin: Array,
    smear: Array | None = None,
    grain: Image | None = None,
) -> None:
    """Paint a ball into `canvas` RGB uint8 `[H, W, 3]`, in place.

    Args:
        canvas: the picture.
        pixel: place of its middle `[2]`.
        radius: in pixels.
        make: what it looks like.
        light: the light around it.
        axes: world to camera `[3, 3]`, as `Camera.rotation`.
        spin: rotation `[3, 3]` of its seams.
        smear: its way in pixels `[2]` while the shutter is open, or None.
        grain: float32 noise `[h, w]` of standard deviation 1 for pebbles, or None.
    """
    blur = 0.0 if smear is None else float(np.hypot(*smear))
    reach = int(np.ceil(radius + blur / 2)) + 2
    height, width = canvas.shape[:2]
    x0, y0 = max(int(pixel[0]) - reach, 0), max(int(pixel[1]) - reach, 0)
    x1, y1 = min(int(pixel[0]) + reach + 1, width), min(int(pixel[1]) + reach + 1, height)
    if x0 >= x1 or y0 >= y1 or radius < 0.5:
        return
    ys, xs = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    x, y = (xs - np.float32(pixel[0])) / np.float32(radius), (ys - np.float32(pixel[1])) / np.float32(radius)
    square = x * x + y * y
    depth = np.sqrt(np.clip(1 - square, 0, 1))
    normal = np.stack([x, y, -depth], axis=-1) @ axes.astype(np.float32)
    seam = normal @ spin.astype(np.float32)
    curve = np.abs(seam[..., 1]) - 0.28 - 0.52 * seam[..., 0] ** 2
    # A seam is never thinner than a pixel.
    thick = max(make.thick, 0.6 / radius)
    near = np.minimum(np.minimum(np.abs(seam[..., 0]), np.abs(seam[..., 1])), np.abs(curve) / 1.2)
    line = np.clip((thick - near) * radius + 0.5, 0, 1)[..., None]
    albedo = np.empty((*square.shape, 3), np.float32)
    albedo[:] = make.leather
    if make.panel != make.leather:
        albedo[(curve > 0) ^ (seam[..., 0] * seam[..., 1] > 0)] = make.panel
    albedo = albedo * (1 - line) + np.array(make.seam, np.float32) * line
    if make.pebble > 0 and grain is not None and radius > 14:
        rows, columns = grain.shape
        tile = np.tile(grain, (square.shape[0] // rows + 1, square.shape[1] // columns + 1))
        albedo *= (1 + make.pebble * tile[: square.shape[0], : square.shape[1]])[..., None]
    up = normal[..., 2:3] * 0.5 + 0.5
    total = up * light.sky + (1 - up) * light.bounce
    total = total + np.clip(normal @ light.key, 0, None)[..., None] * light.key_colour
    total = total + np.clip(normal @ light.side, 0, None)[..., None] * light.side_colour
    half = light.key - axes[2]
    lit = albedo * total * (0.55 + 0.45 * depth[..., None])
    lit = lit + make.shine * np.clip(normal @ (half / np.linalg.norm(half)), 0, 1)[..., None] ** 18
    alpha = np.clip((1 - np.sqrt(square)) * radius + 0.5, 0, 1)[..., None]
    layer = np.concatenate([np.clip(lit, 0, 255) * alpha, alpha], axis=-1).astype(np.float32)
    if smear is not None and blur > 2:
        size = int(np.ceil(blur)) | 1
        kernel = np.zeros((size, size), np.float32)
        middle, way = (size - 1) / 2, smear / blur * (size - 1) / 2
        ends = [(round(middle - way[0]), round(middle - way[1])), (round(middle + way[0]), round(middle + way[1]))]
        cv2.line(kernel, ends[0], ends[1], 1.0, 1)
        layer = np.asarray(cv2.filter2D(layer, -1, kernel / kernel.sum(), borderType=cv2.BORDER_CONSTANT), np.float32)
    under = canvas[y0:y1, x0:x1]
    canvas[y0:y1, x0:x1] = (under * (1 - layer[..., 3:]) + layer[..., :3] + 0.5).clip(0, 255).astype(np.uint8)


def print_on(rng: np.random.Generator, canvas: Image, pixel: Array, radius: float, make: BallMake) -> None:
    """Print a make's words on a ball that was painted at `pixel` with `radius`, in place; large balls only."""
    if not make.print_text or radius < 44:
        return
    unit = cv2.getTextSize(make.print_text, cv2.FONT_HERSHEY_DUPLEX, 1.0, 2)[0][0]
    scale = radius / unit * float(rng.uniform(0.7, 1.2))
    bold = max(1, round(scale * rng.uniform(1.0, 2.4)))
    (span, tall), _ = cv2.getTextSize(make.print_text, cv2.FONT_HERSHEY_DUPLEX, scale, bold)
    side = 2 * max(span, tall) + 4
    stamp: Image = np.zeros((side, side), np.uint8)
    start = ((side - span) // 2, (side + tall) // 2)
    cv2.putText(stamp, make.print_text, start, cv2.FONT_HERSHEY_DUPLEX, scale, 255, bold, cv2.LINE_AA)
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), float(rng.normal(0, 14)), 1.0)
    matrix[1] *= float(rng.uniform(0.75, 1.15))
    stamp = cv2.warpAffine(stamp, matrix, (side, side))
    left, top = round(float(pixel[0]) - side / 2), round(float(pixel[1]) - side / 2 + rng.normal(0, 0.1) * radius)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + side, canvas.shape[1]), min(top + side, canvas.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    cover = stamp[y0 - top : y1 - top, x0 - left : x1 - left, None].astype(np.float32) / 255 * 0.85
    canvas[y0:y1, x0:x1] = (canvas[y0:y1, x0:x1] * (1 - cover) + np.array(make.ink) * cover).astype(np.uint8)
