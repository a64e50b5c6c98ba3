"""The photographer's place and the crop: in an album, and in photos of all kinds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bball_pl.court.camera import Array, Camera, look_at
from bball_pl.court.game import Game
from bball_pl.court.hall import X0, X1, Y0, Y1
from bball_pl.court.hoop import RING_X, RING_Z
from bball_pl.court.pose import BALL_RADIUS, ROW, Skeleton

#: Long and short side of a photo in pixels, as albums on the web have them.
LONG, SHORT = 640, 427

#: How often the photographer leaves room for the basket: nearly always under it, seldom at mid-court.
_ROOM_FOR_HOOP = {"layup": 0.72, "shoot": 0.7, "dribble": 0.45}
_TRIES = 40

#: Bones that can hide a ball and the half width of what is around them, metres.
_COVER = (
    ("pelvis", "neck", 0.2), ("chin", "crown", 0.12), ("hip_b", "knee_b", 0.13), ("hip_o", "knee_o", 0.13),
    ("knee_b", "ankle_b", 0.07), ("knee_o", "ankle_o", 0.07),
)  # fmt: skip


def is_inside(x: float, y: float) -> bool:
    """Return whether a place is in the hall, half a metre off its walls."""
    return X0 + 0.5 < x < X1 - 0.5 and Y0 + 0.5 < y < Y1 - 0.5


def _behind_stand(x: float, y: float, target: Array) -> bool:
    """Return whether the basket's stand is between a lens at (x, y) and the target."""
    if x > -0.9:
        return False
    share = (-1.2 - x) / (target[0] - x)
    return bool(abs(y + share * (target[1] - y)) < 0.9)


def _hidden(camera: Camera, body: Skeleton, ball: Array) -> bool:
    """Return whether the middle of the ball is behind the player's head, trunk or legs."""
    pixel, depth = camera.project(ball)
    for start, end, radius in _COVER:
        ends, depths = camera.project(np.stack([body[start], body[end]]))
        bone = ends[1] - ends[0]
        share = float(np.clip((pixel - ends[0]) @ bone / max(float(bone @ bone), 1e-9), 0, 1))
        apart = float(np.linalg.norm(pixel - ends[0] - share * bone))
        if depth > depths[0] + share * (depths[1] - depths[0]) and apart < radius * camera.focal / float(depth):
            return True
    return False


def box_around(camera: Camera, points: Array) -> Array:
    """Return left, top, right, bottom `[4]` in pixels around world points `[n, 3]`."""
    pixels, _ = camera.project(points)
    return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])


def place_camera(rng: np.random.Generator, body: Skeleton, ball: Array, game: Game) -> Camera:
    """Return a camera that has the whole player large in its picture and the ball not behind the trunk."""
    size = (SHORT, LONG) if rng.random() < game.tall else (LONG, SHORT)
    middle = np.array([*body["pelvis"][:2], 1.15])
    share = rng.uniform(0.7, 0.92) if size[0] > size[1] else rng.uniform(0.56, 0.72)
    level = float(rng.choice([rng.uniform(0.4, 0.9), rng.uniform(1.2, 1.9), rng.uniform(2.0, 4.2)], p=[0.3, 0.5, 0.2]))
    roll = float(rng.normal(0, 0.022))
    camera = None
    for attempt in range(_TRIES):
        turn = rng.uniform(0, 2 * np.pi)
        focal = LONG / 36.0 * rng.uniform(32, 100 if attempt < 20 else 45)
        distance = focal * 1.85 / (share * size[1])
        x, y = middle[0] + distance * np.cos(turn), middle[1] + distance * np.sin(turn)
        if not is_inside(x, y) or distance < 2.6 or _behind_stand(x, y, middle):
            continue
        camera = look_at(np.array([x, y, level]), middle, focal, size, roll)
        if not _hidden(camera, body, ball):
            break
    if camera is None:  # a corner of the hall: step back towards its middle with a wide lens
        away = np.array([14.0, 0.0, 0.0]) - middle
        away = away / np.linalg.norm(away)
        focal = LONG / 36.0 * 35
        distance = focal * 1.85 / (share * size[1])
        camera = look_at(np.array([*(middle + distance * away)[:2], level]), middle, focal, size, roll)
    return camera


