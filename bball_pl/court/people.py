"""People of the teaching court: ages, builds, hair, clothing and tattoos."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bball_pl.court.body import PART_ROW, Detail, Mesh
from bball_pl.court.camera import Array, Camera
from bball_pl.court.figure import Light, Soup, patch_soup
from bball_pl.court.hall import STRONG, Colour, between, times
from bball_pl.court.outfit import Looks, Outfit, paint_body

_SKINS: tuple[Colour, ...] = (
    (244, 212, 188), (236, 196, 166), (224, 178, 142), (206, 156, 118), (182, 130, 94), (150, 104, 74),
    (120, 82, 58), (96, 64, 46), (72, 48, 36), (56, 38, 30),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = (
    (20, 17, 17), (30, 24, 22), (52, 36, 26), (92, 62, 38), (150, 112, 66), (204, 168, 104), (140, 66, 34),
    (150, 148, 146), (214, 212, 208),
)  # fmt: skip
_SHIRTS: tuple[Colour, ...] = (
    (246, 246, 244), (224, 224, 228), (24, 24, 28), (58, 60, 66), (120, 124, 130), (250, 206, 44), (232, 104, 30),
    (196, 26, 36), (120, 18, 40), (236, 120, 170), (120, 60, 150), (70, 34, 110), (22, 44, 120), (30, 92, 190),
    (110, 180, 230), (12, 130, 130), (16, 96, 56), (70, 180, 80), (168, 214, 60), (196, 178, 130),
)  # fmt: skip


@dataclass(frozen=True)
class Wear:
    """Appearance beyond `Looks` and `Outfit`; colours RGB 0–255.

    Attributes:
        shorts: Length of the shorts as a share of the thigh; 1 reaches the knee.
        volume: Radius of the hair relative to a close cut.
        tail: Length of the ponytail in metres; 0 for none.
        ink: Random seed of the tattoos, or None.
        tights: Colour of leggings below the shorts, or None.
        trousers: Colour of long trousers, or None.
        under: Colour of long sleeves, or None.
        bands: Colour of wrist and knee bands, or None.
        pattern: Jersey pattern: "", "hoops", "stripes", "halves" or "camouflage".
        shoulders: Factor on the width of the chest.
    """

    shorts: float
    volume: float
    tail: float
    ink: int | None
    tights: Colour | None
    trousers: Colour | None
    under: Colour | None
    bands: Colour | None
    pattern: str
    shoulders: float


@dataclass(frozen=True)
class Player:
    """A person's full appearance."""

    looks: Looks
    outfit: Outfit
    wear: Wear


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _shade(rng: np.random.Generator, colour: Colour) -> Colour:
    """Return `colour` with a small random change."""
    red, green, blue = (int(np.clip(channel * rng.uniform(0.8, 1.12) + rng.normal(0, 6), 0, 255)) for channel in colour)
    return red, green, blue


def sample_outfit(rng: np.random.Generator) -> Outfit:
    """Sample the clothes of a team."""
    jersey = _shade(rng, _pick(rng, _SHIRTS))
    other = _shade(rng, _pick(rng, _SHIRTS))
    shorts = jersey if rng.random() < 0.72 else _pick(rng, ((24, 24, 28), (240, 240, 240), (40, 60, 120), other))
    light = sum(jersey) > 420
    digits = _pick(rng, ((20, 20, 24), (30, 40, 120), (170, 20, 30))) if light else _pick(rng, ((245, 245, 245), other))
    return Outfit(jersey, other if rng.random() < 0.7 else jersey, shorts, digits, bool(rng.random() < 0.18))


