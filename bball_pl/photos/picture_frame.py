"""The frame around a picture: borders, and the bars that a screen shows beside a photo, or above and below it."""

from __future__ import annotations

import numpy as np

#: Levels by which a pixel of a frame may differ from the frame's colour: JPEG rings near an edge.
_TOLERANCE = 6
#: Share of a line's pixels that have the frame's colour; the clock of a phone stands in some lines.
_PIXELS = 0.8
#: Longest run of other lines within a frame, as a share of the side: a line of text, or a row of buttons.
_TEXT = 0.06
#: Fewest pixels of a side: no frame can be told from the picture in a few lines.
_FEWEST = 16
#: Least share of a side that is left: what has more frame than that is a drawing or a dark photo.
_LEAST = 0.15


def inner_box(grey: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns of a picture within its frame; all of them without a frame.

    A frame has one colour on two opposite sides: a dark ceiling above a court is none.

    Args:
        grey: Grey values, uint8 `[h, w]`, 0–255.
    """
    if min(grey.shape) < _FEWEST:
        return slice(0, grey.shape[0]), slice(0, grey.shape[1])
    rows = _inner(grey)
    return rows, _inner(grey[rows].T)


def _inner(grey: np.ndarray) -> slice:
    count = len(grey)
    first, last = (int(np.median(grey[row])) for row in (0, -1))
    if abs(first - last) > _TOLERANCE:
        return slice(0, count)
    near = np.abs(grey.astype(np.int16) - first) <= _TOLERANCE
    uniform = near.mean(1) >= _PIXELS
    before, behind = _thickness(uniform), _thickness(uniform[::-1])
    framed = before and behind and count - before - behind >= max(1, _LEAST * count)
    return slice(before, count - behind) if framed else slice(0, count)


def _thickness(uniform: np.ndarray) -> int:
    """Return the number of lines that belong to the frame at the beginning."""
    if not uniform[0]:
        return 0
    lines = np.flatnonzero(uniform)
    # A longer run of other lines than that of a text is the picture.
    gaps = np.flatnonzero(np.diff(lines) > _TEXT * len(uniform) + 1)
    return int(lines[gaps[0]] if len(gaps) else lines[-1]) + 1
