"""How a body stands: joint angles per move, and forward kinematics from angles to joints in metres."""

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
