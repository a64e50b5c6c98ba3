"""The pictures that come back with an answer: the photo, what the network saw of it, and where it looked."""

from __future__ import annotations

import base64

import cv2
import matplotlib as mpl
import numpy as np

#: Long side of the photo in the page, in pixels: sharp in a column of half a screen.
_PREVIEW = 960
_QUALITY = 82
#: Inferno, as in the report: its lightness rises evenly, so that it reads the same in grey.
_COLOURS = mpl.colormaps["inferno"]


def preview(photo: np.ndarray) -> str:
    """Return a photo as a JPEG in a data URI: RGB uint8 `[H, W, 3]`, 0–255, made smaller if it is large."""
    height, width = photo.shape[:2]
    scale = _PREVIEW / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    return _uri("jpeg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])


def network_input(square: np.ndarray) -> str:
    """Return what the network saw, pixel by pixel, as a PNG in a data URI: RGB uint8 `[S, S, 3]`, 0–255."""
    return _uri("png", square[..., ::-1], [])


def heat_overlay(heat: np.ndarray) -> str:
    """Return a heat map as a PNG in a data URI, to be laid over the photo: as transparent as it is cold.

    Args:
        heat: float32 `[h, w]`, 0–1, in the photo's proportions; the browser makes it larger, smoothly.
    """
    values = np.nan_to_num(heat).clip(0, 1)
    colours = _COLOURS(values)
    # The photo must be seen below the hottest spot; the page's slider makes it fainter or stronger.
    colours[..., 3] = values
    pixels = np.rint(255 * colours[..., [2, 1, 0, 3]]).astype(np.uint8)
    return _uri("png", pixels, [])


def _uri(form: str, pixels: np.ndarray, options: list[int]) -> str:
    good, encoded = cv2.imencode(f".{form}", np.ascontiguousarray(pixels), options)
    if not good:
        raise ValueError(f"a picture of {pixels.shape} cannot be written as {form}")
    return f"data:image/{form};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