def crop(rng: np.random.Generator, camera: Camera, body: Skeleton, ball: Array, move: str) -> Camera:
    """Return the camera with its picture cropped so that player and ball are inside, perhaps with room for the hoop."""
    round_ball = BALL_RADIUS * 1.3 * np.concatenate([np.eye(3), -np.eye(3)])
    points = np.concatenate([body.joints, ball + round_ball])
    width, height = camera.size
    box = box_around(camera, points)
    needed = max((box[3] - box[1]) / (0.93 * height), (box[2] - box[0]) / (0.9 * width))
    if needed > 1:
        camera = replace(camera, focal=camera.focal / needed)
        box = box_around(camera, points)
    spare = np.array([width - (box[2] - box[0]), height - (box[3] - box[1])])
    free = rng.beta(3.0, 3.0, size=2)
    hoop, depth = camera.project(np.array([RING_X, 0.0, RING_Z]))
    if rng.random() < _ROOM_FOR_HOOP[move] and depth > 1.0:
        wanted = np.where(hoop < (box[:2] + box[2:]) / 2, rng.uniform(0.62, 0.95, 2), rng.uniform(0.05, 0.38, 2))
        free = np.where(np.array([abs(hoop[0] - box[0]) > 0.25 * width, True]), wanted, free)
    margin = 0.03 * np.array([width, height])
    start = margin + free * np.maximum(spare - 2 * margin, 0)
    return camera.moved(start[0] - box[0], start[1] - box[1])


def is_in_picture(camera: Camera, points: Array) -> bool:
    """Return whether the box around world points `[n, 3]` meets the picture; those behind the lens are left out."""
    pixels, depth = camera.project(points)
    ahead = pixels[depth > 0.5]
    if not len(ahead):
        return False
    low, high = ahead.min(axis=0) - 20, ahead.max(axis=0) + 20
    return bool(np.all(high > 0) and np.all(low < np.array(camera.size)))


#: Pixels per photo, for every aspect ratio; a network's input of 224 px has 50,000.
AREA = 300.0**2
#: Aspect ratios (width / height) and their probabilities.
_SHAPES = (
    (2 / 3, 0.2),
    (3 / 4, 0.1),
    (4 / 5, 0.12),
    (1.0, 0.16),
    (5 / 4, 0.06),
    (4 / 3, 0.1),
    (3 / 2, 0.18),
    (16 / 9, 0.08),
)

#: framing -> (probability, joints inside the picture; empty means all joints).
_UPPER = ("crown", "chin", "neck", "shoulder_b", "shoulder_o", "waist")
FRAMINGS: dict[str, tuple[float, tuple[str, ...]]] = {
    "whole": (0.38, ()),
    "wide": (0.08, ()),
    "knees": (0.27, (*_UPPER, "pelvis", "hip_b", "hip_o", "knee_b", "knee_o")),
    "waist": (0.21, (*_UPPER, "pelvis")),
    "chest": (0.06, _UPPER),
}
_ARMS = ("elbow_b", "wrist_b", "tip_b", "elbow_o", "wrist_o")


@dataclass(frozen=True)
class View:
    """A camera and how it was chosen.

    Attributes:
        camera: the photographer's.
        framing: a key of `FRAMINGS`.
    """

    camera: Camera
    framing: str


def sample_size(rng: np.random.Generator) -> tuple[int, int]:
    """Sample width and height of a photo in pixels, both even."""
    shapes, shares = zip(*_SHAPES, strict=True)
    shape = float(shapes[int(rng.choice(len(shapes), p=shares))]) * float(rng.uniform(0.94, 1.06))
    return 2 * round(np.sqrt(AREA * shape) / 2), 2 * round(np.sqrt(AREA / shape) / 2)


