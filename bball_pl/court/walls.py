"""Walls and ceiling: windows, stands with their crowd, banners, pads, lamps; as textures."""

from __future__ import annotations

import cv2
import numpy as np

from bball_pl.court.camera import Image
from bball_pl.court.floor import X0, X1, Y0, Y1, tinted
from bball_pl.court.palette import STRONG, Colour, between, times

#: Height of the hall in metres.
HEIGHT = 8.2
#: Texture pixels per metre.
WALL_DENSITY, CEILING_DENSITY = 26.0, 16.0

_LETTERS = ("WEEKEND LEAGUE", "HOME OF THE HAWKS", "CITY CUP", "GO TIGERS", "FAIR PLAY", "SPORTS HALL", "DEFENCE!")
_HAIRS: tuple[Colour, ...] = (
    (26, 22, 22),
    (34, 27, 24),
    (62, 44, 32),
    (20, 20, 24),
    (128, 124, 120),
    (150, 40, 40),
    (40, 60, 110),
)


def _windows(image: Image, rng: np.random.Generator, glow: float) -> None:
    """Paint a row of windows high on a wall."""
    height, width = image.shape[:2]
    top, low = round(0.11 * height), round(rng.uniform(0.36, 0.44) * height)
    pitch = round(rng.uniform(2.2, 3.4) * WALL_DENSITY)
    span = round(pitch * rng.uniform(0.6, 0.85))
    sky = np.array([225, 236, 255]) * glow
    for left in range(pitch // 3, width - span, pitch):
        pane = np.linspace(1.0, 0.82, low - top)[:, None, None] * sky
        image[top:low, left : left + span] = np.clip(pane, 0, 255).astype(np.uint8)
        view = image[top:low, left : left + span]
        for _ in range(int(rng.integers(0, 9))):  # trees outside, bleached by the exposure
            leaf = rng.uniform(0.72, 0.9) * np.array([206, 228, 196]) * min(glow, 1.05)
            middle = (int(rng.integers(span)), low - top - int(rng.integers(0, max(1, (low - top) // 4))))
            cv2.circle(view, middle, round(span * rng.uniform(0.1, 0.22)), tuple(leaf.tolist()), -1, cv2.LINE_AA)
        cv2.rectangle(image, (left, top), (left + span, low), (92, 92, 96), 2)
        for part in range(1, 4):
            x = left + span * part // 4
            cv2.line(image, (x, top), (x, low), (110, 110, 112), 1)
        cv2.line(image, (left, (top + low) // 2), (left + span, (top + low) // 2), (110, 110, 112), 1)


def _muted(rng: np.random.Generator) -> Colour:
    """Return the colour of everyday clothes in the shade of a stand."""
    grey = rng.uniform(28, 190)
    red, green, blue = np.clip(grey + rng.normal(0, 22, 3), 10, 215)
    return int(red), int(green), int(blue)


def _crowd(image: Image, rng: np.random.Generator, fans: tuple[Colour, ...], density: float) -> None:
    """Paint a stand with spectators at the foot of a wall."""
    height, width = image.shape[:2]
    rows = int(rng.integers(3, 6))
    left, right = round(width * rng.uniform(0.02, 0.2)), round(width * rng.uniform(0.8, 0.98))
    step = round(0.46 * WALL_DENSITY)
    seat: Colour = ((70, 78, 92), (120, 96, 70), (36, 60, 110))[int(rng.integers(3))]
    stand = image.copy()
    for row in range(rows, -1, -1):
        base = height - row * step
        tread = times(seat, 0.75 + 0.06 * row)
        cv2.rectangle(stand, (left, base - step), (right, base), tread, -1)
        cv2.line(stand, (left, base - step), (right, base - step), times(tread, 1.4), 2)
        for x in range(left + 8, right - 8, round(0.56 * WALL_DENSITY)):
            if rng.random() > density:
                continue
            shirt = fans[int(rng.integers(len(fans)))] if rng.random() < 0.35 else _muted(rng)
            _fan(stand, rng, x + int(rng.integers(-4, 5)), base - step - int(rng.integers(0, 4)), shirt)
    # The lamps hang over the court: the stand is in the shade, the more the higher.
    shade = np.linspace(0.58, 0.9, height)[:, None, None]
    image[:, left:right] = (stand[:, left:right] * np.where(stand == image, 1.0, shade)[:, left:right]).astype(np.uint8)


def _fan(image: Image, rng: np.random.Generator, x: int, y: int, shirt: Colour) -> None:
    """Paint one spectator whose middle is at (x, y)."""
    warm = round(rng.uniform(130, 225))
    skin: Colour = (warm, int(warm * 0.8), int(warm * 0.67))
    hair = _HAIRS[int(rng.choice(len(_HAIRS), p=(0.3, 0.25, 0.16, 0.14, 0.07, 0.04, 0.04)))]
    broad, turn = int(rng.integers(6, 9)), int(rng.integers(-1, 2))
    cv2.ellipse(image, (x, y + 8), (broad, 6), 0, 0, 360, between(_muted(rng), (30, 34, 50), 0.6), -1, cv2.LINE_AA)
    cv2.ellipse(image, (x, y + 1), (broad, 11), 0, 180, 360, shirt, -1, cv2.LINE_AA)
    cv2.rectangle(image, (x - broad, y), (x + broad, y + 6), shirt, -1)
    cheering = rng.random() < 0.14
    for side in (-1, 1):
        hand = (x + side * 8, y - 20) if cheering else (x + side * 2, y + 7)
        elbow = (x + side * (broad + 2), y - 10 if cheering else y + 3)
        cv2.line(image, (x + side * (broad - 1), y - 5), elbow, times(shirt, 0.85), 3, cv2.LINE_AA)
        cv2.line(image, elbow, hand, skin, 2, cv2.LINE_AA)
    cv2.circle(image, (x, y - 14), 5, hair, -1, cv2.LINE_AA)
    cv2.ellipse(image, (x + turn, y - 12), (4, 4), 0, 0, 360, skin, -1, cv2.LINE_AA)


def _banner(image: Image, rng: np.random.Generator, colour: Colour, middle: int, top: int) -> None:
    """Hang a banner with words on a wall, its upper edge at `top`."""
    words = _LETTERS[int(rng.integers(len(_LETTERS)))]
    scale = float(rng.uniform(0.7, 1.1))
    (span, tall), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, scale, 2)
    left = min(max(4, middle - span // 2), image.shape[1] - span - 16)
    cv2.rectangle(image, (left - 10, top), (left + span + 10, top + tall + 18), colour, -1)
    cv2.putText(image, words, (left, top + tall + 8), cv2.FONT_HERSHEY_DUPLEX, scale, (246, 244, 238), 2, cv2.LINE_AA)


def wall_texture(
    rng: np.random.Generator, metres: float, base: Colour, accent: Colour, kind: dict[str, bool], glow: float
) -> Image:
    """Return a wall's texture; `kind` says which of windows, stand, pads and banner it has."""
    width, height = round(metres * WALL_DENSITY), round(HEIGHT * WALL_DENSITY)
    image = tinted(
        base, cv2.resize(rng.normal(1.0, 0.03, (height // 16, width // 16)).astype(np.float32), (width, height))
    )
    darker = tuple(int(c * 0.95) for c in base)
    if kind["bricks"]:
        for y in range(0, height, 6):
            cv2.line(image, (0, y), (width, y), darker, 1)
    for x in range(0, width, round(4.4 * WALL_DENSITY)):  # pillars
        cv2.rectangle(image, (x, 0), (x + 12, height), tuple(int(c * 0.86) for c in base), -1)
        cv2.line(image, (x, 0), (x, height), tuple(min(255, int(c * 1.08)) for c in base), 2)
    cv2.rectangle(
        image,
        (0, round(height * 0.86)),
        (width, height),
        tuple(int(0.45 * b + 0.35 * a) for a, b in zip(accent, base, strict=True)),
        -1,
    )
    if kind["windows"]:
        _windows(image, rng, glow)
    if kind["banner"]:
        top = round(height * rng.uniform(0.46, 0.54))
        for place in rng.permutation(max(1, width // 330))[: int(rng.integers(1, 4))]:
            _banner(image, rng, STRONG[int(rng.integers(len(STRONG)))], 165 + 330 * int(place), top)
    if kind["pads"]:
        top, pitch = round(height * 0.76), round(1.0 * WALL_DENSITY)
        for x in range(0, width, pitch):
            pad = tuple(int(c * (0.92 + 0.08 * ((x // pitch) % 2))) for c in accent)
            cv2.rectangle(image, (x, top), (x + pitch - 2, height - 3), pad, -1)
    if kind["door"]:
        x = int(rng.integers(width // 8, width * 7 // 8))
        cv2.rectangle(image, (x, height - 60), (x + 46, height), (112, 84, 60), -1)
        cv2.rectangle(image, (x, height - 60), (x + 46, height), (60, 46, 38), 2)
        cv2.rectangle(image, (x + 10, height - 74), (x + 36, height - 65), (40, 190, 110), -1)
    if kind["stand"]:
        _crowd(
            image, rng, (accent, STRONG[int(rng.integers(len(STRONG)))], (236, 236, 236)), float(rng.uniform(0.3, 0.9))
        )
    return image


def ceiling_texture(rng: np.random.Generator) -> Image:
    """Return the ceiling's texture: dark beams and bright lamps."""
    width, height = round((X1 - X0) * CEILING_DENSITY), round((Y1 - Y0) * CEILING_DENSITY)
    shade = int(rng.integers(70, 170))
    image = np.full((height, width, 3), (shade, shade, min(255, shade + 6)), np.uint8)
    for x in range(0, width, 40):
        cv2.line(image, (x, 0), (x, height), (shade // 2, shade // 2, shade // 2), 5)
    for x in range(30, width, 56):
        for y in range(40, height, 66):
            cv2.rectangle(image, (x, y), (x + 20, y + 8), (255, 252, 240), -1)
    return image
