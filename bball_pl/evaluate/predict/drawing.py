"""Drawing an answer: a bar with what was said, how sure it is, and the most probable classes."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bball_pl.classes import MOVES
from bball_pl.evaluate.predict.judge import UNSURE, Answer
from bball_pl.evaluate.predict.timeline import clock

_PAPER, _INK, _DIM = (18, 20, 24), (236, 234, 228), (150, 152, 156)
_BALL, _TRACK = (238, 122, 40), (52, 56, 64)

#: The bar is laid out for a picture of 640 px and drawn larger or smaller in proportion.
_WIDTH, _HEIGHT = 640, 88
_ROWS = 3

#: Wider pictures are shrunk and narrower ones enlarged before the bar is added: both only to be looked at.
_LARGEST, _SMALLEST = 1920, 320

#: How much of the bar covers the frame below it; some of the play stays visible.
_OPACITY = 0.82


def with_bar(photo: np.ndarray, answer: Answer) -> np.ndarray:
    """Return a photo with its answer in a bar below it, which hides nothing.

    Args:
        photo: RGB uint8 `[H, W, 3]`, 0–255.
        answer: to it.

    Returns:
        RGB uint8, 320 to 1920 px wide; the photo is 1920 px high at most and keeps its proportions.
    """
    height, width = photo.shape[:2]
    scale = min(_LARGEST / max(height, width), max(1.0, _SMALLEST / width))
    if scale != 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    if photo.shape[1] < _SMALLEST:
        # A very narrow picture has been shrunk to its height: the bar still needs its width.
        missing = _SMALLEST - photo.shape[1]
        photo = cv2.copyMakeBorder(photo, 0, 0, missing // 2, missing - missing // 2, cv2.BORDER_CONSTANT, value=_PAPER)
    width = photo.shape[1]
    return np.concatenate([photo, answer_bar(width, answer, max(0.75, width / _WIDTH))])


def lay_over(frame: np.ndarray, bar: np.ndarray) -> None:
    """Draw a bar over the lower edge of a frame, in place; both uint8 `[H, W, 3]`, of the same width."""
    part = frame[-len(bar) :]
    cv2.addWeighted(bar, _OPACITY, part, 1 - _OPACITY, 0, dst=part)


def frame_bar(height: int, width: int, answer: Answer, seconds: float) -> np.ndarray:
    """Return the bar for a frame of a size in pixels: RGB uint8 `[h, width, 3]`, h a fifth of the height at most."""
    unit = min(width / _WIDTH, height / (5 * _HEIGHT))
    return answer_bar(width, answer, unit, clock(seconds))


def answer_bar(width: int, answer: Answer, unit: float, corner: str = "") -> np.ndarray:
    """Draw a bar.

    Args:
        width: in pixels.
        answer: what it shows.
        unit: size of everything in it; 1 is made for a width of 640 px.
        corner: a short text at its right end, such as the time.

    Returns:
        RGB uint8 `[88 * unit, width, 3]`, 0–255.
    """
    height = max(1, round(_HEIGHT * unit))
    image = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(image)
    names = list(answer.probabilities)
    unsure = answer.text == UNSURE
    said = UNSURE if unsure else _latin(answer.text, names)
    note = f"most likely {_latin(answer.predicted, names)}" if unsure else f"{answer.confidence:.0%} confident"
    left, middle, right = 16 * unit, 0.44 * width, width - 16 * unit
    if corner:
        room = 64 * unit
        _fitted(pen, (right, 12 * unit), corner, 15 * unit, room, _DIM, "ra")
        right -= room + 12 * unit
    _fitted(pen, (left, 8 * unit), said, 38 * unit, middle - left - 8 * unit, _DIM if unsure else _INK, "la")
    _fitted(pen, (left, 58 * unit), note, 17 * unit, middle - left - 8 * unit, _DIM, "la")
    track, end = middle + 92 * unit, right - 48 * unit
    for row, (name, share) in enumerate(answer.ranking[:_ROWS]):
        top = (10 + 24 * row) * unit
        sure = row == 0 and not unsure
        colour = _INK if row == 0 else _DIM
        _fitted(pen, (middle, top), _latin(name, names), 16 * unit, track - middle - 8 * unit, colour, "la")
        low, high = top + 4 * unit, top + 16 * unit
        pen.rectangle((track, low, end, high), fill=_TRACK)
        if (end - track) * share >= 1:
            pen.rectangle((track, low, track + (end - track) * share, high), fill=_BALL if sure else _DIM)
        _fitted(pen, (right, top), f"{share:.0%}", 16 * unit, 46 * unit, colour, "ra")
    return np.array(image)


def _fitted(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: float,
    room: float,
    colour: tuple[int, int, int],
    anchor: str,
) -> None:
    """Write a text, smaller than `size` if it would be wider than `room`."""
    width = pen.textlength(text, font=_font(size))
    font = _font(size * min(1.0, room / width)) if width > 0 else _font(size)
    pen.text(place, text, fill=colour, font=font, anchor=anchor)


@lru_cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(1.0, size))


def _latin(name: str, names: list[str]) -> str:
    """Return a class name in letters that Pillow's own font has: it would draw a box for every other one."""
    english = {move.chinese: move.name for move in MOVES}.get(name, name)
    # The font has Latin letters with their accents, which is the range below U+0180.
    return english if all(letter < "\u0180" for letter in english) else f"class {names.index(name) + 1}"
