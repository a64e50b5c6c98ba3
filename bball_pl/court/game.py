"""A game: one hall, two teams, one light, one photographer; everything that the photos of an album share."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from bball_pl.court.camera import Array, Image
from bball_pl.court.figure import Light
from bball_pl.court.hall import STRONG, Gym, build_gym
from bball_pl.court.outfit import Looks, Outfit, sample_looks

_LIGHT_SHIRTS = ((244, 244, 242), (226, 226, 230), (244, 222, 120), (172, 208, 236), (250, 190, 190), (200, 232, 196))
_CLUBS = ("WEEKEND LEAGUE", "CITY HOOPS", "COURT 7", "SUNDAY BALL", "RIM & CO. PHOTO", "HAWKS CUP", "BALLERS.ALBUM")


@dataclass(frozen=True)
class Game:
    """What the photos of one album share.

    Attributes:
        name: the group's name in photos.csv.
        gym: the hall.
        teams: clothes of the two teams and of the referee.
        players: six people of each team.
        bench: people on the bench with the number of their team.
        bench_side: +1 or -1, the side of the court with the bench.
        light: the hall's light.
        shadow: direction `[3]` to the lamp that throws shadows.
        shadow_depth: how dark a shadow is, 0–1.
        gloss: how strongly the floor mirrors, 0–1.
        glass: whether the backboards are glass.
        ball: colour of the ball, RGB 0–255.
        balance: white balance of the camera, RGB factors `[3]`.
        exposure: brightness factor.
        contrast: slope of the tone curve in its middle.
        saturation: factor on colours.
        grain: standard deviation of the noise, 0–255.
        noise: noise tile float32 `[700, 700, 3]`, standard deviation 1.
        vignette: darkening at the corners, 0–1.
        softness: standard deviation of the lens's own blur, pixels.
        defocus: standard deviation of the blur far away, pixels.
        tall: share of portrait photos.
        watermark: opacity uint8 `[H, W]` of the album's mark, or None.
    """

    name: str
    gym: Gym
    teams: tuple[Outfit, Outfit, Outfit]
    players: tuple[tuple[Looks, ...], tuple[Looks, ...]]
    bench: tuple[tuple[Looks, int], ...]
    bench_side: int
    light: Light
    shadow: Array
    shadow_depth: float
    gloss: float
    glass: bool
    ball: tuple[int, int, int]
    balance: Array
    exposure: float
    contrast: float
    saturation: float
    grain: float
    noise: Image
    vignette: float
    softness: float
    defocus: float
    tall: float
    watermark: Image | None


def _outfits(rng: np.random.Generator) -> tuple[Outfit, Outfit, Outfit]:
    """Return a light team, a dark team (as the rules ask for) and the referee's clothes."""
    light = _LIGHT_SHIRTS[int(rng.choice(len(_LIGHT_SHIRTS), p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.1]))]
    trim = STRONG[int(rng.integers(len(STRONG)))]
    dark = STRONG[int(rng.integers(len(STRONG) - 1))]
    digits = (244, 244, 244) if rng.random() < 0.7 else (250, 214, 70)
    edge = (20, 20, 26) if rng.random() < 0.5 else (238, 238, 238)
    # A weekend league: some teams wear their own black shorts below the club's vest.
    own = (28, 28, 34)
    return (
        Outfit(light, trim, own if rng.random() < 0.25 else light, trim, bool(rng.random() < 0.12)),
        Outfit(dark, edge, own if rng.random() < 0.25 else dark, digits, bool(rng.random() < 0.12)),
        Outfit((206, 206, 210), (40, 40, 46), (24, 24, 28), (24, 24, 28), True, True),
    )


