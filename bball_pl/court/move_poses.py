"""The moves: plausible ranges of each joint angle, and where the ball is in each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bball_pl.court.camera import Array
from bball_pl.court.pose import ANGLES, ROW, JointAngles, Skeleton, forward_kinematics, reach

#: Radius of a size 7 ball, metres.
BALL_RADIUS = 0.122

Range = tuple[float, float]

#: Degrees, as everywhere in `JointAngles`; what a phase does not name it has from here.
_NEUTRAL: dict[str, Range] = {
    "lean": (0, 8), "tilt": (-4, 4), "twist": (-10, 10), "nod": (-5, 12), "turn": (-20, 20),
    "hip_ball": (-5, 15), "hip_off": (-5, 15), "spread_ball": (3, 9), "spread_off": (3, 9),
    "knee_ball": (4, 22), "knee_off": (4, 22), "point_ball": (0, 8), "point_off": (0, 8),
    "shoulder_ball": (-10, 20), "shoulder_off": (-10, 20), "side_ball": (6, 18), "side_off": (6, 18),
    "elbow_ball": (10, 40), "elbow_off": (10, 40), "wrist_ball": (0, 20), "wrist_off": (0, 20),
}  # fmt: skip

#: One entry per phase of a move; a move has one or more phases.
RANGES: dict[str, dict[str, Range]] = {
    "stand": {},
    "sit": {
        "lean": (8, 30), "hip_ball": (80, 92), "hip_off": (80, 92), "knee_ball": (80, 100), "knee_off": (80, 100),
        "spread_ball": (5, 14), "spread_off": (5, 14), "shoulder_ball": (15, 45), "shoulder_off": (15, 45),
        "elbow_ball": (30, 70), "elbow_off": (30, 70),
    },
    "dribble_low": {
        "lean": (18, 46), "tilt": (-4, 14), "twist": (-8, 22), "nod": (-12, 18), "turn": (-30, 30),
        "hip_ball": (-12, 32), "hip_off": (30, 68), "spread_ball": (6, 20), "spread_off": (6, 18),
        "knee_ball": (28, 62), "knee_off": (40, 78), "point_ball": (5, 35), "point_off": (-18, 0),
        "shoulder_ball": (12, 48), "shoulder_off": (0, 50), "side_ball": (10, 36), "side_off": (14, 46),
        "elbow_ball": (15, 62), "elbow_off": (45, 105), "wrist_ball": (-30, 10),
    },
    "dribble_high": {
        "lean": (6, 22), "tilt": (-3, 8), "twist": (-8, 16), "nod": (-14, 12), "turn": (-35, 35),
        "hip_ball": (-18, 25), "hip_off": (10, 46), "spread_ball": (4, 12), "spread_off": (4, 12),
        "knee_ball": (12, 58), "knee_off": (14, 52), "point_ball": (5, 30), "point_off": (-12, 4),
        "shoulder_ball": (8, 36), "shoulder_off": (-20, 36), "side_ball": (8, 30), "side_off": (8, 34),
        "elbow_ball": (28, 78), "elbow_off": (35, 100), "wrist_ball": (-35, 5),
    },
    "layup_reach": {
        "lean": (-4, 20), "tilt": (-12, 2), "twist": (0, 26), "nod": (12, 42), "turn": (-15, 15),
        "hip_ball": (48, 98), "hip_off": (-22, 14), "spread_ball": (2, 12), "spread_off": (0, 8),
        "knee_ball": (65, 115), "knee_off": (4, 36), "point_ball": (10, 35), "point_off": (28, 52),
        "shoulder_ball": (128, 172), "shoulder_off": (15, 85), "side_ball": (2, 20), "side_off": (8, 38),
        "elbow_ball": (2, 42), "elbow_off": (35, 105), "wrist_ball": (-20, 15),
    },
    "layup_scoop": {
        "lean": (0, 22), "tilt": (-8, 6), "twist": (4, 30), "nod": (10, 35), "turn": (-15, 15),
        "hip_ball": (40, 92), "hip_off": (-25, 10), "spread_ball": (2, 12), "spread_off": (0, 8),
        "knee_ball": (60, 112), "knee_off": (4, 40), "point_ball": (10, 35), "point_off": (28, 52),
        "shoulder_ball": (84, 125), "shoulder_off": (0, 60), "side_ball": (2, 22), "side_off": (10, 40),
        "elbow_ball": (4, 38), "elbow_off": (35, 95), "wrist_ball": (0, 25),
    },
    "layup_gather": {
        "lean": (4, 24), "tilt": (-6, 6), "twist": (-5, 18), "nod": (5, 30), "turn": (-15, 15),
        "hip_ball": (45, 88), "hip_off": (-26, 8), "spread_ball": (2, 10), "spread_off": (0, 8),
        "knee_ball": (60, 105), "knee_off": (8, 42), "point_ball": (5, 30), "point_off": (18, 48),
        "shoulder_ball": (48, 112), "side_ball": (0, 16), "elbow_ball": (55, 105), "wrist_ball": (0, 20),
        "shoulder_off": (40, 90), "elbow_off": (50, 95),
    },
    "shoot_hold": {
        "lean": (-8, 7), "tilt": (-4, 3), "twist": (-4, 14), "nod": (8, 28), "turn": (-10, 10),
        "hip_ball": (-6, 26), "hip_off": (-6, 24), "spread_ball": (2, 9), "spread_off": (2, 9),
        "knee_ball": (4, 44), "knee_off": (4, 42), "point_ball": (5, 40), "point_off": (5, 40),
        "shoulder_ball": (92, 138), "side_ball": (0, 20), "elbow_ball": (62, 108), "wrist_ball": (-45, -10),
        "shoulder_off": (85, 125), "elbow_off": (60, 100), "side_off": (5, 25),
    },
    "shoot_release": {
        "lean": (-8, 6), "tilt": (-6, 2), "twist": (-2, 18), "nod": (12, 32), "turn": (-8, 8),
        "hip_ball": (-8, 18), "hip_off": (-8, 16), "spread_ball": (2, 8), "spread_off": (2, 8),
        "knee_ball": (2, 30), "knee_off": (2, 28), "point_ball": (22, 48), "point_off": (22, 48),
        "shoulder_ball": (138, 165), "shoulder_off": (112, 150), "side_ball": (0, 14), "side_off": (2, 22),
        "elbow_ball": (4, 30), "elbow_off": (25, 85), "wrist_ball": (20, 70),
    },
}  # fmt: skip

#: move -> phases and how often each is seen.
PHASES: dict[str, tuple[tuple[str, float], ...]] = {
    "dribble": (("dribble_low", 0.6), ("dribble_high", 0.4)),
    "layup": (("layup_reach", 0.7), ("layup_scoop", 0.22), ("layup_gather", 0.08)),
    "shoot": (("shoot_hold", 0.72), ("shoot_release", 0.28)),
}

#: Height of the jump per phase, metres: (least, most).
_JUMPS: dict[str, Range] = {
    "layup_reach": (0.08, 0.55), "layup_scoop": (0.08, 0.45), "layup_gather": (0.0, 0.22),
    "shoot_hold": (-0.2, 0.34), "shoot_release": (-0.1, 0.45), "dribble_high": (-0.3, 0.05),
}  # fmt: skip


@dataclass(frozen=True)
class Action:
    """One pose of a move, still in the body's own place and heading.

    Attributes:
        phase: key of `RANGES`.
        angles: the sampled joint angles, before a hand was led to the ball.
        body: the skeleton, heading along +x, ball side along +y, lowest sole at z = 0.
        ball: place of the ball's centre `[3]` in the same axes, metres above the sole, not the floor.
        jump: height of the lowest sole above the floor, metres.
        speed: velocity of the ball `[3]` in the same axes, metres a second: it blurs.
    """

    phase: str
    angles: JointAngles
    body: Skeleton
    ball: Array
    jump: float
    speed: Array


def angle_range(phase: str, name: str) -> Range:
    """Return least and most degrees of the joint angle `name` in `phase`."""
    return RANGES[phase].get(name, _NEUTRAL[name])


def sample_phase(rng: np.random.Generator, move: str) -> str:
    """Return a phase of `move` ("shoot", "dribble" or "layup") as often as it is seen."""
    phases = PHASES[move]
    return phases[int(rng.choice(len(phases), p=[share for _, share in phases]))][0]


def sample_angles(rng: np.random.Generator, phase: str) -> JointAngles:
    """Return joint angles of `phase`, each uniform in its range."""
    return JointAngles(**{name: float(rng.uniform(*angle_range(phase, name))) for name in ANGLES})


def sample_action(rng: np.random.Generator, phase: str, size: float = 1.0) -> Action:
    """Return one pose of `phase` and where the ball belongs in it; both hands go to a ball that needs both.

    Args:
        rng: the photo's generator.
        phase: key of `RANGES`.
        size: body height divided by 1.90 m.
    """
    angles = sample_angles(rng, phase)
    body = forward_kinematics(angles, size)
    jump = max(0.0, float(rng.uniform(*_JUMPS.get(phase, (0.0, 0.0)))))
    palm = palm_of(body)
    forward, up = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    ball, speed = palm, np.zeros(3)
    if phase.startswith("dribble"):
        drop = float(rng.beta(1.2, 1.4)) * max(0.0, palm[2] + jump - 2 * BALL_RADIUS - 0.05)
        ball = palm + (0.04 + 0.1 * drop) * forward - (BALL_RADIUS + 0.02 + drop) * up
        speed = np.array([1.0, 0.0, float(rng.choice([-1.0, 1.0])) * (2.0 + 2.5 * drop)])
    elif phase == "shoot_release":
        flight = float(rng.beta(0.7, 1.6)) * 0.85
        ball = palm + (BALL_RADIUS + 0.01) * (0.35 * forward + 0.93 * up) + flight * (0.55 * forward + 0.83 * up)
        speed = (0.8 + 5 * min(flight, 0.6)) * (0.55 * forward + 0.83 * up)
    elif phase == "shoot_hold":
        ball = palm + (BALL_RADIUS + 0.015) * (0.5 * forward + 0.86 * up) - 0.05 * np.array([0, 1.0, 0])
    elif phase == "layup_reach":
        ball = palm + (BALL_RADIUS + 0.015) * (0.45 * forward + 0.89 * up)
        ball = ball + float(rng.random() < 0.25) * float(rng.uniform(0.03, 0.22)) * (0.5 * forward + 0.86 * up)
        speed = np.array([1.5, 0.0, 1.8])
    elif phase == "layup_scoop":
        ball = palm + (BALL_RADIUS + 0.015) * (0.1 * forward + up)
        speed = np.array([1.5, 0.0, 1.5])
    elif phase == "layup_gather":
        ball = palm + 0.06 * forward - np.array([0, BALL_RADIUS * 0.9, 0])
        speed = np.array([2.0, 0.0, 0.8])
    if phase in {"shoot_hold", "layup_gather"}:
        body = reach(body, "o", ball + np.array([-0.02, -BALL_RADIUS - 0.02, 0.0]), size)
    return Action(phase, angles, body, ball, jump, speed)


def palm_of(body: Skeleton) -> Array:
    """Return the place `[3]` of the palm on the ball side."""
    palm: Array = 0.45 * body.joints[ROW["wrist_b"]] + 0.55 * body.joints[ROW["tip_b"]]
    return palm
