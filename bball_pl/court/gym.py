"""The hall: floor, ceiling and four walls put together, each hall in its own colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bball_pl.court.camera import Array, Plane
from bball_pl.court.floor import FLOOR_DENSITY, X0, X1, Y0, Y1, floor_texture
from bball_pl.court.palette import STRONG, Colour
from bball_pl.court.walls import CEILING_DENSITY, HEIGHT, WALL_DENSITY, ceiling_texture, wall_texture

_WOODS: tuple[Colour, ...] = ((205, 160, 108), (216, 174, 122), (190, 138, 88), (222, 186, 140), (176, 122, 76))
_WALLS: tuple[Colour, ...] = (
    (214, 206, 190), (196, 204, 208), (222, 216, 198), (176, 184, 190), (204, 190, 170), (160, 172, 168),
    (226, 226, 222),
)  # fmt: skip


@dataclass(frozen=True)
class Gym:
    """A hall's surfaces; planes in the order floor, ceiling, then four walls.

    Attributes:
        planes: the textured planes.
        wood: mean colour of the floor, RGB 0–255.
        accent: the hall's colour, RGB 0–255.
    """

    planes: tuple[Plane, ...]
    wood: Colour
    accent: Colour


def build_gym(rng: np.random.Generator, glow: float) -> Gym:
    """Return a hall.

    Args:
        rng: the game's generator.
        glow: brightness of the windows, 1 is white.
    """
    wood = _WOODS[int(rng.integers(len(_WOODS)))]
    accent = STRONG[int(rng.integers(len(STRONG)))]
    base = _WALLS[int(rng.integers(len(_WALLS)))]
    across, along, up = np.eye(3)[1], np.eye(3)[0], np.eye(3)[2]

    def corner(x: float, y: float, z: float) -> Array:
        return np.array([x, y, z])

    bricks, windows = bool(rng.random() < 0.4), bool(rng.random() < 0.75)
    planes = [
        Plane(corner(X0, Y0, 0), along, across, FLOOR_DENSITY, floor_texture(rng, wood, accent)),
        Plane(corner(X0, Y0, HEIGHT), along, across, CEILING_DENSITY, ceiling_texture(rng)),
    ]
    for origin, right, long_side in (
        (corner(X0, Y0, HEIGHT), across, False),
        (corner(X1, Y1, HEIGHT), -across, False),
        (corner(X0, Y1, HEIGHT), along, True),
        (corner(X1, Y0, HEIGHT), -along, True),
    ):
        kind = {
            "bricks": bricks,
            "windows": windows and (long_side or bool(rng.random() < 0.3)),
            "stand": bool(rng.random() < (0.7 if long_side else 0.3)),
            "pads": not long_side,
            "banner": bool(rng.random() < 0.7),
            "door": bool(rng.random() < 0.5),
        }
        metres = X1 - X0 if long_side else Y1 - Y0
        planes.append(Plane(origin, right, -up, WALL_DENSITY, wall_texture(rng, metres, base, accent, kind, glow)))
    return Gym(tuple(planes), wood, accent)
