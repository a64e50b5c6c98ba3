"""Poses: joint angles per move, and forward kinematics from angles to joints in metres."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from bball_pl.court.camera import Array


@dataclass(frozen=True)
class JointAngles:
    """The angles of one pose, in degrees; `ball` is the side of the hand that plays the ball, `off` the other one.

    Attributes:
        lean: trunk forward (positive) or backward.
        tilt: trunk towards the ball side.
        twist: chest against pelvis, positive brings the ball side forward.
        nod: head, positive looks up.
        turn: head, positive looks to the ball side.
        hip_ball: thigh, 0 hangs down, positive lifts the knee forward.
        hip_off: as `hip_ball`.
        spread_ball: thigh to the side, away from the other one.
        spread_off: as `spread_ball`.
        knee_ball: 0 is straight.
        knee_off: as `knee_ball`.
        point_ball: foot, 0 is square to the shin, positive points the toes.
        point_off: as `point_ball`.
        shoulder_ball: upper arm, 0 hangs down, 90 is forward, 180 is up.
        shoulder_off: as `shoulder_ball`.
        side_ball: upper arm away from the trunk.
        side_off: as `side_ball`.
        elbow_ball: 0 is straight.
        elbow_off: as `elbow_ball`.
        wrist_ball: hand against forearm, positive bends with the elbow.
        wrist_off: as `wrist_ball`.
    """

    lean: float
    tilt: float
    twist: float
    nod: float
    turn: float
    hip_ball: float
    hip_off: float
    spread_ball: float
    spread_off: float
    knee_ball: float
    knee_off: float
    point_ball: float
    point_off: float
    shoulder_ball: float
    shoulder_off: float
    side_ball: float
    side_off: float
    elbow_ball: float
    elbow_off: float
    wrist_ball: float
    wrist_off: float


ANGLES = tuple(field.name for field in fields(JointAngles))

#: Joint names in the order of a skeleton's rows. `b` is the ball side, `o` the other one.
JOINTS = (
    "pelvis", "waist", "neck", "chin", "crown",
    "hip_b", "knee_b", "ankle_b", "heel_b", "toe_b", "hip_o", "knee_o", "ankle_o", "heel_o", "toe_o",
    "shoulder_b", "elbow_b", "wrist_b", "tip_b", "shoulder_o", "elbow_o", "wrist_o", "tip_o",
)  # fmt: skip
ROW = {name: row for row, name in enumerate(JOINTS)}

#: Bone lengths of a body 1.90 m tall, metres: (from, to) -> length.
BONES = {
    ("pelvis", "waist"): 0.24, ("waist", "neck"): 0.32, ("neck", "chin"): 0.055, ("chin", "crown"): 0.235,
    ("hip_b", "knee_b"): 0.47, ("knee_b", "ankle_b"): 0.46, ("hip_o", "knee_o"): 0.47, ("knee_o", "ankle_o"): 0.46,
    ("heel_b", "toe_b"): 0.29, ("heel_o", "toe_o"): 0.29,
    ("shoulder_b", "elbow_b"): 0.315, ("elbow_b", "wrist_b"): 0.28, ("wrist_b", "tip_b"): 0.19,
    ("shoulder_o", "elbow_o"): 0.315, ("elbow_o", "wrist_o"): 0.28, ("wrist_o", "tip_o"): 0.19,
}  # fmt: skip

HIP_HALF = 0.10
SHOULDER_HALF = 0.195
SOLE = 0.075


@dataclass(frozen=True)
class Skeleton:
    """A posed body.

    Attributes:
        joints: world places `[23, 3]` in the order of `JOINTS`, metres.
        chest: axes of the chest `[3, 3]`, rows forward, ball side, up; unit length.
        pelvis: axes of the pelvis, as `chest`.
        head: axes of the head, as `chest`.
    """

    joints: Array
    chest: Array
    pelvis: Array
    head: Array

    def __getitem__(self, name: str) -> Array:
        """Return the place `[3]` of a joint by its name."""
        joint: Array = self.joints[ROW[name]]
        return joint


def turned(axes: Array, lean: float = 0.0, tilt: float = 0.0, twist: float = 0.0) -> Array:
    """Turn axes `[3, 3]` (rows forward, side, up) by degrees: `twist` around up, `tilt` to the side, `lean` forward."""
    forward, side, up = axes
    c, s = np.cos(np.radians(twist)), np.sin(np.radians(twist))
    # Positive brings the side forward, so forward itself turns away from it.
    forward, side = c * forward - s * side, c * side + s * forward
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    side, up = c * side - s * up, c * up + s * side
    c, s = np.cos(np.radians(lean)), np.sin(np.radians(lean))
    forward, up = c * forward - s * up, c * up + s * forward
    return np.stack([forward, side, up])


def swing(axes: Array, angle: float, aside: float, outward: float) -> Array:
    """Return the unit direction `[3]` of a limb that hangs down at 0 and points forward at `angle` 90 degrees.

    `aside` degrees lift it away from the body on the side of `outward` (+1 or -1 along the axes' second row).
    """
    a, b = np.radians(angle), np.radians(aside)
    direction: Array = np.cos(b) * (np.sin(a) * axes[0] - np.cos(a) * axes[2]) + outward * np.sin(b) * axes[1]
    return direction


def forward_kinematics(angles: JointAngles, size: float = 1.0) -> Skeleton:
    """Return the body in these angles, heading along +x, ball side along +y, its lowest sole at z = 0.

    Args:
        angles: degrees.
        size: body height divided by 1.90 m.
    """
    length = {bone: metres * size for bone, metres in BONES.items()}
    level = np.eye(3)
    # The pelvis follows a third of the trunk's lean: nobody bends at one joint alone.
    pelvis = turned(level, angles.lean * 0.35, angles.tilt * 0.3)
    chest = turned(level, angles.lean, angles.tilt, angles.twist)
    # The eyes stay nearly level when the trunk leans.
    head = turned(level, angles.lean * 0.3 - angles.nod, angles.tilt * 0.3, angles.twist * 0.5 - angles.turn)
    joints = np.zeros((len(JOINTS), 3))

    def place(name: str, start: str, direction: Array) -> None:
        joints[ROW[name]] = joints[ROW[start]] + direction * length[start, name]

    place("waist", "pelvis", pelvis[2])
    place("neck", "waist", chest[2])
    throat = chest[2] + head[2] + 0.35 * head[0]
    place("chin", "neck", throat / np.linalg.norm(throat))
    place("crown", "chin", head[2])
    for key, outward in (("b", 1.0), ("o", -1.0)):
        side = "ball" if key == "b" else "off"
        hip, spread, knee, point = (getattr(angles, f"{name}_{side}") for name in ("hip", "spread", "knee", "point"))
        joints[ROW[f"hip_{key}"]] = outward * HIP_HALF * size * pelvis[1] - 0.02 * size * pelvis[2]
        place(f"knee_{key}", f"hip_{key}", swing(level, hip, spread, outward))
        place(f"ankle_{key}", f"knee_{key}", swing(level, hip - knee, spread * 0.7, outward))
        toes = swing(level, hip - knee + 90 - point, spread * 0.8, outward)
        instep = swing(level, hip - knee - point, 0.0, outward)
        joints[ROW[f"heel_{key}"]] = joints[ROW[f"ankle_{key}"]] - 0.07 * size * toes + 0.045 * size * instep
        place(f"toe_{key}", f"heel_{key}", toes)
        shoulder, aside, elbow, wrist = (
            getattr(angles, f"{name}_{side}") for name in ("shoulder", "side", "elbow", "wrist")
        )
        joints[ROW[f"shoulder_{key}"]] = joints[ROW["neck"]] + size * (
            outward * SHOULDER_HALF * chest[1] - 0.045 * chest[2]
        )
        # A raised arm lifts its shoulder blade.
        joints[ROW[f"shoulder_{key}"]] += 0.05 * size * max(0.0, (shoulder - 90) / 90) * chest[2]
        place(f"elbow_{key}", f"shoulder_{key}", swing(chest, shoulder, aside, outward))
        place(f"wrist_{key}", f"elbow_{key}", swing(chest, shoulder + elbow, aside * 0.4, outward))
        place(f"tip_{key}", f"wrist_{key}", swing(chest, shoulder + elbow + wrist, aside * 0.3, outward))
    soles = [joints[ROW[name]][2] for name in ("heel_b", "toe_b", "heel_o", "toe_o")]
    joints[:, 2] += 0.035 * size - min(soles)
    return Skeleton(joints, chest, pelvis, head)


def reach(skeleton: Skeleton, side: str, target: Array, size: float = 1.0) -> Skeleton:
    """Bend the arm of `side` ("b" or "o") so that its palm comes to `target` `[3]`, or as near as its bones allow.

    The elbow hangs outward and down. Source: the law of cosines for two bones.
    """
    joints = skeleton.joints.copy()
    shoulder = joints[ROW[f"shoulder_{side}"]]
    upper = BONES["shoulder_b", "elbow_b"] * size
    palm = BONES["wrist_b", "tip_b"] * size * 0.5
    fore = BONES["elbow_b", "wrist_b"] * size
    line = target - shoulder
    distance = float(np.clip(np.linalg.norm(line), abs(fore + palm - upper) + 0.02, fore + palm + upper - 0.002))
    line = line / max(float(np.linalg.norm(line)), 1e-9)
    along = (upper**2 + distance**2 - (fore + palm) ** 2) / (2 * distance)
    outward = 1.0 if side == "b" else -1.0
    pole = 0.6 * outward * skeleton.chest[1] - 0.8 * skeleton.chest[2] + 0.25 * skeleton.chest[0]
    pole = pole - (pole @ line) * line
    pole = pole / max(float(np.linalg.norm(pole)), 1e-9)
    elbow = shoulder + along * line + np.sqrt(max(upper**2 - along**2, 0.0)) * pole
    down = shoulder + distance * line - elbow
    down = down / np.linalg.norm(down)
    joints[ROW[f"elbow_{side}"]] = elbow
    joints[ROW[f"wrist_{side}"]] = elbow + fore * down
    joints[ROW[f"tip_{side}"]] = elbow + (fore + BONES["wrist_b", "tip_b"] * size) * down
    return Skeleton(joints, skeleton.chest, skeleton.pelvis, skeleton.head)


def placed(skeleton: Skeleton, at: Array, heading: float, handed: int) -> tuple[Skeleton, Array]:
    """Turn a body to `heading` and put it at `at`; `handed` +1 has the ball side on the left, -1 on the right.

    Args:
        skeleton: as `forward_kinematics` gives it.
        at: world place `[3]` of the point below the pelvis; its z is the height of the jump, metres.
        heading: direction of movement, radians from +x towards +y.
        handed: +1 or -1.

    Returns:
        The body in the world, and the matrix `[3, 3]` that turns local row vectors into world ones.
    """
    c, s = np.cos(heading), np.sin(heading)
    matrix = np.array([[c, s, 0.0], [-s * handed, c * handed, 0.0], [0.0, 0.0, 1.0]])
    body = Skeleton(
        skeleton.joints @ matrix + at, skeleton.chest @ matrix, skeleton.pelvis @ matrix, skeleton.head @ matrix
    )
    return body, matrix


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
