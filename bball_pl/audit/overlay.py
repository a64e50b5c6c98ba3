"""Overlay of two pictures: a start of the registration, its refinement, and the agreement of small squares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np

from bball_pl.photos.picture_frame import inner_box

#: Short side of the rough comparison in pixels: a centre square then has the scale of the photo that it was cut from.
_ROUGH_SIDE = 32
#: Most pixels of the long side of the rough comparison: a panorama must not take longer than other pictures.
_ROUGH_LONGEST = 72
#: Side of the squares that whole frames are compared by, in pixels.
_FRAME_SIDE = 32
#: Margin around the middle part of a picture that is searched in the other one: a crop of either still shows it.
_MARGIN = 0.2
#: Scales of the search, as powers of e: crops to 70 % of either side, in steps of 6 %.
_SCALES = np.exp(0.06 * np.arange(-6, 7))
#: Fewest pixels of a side of the part that is searched: less says nothing.
_LEAST_MIDDLE = 8
#: Correlation from which a rough match is looked at closely. Measured on the demo court: copies 0.89 and more, 99 % of
#: the most alike photos of one game 0.86 and less, half of them 0.6.
_ROUGH = 0.8
#: Side of the compared squares, in pixels of the fine picture, and the deviation below which a square is noise.
_SQUARE = 16
_CONTRAST = 4.0
#: Fewest squares for a verdict.
_FEWEST_SQUARES = 6
#: Least correlation of the worst tenth of the squares. Copies have 0.89 and more, other photos
#: of the same game 0.3 and less: their background may agree, but never the players.
_AGREEMENT = 0.6
_WORST = 0.1
#: The same where the hashes agree: a badge or a line of text covers squares and leaves the hash as it is. Measured on
#: 232 real photos: 230 copies with a watermark and a badge have 0.74 and more, two different balls before white 0.65.
_AGREEMENT_OF_ALIKE = 0.72
_WORST_OF_ALIKE = 0.3
#: No mask. Typed Any: the stubs of some OpenCV releases demand one.
_EVERYWHERE: Any = None
#: Share of the smaller picture that must lie within the other.
_INSIDE = 0.6


class _Start(NamedTuple):
    """A start of the registration.

    Attributes:
        correlation: Correlation of the pictures as they lie over each other, up to 1.
        mirrored: Whether `other` is mirrored first.
        warp: Map from pixels of `one` to pixels of `other`, float32 `[2, 3]`, both in the fine size.
    """

    correlation: float
    mirrored: bool
    warp: np.ndarray


class _Middle(NamedTuple):
    """The middle part of a rough picture at one scale of the search.

    Attributes:
        pixels: float32 `[h, w]`.
        mirrored: whether the picture was mirrored first.
        left: pixels of the rough picture, or of its mirror image, to the left of it.
        top: pixels above it.
        across: pixels of the rough picture for one of `pixels`, along a row.
        down: the same along a column.
    """

    pixels: np.ndarray
    mirrored: bool
    left: int
    top: int
    across: float
    down: float


@dataclass(frozen=True)
class Overlay:
    """Alignment of two copies of one picture.

    Attributes:
        agreement: Correlation of the worst tenth of their squares, up to 1.
        overlap: Share of the larger picture that both show, 0–1.
        mirrored: Whether one is the mirror image of the other.
    """

    agreement: float
    overlap: float
    mirrored: bool


class Picture:
    """A picture at the sizes of the comparison.

    Args:
        grey: uint8 `[h, w]`, 0–255.

    Attributes:
        fine: The picture, float32 `[h, w]`.
        rough: The same, small.
        frame: The same, squashed into a square, of mean 0 and deviation 1.
        within: The part within its frame, such as the photo in a screenshot; None without a frame.
    """

    def __init__(self, grey: np.ndarray) -> None:
        self.fine = grey.astype(np.float32)
        height, width = grey.shape
        scale = min(1.0, _ROUGH_SIDE / min(height, width), _ROUGH_LONGEST / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        self.rough = np.asarray(cv2.resize(self.fine, size, interpolation=cv2.INTER_AREA))
        self.frame = _standardised(cv2.resize(self.fine, (_FRAME_SIDE, _FRAME_SIDE), interpolation=cv2.INTER_AREA))
        rows, columns = inner_box(grey)
        framed = (rows.start, columns.start, rows.stop, columns.stop) != (0, 0, height, width)
        self.within = Picture(grey[rows, columns]) if framed else None

    @cached_property
    def middles(self) -> list[_Middle]:
        """The middle part and its mirror image at all scales of the search; made once, for all other pictures."""
        found = []
        for mirrored in (False, True):
            moving = np.ascontiguousarray(self.rough[:, ::-1]) if mirrored else self.rough
            height, width = moving.shape
            top, left = int(_MARGIN * height), int(_MARGIN * width)
            middle = moving[top : height - top, left : width - left]
            for scale in _SCALES:
                size = round(middle.shape[1] * scale), round(middle.shape[0] * scale)
                if min(size) >= _LEAST_MIDDLE:
                    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
                    pixels = np.asarray(cv2.resize(middle, size, interpolation=way))
                    across, down = middle.shape[1] / size[0], middle.shape[0] / size[1]
                    found.append(_Middle(pixels, mirrored, left, top, across, down))
        return found


def overlay(one: Picture, other: Picture, alike: bool = False) -> Overlay | None:
    """Align two pictures; None unless they show the same throughout.

    Two starts are tried. The first lays the whole frame of one over the whole frame of the other, each axis with a
    scale of its own: a copy squashed into a square is found so, and most others in the shortest time. The second is the
    best of a rough search by normalised correlation over position, one scale for both axes, and mirror image. The start
    is refined to an affine map (Evangelidis and Psarakis, Parametric image alignment using enhanced correlation
    coefficient maximization, PAMI 30, 2008). The correlation of small squares then decides: brightness and contrast do
    not matter, a player who stands elsewhere does.

    Args:
        one: A picture; if it has a frame, the part within is tried first.
        other: The other one.
        alike: Whether their difference hashes agree; then a larger part may differ.
    """
    found = None
    if one.within is not None or other.within is not None:
        found = overlay(one.within or one, other.within or other, alike)
    for start_of in (_frame_start, _rough_start):
        if found is None:
            start = start_of(one, other)
            if start is not None and start.correlation >= _ROUGH:
                found = _refined(one, other, start, alike)
    return found


def _frame_start(one: Picture, other: Picture) -> _Start:
    """Return the start that lays frame over frame, of the picture or of its mirror image."""
    (height, width), (to_height, to_width) = one.fine.shape, other.fine.shape
    across, down = to_width / width, to_height / height
    # The first pixel's centre lies half a pixel from the edge.
    warp = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]], np.float32)
    plain, mirrored = (float(np.mean(one.frame * frame)) for frame in (other.frame, other.frame[:, ::-1]))
    return _Start(max(plain, mirrored), mirrored > plain, warp)


def _rough_start(one: Picture, other: Picture) -> _Start | None:
    """Return the best start of the rough search; None if the middle of `other` fits into `one` at no scale."""
    height, width = one.rough.shape
    best: tuple[float, _Middle, tuple[int, int]] | None = None
    for middle in other.middles:
        if middle.pixels.shape[0] <= height and middle.pixels.shape[1] <= width:
            surface = cv2.matchTemplate(one.rough, middle.pixels, cv2.TM_CCOEFF_NORMED)
            _, correlation, _, place = cv2.minMaxLoc(surface)
            if best is None or correlation > best[0]:
                best = correlation, middle, (place[0], place[1])
    if best is None:
        return None
    correlation, middle, (x, y) = best
    across, down = middle.across, middle.down
    warp = np.array([[across, 0, middle.left - x * across], [0, down, middle.top - y * down]], np.float32)
    return _Start(correlation, middle.mirrored, _to_fine(warp, one, other))


def _to_fine(warp: np.ndarray, one: Picture, other: Picture) -> np.ndarray:
    """Return a map between rough pictures as one between fine ones, float32 `[2, 3]`."""
    from_one = one.rough.shape[1] / one.fine.shape[1], one.rough.shape[0] / one.fine.shape[0]
    to_other = other.fine.shape[1] / other.rough.shape[1], other.fine.shape[0] / other.rough.shape[0]
    fine = warp * np.array(to_other, np.float32)[:, None]
    fine[:, :2] *= from_one
    return np.ascontiguousarray(fine, np.float32)


def _standardised(values: np.ndarray) -> np.ndarray:
    """Return values of mean 0 and deviation 1; of a flat picture zeros."""
    values = values - values.mean()
    return np.asarray(values / max(float(values.std()), _CONTRAST))


def _refined(one: Picture, other: Picture, start: _Start, alike: bool) -> Overlay | None:
    moving = np.ascontiguousarray(other.fine[:, ::-1]) if start.mirrored else other.fine
    try:
        # 3: smoothed by a Gaussian of 3 pixels, so that the start need not be exact.
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
        warp = start.warp.copy()
        _, warp = cv2.findTransformECC(one.fine, moving, warp, cv2.MOTION_AFFINE, criteria, _EVERYWHERE, 3)
    except cv2.error:
        return None  # no convergence: the start was no match
    return _compared(one.fine, moving, warp, start.mirrored, alike)


def _compared(one: np.ndarray, moving: np.ndarray, warp: np.ndarray, mirrored: bool, alike: bool) -> Overlay | None:
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
    squares = _agreement(cv2.GaussianBlur(one, (0, 0), 1), cv2.GaussianBlur(laid, (0, 0), 1), inside)
    if len(squares) < _FEWEST_SQUARES:
        return None
    agreement, of_alike = (float(share) for share in np.quantile(squares, (_WORST, _WORST_OF_ALIKE)))
    if agreement < _AGREEMENT and not (alike and of_alike >= _AGREEMENT_OF_ALIKE):
        return None
    return Overlay(agreement, min(1.0, shared / max(areas)), mirrored)


def _agreement(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> list[float]:
    """Return the correlation of each square that shows anything, −1 to 1."""
    correlations = []
    for top in range(0, one.shape[0] - _SQUARE + 1, _SQUARE // 2):
        for left in range(0, one.shape[1] - _SQUARE + 1, _SQUARE // 2):
            square = slice(top, top + _SQUARE), slice(left, left + _SQUARE)
            if not inside[square].all():
                continue
            first, second = one[square] - one[square].mean(), other[square] - other[square].mean()
            varies = float(np.sqrt(np.mean(first**2))), float(np.sqrt(np.mean(second**2)))
            # Smooth in one and structured in the other is a difference; smooth in both says nothing.
            if max(varies) >= 2 * _CONTRAST or min(varies) >= _CONTRAST:
                correlations.append(float(np.mean(first * second)) / max(varies[0] * varies[1], 1e-6))
    return correlations