def sample_player(rng: np.random.Generator, outfit: Outfit) -> Player:
    """Sample a child, woman or man in a team's clothes."""
    skin = _shade(rng, _pick(rng, _SKINS))
    fair = skin[0] > 200
    hair = _pick(rng, _HAIRS if fair else _HAIRS[:3] * 3 + _HAIRS[4:5] + _HAIRS[7:])
    age = str(rng.choice(["child", "woman", "man"], p=[0.1, 0.24, 0.66]))
    size = float(rng.normal({"child": 0.78, "woman": 0.92, "man": 1.0}[age], 0.045))
    girth = float(np.clip(rng.normal({"child": 0.96, "woman": 0.92, "man": 1.03}[age], 0.1), 0.78, 1.4))
    cut = str(rng.choice(["short", "bald", "long", "band"], p=[0.5, 0.16, 0.16, 0.18]))
    tail = float(rng.uniform(0.12, 0.4)) if rng.random() < (0.6 if age == "woman" else 0.06) else 0.0
    looks = Looks(
        skin=skin,
        hair=hair,
        cut="short" if cut == "bald" and tail > 0 else cut,
        beard=age == "man" and bool(rng.random() < 0.35),
        shoes=_shade(rng, _pick(rng, _SHIRTS)),
        socks=_pick(rng, ((242, 242, 242), (28, 28, 32), outfit.jersey)),
        high_socks=float(rng.choice([0.1, 0.2, 0.35, 0.55, 0.8])),
        sleeve=_pick(rng, ((240, 240, 240), (25, 25, 28), outfit.jersey)) if rng.random() < 0.2 else None,
        number=int(rng.integers(0, 100)),
        size=size,
        girth=girth,
    )
    casual = rng.random() < 0.08
    wear = Wear(
        shorts=float(rng.uniform(0.5, 1.08)),
        volume=float(1 + rng.beta(1.0, 4.0) * 0.8),
        tail=tail,
        ink=int(rng.integers(1 << 30)) if age == "man" and rng.random() < 0.3 else None,
        tights=_pick(rng, ((25, 25, 28), (238, 238, 238), outfit.shorts)) if rng.random() < 0.22 else None,
        trousers=_shade(rng, _pick(rng, _SHIRTS)) if casual else None,
        under=_pick(rng, ((25, 25, 28), (240, 240, 240), outfit.jersey)) if casual or rng.random() < 0.08 else None,
        bands=_pick(rng, ((245, 245, 245), (25, 25, 28), outfit.trim)) if rng.random() < 0.25 else None,
        pattern=str(rng.choice(["", "hoops", "stripes", "halves", "camouflage"], p=[0.74, 0.06, 0.08, 0.06, 0.06])),
        shoulders=float(rng.normal(0.93 if age == "woman" else 1.02, 0.04)),
    )
    return Player(looks, outfit, wear)


def civilian(rng: np.random.Generator) -> Player:
    """Sample a person in everyday clothes, such as a coach, referee or spectator."""
    shirt, trousers = _shade(rng, _pick(rng, _SHIRTS)), _shade(rng, _pick(rng, (*_SHIRTS[:6], (40, 50, 90))))
    referee = rng.random() < 0.25
    outfit = Outfit(shirt, between(shirt, trousers, 0.4), trousers, shirt, sleeves=True, stripes=bool(referee))
    player = sample_player(rng, outfit)
    wear = replace(player.wear, trousers=trousers if rng.random() < 0.8 else None, under=None, pattern="", tights=None)
    return replace(player, wear=wear)


def paint_player(player: Player, detail: Detail) -> Array:
    """Return the colours `[parts, along, around, 3]` of a body's quads, RGB 0–255, before any light."""
    colours = paint_body(player.looks, player.outfit, detail).copy()
    u = ((np.array(detail.along)[:-1] + np.array(detail.along)[1:]) / 2)[:, None, None]
    _paint_pattern(colours[PART_ROW["torso"]], player, detail)
    for key in ("b", "o"):
        _paint_leg(colours, player, key, u)
        _paint_arm(colours, player, key, u)
    if player.wear.trousers is not None:
        colours[PART_ROW["trunks"]] = player.wear.trousers
    return colours


def _paint_pattern(torso: Array, player: Player, detail: Detail) -> None:
    """Paint the jersey's pattern into the torso's colours `[along, around, 3]`, in place."""
    outfit, pattern = player.outfit, player.wear.pattern
    turn = (np.arange(detail.cells[1]) + 0.5) * (360.0 / detail.cells[1])
    if pattern == "hoops":
        torso[1:-1:2] = outfit.trim
    elif pattern == "stripes":
        torso[:-1, ::3] = outfit.trim
    elif pattern == "halves":
        torso[:-1, (turn > 90) & (turn < 270)] = outfit.trim
    elif pattern == "camouflage":
        spots = np.random.default_rng(player.looks.number).random(torso.shape[:2]) < 0.35
        torso[spots] = between(outfit.jersey, outfit.trim, 0.5)


def _paint_leg(colours: Array, player: Player, key: str, u: Array) -> None:
    """Paint tights, long trousers and a knee band of a side into a body's colours, in place."""
    wear = player.wear
    thigh, shin = colours[PART_ROW[f"thigh_{key}"]], colours[PART_ROW[f"shin_{key}"]]
    if wear.tights is not None:
        thigh[:] = wear.tights
        shin[:] = np.where(u < 1 - player.looks.high_socks, wear.tights, shin)
    if wear.trousers is not None:
        for part in ("shin", "thigh", "short"):
            colours[PART_ROW[f"{part}_{key}"]] = wear.trousers
    elif wear.bands is not None and key == "b":
        shin[:] = np.where(u < 0.1, wear.bands, shin)


