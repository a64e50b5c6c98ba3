"""Tiny painted photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

#: A colour per class: even a tiny net can tell the classes apart.
COLOURS = {"shoot": (200, 60, 40), "dribble": (40, 180, 60), "layup": (50, 70, 210)}


def paint_photo(
    path: Path, colour: tuple[int, int, int] = (128, 128, 128), seed: int = 0, size: tuple[int, int] = (64, 48)
) -> Path:
    """Write a noisy photo of one colour; (width, height) in pixels. Equal arguments give equal bytes."""
    noise = np.random.default_rng(seed).integers(-40, 40, (size[1], size[0], 3))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path
