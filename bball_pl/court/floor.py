"""The floor: its planks and the lines of the court, as one texture."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bball_pl.court.camera import Image
from bball_pl.court.palette import STRONG, Colour

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