def _paint_arm(colours: Array, player: Player, key: str, u: Array) -> None:
    """Paint long sleeves, a wrist band and tattoos of a side into a body's colours, in place."""
    wear = player.wear
    upper, fore = colours[PART_ROW[f"upper_{key}"]], colours[PART_ROW[f"fore_{key}"]]
    if wear.under is not None:
        upper[:] = wear.under
        fore[:] = np.where(u < 0.92, wear.under, fore)
    if wear.bands is not None:
        fore[:] = np.where(u > 0.84, wear.bands, fore)
    if wear.ink is not None and wear.under is None:
        generator = np.random.default_rng(wear.ink + (key == "o"))
        for skin in (upper, fore):
            marks = (generator.random(skin.shape[:2]) < generator.uniform(0.1, 0.5))[..., None]
            bare = np.abs(skin - np.array(player.looks.skin)).sum(axis=-1, keepdims=True) < 3
            skin[:] = np.where(marks & bare, 0.55 * skin + 0.2 * np.array((40, 50, 70)), skin)


def shape_body(mesh: Mesh, player: Player) -> None:
    """Apply hair volume and shoulder width to a mesh, in place."""
    along = np.array(mesh.detail.along)
    head = PART_ROW["head"]
    if player.looks.cut != "bald":
        grow = 1 + (player.wear.volume - 1) * np.clip((along - 0.4) / 0.3, 0, 1)
        turn = np.arange(mesh.detail.around) * (2 * np.pi / mesh.detail.around)
        # The face stays free: hair grows at the sides and the back, and above the forehead.
        free = np.clip(1.2 * np.sin(turn), 0, 1)[None, :] * (along < 0.66)[:, None]
        factor = 1 + (grow - 1)[:, None] * (1 - free)
        mesh.rings[head] = mesh.axis[head] + (mesh.rings[head] - mesh.axis[head]) * factor[..., None].astype(np.float32)
        lift = (mesh.axis[head, -1] - mesh.axis[head, 0]) * 0.35 * (player.wear.volume - 1)
        mesh.rings[head, along > 0.8] += lift.astype(np.float32)
    torso = PART_ROW["torso"]
    widen = 1 + (player.wear.shoulders - 1) * np.clip((along - 0.4) / 0.3, 0, 1)
    mesh.rings[torso] = mesh.axis[torso] + (mesh.rings[torso] - mesh.axis[torso]) * widen[:, None, None].astype(
        np.float32
    )


def tail_soup(mesh: Mesh, head_axes: Array, player: Player, camera: Camera, light: Light) -> Soup | None:
    """Return the ponytail as polygons, or None if the player has none.

    Args:
        mesh: the body.
        head_axes: axes of the head `[3, 3]`, rows forward, ball side, up.
        player: whose head it is.
        camera: who looks.
        light: the gym's light.
    """
    if player.wear.tail <= 0:
        return None
    axis = mesh.axis[PART_ROW["head"], :, 0]
    knot = 0.35 * axis[0] + 0.65 * axis[-1] - 0.105 * head_axes[0]
    way = -0.55 * head_axes[0] - 0.85 * head_axes[2]
    length = player.wear.tail * player.looks.size
    across = head_axes[1] * 0.045
    deep = np.cross(way, head_axes[1]) * 0.04
    ends = [knot, knot + 0.35 * length * way, knot + length * (0.7 * way - np.array([0, 0, 0.4]))]
    quads = []
    for start, end, wide, narrow in ((ends[0], ends[1], 0.7, 1.0), (ends[1], ends[2], 1.0, 0.25)):
        for a, b in ((across, deep), (deep, -across), (-across, -deep), (-deep, across)):
            quads.append(np.stack([start + a * wide, end + a * narrow, end + b * narrow, start + b * wide]))
    hair = np.repeat(np.array([times(player.looks.hair, 0.9)], dtype=np.float64), len(quads), axis=0)
    both = np.concatenate([np.stack(quads), np.stack(quads)[:, ::-1]])
    return patch_soup(both, np.concatenate([hair, hair]), camera, light, lift=0.0)


def strong_colour(rng: np.random.Generator) -> Colour:
    """Return a random club colour."""
    return _shade(rng, STRONG[int(rng.integers(len(STRONG)))])