def draw_framing(rng: np.random.Generator) -> str:
    """Draw a framing with its probability."""
    names = list(FRAMINGS)
    return names[int(rng.choice(len(names), p=[FRAMINGS[name][0] for name in names]))]


def sample_position(rng: np.random.Generator, subject: Array, high: float = 0.0, heading: float | None = None) -> Array:
    """Sample a camera position `[3]` around a subject `[3]`: floor level, eye level or the stands.

    Args:
        rng: the photo's generator.
        subject: Point of interest, metres.
        high: Probability, 0–1, of a camera high above, such as behind the backboard.
        heading: Direction in radians that the subject faces, to favour frontal views; None for no preference.
    """
    turn = float(rng.uniform(0, 2 * np.pi))
    if heading is not None and rng.random() < 0.6:
        turn = heading + float(rng.normal(0, 0.9))
    distance = float(rng.uniform(3.5, 9.0)) if rng.random() < 0.65 else float(rng.uniform(9.0, 24.0))
    draw = rng.random()
    if draw < high:
        level, distance = float(rng.uniform(4.0, 7.0)), float(rng.uniform(3.0, 7.0))
    elif draw < high + 0.38:
        level = float(rng.uniform(0.3, 1.0))
    elif draw < high + 0.78:
        level = float(rng.uniform(1.1, 2.1))
    else:
        level = float(rng.uniform(2.0, 2.0 + 0.3 * distance))
    return np.array([subject[0] + distance * np.cos(turn), subject[1] + distance * np.sin(turn), level])


def ball_points(ball: Array, radius: float = BALL_RADIUS) -> Array:
    """Return six points `[6, 3]` on the surface of a ball."""
    return ball + radius * np.concatenate([np.eye(3), -np.eye(3)])


def points_of(body: Skeleton, framing: str, ball: Array | None) -> Array:
    """Return the points `[n, 3]` that a framing keeps inside the picture: joints, ball and ball arm."""
    names = FRAMINGS[framing][1]
    rows = [ROW[name] for name in names] if names else list(range(len(ROW)))
    points = [body.joints[rows], body["crown"][None] + np.array([0, 0, 0.06])]
    if ball is not None:
        points += [ball_points(ball)]
        if names:
            points += [body.joints[[ROW[name] for name in ("elbow_b", "wrist_b", "tip_b")]]]
    return np.concatenate(points)


def frame(rng: np.random.Generator, camera: Camera, points: Array, share: float, hoop: Array | None = None) -> Camera:
    """Zoom and shift a camera so that points fill a share of the picture.

    Args:
        rng: the photo's generator.
        camera: Camera that faces the points.
        points: World points `[n, 3]` to keep inside.
        share: Share of the picture's width or height that they span, whichever is reached first.
        hoop: World point `[3]` towards which to leave space, or None.
    """
    box = box_around(camera, points)
    size = np.array(camera.size)
    span = np.maximum(box[2:] - box[:2], 1e-3)
    factor = share * float(np.min(size / span))
    camera = replace(camera, focal=camera.focal * factor)
    box = box_around(camera, points)
    spare = size - (box[2:] - box[:2])
    free = rng.beta(2.2, 2.2, size=2)
    if hoop is not None:
        pixel, depth = camera.project(hoop)
        if float(depth) > 0.5:
            middle = (box[:2] + box[2:]) / 2
            towards = np.where(pixel < middle, rng.uniform(0.6, 0.95, 2), rng.uniform(0.05, 0.4, 2))
            free = np.where(np.abs(pixel - middle) > 0.15 * size, towards, free)
    start = free * spare
    return camera.moved(start[0] - box[0], start[1] - box[1])


def look(rng: np.random.Generator, position: Array, target: Array, size: tuple[int, int]) -> Camera:
    """Return a camera at `position` facing `target`, with a random roll."""
    roll = float(rng.normal(0, 0.03) if rng.random() < 0.85 else rng.normal(0, 0.16))
    return look_at(position, target + np.array([1e-3, 0, 0]), 400.0, size, roll)
