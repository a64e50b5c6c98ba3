"""What an audit knows about one photo, and how it is found out from the file's bytes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from bball_pl.curate.quality import Quality, measure_quality, shrunk_grey
from bball_pl.curate.views import SHORT_SIDE, squashed
from bball_pl.decode import decode
from bball_pl.dhash import dhash
from bball_pl.errors import PhotoError

#: Long side of the grey picture that near-duplicates are laid over each other with, in pixels.
GREY_SIDE = 160
_GREY_QUALITY = 92


@dataclass(frozen=True)
class Facts:
    """What is known of the bytes of one file.

    Attributes:
        problem: why it cannot be used; empty if it can, and then everything else is there.
        quality: size, sharpness and light; None if it cannot be used.
        dhash: difference hash of the photo.
        mirrored: difference hash of its mirror image.
        grey: the photo as a JPEG of grey values with a long side of `GREY_SIDE`, by which pairs are compared.
        short: features for near-duplicates, float16 `[SHORT]`.
    """

    problem: str
    quality: Quality | None = None
    dhash: int = 0
    mirrored: int = 0
    grey: bytes = b""
    short: np.ndarray | None = None


def examine(content: bytes) -> tuple[Facts, np.ndarray | None]:
    """Look at the bytes of a file.

    Returns:
        The facts, without `short`, and what `FrozenFeatures` take: RGB uint8 `[SHORT_SIDE, SHORT_SIDE, 3]`; None if
        the file is no photo that can be used.
    """
    try:
        pixels = decode(content)
    except PhotoError as error:
        return Facts(str(error)), None
    # Big photos cost most in what follows; no measure needs more than this.
    grey = shrunk_grey(pixels, GREY_SIDE)
    _, encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, _GREY_QUALITY])
    mirror = np.ascontiguousarray(cv2.cvtColor(grey[:, ::-1], cv2.COLOR_GRAY2RGB))
    facts = Facts("", measure_quality(pixels), dhash(pixels), dhash(mirror), bytes(encoded))
    return facts, squashed(pixels, SHORT_SIDE)
