"""The parts of photos that a frozen network is shown, and how large."""

from __future__ import annotations

import cv2
import numpy as np

#: Side of the photos for near-duplicates, in pixels. At 96 some crops were no longer among their originals'
#: neighbours; 160 found no more than 128 and took half as long again.
SHORT_SIDE = 128
#: Length of the features for near-duplicates.
SHORT = 1280
#: Side of the photos for the judgement of labels: a ball in the distance is a few pixels wide.
LONG_SIDE = 320
#: Parts of a photo that a label is judged by, as shares of its sides: top, bottom, left, right. The second is nearer to
#: where the play mostly is. Measured on the demo court over 16 draws, before the second pass of `labels`: of the 30
#: most doubtful labels 0.78 are wrong with both, 0.76 with the whole photo alone.
_VIEWS = ((0.0, 1.0, 0.0, 1.0), (0.1, 0.9, 0.2, 0.8))
#: Number of them.
VIEWS = len(_VIEWS)


def views(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return the parts that a label is judged by: RGB uint8 `[H, W, 3]` → `[VIEWS, side, side, 3]`."""
    height, width = pixels.shape[:2]
    parts = []
    for top, bottom, left, right in _VIEWS:
        rows = slice(int(top * height), max(int(bottom * height), int(top * height) + 1))
        columns = slice(int(left * width), max(int(right * width), int(left * width) + 1))
        parts.append(squashed(np.ascontiguousarray(pixels[rows, columns]), side))
    return np.stack(parts)


def squashed(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return a photo as `FrozenFeatures` take it: RGB uint8 `[H, W, 3]` → `[side, side, 3]`, by area averaging."""
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA))
