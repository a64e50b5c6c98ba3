"""Photos and heat maps small enough to lie inside a page, as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from PIL import Image

from bball_pl.decode import decode
from bball_pl.errors import PhotoError

#: Long side of a photo in the gallery, and in the list of doubtful labels, in pixels.
LARGE, SMALL = 320, 120
#: A picture may take so many bytes: 66 of them and their heat maps are 4.6 MB of the page's 6.
_BYTES = 48_000
_QUALITIES = (76, 60, 45, 30, 15)
#: A heat map has some 7 x 7 values; the browser makes more of these pixels smoothly.
_HEAT = 64
#: Inferno: its lightness rises evenly, so that it reads the same in grey and without red or green.
_COLOURS = mpl.colormaps["inferno"]
#: The photo must be seen below the hottest spot.
_OPACITY = 0.65


@dataclass(frozen=True)
class Thumbnail:
    """A photo in a page.

    Attributes:
        photo: data URI; empty if the photo cannot be shown.
        heat: data URI of a transparent picture to lay over it; empty if there is none.
        width: of the photo in the page, in pixels.
        height: likewise.
        problem: why it cannot be shown; empty if it can.
    """

    photo: str
    heat: str
    width: int
    height: int
    problem: str = ""


def read_photo(path: Path) -> np.ndarray | str:
    """Read a photo and make it as small as the gallery needs it.

    Returns:
        RGB uint8 `[h, w, 3]`, 0–255, at most `LARGE` on the long side; or why it cannot be read.
    """
    try:
        return _shrunk(decode(path), LARGE)
    except PhotoError as error:
        return str(error)


def thumbnail(photo: np.ndarray | str, heat: np.ndarray | None, side: int) -> Thumbnail:
    """Put a photo into a page; one that cannot be read becomes a placeholder that says so.

    Args:
        photo: from `read_photo`.
        heat: float `[h, w]`, 0–1, in the photo's proportions; None if there is none.
        side: longest side of the result, in pixels.
    """
    if isinstance(photo, str):
        return Thumbnail("", "", side, round(side * 2 / 3), photo)
    small = _shrunk(photo, side)
    height, width = small.shape[:2]
    overlay = "" if heat is None else _overlay(heat, width, height)
    return Thumbnail(_photo(Image.fromarray(small)), overlay, width, height)


def _shrunk(pixels: np.ndarray, side: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _photo(image: Image.Image) -> str:
    content = b""
    for quality in _QUALITIES:
        content = _webp(image, quality)
        if len(content) <= _BYTES:
            break
    return _data_uri(content)


def _overlay(heat: np.ndarray, width: int, height: int) -> str:
    scale = _HEAT / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    values = np.nan_to_num(heat.astype(np.float32)).clip(0, 1)
    values = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
    colours = _COLOURS(values)
    # As transparent as it is cold: what did not speak for the answer stays as it was taken.
    colours[..., 3] = _OPACITY * values
    return _data_uri(_webp(Image.fromarray(np.rint(255 * colours).astype(np.uint8), "RGBA"), 70))


def _webp(image: Image.Image, quality: int) -> bytes:
    content = io.BytesIO()
    # Method 2: as small as the default here and three times as fast.
    image.save(content, "WEBP", quality=quality, method=2)
    return content.getvalue()


def _data_uri(content: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(content).decode("ascii")
