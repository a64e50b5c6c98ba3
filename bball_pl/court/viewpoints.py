"""Camera positions and framings of press photos: tight to wide, portrait to landscape, floor level to stands."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bball_pl.court.camera import Array, Camera, look_at
from bball_pl.court.framing import box_around
from bball_pl.court.move_poses import BALL_RADIUS
from bball_pl.court.pose import ROW, Skeleton

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
