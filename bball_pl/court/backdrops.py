"""Backgrounds of the teaching court: crowds, arenas, walls, streets, plain colours and noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from bball_pl.court.camera import Camera, Image, Plane, paint_plane
from bball_pl.court.hall import Colour, times
from bball_pl.court.people import strong_colour

STYLES = ("arena", "crowd", "dark", "wall", "street", "plain", "noise", "hall")
#: Probability of each style; "hall" is the gym of the demo court, in perspective.
_SHARES = (0.22, 0.2, 0.1, 0.1, 0.1, 0.06, 0.08, 0.14)

#: Words on advertising boards; no real brands.
WORDS = (
    "DEFENCE", "CITY CUP", "GO TIGERS", "OPEN 24 H", "FRESH JUICE", "HOOPS TV", "LEAGUE", "HOME", "SPORTS", "BANK",
    "RIM & CO", "WEEKEND", "MOTORS", "FINAL", "2024", "PLAYOFFS", "VISIT US", "TICKETS", "ALL IN", "BE LOUD",
)  # fmt: skip


@dataclass(frozen=True)
class Backdrop:
    """A background without people in the foreground.

    Attributes:
        style: one of `STYLES`.
        picture: RGB uint8 `[H, W, 3]`.
        floor: Mask of the floor, uint8 `[H, W]`, 0 or 255.
        blur: Standard deviation of its defocus blur in pixels.
    """

    style: str
    picture: Image
    floor: Image
    blur: float


def draw_style(rng: np.random.Generator) -> str:
    """Draw a style with its probability."""
    return STYLES[int(rng.choice(len(STYLES), p=_SHARES))]


def fractal_noise(rng: np.random.Generator, height: int, width: int, falloff: float) -> Image:
    """Return fractal noise, float32 `[height, width]`, 0–1; a smaller `falloff` (0–1) gives smoother shapes."""
    total = np.zeros((height, width), np.float32)
    cells, weight = 2, 1.0
    while cells < max(height, width):
        grid = rng.random((cells, cells), np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, weight = cells * 2, weight * falloff
    low, high = float(total.min()), float(total.max())
    image: Image = (total - low) / max(high - low, 1e-6)
    return image


def _gradient(rng: np.random.Generator, height: int, width: int, start: Colour, end: Colour) -> Image:
    turn = rng.uniform(0, 2 * np.pi)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    share = np.clip(0.5 + 0.4 * (np.cos(turn) * x + np.sin(turn) * y), 0, 1)[..., None]
    image: Image = (np.array(start) * (1 - share) + np.array(end) * share).astype(np.uint8)
    return image


def _any_colour(rng: np.random.Generator) -> Colour:
    red, green, blue = (int(channel) for channel in rng.integers(0, 256, 3))
    return red, green, blue


def noise_picture(rng: np.random.Generator, height: int, width: int) -> Image:
    """Return random coloured noise, RGB uint8 `[height, width, 3]`: a background that carries no information."""
    falloff = float(rng.uniform(0.4, 0.85))
    if rng.random() < 0.5:
        share = fractal_noise(rng, height, width, falloff)[..., None]
        start, end = np.array(_any_colour(rng)), np.array(_any_colour(rng))
        image: Image = (start * (1 - share) + end * share).astype(np.uint8)
        return image
    layers = [fractal_noise(rng, height, width, falloff) for _ in range(3)]
    dim = float(rng.uniform(0.4, 1.0))
    return (np.stack(layers, axis=-1) * 255 * dim).astype(np.uint8)


def crowd_picture(rng: np.random.Generator, height: int, width: int, tall: float, light: float) -> Image:
    """Return rows of spectators, RGB uint8 `[height, width, 3]`.

    Args:
        rng: the photo's generator.
        height: pixels.
        width: pixels.
        tall: height of a seated spectator in pixels.
        light: brightness, 0–1.
    """
    seat = times(strong_colour(rng), float(rng.uniform(0.2, 0.8)))
    image = np.full((height, width, 3), seat, np.uint8)
    fans = [strong_colour(rng) for _ in range(2)] + [(235, 235, 235), (30, 30, 36)]
    uniform = rng.random() < 0.35
    density = float(rng.uniform(0.5, 1.0))
    step = max(tall * 0.62, 2.0)
    rows = int(height / step) + 2
    columns = int(width / (tall * 0.55)) + 2
    draws = rng.random((rows, columns, 8))
    for row in range(rows):
        base = row * step + tall * 0.3
        for column in range(columns):
            chance, dx, dy, tone, wide, which, hands, warm = draws[row, column]
            if chance > density:
                continue
            x = round((column + 0.5 * (row % 2) + 0.5 * (dx - 0.5)) * tall * 0.55)
            y = round(base + 0.2 * tall * (dy - 0.5))
            shirt = (
                fans[0]
                if uniform and which < 0.7
                else fans[int(which * 8) % 4]
                if which < 0.4
                else (int(255 * tone * wide), int(255 * tone * which), int(230 * tone * warm))
            )
            skin = (int(90 + 150 * warm), int((90 + 150 * warm) * 0.78), int((90 + 150 * warm) * 0.64))
            body = (max(1, round(tall * (0.2 + 0.06 * wide))), max(1, round(tall * 0.32)))
            cv2.ellipse(image, (x, round(y + 0.42 * tall)), body, 0, 0, 360, shirt, -1)
            if hands > 0.82:
                lift = -0.5 if hands > 0.92 else 0.1
                for side in (-1, 1):
                    cv2.line(
                        image,
                        (x + round(side * 0.2 * tall), round(y + 0.3 * tall)),
                        (x + round(side * 0.27 * tall), round(y + lift * tall)),
                        skin,
                        max(1, round(0.07 * tall)),
                    )
            head = max(1, round(tall * 0.14))
            cv2.circle(image, (x, y), head, times(skin, 0.2) if tone < 0.75 else (90, 70, 50), -1)
            cv2.ellipse(image, (x, y + max(1, head // 4)), (max(1, round(head * 0.8)), head), 0, 0, 360, skin, -1)
    fall = np.linspace(rng.uniform(0.3, 1.0), 1.0, height)[:, None, None] * light
    lit: Image = (image * fall).clip(0, 255).astype(np.uint8)
    return lit


def _board(rng: np.random.Generator, image: Image, top: int, tall: int) -> None:
    """Paint advertising boards with words across the picture, in place."""
    width = image.shape[1]
    x = -int(rng.integers(0, 80))
    while x < width:
        words = WORDS[int(rng.integers(len(WORDS)))]
        scale = tall / 34
        span = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, scale, 1)[0][0] + round(tall * 0.8)
        ground = strong_colour(rng) if rng.random() < 0.7 else (238, 238, 240)
        ink = (245, 245, 245) if sum(ground) < 480 else (30, 34, 60)
        cv2.rectangle(image, (x, top), (x + span, top + tall), ground, -1)
        at = (x + round(tall * 0.4), top + round(tall * 0.78))
        cv2.putText(image, words, at, cv2.FONT_HERSHEY_DUPLEX, scale, ink, max(1, round(scale * 1.6)), cv2.LINE_AA)
        x += span


def _lamps(rng: np.random.Generator, image: Image, low: int) -> None:
    """Paint defocused lamps above row `low`, in place."""
    height, width = image.shape[:2]
    size = int(rng.integers(1, max(2, height // 40) + 1))
    tint = (255, int(rng.integers(215, 256)), int(rng.integers(170, 256)))
    for _ in range(int(rng.integers(3, 26))):
        at = (int(rng.integers(width)), int(rng.integers(max(1, low))))
        cv2.circle(image, at, size + int(rng.integers(0, 2)), tint, -1, cv2.LINE_AA)


def _wall_picture(rng: np.random.Generator, height: int, width: int, horizon: int) -> Image:
    """Return a gym's wall: paint, bricks or panels, pads, windows, a curtain or folded bleachers."""
    base = (int(rng.integers(90, 246)),) * 3
    tone = (
        int(base[0] * rng.uniform(0.85, 1)),
        int(base[0] * rng.uniform(0.85, 1)),
        int(base[0] * rng.uniform(0.7, 1)),
    )
    image = _gradient(rng, height, width, tone, times(tone, float(rng.uniform(0.7, 1.1))))
    pitch = int(rng.integers(5, 60))
    darker = times(tone, float(rng.uniform(0.75, 0.95)))
    kind = int(rng.integers(4))
    if kind in (0, 2):
        for x in range(int(rng.integers(pitch)), width, pitch):
            cv2.line(image, (x, 0), (x, height), darker, int(rng.integers(1, 4)))
    if kind in (1, 2):
        for y in range(int(rng.integers(pitch)), height, pitch):
            cv2.line(image, (0, y), (width, y), darker, int(rng.integers(1, 3)))
    if rng.random() < 0.4:
        band = int(rng.integers(height // 10, height // 3))
        cv2.rectangle(image, (0, horizon - band), (width, horizon), strong_colour(rng), -1)
    for _ in range(int(rng.integers(0, 4))):  # doors, windows, banners
        left, wide = int(rng.integers(-20, width)), int(rng.integers(width // 12, width // 3))
        top, tall = int(rng.integers(-20, max(1, horizon))), int(rng.integers(height // 12, height // 2))
        cv2.rectangle(image, (left, top), (left + wide, top + tall), _any_colour(rng), -1)
    if rng.random() < 0.3:
        _board(rng, image, int(rng.integers(0, max(1, horizon))), int(rng.integers(10, 40)))
    return image


def _street_picture(rng: np.random.Generator, height: int, width: int, horizon: int) -> Image:
    """Return the background of an outdoor court: sky, clouds, trees, houses, a fence."""
    day = float(rng.uniform(0.55, 1.05))
    blue = times((int(rng.integers(90, 215)), int(rng.integers(150, 225)), 246), day)
    image = _gradient(rng, height, width, blue, times((235, 238, 240), day))
    clouds = np.clip(fractal_noise(rng, height, width, 0.6) * 2 - rng.uniform(0.8, 1.4), 0, 1)[..., None]
    image = (image * (1 - clouds) + 248 * day * clouds).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.6:  # houses
        x = 0
        while x < width:
            wide, top = int(rng.integers(20, 120)), horizon - int(rng.integers(10, max(11, height // 2)))
            front = times((200, 180, 160), float(rng.uniform(0.35, 1.1)))
            cv2.rectangle(image, (x, top), (x + wide, horizon + 10), front, -1)
            for wx in range(x + 5, x + wide - 5, 12):
                for wy in range(max(0, top + 6), horizon, 14):
                    cv2.rectangle(image, (wx, wy), (wx + 5, wy + 7), times(front, 0.6), -1)
            x += wide
    if rng.random() < 0.75:  # trees
        leaves = fractal_noise(rng, height, width, 0.75)
        line = horizon - height * (0.1 + 0.4 * fractal_noise(rng, 1, width, 0.6)[0]) * rng.uniform(0.3, 1.3)
        mask = np.arange(height)[:, None] > line[None, :]
        green = np.array(times((70, 120, 50), float(rng.uniform(0.5, 1.5))))
        image[mask] = ((0.35 + leaves[..., None]) * green).clip(0, 255).astype(np.uint8)[mask]
    if rng.random() < 0.4:  # a fence
        pitch, tone = int(rng.integers(5, 16)), _any_colour(rng)
        for x in range(-height, width + height, pitch):
            cv2.line(image, (x, 0), (x + height, height), tone, 1, cv2.LINE_AA)
            cv2.line(image, (x + height, 0), (x, height), tone, 1, cv2.LINE_AA)
    return image


def _stands_picture(rng: np.random.Generator, height: int, width: int, horizon: int, style: str) -> Image:
    """Return the background of an indoor court for the styles "dark", "arena" and "crowd"."""
    if style == "dark":
        ground = (int(rng.integers(0, 34)),) * 3
        picture = _gradient(rng, height, width, ground, times(ground, 0.4))
        if rng.random() < 0.5:
            dim = crowd_picture(rng, height, width, float(rng.uniform(6, 26)), float(rng.uniform(0.1, 0.4)))
            picture = cv2.addWeighted(picture, 0.5, dim, 0.6, 0.0)
        _lamps(rng, picture, height)
        return picture
    tall = float(rng.uniform(5, 16)) if style == "arena" else float(rng.uniform(14, 60))
    picture = crowd_picture(rng, height, width, tall, float(rng.uniform(0.3, 1.0)))
    if style == "arena":
        for _ in range(int(rng.integers(0, 3))):
            _board(rng, picture, int(rng.integers(-10, height)), int(rng.integers(6, 22)))
        if rng.random() < 0.5:
            _lamps(rng, picture, height // 3)
    if rng.random() < 0.5:
        tall_board = int(rng.integers(8, 40))
        _board(rng, picture, horizon - tall_board, tall_board)
    return picture


def _horizon(camera: Camera) -> int:
    """Return the row of the floor's far edge, 26 metres ahead of the camera."""
    ahead = camera.rotation[2] * np.array([1.0, 1.0, 0.0])
    ahead = ahead / max(float(np.linalg.norm(ahead)), 1e-6)
    far = camera.position * np.array([1.0, 1.0, 0.0]) + 26.0 * ahead
    pixel, depth = camera.project(far)
    return int(np.clip(pixel[1], -10_000, 10_000)) if float(depth) > 0.5 else -10_000


def paint_backdrop(rng: np.random.Generator, camera: Camera, style: str, floor: Plane) -> Backdrop:
    """Paint a background of any style except "hall".

    Args:
        rng: the photo's generator.
        camera: The photo's camera.
        style: One of `STYLES`.
        floor: The court's floor, recoloured to fit the style.
    """
    width, height = camera.size
    row = _horizon(camera)
    horizon = int(np.clip(row, 0, height))
    blur = float(rng.uniform(0.6, 5.0))
    if style == "plain":
        start = _any_colour(rng) if rng.random() < 0.5 else (int(rng.integers(0, 256)),) * 3
        picture = _gradient(rng, height, width, start, times(start, float(rng.uniform(0.5, 1.3))))
    elif style == "noise":
        picture = noise_picture(rng, height, width)
    elif style == "wall":
        picture, blur = _wall_picture(rng, height, width, horizon), float(rng.uniform(0.3, 3.5))
    elif style == "street":
        picture, blur = _street_picture(rng, height, width, horizon), float(rng.uniform(0.3, 3.0))
    else:
        # Painted at half size: the defocus blur removes the detail anyway.
        picture = _stands_picture(rng, height // 2, width // 2, horizon // 2, style)
    if picture.shape[:2] != (height, width):
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    mask: Image = np.zeros((height, width), np.uint8)
    if (row < height and style not in {"plain", "noise"}) or (style in {"plain", "noise"} and rng.random() < 0.3):
        painted = paint_floor(rng, picture, camera, floor, style)
        mask = mask if painted is None else painted
    return Backdrop(style, picture, mask, blur)


def paint_floor(rng: np.random.Generator, picture: Image, camera: Camera, floor: Plane, style: str) -> Image | None:
    """Paint the court's floor in a colour that fits the style, in place; return its mask uint8 `[H, W]`, or None."""
    before = picture.copy()
    mask = paint_plane(picture, camera, floor)
    if mask is None:
        return None
    if style == "street" or rng.random() < 0.25:
        grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        ground = np.array(
            ((120, 120, 124), (70, 72, 78), (60, 110, 80), (50, 90, 150), (160, 80, 60))[int(rng.integers(5))]
        )
        table = (np.arange(256)[:, None] / 180 * ground * rng.uniform(0.7, 1.25)).clip(0, 255).astype(np.uint8)
        painted = cv2.merge([cv2.LUT(grey[..., channel], table[:, channel].copy()) for channel in range(3)])
    else:
        light = float(rng.uniform(0.55, 1.2))
        warm = rng.normal(1.0, 0.06, 3) * light
        tables = [(np.arange(256) * factor).clip(0, 255).astype(np.uint8) for factor in warm]
        painted = cv2.merge([cv2.LUT(picture[..., channel], tables[channel]) for channel in range(3)])
    picture[:] = before
    cv2.copyTo(painted, mask, picture)
    return mask
