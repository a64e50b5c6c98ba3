"""Pose ranges of the teaching court: further phases of each move, and poses without a move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bball_pl.court.camera import Array
from bball_pl.court.pose import (
    ANGLES,
    BALL_RADIUS,
    RANGES,
    ROW,
    Action,
    JointAngles,
    Range,
    Skeleton,
    angle_range,
    forward_kinematics,
    palm_of,
    reach,
    sample_action,
)

#: phase -> (parent phase, joint angle ranges in degrees); an angle that is not listed comes from the parent.
_STANCES: dict[str, tuple[str, dict[str, Range]]] = {
    # --- dribble
    "dribble_upright": ("dribble_high", {
        "lean": (-2, 14), "tilt": (-3, 6), "knee_ball": (5, 35), "knee_off": (5, 35), "hip_ball": (-15, 22),
        "hip_off": (-5, 30), "shoulder_ball": (-8, 34), "side_ball": (10, 46), "elbow_ball": (15, 75),
        "shoulder_off": (-15, 45), "elbow_off": (15, 95), "turn": (-50, 50),
    }),
    "dribble_drive": ("dribble_low", {
        "lean": (14, 44), "hip_ball": (-32, 20), "hip_off": (35, 85), "knee_ball": (10, 60), "knee_off": (30, 95),
        "shoulder_ball": (10, 62), "side_ball": (10, 44), "elbow_ball": (10, 70), "twist": (-20, 25),
    }),
    "dribble_shield": ("dribble_low", {
        "twist": (-35, 5), "shoulder_off": (25, 95), "side_off": (25, 70), "elbow_off": (20, 90), "lean": (8, 38),
        "shoulder_ball": (-25, 25), "side_ball": (15, 50),
    }),
    "dribble_cross": ("dribble_low", {
        "shoulder_ball": (20, 60), "side_ball": (-22, 8), "elbow_ball": (10, 50), "spread_ball": (10, 26),
        "spread_off": (10, 26), "lean": (20, 48),
    }),
    # --- shoot
    "shoot_fade": ("shoot_hold", {
        "lean": (-26, -6), "hip_ball": (0, 40), "hip_off": (5, 50), "knee_ball": (15, 70), "knee_off": (15, 80),
        "shoulder_ball": (105, 160), "tilt": (-10, 8),
    }),
    "shoot_high": ("shoot_hold", {
        "shoulder_ball": (125, 165), "elbow_ball": (40, 85), "wrist_ball": (-60, -15), "nod": (5, 35),
        "knee_ball": (4, 60), "knee_off": (4, 60),
    }),
    # Just before the release: the ball on one hand, the other one beside it or already away.
    "shoot_tip": ("shoot_hold", {
        "shoulder_ball": (120, 172), "elbow_ball": (8, 78), "wrist_ball": (-50, 20), "shoulder_off": (95, 168),
        "elbow_off": (15, 95), "side_off": (-6, 26), "nod": (5, 35), "knee_ball": (2, 60), "knee_off": (2, 60),
        "lean": (-14, 8), "hip_ball": (-12, 30), "hip_off": (-12, 30),
    }),
    "shoot_follow": ("shoot_release", {
        "shoulder_ball": (135, 172), "elbow_ball": (0, 22), "wrist_ball": (35, 85), "shoulder_off": (95, 155),
        "side_off": (4, 30),
    }),
    # --- layup
    "layup_high": ("layup_reach", {
        "shoulder_ball": (152, 182), "elbow_ball": (0, 22), "hip_ball": (45, 100), "tilt": (-16, 2), "lean": (-8, 16),
        "shoulder_off": (0, 100),
    }),
    "layup_cross": ("layup_reach", {
        "twist": (10, 48), "shoulder_ball": (105, 165), "side_ball": (-14, 30), "shoulder_off": (40, 120),
        "elbow_off": (40, 110), "hip_off": (-25, 40), "knee_off": (10, 85), "lean": (-14, 24),
    }),
    "layup_reverse": ("layup_reach", {
        "lean": (-22, 4), "twist": (-25, 10), "nod": (20, 48), "shoulder_ball": (140, 185), "hip_off": (-20, 45),
        "knee_off": (10, 80),
    }),
    # --- none: without a ball
    "idle": ("stand", {"turn": (-60, 60), "lean": (-3, 10), "shoulder_ball": (-14, 25), "shoulder_off": (-14, 25)}),
    "hands_hips": ("stand", {
        "shoulder_ball": (-28, -8), "shoulder_off": (-28, -8), "side_ball": (28, 50), "side_off": (28, 50),
        "elbow_ball": (70, 100), "elbow_off": (70, 100), "turn": (-50, 50),
    }),
    "arms_crossed": ("stand", {
        "shoulder_ball": (20, 38), "shoulder_off": (20, 38), "side_ball": (-26, -8), "side_off": (-26, -8),
        "elbow_ball": (85, 110), "elbow_off": (85, 110),
    }),
    "walk": ("stand", {
        "hip_ball": (-28, 34), "hip_off": (-28, 34), "knee_ball": (4, 40), "knee_off": (4, 40), "lean": (0, 12),
        "shoulder_ball": (-30, 40), "shoulder_off": (-30, 40), "elbow_ball": (10, 70), "elbow_off": (10, 70),
    }),
    "run": ("stand", {
        "hip_ball": (-30, 20), "hip_off": (30, 75), "knee_ball": (20, 95), "knee_off": (30, 100), "lean": (6, 24),
        "shoulder_ball": (10, 60), "shoulder_off": (-50, 10), "elbow_ball": (60, 110), "elbow_off": (60, 110),
    }),
    "guard": ("stand", {
        "lean": (14, 42), "hip_ball": (25, 70), "hip_off": (25, 70), "knee_ball": (45, 90), "knee_off": (45, 90),
        "spread_ball": (14, 34), "spread_off": (14, 34), "shoulder_ball": (20, 75), "shoulder_off": (20, 75),
        "side_ball": (30, 80), "side_off": (30, 80), "elbow_ball": (10, 60), "elbow_off": (10, 60),
    }),
    "contest": ("stand", {
        "lean": (-6, 18), "shoulder_ball": (125, 178), "side_ball": (0, 30), "elbow_ball": (0, 35),
        "shoulder_off": (10, 150), "side_off": (5, 50), "elbow_off": (5, 70), "wrist_ball": (-20, 20),
        "hip_ball": (-15, 35), "hip_off": (-15, 35), "knee_ball": (5, 60), "knee_off": (5, 60), "nod": (5, 30),
    }),
    "arms_up": ("stand", {
        "shoulder_ball": (130, 178), "shoulder_off": (130, 178), "side_ball": (5, 45), "side_off": (5, 45),
        "elbow_ball": (0, 50), "elbow_off": (0, 50), "nod": (0, 25), "wrist_ball": (-20, 20), "wrist_off": (-20, 20),
    }),
    "cheer": ("stand", {
        "shoulder_ball": (110, 175), "side_ball": (10, 50), "elbow_ball": (20, 110), "lean": (-14, 10),
        "shoulder_off": (-10, 60), "elbow_off": (20, 110), "nod": (0, 25),
    }),
    "point": ("stand", {"shoulder_ball": (70, 110), "side_ball": (0, 60), "elbow_ball": (0, 20), "turn": (-10, 50)}),
    "hands_knees": ("stand", {
        "lean": (48, 68), "nod": (20, 45), "hip_ball": (18, 34), "hip_off": (18, 34), "knee_ball": (22, 45),
        "knee_off": (22, 45), "shoulder_ball": (42, 60), "shoulder_off": (42, 60), "elbow_ball": (5, 25),
        "elbow_off": (5, 25),
    }),
    "clap": ("stand", {
        "shoulder_ball": (25, 70), "shoulder_off": (25, 70), "side_ball": (-16, 0), "side_off": (-16, 0),
        "elbow_ball": (60, 105), "elbow_off": (60, 105),
    }),
    # --- none: with a ball
    "ball_hip": ("stand", {
        "shoulder_ball": (-12, 12), "side_ball": (22, 38), "elbow_ball": (60, 90), "wrist_ball": (0, 25),
        "turn": (-40, 40),
    }),
    "ball_chest": ("stand", {
        "shoulder_ball": (18, 44), "side_ball": (2, 20), "elbow_ball": (78, 112), "wrist_ball": (-5, 15),
        "nod": (-25, 12), "turn": (-40, 40), "lean": (0, 18), "knee_ball": (4, 50), "knee_off": (4, 50),
    }),
    "ball_belly": ("stand", {
        "shoulder_ball": (8, 30), "side_ball": (2, 14), "elbow_ball": (40, 75), "nod": (-25, 12), "turn": (-30, 30),
    }),
    "pass_chest": ("stand", {
        "shoulder_ball": (62, 96), "side_ball": (0, 10), "elbow_ball": (2, 30), "wrist_ball": (-5, 30),
        "shoulder_off": (62, 96), "side_off": (0, 12), "elbow_off": (2, 30), "lean": (4, 26), "hip_off": (10, 50),
        "knee_off": (10, 50),
    }),
    "palm_out": ("stand", {"shoulder_ball": (60, 95), "side_ball": (0, 40), "elbow_ball": (0, 30),
                           "wrist_ball": (-40, 0)}),
}  # fmt: skip

#: class or role -> phases and their probabilities.
SHARES: dict[str, tuple[tuple[str, float], ...]] = {
    "dribble": (
        ("dribble_low", 0.2), ("dribble_high", 0.19), ("dribble_upright", 0.24), ("dribble_drive", 0.19),
        ("dribble_shield", 0.12), ("dribble_cross", 0.06),
    ),
    "layup": (
        ("layup_reach", 0.27), ("layup_high", 0.22), ("layup_cross", 0.17), ("layup_scoop", 0.14),
        ("layup_reverse", 0.1), ("layup_gather", 0.1),
    ),
    "shoot": (
        ("shoot_hold", 0.25), ("shoot_high", 0.19), ("shoot_tip", 0.24), ("shoot_fade", 0.08),
        ("shoot_release", 0.14), ("shoot_follow", 0.1),
    ),
    "none": (
        ("idle", 0.12), ("hands_hips", 0.08), ("arms_crossed", 0.05), ("walk", 0.09), ("run", 0.08), ("guard", 0.09),
        ("contest", 0.05), ("arms_up", 0.03), ("cheer", 0.06), ("point", 0.05), ("hands_knees", 0.04),
        ("clap", 0.04), ("ball_hip", 0.07), ("ball_chest", 0.05), ("ball_belly", 0.03), ("pass_chest", 0.06),
        ("palm_out", 0.01),
    ),
    # Roles: defenders near the ball, defenders below the rim, everybody farther away.
    "near": (("guard", 0.36), ("contest", 0.22), ("run", 0.16), ("idle", 0.12), ("walk", 0.08), ("arms_up", 0.06)),
    "rim": (("contest", 0.42), ("arms_up", 0.2), ("run", 0.12), ("guard", 0.12), ("idle", 0.14)),
    "far": (
        ("idle", 0.28), ("walk", 0.18), ("run", 0.2), ("guard", 0.12), ("hands_hips", 0.1), ("clap", 0.05),
        ("cheer", 0.04), ("point", 0.03),
    ),
}  # fmt: skip

_JUMPS: dict[str, Range] = {
    "layup_reach": (0.02, 0.62), "layup_high": (0.1, 0.7), "layup_cross": (0.05, 0.6), "layup_scoop": (0.02, 0.5),
    "layup_reverse": (0.08, 0.6), "layup_gather": (-0.05, 0.35), "shoot_hold": (-0.25, 0.45),
    "shoot_high": (-0.15, 0.5), "shoot_tip": (-0.2, 0.6), "shoot_fade": (0.0, 0.5),
    "shoot_release": (-0.15, 0.5), "shoot_follow": (-0.15, 0.4),
    "contest": (-0.25, 0.45), "arms_up": (-0.3, 0.35), "run": (-0.1, 0.1), "cheer": (-0.3, 0.25),
    "dribble_drive": (-0.1, 0.08), "dribble_high": (-0.3, 0.05),
}  # fmt: skip

#: Phases of the class "none" with a ball in hand; phases in which the off hand reaches for the ball.
HOLDING = frozenset({"ball_hip", "ball_chest", "ball_belly", "pass_chest", "palm_out"})
_BOTH_HANDS = frozenset(
    {"shoot_hold", "shoot_high", "shoot_fade", "layup_gather", "ball_chest", "ball_belly", "pass_chest"}
)


def phases() -> tuple[str, ...]:
    """Return every phase that `sample_stance` knows."""
    return (*RANGES, *_STANCES)


def draw_phase(rng: np.random.Generator, group: str) -> str:
    """Draw a phase of `group`, a key of `SHARES`, with its probability."""
    shares = SHARES[group]
    weights = np.array([share for _, share in shares])
    return shares[int(rng.choice(len(shares), p=weights / weights.sum()))][0]


def stance_range(phase: str, name: str) -> Range:
    """Return least and most degrees of the joint angle `name` in `phase`."""
    if phase not in _STANCES:
        return angle_range(phase, name)
    behind, ranges = _STANCES[phase]
    return ranges[name] if name in ranges else stance_range(behind, name)


def sample_stance(rng: np.random.Generator, phase: str, size: float = 1.0) -> Action:
    """Sample a pose of `phase` with the ball's position; angles may exceed their ranges by a few per cent.

    Args:
        rng: the photo's generator.
        phase: one of `phases()`.
        size: Body height divided by 1.90 m.
    """
    if phase in {"stand", "sit"}:
        return sample_action(rng, phase, size)
    values = {}
    for name in ANGLES:
        low, high = stance_range(phase, name)
        values[name] = float(rng.uniform(low, high) + rng.normal(0, 0.06 * (high - low)))
    if phase in {"walk", "run", "dribble_drive"} and rng.random() < 0.5:
        # The other leg leads as often.
        for joint in ("hip", "knee", "point"):
            values[f"{joint}_ball"], values[f"{joint}_off"] = values[f"{joint}_off"], values[f"{joint}_ball"]
    angles = JointAngles(**values)
    body = forward_kinematics(angles, size)
    jump = max(0.0, float(rng.uniform(*_JUMPS.get(phase, (0.0, 0.0)))))
    ball, speed = _ball(rng, phase, body, jump)
    if phase in _BOTH_HANDS:
        under = BALL_RADIUS + 0.015
        if phase in {"shoot_hold", "shoot_high", "shoot_fade"}:
            # The guide hand lies at the ball's side, sometimes below it.
            aside = ball + np.array([0.0, -0.9, -0.4]) * under if rng.random() < 0.7 else ball - [0.02, 0, under]
        else:
            aside = ball + np.array([0.0, -0.97, 0.1]) * under
        body = reach(body, "o", aside, size)
    return Action(phase, angles, body, ball, jump, speed)


#: Distance from a palm to the centre of a ball in contact with it, metres.
_TOUCH = BALL_RADIUS + 0.012
_FORWARD, _SIDE, _UP = np.eye(3)


def _ball(rng: np.random.Generator, phase: str, body: Skeleton, jump: float) -> tuple[Array, Array]:
    """Return place and velocity of the ball, each `[3]`, in the body's axes."""
    palm = palm_of(body)
    if phase.startswith("dribble"):
        return _dribbled(rng, palm, jump)
    if phase.startswith("shoot"):
        return _shot(rng, phase, palm)
    if phase.startswith("layup"):
        return _laid_up(rng, phase, palm)
    return _held(rng, phase, body, palm)


