"""Post-processing as on web pages: overlays, borders, black and white, downscaling, JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from bball_pl.court.backdrops import WORDS
from bball_pl.court.camera import Image
from bball_pl.court.palette import Colour

#: JPEG qualities of photos that were saved more than once.
QUALITIES = (45, 96)


def finish(rng: np.random.Generator, photo: Image, colour: Colour) -> Image:
    """Apply random post-processing to a photo, RGB uint8 `[H, W, 3]`, 0–255.

    Args:
        rng: the photo's generator.
        photo: The developed photo; may be changed in place.
        colour: Colour of overlays, RGB 0–255.
    """
    if rng.random() < 0.06:
        photo = _toned(rng, photo)
    if rng.random() < 0.06:
        _score(rng, photo, colour)
    if rng.random() < 0.06:
        _mark(rng, photo)
    if rng.random() < 0.04:
        photo = _framed(rng, photo)
    if rng.random() < 0.14:
        photo = _small_copy(rng, photo)
    return photo


def _toned(rng: np.random.Generator, photo: Image) -> Image:
    """Return the photo in black and white, or in one tone."""
    grey = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.7:
        return grey
    tone = np.array([255, rng.uniform(200, 250), rng.uniform(140, 235)]) / 255
    image: Image = (grey * tone).astype(np.uint8)
    return image


def _score(rng: np.random.Generator, photo: Image, colour: Colour) -> None:
    """Draw a broadcast score bug, in place."""
    height, width = photo.shape[:2]
    tall = int(rng.integers(12, 26))
    wide = int(rng.integers(width // 4, width))
    left = int(rng.integers(0, max(1, width - wide)))
    top = height - tall - int(rng.integers(2, 24)) if rng.random() < 0.7 else int(rng.integers(2, 20))
    cover = float(rng.uniform(0.6, 1.0))
    view = photo[top : top + tall, left : left + wide]
    plate = np.empty_like(view)
    plate[:] = (22, 24, 34)
    half = wide // 2
    plate[:, : half // 3] = colour
    home, away = (int(rng.integers(20, 120)) for _ in range(2))
    quarter, minute, second = int(rng.integers(1, 5)), int(rng.integers(1, 9)), int(rng.integers(10, 60))
    words = f"{home} - {away}  Q{quarter} 0{minute}:{second}"
    at = (half // 3 + 6, round(tall * 0.75))
    cv2.putText(plate, words, at, cv2.FONT_HERSHEY_DUPLEX, tall / 34, (240, 240, 240), 1, cv2.LINE_AA)
    photo[top : top + tall, left : left + wide] = cv2.addWeighted(view, 1 - cover, plate, cover, 0.0)


def _mark(rng: np.random.Generator, photo: Image) -> None:
    """Draw an agency watermark or a badge, in place."""
    height, width = photo.shape[:2]
    words = WORDS[int(rng.integers(len(WORDS)))]
    if rng.random() < 0.5:
        layer = photo.copy()
        scale = float(rng.uniform(0.5, 1.4))
        for _ in range(int(rng.integers(1, 5))):
            at = (int(rng.integers(0, width // 2)), int(rng.integers(20, height)))
            cv2.putText(layer, words, at, cv2.FONT_HERSHEY_DUPLEX, scale, (255, 255, 255), 2, cv2.LINE_AA)
        cover = float(rng.uniform(0.2, 0.6))
        photo[:] = cv2.addWeighted(photo, 1 - cover, layer, cover, 0.0)
        return
    tall, wide = 16, 78
    top, left = height - tall - int(rng.integers(4, 14)), width - wide - int(rng.integers(4, 14))
    cv2.rectangle(photo, (left, top), (left + wide, top + tall), (210, 60, 50), -1)
    cv2.putText(photo, words[:9], (left + 4, top + 12), cv2.FONT_HERSHEY_DUPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)


def _framed(rng: np.random.Generator, photo: Image) -> Image:
    """Return the photo shrunk into a border of its old size."""
    height, width = photo.shape[:2]
    tone = 255 if rng.random() < 0.5 else 0
    across, down = (int(rng.integers(2, 16)) for _ in range(2))
    framed = np.full_like(photo, tone)
    inner = cv2.resize(photo, (width - 2 * across, height - 2 * down), interpolation=cv2.INTER_AREA)
    framed[down : height - down, across : width - across] = inner
    return framed


def _small_copy(rng: np.random.Generator, photo: Image) -> Image:
    """Return the photo downscaled and enlarged again."""
    height, width = photo.shape[:2]
    factor = float(rng.uniform(0.3, 0.75))
    tiny = cv2.resize(photo, (round(width * factor), round(height * factor)), interpolation=cv2.INTER_AREA)
    image: Image = cv2.resize(tiny, (width, height), interpolation=cv2.INTER_CUBIC)
    return image


def encode_for_web(rng: np.random.Generator, photo: Image) -> bytes:
    """Return a photo RGB uint8 `[H, W, 3]` as the bytes of a JPEG file with a quality from `QUALITIES`."""
    quality = int(rng.integers(*QUALITIES))
    _, data = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)
