"""The hall: floor with its lines, walls, ceiling and stands, in colours of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bball_pl.court.camera import Array, Image, Plane

Colour = tuple[int, int, int]

#: Club colours: jerseys, banners, painted floors, wall pads.
STRONG: tuple[Colour, ...] = (
    (178, 32, 40), (24, 62, 140), (20, 96, 72), (230, 120, 30), (94, 40, 120), (30, 34, 44), (12, 120, 160),
    (235, 190, 40),
)  # fmt: skip


def between(a: Colour, b: Colour, share: float) -> Colour:
    """Return the colour that is `share` (0–1) of the way from `a` to `b`."""
    red, green, blue = (int(x + share * (y - x)) for x, y in zip(a, b, strict=True))
    return red, green, blue


def times(colour: Colour, factor: float) -> Colour:
    """Return a colour made darker or lighter by a factor, cut at 255."""
    red, green, blue = (min(255, int(channel * factor)) for channel in colour)
    return red, green, blue


#: The hall in metres: the court is 28 x 15 (FIBA Official Basketball Rules 2024, article 2), its baseline at x = 0,
#: its long axis at y = 0.
X0, X1, Y0, Y1 = -3.5, 31.5, -10.8, 10.8
COURT_LENGTH, COURT_HALF = 28.0, 7.5
#: Texture pixels per metre.
FLOOR_DENSITY = 50.0


def tinted(colour: Colour, strength: NDArray[Any]) -> Image:
    """Return RGB uint8 `[H, W, 3]`: one colour times `strength` `[H, W]`, 1 leaves it as it is."""
    grey = np.clip(strength * 128, 0, 255).astype(np.uint8)
    table = np.clip(np.arange(256)[:, None] / 128 * np.array(colour), 0, 255).astype(np.uint8)
    image: Image = cv2.merge([cv2.LUT(grey, table[:, channel].copy()) for channel in range(3)])
    return image


def floor_texture(rng: np.random.Generator, wood: Colour, accent: Colour) -> Image:
    """Return the floor's texture: planks along the court, then the lines on them."""
    width, height = round((X1 - X0) * FLOOR_DENSITY), round((Y1 - Y0) * FLOOR_DENSITY)
    rows, cells = round((Y1 - Y0) / 0.085), 40
    tone = rng.normal(1.0, 0.055, (rows, cells)).astype(np.float32)
    for row in range(rows):
        tone[row] = np.roll(np.repeat(tone[row, ::2], 2), row % 2)
    planks = cv2.resize(tone, (width, height), interpolation=cv2.INTER_NEAREST)
    grain = cv2.resize(rng.normal(0.0, 0.03, (height // 2, width // 24)).astype(np.float32), (width, height))
    seams = np.ones((rows * 5, 1), np.float32)
    seams[::5] = 0.90
    planks = (planks + grain) * cv2.resize(seams, (1, height), interpolation=cv2.INTER_AREA)
    image = tinted(wood, planks)

    def at(x: float, y: float) -> tuple[int, int]:
        return round((x - X0) * FLOOR_DENSITY * 16), round((y - Y0) * FLOOR_DENSITY * 16)

    line: Colour = (245, 243, 236) if rng.random() < 0.8 else (30, 32, 40)
    stained = image.copy()
    painted_border = rng.random() < 0.35
    if painted_border:
        cv2.rectangle(stained, (0, 0), (width, height), accent, -1)
        court = [round(value / 16) for value in (*at(0, -COURT_HALF), *at(COURT_LENGTH, COURT_HALF))]
        stained[court[1] : court[3], court[0] : court[2]] = image[court[1] : court[3], court[0] : court[2]]
    key_colour: Colour | None = accent if rng.random() < 0.65 else None
    if key_colour is not None:
        for x in (0.0, COURT_LENGTH - 5.8):
            cv2.rectangle(stained, at(x, -2.45), at(x + 5.8, 2.45), key_colour, -1, cv2.LINE_8, 4)
        cv2.circle(stained, at(14, 0), round(1.8 * FLOOR_DENSITY * 16), key_colour, -1, cv2.LINE_AA, 4)
    image = cv2.addWeighted(image, 0.22, stained, 0.78, 0.0)

    def arc(x: float, radius: float, start: float, end: float, colour: Colour = line) -> None:
        turn = np.radians(np.linspace(start, end, 60))
        points = [at(x + radius * np.cos(t), radius * np.sin(t)) for t in turn]
        cv2.polylines(image, [np.array(points, np.int32)], False, colour, 3, cv2.LINE_AA, 4)

    def rule(x: float, y: float, x2: float, y2: float, colour: Colour = line) -> None:
        cv2.line(image, at(x, y), at(x2, y2), colour, 3, cv2.LINE_AA, 4)

    if rng.random() < 0.5:  # a hall is shared with badminton and volleyball
        other = STRONG[int(rng.integers(len(STRONG)))]
        for x in (3.0, 9.0, 14.0, 19.0, 25.0):
            rule(x, -4.5, x, 4.5, other)
        rule(3.0, -4.5, 25.0, -4.5, other)
        rule(3.0, 4.5, 25.0, 4.5, other)
    for y in (-COURT_HALF, COURT_HALF):
        rule(0, y, COURT_LENGTH, y)
    for x in (0.0, 14.0, COURT_LENGTH):
        rule(x, -COURT_HALF, x, COURT_HALF)
    arc(14.0, 1.8, 0, 360)
    for end, sign in ((0.0, 1.0), (COURT_LENGTH, -1.0)):
        for y in (-2.45, 2.45):
            rule(end, y, end + sign * 5.8, y)
        rule(end + sign * 5.8, -2.45, end + sign * 5.8, 2.45)
        flip = 0 if sign > 0 else 180
        arc(end + sign * 5.8, 1.8, flip - 90, flip + 90)
        arc(end + sign * 1.575, 1.25, flip - 90, flip + 90)
        # Three-point line: 6.75 m, straight 0.9 m from the sidelines (FIBA rules, article 2.4.4).
        angle = float(np.degrees(np.arcsin(6.6 / 6.75)))
        arc(end + sign * 1.575, 6.75, flip - angle, flip + angle)
        for y in (-6.6, 6.6):
            rule(end, y, end + sign * (1.575 + 6.75 * float(np.cos(np.radians(angle)))), y)
    return image


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


_WOODS: tuple[Colour, ...] = ((205, 160, 108), (216, 174, 122), (190, 138, 88), (222, 186, 140), (176, 122, 76))
_WALLS: tuple[Colour, ...] = (
    (214, 206, 190), (196, 204, 208), (222, 216, 198), (176, 184, 190), (204, 190, 170), (160, 172, 168),
    (226, 226, 222),
)  # fmt: skip


@dataclass(frozen=True)
class Gym:
    """A hall's surfaces; planes in the order floor, ceiling, then four walls.

    Attributes:
        planes: the textured planes.
        wood: mean colour of the floor, RGB 0–255.
        accent: the hall's colour, RGB 0–255.
    """

    planes: tuple[Plane, ...]
    wood: Colour
    accent: Colour


def build_gym(rng: np.random.Generator, glow: float) -> Gym:
    """Return a hall.

    Args:
        rng: the game's generator.
        glow: brightness of the windows, 1 is white.
    """
    wood = _WOODS[int(rng.integers(len(_WOODS)))]
    accent = STRONG[int(rng.integers(len(STRONG)))]
    base = _WALLS[int(rng.integers(len(_WALLS)))]
    across, along, up = np.eye(3)[1], np.eye(3)[0], np.eye(3)[2]

    def corner(x: float, y: float, z: float) -> Array:
        return np.array([x, y, z])

    bricks, windows = bool(rng.random() < 0.4), bool(rng.random() < 0.75)
    planes = [
        Plane(corner(X0, Y0, 0), along, across, FLOOR_DENSITY, floor_texture(rng, wood, accent)),
        Plane(corner(X0, Y0, HEIGHT), along, across, CEILING_DENSITY, ceiling_texture(rng)),
    ]
    for origin, right, long_side in (
        (corner(X0, Y0, HEIGHT), across, False),
        (corner(X1, Y1, HEIGHT), -across, False),
        (corner(X0, Y1, HEIGHT), along, True),
        (corner(X1, Y0, HEIGHT), -along, True),
    ):
        kind = {
            "bricks": bricks,
            "windows": windows and (long_side or bool(rng.random() < 0.3)),
            "stand": bool(rng.random() < (0.7 if long_side else 0.3)),
            "pads": not long_side,
            "banner": bool(rng.random() < 0.7),
            "door": bool(rng.random() < 0.5),
        }
        metres = X1 - X0 if long_side else Y1 - Y0
        planes.append(Plane(origin, right, -up, WALL_DENSITY, wall_texture(rng, metres, base, accent, kind, glow)))
    return Gym(tuple(planes), wood, accent)