def _dribbled(rng: np.random.Generator, palm: Array, jump: float) -> tuple[Array, Array]:
    room = max(0.0, palm[2] + jump - 2 * BALL_RADIUS - 0.03)
    # Most photos are taken while the hand is at the ball, or just before.
    drop = room * (float(rng.beta(0.6, 2.2)) if rng.random() < 0.6 else float(rng.beta(1.3, 1.1)))
    if drop < 0.06 and rng.random() < 0.4:  # the hand carries the ball at its side
        way = 0.3 * _FORWARD + float(rng.normal(0.35, 0.4)) * _SIDE - _UP * float(rng.uniform(0.2, 1.0))
        ball = palm + _TOUCH * way / np.linalg.norm(way)
    else:
        ball = palm + (0.03 + 0.12 * drop) * _FORWARD - (_TOUCH + drop) * _UP
        ball = ball + float(rng.normal(0, 0.03 + 0.08 * drop)) * _SIDE
    return ball, np.array([1.0, 0.0, float(rng.choice([-1.0, 1.0])) * (1.5 + 2.5 * drop)])


def _shot(rng: np.random.Generator, phase: str, palm: Array) -> tuple[Array, Array]:
    if phase == "shoot_tip":
        return palm + _TOUCH * (float(rng.uniform(0.1, 0.6)) * _FORWARD + 0.9 * _UP), 1.5 * _UP
    if phase not in {"shoot_release", "shoot_follow"}:
        return palm + _TOUCH * (0.45 * _FORWARD + 0.9 * _UP) - 0.05 * _SIDE, np.zeros(3)
    flight = float(rng.beta(0.7, 1.6)) * 0.9 if phase == "shoot_release" else float(rng.uniform(0.5, 2.6))
    way = 0.55 * _FORWARD + (0.83 if flight < 1.2 else 0.7) * _UP
    return palm + _TOUCH * (0.35 * _FORWARD + 0.93 * _UP) + flight * way, (0.8 + 5 * min(flight, 0.6)) * way


