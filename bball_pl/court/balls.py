"""Balls of several makes as lit spheres: colours, panels, seams, pebbled leather and print."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from bball_pl.court.camera import Array, Image
from bball_pl.court.figure import Light
from bball_pl.court.palette import Colour

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
