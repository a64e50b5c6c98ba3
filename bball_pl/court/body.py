"""The body as surfaces: every part is a tube of elliptic rings around its bone, at two levels of detail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bball_pl.court.camera import Array
from bball_pl.court.pose import ROW, Skeleton

#: Where along a bone the radii below are given: 0 is its start, 1 its end. Close at the ends, which are rounded.
_KNOTS = np.array([0.0, 0.04, 0.12, 0.3, 0.5, 0.7, 0.88, 0.96, 1.0])

#: part -> (bone start, bone end, half widths, half depths), metres at a body height of 1.90 m. The order is that of
#: a mesh's parts; `b` and `o` are the ball side and the other one.
_LIMBS: dict[str, tuple[str, str, tuple[float, ...], tuple[float, ...]]] = {}


def _limb(name: str, start: str, end: str, wide: tuple[float, ...], deep: tuple[float, ...] | None = None) -> None:
    for key in ("b", "o"):
        _LIMBS[f"{name}_{key}"] = (f"{start}_{key}", f"{end}_{key}", wide, deep or wide)


_limb("upper", "shoulder", "elbow", (0.030, 0.056, 0.070, 0.068, 0.060, 0.053, 0.047, 0.043, 0.022))
_limb("fore", "elbow", "wrist", (0.022, 0.040, 0.046, 0.051, 0.046, 0.038, 0.032, 0.029, 0.02))
_limb(
    "hand", "wrist", "tip",
    (0.015, 0.026, 0.032, 0.043, 0.046, 0.043, 0.034, 0.022, 0.01),
    (0.012, 0.020, 0.022, 0.022, 0.019, 0.016, 0.013, 0.010, 0.006),
)  # fmt: skip
_limb("thigh", "hip", "knee", (0.05, 0.080, 0.098, 0.104, 0.096, 0.082, 0.066, 0.058, 0.03))
_limb("shin", "knee", "ankle", (0.03, 0.054, 0.058, 0.069, 0.064, 0.050, 0.041, 0.038, 0.025))
_limb("short", "hip", "knee", (0.06, 0.105, 0.122, 0.126, 0.128, 0.131, 0.134, 0.135, 0.134))
_limb(
    "shoe", "heel", "toe",
    (0.020, 0.036, 0.041, 0.040, 0.046, 0.053, 0.052, 0.040, 0.015),
    (0.028, 0.050, 0.062, 0.060, 0.048, 0.040, 0.034, 0.027, 0.012),
)  # fmt: skip

PARTS = ("torso", "trunks", "neck", "head", *_LIMBS)
PART_ROW = {name: row for row, name in enumerate(PARTS)}

_TORSO = (
    (0.10, 0.150, 0.160, 0.152, 0.160, 0.182, 0.196, 0.150, 0.07),
    (0.07, 0.105, 0.112, 0.105, 0.115, 0.130, 0.118, 0.090, 0.06),
)
_TRUNKS = (
    (0.07, 0.130, 0.172, 0.182, 0.180, 0.172, 0.166, 0.163, 0.150),
    (0.05, 0.100, 0.128, 0.134, 0.130, 0.122, 0.118, 0.116, 0.105),
)
_NECK = (0.095, 0.090, 0.080, 0.068, 0.063, 0.061, 0.060, 0.060, 0.055)
_HEAD = (
    (0.020, 0.042, 0.056, 0.070, 0.077, 0.079, 0.066, 0.040, 0.010),
    (0.022, 0.050, 0.072, 0.090, 0.098, 0.102, 0.086, 0.052, 0.014),
)


@dataclass(frozen=True)
class Detail:
    """How finely a body is cut: ring places along a bone (0–1) and corners per ring."""

    along: tuple[float, ...]
    around: int

    @property
    def cells(self) -> tuple[int, int]:
        """Return how many quads a part has along and around."""
        return len(self.along) - 1, self.around


FINE = Detail((0.0, 0.03, 0.1, 0.22, 0.36, 0.5, 0.63, 0.76, 0.88, 0.96, 1.0), 18)
MIDDLE = Detail((0.0, 0.04, 0.16, 0.36, 0.58, 0.8, 0.95, 1.0), 12)
COARSE = Detail((0.0, 0.06, 0.3, 0.6, 0.93, 1.0), 8)


@dataclass(frozen=True)
class Mesh:
    """A body's surfaces in the world.

    Attributes:
        rings: float32 corners `[parts, rings, around, 3]`, metres; corner 0 of a ring is at the body's left, a quarter
            of the way round its front, then its right, then its back.
        axis: float32 middles of the rings `[parts, rings, 1, 3]`, metres.
        detail: how finely it is cut.
    """

    rings: Array
    axis: Array
    detail: Detail


def _unit(vectors: Array) -> Array:
    result: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return result


def _radii(detail: Detail) -> tuple[Array, Array]:
    """Return half widths and half depths `[parts, rings]` in metres for a body 1.90 m tall."""
    tables = [_TORSO, _TRUNKS, (_NECK, _NECK), _HEAD, *((wide, deep) for _, _, wide, deep in _LIMBS.values())]
    both = np.array([[np.interp(detail.along, _KNOTS, table[k]) for table in tables] for k in (0, 1)])
    return both[0], both[1]


_RADII = {detail: _radii(detail) for detail in (FINE, MIDDLE, COARSE)}
_STARTS = np.array([ROW[start] for start, _, _, _ in _LIMBS.values()])
_ENDS = np.array([ROW[end] for _, end, _, _ in _LIMBS.values()])
_OF_LEGS = np.array([name.split("_")[0] in {"thigh", "shin", "short", "shoe"} for name in _LIMBS])
_SHORTS = np.array([name.startswith("short") for name in _LIMBS])
_PAST = {"upper": 0.022, "fore": 0.022, "thigh": 0.036, "shin": 0.036}
_BEYOND = np.array([_PAST.get(name[:-2], 0.0) for name in _LIMBS])


def build_mesh(
    body: Skeleton,
    handed: int,
    size: float,
    girth: float,
    detail: Detail,
    folds: tuple[float, ...],
    shorts: float = 0.9,
) -> Mesh:
    """Return the surfaces of a body.

    Args:
        body: the skeleton in the world.
        handed: +1 if the ball side is the left, -1 if it is the right.
        size: body height divided by 1.90 m.
        girth: thickness of the limbs divided by the usual one.
        detail: how finely to cut.
        folds: six phases in radians; the cloth falls differently in every photo.
        shorts: how far the shorts reach down the thigh, 1 is the knee.
    """
    along = np.array(detail.along)
    count = len(along)
    axis = np.zeros((len(PARTS), count, 3))
    left = np.zeros_like(axis)
    front = np.zeros_like(axis)
    mix = along[:, None]

    # Trunk: a curve from pelvis over waist to neck, its rings turning from the pelvis's axes to the chest's.
    bottom = body["pelvis"] - 0.03 * size * body.pelvis[2]
    axis[0] = (1 - mix) ** 2 * bottom + 2 * mix * (1 - mix) * body["waist"] + mix**2 * body["neck"]
    left[0] = _unit((1 - mix) * body.pelvis[1] + mix * body.chest[1]) * handed
    front[0] = _unit((1 - mix) * body.pelvis[0] + mix * body.chest[0])
    axis[1] = body["pelvis"] + (mix * 0.27 - 0.13) * size * body.pelvis[2]
    left[1], front[1] = body.pelvis[1] * handed, body.pelvis[0]
    axis[2] = (
        body["neck"] - 0.03 * size * body.chest[2] + mix * (body["chin"] - body["neck"] + 0.09 * size * body.head[2])
    )
    left[2], front[2] = body.chest[1] * handed, body.chest[0]
    axis[3] = body["chin"] + mix * (body["crown"] - body["chin"]) + 0.02 * size * body.head[0] * (1 - mix)
    left[3], front[3] = body.head[1] * handed, body.head[0]

    start, end = body.joints[_STARTS], body.joints[_ENDS]
    end = np.where(_SHORTS[:, None], start + shorts * (end - start), end)
    # A limb's round end has its middle in the joint, so that bent knees and elbows show no gap.
    beyond = _unit(end - start) * (_BEYOND[:, None] * size)
    start, end = start - beyond, end + beyond
    axis[4:] = start[:, None] + along[None, :, None] * (end - start)[:, None]
    bone = _unit(end - start)
    across = np.where(_OF_LEGS[:, None], body.pelvis[1], body.chest[1]) * handed
    # Hands and feet are flat: their wide side is the body's left; for round limbs any direction would do.
    across = _unit(across - np.sum(across * bone, axis=1, keepdims=True) * bone)
    ahead = np.cross(across, bone)
    side = np.where(_OF_LEGS[:, None], body.pelvis[0], body.chest[0])
    ahead *= np.where(np.sum(ahead * side, axis=1, keepdims=True) < 0, -1.0, 1.0)
    left[4:], front[4:] = across[:, None], ahead[:, None]

    wide, deep = (radii * size * girth for radii in _RADII[detail])
    wide[2:4] /= girth  # heads do not grow with muscles
    deep[2:4] /= girth
    turn = np.arange(detail.around) * (2 * np.pi / detail.around)
    c, s = np.cos(turn)[None, None, :], np.sin(turn)[None, None, :]
    waves = np.ones((len(PARTS), count, detail.around))
    if detail is not COARSE:
        u, t = along[:, None], turn[None, :]
        for row in (0, 1, PART_ROW["short_b"], PART_ROW["short_o"]):
            strength = 0.022 if row == 0 else 0.034
            first, second, third = (folds[(row + k) % 6] for k in range(3))
            waves[row] += strength * np.sin(7 * u + 1.0 * t + first) * np.sin(2 * t - 3 * u + second)
            waves[row] += 0.5 * strength * np.sin(11 * u - 3 * t + third)
        nose = np.exp(-(((u - 0.40) / 0.09) ** 2) - ((t - np.pi / 2) / 0.24) ** 2)
        waves[3] += 0.24 * nose
    rings = (
        axis[:, :, None]
        + (wide[:, :, None] * c * waves)[..., None] * left[:, :, None]
        + (deep[:, :, None] * s * waves)[..., None] * front[:, :, None]
    )
    # Single precision is a hundredth of a millimetre here, and twice as fast.
    return Mesh(rings.astype(np.float32), axis[:, :, None].astype(np.float32), detail)


def surface(mesh: Mesh, part: str, along: Array, turn: Array, lift: float = 1.02) -> Array:
    """Return points `[..., 3]` on a part's surface.

    Args:
        mesh: the body.
        part: one of `PARTS`.
        along: places along the bone, 0–1, any shape.
        turn: places around it in degrees, 0 left, 90 front, 180 right, 270 back; same shape.
        lift: 1 is on the surface, more is above it.
    """
    row = PART_ROW[part]
    count = mesh.detail.around
    ring = np.clip(
        np.interp(along, mesh.detail.along, np.arange(len(mesh.detail.along))), 0, len(mesh.detail.along) - 1.001
    )
    low, share = ring.astype(int), (ring - ring.astype(int))[..., None]
    corner = (turn / 360.0 * count) % count
    first = corner.astype(int) % count
    second, part_way = (first + 1) % count, (corner - corner.astype(int))[..., None]
    rings, axis = mesh.rings[row], mesh.axis[row, :, 0]
    lower = rings[low, first] * (1 - part_way) + rings[low, second] * part_way
    upper = rings[low + 1, first] * (1 - part_way) + rings[low + 1, second] * part_way
    middle = axis[low] * (1 - share) + axis[low + 1] * share
    point: Array = lower * (1 - share) + upper * share
    lifted: Array = middle + lift * (point - middle)
    return lifted
