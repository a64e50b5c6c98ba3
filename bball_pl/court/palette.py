"""Colours that halls, teams and people are made of, RGB 0–255."""

from __future__ import annotations

Colour = tuple[int, int, int]

#: Club colours: jerseys, banners, painted floors, wall pads.
STRONG: tuple[Colour, ...] = (
    (178, 32, 40), (24, 62, 140), (20, 96, 72), (230, 120, 30), (94, 40, 120), (30, 34, 44), (12, 120, 160),
    (235, 190, 40),
)  # fmt: skip


def between(a: Colour, b: Colour, share: float) -> Colour:
    """Return the colour that is `share` (0–1) of the way from `a` to `b`."""
    red, green, blue = (int(x + share * (y - x)) for x, y in zip(a, b, strict=True))
    return red, green, blue


def times(colour: Colour, factor: float) -> Colour:
    """Return a colour made darker or lighter by a factor, cut at 255."""
    red, green, blue = (min(255, int(channel * factor)) for channel in colour)
    return red, green, blue
