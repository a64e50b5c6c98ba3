"""Looks of a player: skin, hair, jersey, number; as colours of a body's quads and patches on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bball_pl.court.body import PART_ROW, PARTS, Detail, Mesh, surface
from bball_pl.court.camera import Array
from bball_pl.court.hall import Colour, between


@dataclass(frozen=True)
class Outfit:
    """A team's clothes, RGB 0–255.

    Attributes:
        jersey: vest.
        trim: side panels, neckline and hem.
        shorts: shorts.
        digits: number and name.
        sleeves: whether the jersey is a T-shirt.
        stripes: a referee's stripes.
    """

    jersey: Colour
    trim: Colour
    shorts: Colour
    digits: Colour
    sleeves: bool = False
    stripes: bool = False


@dataclass(frozen=True)
class Looks:
    """One person, colours RGB 0–255.

    Attributes:
        skin: skin.
        hair: hair.
        cut: "short", "bald", "long" or "band".
        beard: whether there is one.
        shoes: shoes.
        socks: socks.
        high_socks: how far up the shin the socks reach, 0–1.
        sleeve: colour of a compression sleeve on the ball arm, or None.
        number: 0–99.
        size: body height divided by 1.90 m.
        girth: thickness of the limbs divided by the usual one.
    """

    skin: Colour
    hair: Colour
    cut: str
    beard: bool
    shoes: Colour
    socks: Colour
    high_socks: float
    sleeve: Colour | None
    number: int
    size: float
    girth: float


_SKINS = (
    (241, 205, 178),
    (232, 190, 158),
    (224, 178, 142),
    (208, 158, 120),
    (186, 134, 98),
    (148, 102, 72),
    (105, 70, 50),
)
_HAIRS = ((22, 18, 18), (30, 24, 22), (48, 34, 26), (78, 54, 36), (20, 20, 26))
_SHOES = (
    (240, 240, 240),
    (28, 28, 32),
    (200, 40, 40),
    (40, 70, 170),
    (250, 200, 40),
    (90, 90, 96),
    (235, 110, 40),
    (60, 190, 150),
)


def sample_looks(rng: np.random.Generator) -> Looks:
    """Return a person."""
    skin = _SKINS[int(rng.choice(len(_SKINS), p=(0.16, 0.22, 0.22, 0.16, 0.1, 0.08, 0.06)))]
    sleeve = ((240, 240, 240), (25, 25, 28))[int(rng.integers(2))] if rng.random() < 0.15 else None
    return Looks(
        skin=skin,
        hair=_HAIRS[int(rng.integers(len(_HAIRS)))],
        cut=str(rng.choice(["short", "bald", "long", "band"], p=[0.7, 0.03, 0.12, 0.15])),
        beard=bool(rng.random() < 0.14),
        shoes=_SHOES[int(rng.integers(len(_SHOES)))],
        socks=((242, 242, 242), (30, 30, 34))[int(rng.random() < 0.35)],
        high_socks=float(rng.choice([0.16, 0.3, 0.5])),
        sleeve=sleeve,
        number=int(rng.integers(0, 100)),
        size=float(rng.normal(0.965, 0.035)),
        girth=float(np.clip(rng.normal(1.0, 0.075), 0.86, 1.25)),
    )


@lru_cache(maxsize=128)
def paint_body(looks: Looks, outfit: Outfit, detail: Detail) -> Array:
    """Return the colours `[parts, along, around, 3]` of a body's quads, RGB 0–255 as floats, before any light."""
    rows, columns = detail.cells
    u = ((np.array(detail.along)[:-1] + np.array(detail.along)[1:]) / 2)[:, None]
    turn = ((np.arange(columns) + 0.5) * (360.0 / columns))[None, :]
    sideways = np.minimum(np.abs(turn % 360 - 180), 180 - np.abs(turn % 360 - 180))  # degrees from the flank
    front = (turn > 20) & (turn < 160)
    colours = np.empty((len(PARTS), rows, columns, 3))
    colours[:] = looks.skin

    def dye(part: str, where: Array | bool, colour: Colour) -> None:
        colours[PART_ROW[part]][np.broadcast_to(where, (rows, columns))] = colour

    dye("torso", True, outfit.jersey)
    dye("torso", sideways < 24, outfit.trim)
    dye("torso", u > 0.955, outfit.trim)
    dye("torso", (u > 0.965) & front, looks.skin)
    if outfit.stripes:
        dye("torso", (turn // (720 / columns)) % 2 == 0, outfit.trim)
    dye("trunks", True, outfit.shorts)
    dye("trunks", u > 0.9, outfit.trim)
    dye("trunks", (u < 0.8) & (sideways < 16), outfit.trim)
    dye("head", (u > 0.66) | ((u > 0.3) & ~front & (turn > 180)) | ((u > 0.5) & (sideways < 20)), looks.hair)
    if looks.cut == "bald":
        dye("head", True, looks.skin)
    if looks.cut == "band":
        dye("head", (u > 0.62) & (u < 0.76), outfit.trim)
    if looks.beard:
        dye("head", (u < 0.22) & front, between(looks.skin, looks.hair, 0.45))
    for key in ("b", "o"):
        if outfit.sleeves or outfit.stripes:
            dye(f"upper_{key}", u < 0.62, outfit.jersey)
        dye(f"short_{key}", True, outfit.shorts)
        dye(f"short_{key}", sideways < 16, outfit.trim)
        dye(f"short_{key}", u > 0.93, outfit.trim)
        dye(f"shin_{key}", u > 1 - looks.high_socks, looks.socks)
        dye(f"shoe_{key}", True, looks.shoes)
        accent = (235, 235, 235) if sum(looks.shoes) < 400 else (60, 60, 66)
        dye(f"shoe_{key}", (u > 0.4) & (u < 0.62) & (sideways < 30), accent)
        # The shade that cloth throws on the skin below it; the light model knows no occlusion.
        colours[PART_ROW[f"thigh_{key}"]] *= 0.72 + 0.28 * np.clip((u[..., None] - 0.8) / 0.15, 0, 1)
        colours[PART_ROW[f"short_{key}"]] *= 1 - 0.16 * (u[..., None] < 0.2)
    if looks.sleeve is not None:
        dye("fore_b", u < 0.9, looks.sleeve)
        dye("upper_b", u > 0.55, looks.sleeve)
    colours[PART_ROW["neck"]] *= 0.8
    colours.setflags(write=False)  # it is kept for the player's next photo
    return colours


#: Seven bars of a digit as (left, top, right, bottom) in its box, and which bars each digit shows.
_BARS = (
    (0, 0, 1, 0.2), (0.68, 0, 1, 0.5), (0.68, 0.5, 1, 1), (0, 0.8, 1, 1), (0, 0.5, 0.32, 1), (0, 0, 0.32, 0.5),
    (0, 0.4, 1, 0.6),
)  # fmt: skip
_DIGITS = ("012345", "12", "01643", "01623", "5612", "05623", "056423", "012", "0123456", "065123")


def _bars(number: int) -> list[tuple[float, float, float, float]]:
    """Return the bars of a number as boxes in a unit square, y downwards."""
    text = str(number)
    width = 0.46 if len(text) == 2 else 0.5
    bars = []
    for place, digit in enumerate(text):
        start = place * 0.54 if len(text) == 2 else 0.25
        for name in _DIGITS[int(digit)]:
            x0, y0, x1, y1 = _BARS[int(name)]
            bars.append((start + x0 * width, y0, start + x1 * width, y1))
    return bars


def patches(mesh: Mesh, looks: Looks, outfit: Outfit) -> tuple[Array, Array]:
    """Return what is sewn and painted on a body, bent to its surface: quads `[n, 4, 3]` in metres, colours `[n, 3]`.

    Number and name band on the chest and the back, eyes, brows and mouth.
    """
    boxes: list[tuple[str, float, float, float, float, Colour]] = []
    if not outfit.stripes:
        for middle, half, low, high in ((90.0, 34.0, 0.40, 0.66), (270.0, 40.0, 0.36, 0.72)):
            for x0, y0, x1, y1 in _bars(looks.number):
                steps = max(1, round((x1 - x0) / 0.17))
                for step in range(steps):
                    a, b = x0 + (x1 - x0) * step / steps, x0 + (x1 - x0) * (step + 1) / steps
                    split = 2 if y1 - y0 > 0.3 else 1
                    for part in range(split):
                        top, end = y0 + (y1 - y0) * part / split, y0 + (y1 - y0) * (part + 1) / split
                        turns = (middle + half * (1 - 2 * a), middle + half * (1 - 2 * b))
                        ends = (high - (high - low) * top, high - (high - low) * end)
                        boxes.append(("torso", *turns, *ends, outfit.digits))
        for letter in range(6):  # the club's name, too small to read
            start = 90.0 + 30 - letter * 10.5
            boxes.append(("torso", start, start - 7.5, 0.745, 0.705, outfit.digits))
    brow = between(looks.hair, looks.skin, 0.15)
    lip = (int(looks.skin[0] * 0.68), int(looks.skin[1] * 0.5), int(looks.skin[2] * 0.48))
    for eye in (66.0, 114.0):
        boxes.append(("head", eye + 13, eye - 13, 0.56, 0.53, brow))
        boxes.append(("head", eye + 10, eye - 10, 0.50, 0.455, (245, 240, 236)))
        boxes.append(("head", eye + 4, eye - 4, 0.50, 0.455, (30, 22, 20)))
    boxes.append(("head", 108.0, 72.0, 0.215, 0.185, lip))
    quads: list[Array] = []
    colours: list[Colour] = []
    for name in ("torso", "head"):
        mine = [box for box in boxes if box[0] == name]
        if not mine:
            continue
        turn = np.array([[box[1], box[2], box[2], box[1]] for box in mine])
        along = np.array([[box[3], box[3], box[4], box[4]] for box in mine])
        quads.append(surface(mesh, name, along, turn))
        colours.extend(box[5] for box in mine)
    return np.concatenate(quads), np.array(colours, dtype=np.float64)