def _laid_up(rng: np.random.Generator, phase: str, palm: Array) -> tuple[Array, Array]:
    if phase == "layup_scoop":
        return palm + _TOUCH * (0.1 * _FORWARD + _UP), np.array([1.5, 0.0, 1.5])
    if phase == "layup_gather":
        return palm + 0.06 * _FORWARD - np.array([0, BALL_RADIUS * 0.9, 0]), np.array([2.0, 0.0, 0.8])
    lean = np.array([float(rng.normal(0.35, 0.35)), float(rng.normal(0, 0.3)), 0.9])
    ball = palm + _TOUCH * lean / np.linalg.norm(lean)
    if rng.random() < 0.28:
        ball = ball + float(rng.uniform(0.03, 0.4)) * (0.5 * _FORWARD + 0.86 * _UP)
    return ball, np.array([1.5, 0.0, 1.8])


def _held(rng: np.random.Generator, phase: str, body: Skeleton, palm: Array) -> tuple[Array, Array]:
    still = np.zeros(3)
    if phase == "ball_hip":
        return body.joints[ROW["hip_b"]] + np.array([0.06, 0.2, 0.1]), still
    if phase == "pass_chest":
        flight = 0.0 if rng.random() < 0.5 else float(rng.uniform(0.05, 1.4))
        return palm + _TOUCH * _FORWARD - 0.09 * _SIDE + flight * _FORWARD, 7.0 * _FORWARD * (flight > 0)
    if phase in {"ball_chest", "ball_belly"}:
        return palm + 0.05 * _FORWARD - (BALL_RADIUS * 0.95) * _SIDE, still
    return palm + _TOUCH * _UP, still


def hand_on_ball(action: Action, size: float) -> Action:
    """Bend the ball arm so that its palm touches the ball, in phases whose ball position does not follow the hand."""
    if action.phase != "ball_hip":
        return action
    target = action.ball + np.array([0.04, BALL_RADIUS * 0.9, -0.03])
    return replace(action, body=reach(action.body, "b", target, size))
