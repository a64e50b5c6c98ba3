"""Whether two pictures are the same one: laid over each other, cropped, mirrored or scaled as they may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

#: Long side of the first, rough comparison, in pixels.
_ROUGH_SIDE = 48
#: Middle part of a picture that is searched in the other one: after a crop of either it is still in both.
_MARGIN = 0.2
#: Scales of the search, as powers of e: crops to 70 % of either side, in steps of 6 %.
_SCALES = np.exp(0.06 * np.arange(-6, 7))
#: Correlation from which a rough match is looked at closely. Measured on the demo court: copies 0.89 and more, 99 % of
#: the most alike photos of one game 0.86 and less, half of them 0.6.
_ROUGH = 0.8
#: Side of the squares that are compared, in pixels of the fine picture, and what varies less in them is noise.
_SQUARE = 16
_CONTRAST = 4.0
#: Squares that have to be there for a verdict.
_FEWEST_SQUARES = 6
#: The tenth of the squares that agree worst must still correlate so well. Copies have 0.89 and more, other photos
#: of the same game 0.3 and less: their background may agree, but never the players.
_AGREEMENT = 0.6
#: No mask. Any: the type stubs of some releases of OpenCV do not know that there need not be one.
_EVERYWHERE: Any = None
#: Share of the smaller picture that must lie within the other.
_INSIDE = 0.6


class _Match(NamedTuple):
    """A rough match: mirrored or not, and the map from pixels of one to pixels of the other, both `_ROUGH_SIDE`."""

    correlation: float
    mirrored: bool
    warp: np.ndarray


@dataclass(frozen=True)
class Overlay:
    """How two pictures that are the same lie over each other.

    Attributes:
        agreement: correlation of the worst tenth of their squares, up to 1.
        overlap: share of the larger picture that both show, 0–1.
        mirrored: whether one is the mirror image of the other.
    """

    agreement: float
    overlap: float
    mirrored: bool


class Picture:
    """A picture made ready to be compared.

    Args:
        grey: uint8 `[h, w]`, 0–255.
    """

    def __init__(self, grey: np.ndarray) -> None:
        self.fine = grey.astype(np.float32)
        height, width = grey.shape
        scale = min(1.0, _ROUGH_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        self.rough = np.asarray(cv2.resize(self.fine, size, interpolation=cv2.INTER_AREA))


def overlay(one: Picture, other: Picture) -> Overlay | None:
    """Lay one picture over another; None unless they show the same throughout.

    A rough search by normalised correlation over position, scale and mirror image gives a start, which is refined to
    an affine map (Evangelidis and Psarakis, Parametric image alignment using enhanced correlation coefficient
    maximization, PAMI 30, 2008). What decides is then the correlation of small squares: brightness and contrast do not
    matter, a player who stands elsewhere does.
    """
    match = max(_rough_matches(one, other), key=lambda match: match.correlation, default=None)
    if match is None or match.correlation < _ROUGH:
        return None
    moving = np.ascontiguousarray(other.fine[:, ::-1]) if match.mirrored else other.fine
    warp = _to_fine(match.warp, one, other)
    try:
        # 3: smoothed by a Gaussian of 3 pixels, so that the start need not be exact.
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
        _, warp = cv2.findTransformECC(one.fine, moving, warp, cv2.MOTION_AFFINE, criteria, _EVERYWHERE, 3)
    except cv2.error:
        return None  # it did not converge: the start was no match
    return _compared(one.fine, moving, warp, match.mirrored)


def _rough_matches(one: Picture, other: Picture) -> Iterator[_Match]:
    field = one.rough
    for mirrored in (False, True):
        moving = np.ascontiguousarray(other.rough[:, ::-1]) if mirrored else other.rough
        height, width = moving.shape
        top, left = int(_MARGIN * height), int(_MARGIN * width)
        middle = moving[top : height - top, left : width - left]
        for scale in _SCALES:
            size = round(middle.shape[1] * scale), round(middle.shape[0] * scale)
            if not (8 <= size[0] <= field.shape[1] and 8 <= size[1] <= field.shape[0]):
                continue
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            surface = cv2.matchTemplate(field, cv2.resize(middle, size, interpolation=way), cv2.TM_CCOEFF_NORMED)
            _, correlation, _, (x, y) = cv2.minMaxLoc(surface)
            across, down = middle.shape[1] / size[0], middle.shape[0] / size[1]
            warp = np.array([[across, 0, left - x * across], [0, down, top - y * down]], np.float32)
            yield _Match(correlation, mirrored, warp)


def _to_fine(warp: np.ndarray, one: Picture, other: Picture) -> np.ndarray:
    """Return a map between rough pictures as one between fine ones, float32 `[2, 3]`."""
    from_one = one.rough.shape[1] / one.fine.shape[1], one.rough.shape[0] / one.fine.shape[0]
    to_other = other.fine.shape[1] / other.rough.shape[1], other.fine.shape[0] / other.rough.shape[0]
    fine = warp * np.array(to_other, np.float32)[:, None]
    fine[:, :2] *= from_one
    return np.ascontiguousarray(fine, np.float32)


def _compared(one: np.ndarray, moving: np.ndarray, warp: np.ndarray, mirrored: bool) -> Overlay | None:
    height, width = one.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(moving, warp, (width, height), flags=flags)
    inside = cv2.warpAffine(np.ones_like(moving), warp, (width, height), flags=flags) > 0.999
    stretch = abs(float(np.linalg.det(warp[:, :2].astype(np.float64))))
    if stretch < 1e-3:
        return None
    areas = one.size, moving.size / stretch  # both in pixels of `one`
    shared = float(inside.sum())
    if shared / min(areas) < _INSIDE:
        return None
    agreement = _agreement(cv2.GaussianBlur(one, (0, 0), 1), cv2.GaussianBlur(laid, (0, 0), 1), inside)
    if agreement is None or agreement < _AGREEMENT:
        return None
    return Overlay(agreement, min(1.0, shared / max(areas)), mirrored)


def _agreement(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> float | None:
    """Return the correlation that nine tenths of the squares exceed; None if too few of them show anything."""
    correlations = []
    for top in range(0, one.shape[0] - _SQUARE + 1, _SQUARE // 2):
        for left in range(0, one.shape[1] - _SQUARE + 1, _SQUARE // 2):
            square = slice(top, top + _SQUARE), slice(left, left + _SQUARE)
            if not inside[square].all():
                continue
            first, second = one[square] - one[square].mean(), other[square] - other[square].mean()
            varies = float(np.sqrt(np.mean(first**2))), float(np.sqrt(np.mean(second**2)))
            # Smooth in one and full of things in the other is a difference; smooth in both says nothing.
            if max(varies) >= 2 * _CONTRAST or min(varies) >= _CONTRAST:
                correlations.append(float(np.mean(first * second)) / max(varies[0] * varies[1], 1e-6))
    if len(correlations) < _FEWEST_SQUARES:
        return None
    return float(np.quantile(correlations, 0.1))
