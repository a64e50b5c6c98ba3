"""Small pictures for the page of an audit, of as many bytes as a page for 10,000 photos can bear."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from joblib import cpu_count
from PIL import Image

from bball_pl.decode import decode
from bball_pl.errors import PhotoError

#: Long side, in pixels: the players of a scene are told apart, the ball is seen.
SIDE = 288
#: A picture may take so many bytes.
_BYTES = 14_000
_QUALITIES = (72, 55, 40, 25, 10)


@dataclass(frozen=True)
class Thumb:
    """A picture in a page.

    Attributes:
        uri: data URI; empty if the photo cannot be shown.
        width: in pixels.
        height: likewise.
        problem: why it cannot be shown; empty if it can.
    """

    uri: str
    width: int
    height: int
    problem: str = ""


def make_thumbs(paths: Mapping[int, Path], rows: Collection[int]) -> dict[int, Thumb]:
    """Return the pictures of some rows.

    Args:
        paths: of the files, by row.
        rows: those that are shown.
    """
    wanted = sorted(rows)
    with ThreadPoolExecutor(cpu_count()) as pool:
        return dict(zip(wanted, pool.map(lambda row: _thumb(paths[row]), wanted), strict=True))


def _thumb(path: Path) -> Thumb:
    try:
        pixels = decode(path)
    except PhotoError as error:
        return Thumb("", SIDE, SIDE * 2 // 3, str(error))
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    image, content = Image.fromarray(np.asarray(small)), b""
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=2)
        content = buffer.getvalue()
        if len(content) <= _BYTES:
            break
    return Thumb("data:image/webp;base64," + base64.b64encode(content).decode("ascii"), *size)