def _light(rng: np.random.Generator, wood: tuple[int, int, int]) -> Light:
    """Return the hall's light: lamps above, windows at one side, wood below."""
    key = np.array([rng.normal(0, 0.35), rng.normal(0, 0.35), 1.0])
    turn = rng.uniform(0, 2 * np.pi)
    side = np.array([np.cos(turn), np.sin(turn), 0.45])
    warmth = rng.normal(0, 0.05)
    lamp = np.array([1 + warmth, 1.0, 1 - warmth])
    return Light(
        key=key / np.linalg.norm(key),
        key_colour=lamp * rng.uniform(0.42, 0.62),
        side=side / np.linalg.norm(side),
        side_colour=np.array([0.94, 0.98, 1.06]) * rng.uniform(0.05, 0.4),
        sky=np.array([0.97, 0.99, 1.03]) * rng.uniform(0.42, 0.56),
        bounce=np.array(wood) / 255 * rng.uniform(0.32, 0.48),
    )


def _watermark(rng: np.random.Generator) -> Image:
    """Return the album's mark as opacity uint8 `[H, W]`: words, sometimes framed or with the date."""
    words = _CLUBS[int(rng.integers(len(_CLUBS)))]
    if rng.random() < 0.5:
        words += f"  {int(rng.integers(2016, 2026))}.{int(rng.integers(1, 13)):02d}.{int(rng.integers(1, 29)):02d}"
    font = ImageFont.load_default(size=int(rng.integers(13, 24)))
    left, top, right, low = font.getbbox(words)
    picture = PillowImage.new("L", (int(right - left) + 16, int(low - top) + 12), 0)
    pen = ImageDraw.Draw(picture)
    opacity = int(rng.integers(120, 215))
    pen.text((8 - left, 6 - top), words, fill=opacity, font=font)
    if rng.random() < 0.4:
        pen.rectangle((0, 0, picture.width - 1, picture.height - 1), outline=opacity)
    return np.array(picture, dtype=np.uint8)


def sample_game(rng: np.random.Generator, name: str) -> Game:
    """Return a game.

    Args:
        rng: the game's own generator.
        name: the group's name in photos.csv.
    """
    gym = build_gym(rng, glow=float(rng.uniform(0.9, 1.15)))
    teams = _outfits(rng)
    shadow = np.array([rng.normal(0, 0.22), rng.normal(0, 0.22), 1.0])
    warmth = float(rng.normal(0.0, 0.055))
    noise = rng.standard_normal((700, 700), np.float32)[..., None] * 0.8
    noise = noise + 0.6 * cv2.resize(rng.standard_normal((350, 350, 3), np.float32), (700, 700))
    return Game(
        name=name,
        gym=gym,
        teams=teams,
        players=(tuple(sample_looks(rng) for _ in range(6)), tuple(sample_looks(rng) for _ in range(6))),
        bench=tuple((sample_looks(rng), int(rng.integers(2))) for _ in range(int(rng.integers(3, 7)))),
        bench_side=int(rng.choice([-1, 1])),
        light=_light(rng, gym.wood),
        shadow=shadow,
        shadow_depth=float(rng.uniform(0.22, 0.46)),
        gloss=float(rng.uniform(0.06, 0.34)),
        glass=bool(rng.random() < 0.55),
        ball=((214, 112, 48), (196, 92, 40), (224, 128, 60), (180, 84, 44))[int(rng.integers(4))],
        balance=np.array([1 + warmth, 1 + float(rng.normal(0, 0.012)), 1 - warmth]),
        exposure=float(rng.uniform(0.9, 1.14)),
        contrast=float(rng.uniform(0.96, 1.22)),
        saturation=float(rng.uniform(0.82, 1.12)),
        grain=float(rng.gamma(2.0, 1.15)) + 0.8,
        noise=noise.astype(np.float32),
        vignette=float(rng.uniform(0.0, 0.26)),
        softness=float(rng.uniform(0.35, 0.75)),
        defocus=float(rng.uniform(0.5, 2.4)),
        tall=0.22,
        watermark=_watermark(rng) if rng.random() < 0.4 else None,
    )
