"""Scenes of the teaching court: the main player, other people, the ball and the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bball_pl.court.camera import Array, Camera
from bball_pl.court.framing import (
    box_around,
    draw_framing,
    frame,
    is_in_picture,
    look,
    points_of,
    sample_position,
    sample_size,
)
from bball_pl.court.hoop import RING_X, RING_Z
from bball_pl.court.outfit import Outfit
from bball_pl.court.people import Player, civilian, sample_outfit, sample_player
from bball_pl.court.pose import BALL_RADIUS, ROW, Skeleton, placed
from bball_pl.court.stances import HOLDING, draw_phase, hand_on_ball, sample_stance

#: Attempts to find a camera position with a visible ball.
_TRIES = 14
#: Bones that can hide a ball and the half width of what is around them, metres.
_COVER = (
    ("pelvis", "neck", 0.17), ("chin", "crown", 0.10), ("hip_b", "knee_b", 0.1), ("hip_o", "knee_o", 0.1),
    ("shoulder_b", "elbow_b", 0.05), ("shoulder_o", "elbow_o", 0.05), ("elbow_b", "wrist_b", 0.04),
    ("elbow_o", "wrist_o", 0.04), ("knee_b", "ankle_b", 0.06), ("knee_o", "ankle_o", 0.06),
)  # fmt: skip
_HOOP = np.array([RING_X, 0.0, RING_Z])


@dataclass(frozen=True)
class Somebody:
    """A posed person.

    Attributes:
        body: Skeleton in world coordinates.
        handed: +1 left-handed, -1 right-handed.
        player: Appearance.
    """

    body: Skeleton
    handed: int
    player: Player


@dataclass(frozen=True)
class Lesson:
    """A scene.

    Attributes:
        camera: Camera of the photo.
        people: Everybody in the scene; the main player first.
        ball: Centre of the ball `[3]` in metres, or None.
        ball_speed: Velocity of the ball `[3]`, metres per second.
        phase: Phase of the main player, or the kind of group.
        framing: A key of `FRAMINGS`, or "group".
    """

    camera: Camera
    people: tuple[Somebody, ...]
    ball: Array | None
    ball_speed: Array
    phase: str
    framing: str


def _spot(rng: np.random.Generator, class_name: str, phase: str) -> tuple[Array, float]:
    """Sample the main player's position `[3]` and heading in radians."""
    hoop = _HOOP * [1, 1, 0]
    if class_name == "layup":
        distance = float(rng.uniform(0.35, 1.7) if rng.random() < 0.85 else rng.uniform(1.7, 3.2))
    elif class_name == "shoot":
        distance = float(rng.triangular(1.4, 4.6, 8.6))
    else:
        at = np.array([rng.uniform(1.0, 20.0), rng.uniform(-6.8, 6.8), 0.0])
        return at, float(rng.uniform(0, 2 * np.pi))
    turn = rng.uniform(-1.5, 1.5)
    at = hoop + distance * np.array([np.cos(turn), np.sin(turn), 0.0])
    wander = {"layup": 0.5, "shoot": 0.14}[class_name]
    away = np.pi * (phase == "layup_reverse") * rng.uniform(0.5, 1.0) * rng.choice([-1, 1])
    return at, float(np.arctan2(*(hoop - at)[1::-1]) + rng.normal(0, wander) + away)


def _pose(
    rng: np.random.Generator, player: Player, phase: str, at: Array, heading: float
) -> tuple[Somebody, Array, Array]:
    """Pose a player; return the person, and position and velocity of the ball, each `[3]`."""
    size = player.looks.size
    action = hand_on_ball(sample_stance(rng, phase, size), size)
    handed = 1 if rng.random() < 0.25 else -1
    lifted = at + np.array([0.0, 0.0, action.jump])
    body, matrix = placed(action.body, lifted, heading, handed)
    ball = action.ball @ matrix + lifted
    ball[2] = max(ball[2], BALL_RADIUS)
    return Somebody(body, handed, player), ball, action.speed @ matrix


def _behind_stand(lens: Array, target: Array) -> bool:
    """Return whether the basket's stand is between a lens `[3]` and a target `[3]`."""
    if lens[0] > -0.8 or target[0] <= -0.8:
        return False
    share = (-1.3 - lens[0]) / (target[0] - lens[0])
    return bool(abs(lens[1] + share * (target[1] - lens[1])) < 1.1)


def _covers(camera: Camera, body: Skeleton, ball: Array, room: float = 0.3) -> bool:
    """Return whether a body occludes the ball; `room` is the share of its radius that must stay visible."""
    pixel, depth = camera.project(ball)
    starts, first = camera.project(np.stack([body[start] for start, _, _ in _COVER]))
    ends, second = camera.project(np.stack([body[end] for _, end, _ in _COVER]))
    bone = ends - starts
    along = np.einsum("ij,ij->i", pixel - starts, bone) / np.maximum(np.einsum("ij,ij->i", bone, bone), 1e-9)
    along = np.clip(along, 0, 1)
    apart = np.linalg.norm(pixel - starts - along[:, None] * bone, axis=1)
    nearer = float(depth) > first + along * (second - first)
    wide = np.array([width for _, _, width in _COVER]) + room * BALL_RADIUS
    return bool(np.any(nearer & (apart < wide * camera.focal / max(float(depth), 0.3))))


def _in_the_way(camera: Camera, other: Skeleton, main: Skeleton, box: Array, ball: Array | None) -> bool:
    """Return whether a person occludes the ball, or too much of the main player's `box` `[4]` in pixels."""
    pixels, depth = camera.project(other.joints)
    if depth.max() <= 0.3:
        return False  # behind the photographer
    main_depth = float(camera.project(main["pelvis"])[1])
    if depth.min() < 0.6 * main_depth:
        return True
    if depth[0] > main_depth + 0.15:
        return False
    if ball is not None and _covers(camera, other, ball, 0.8):
        return True
    low, high = np.maximum(pixels.min(axis=0), box[:2]), np.minimum(pixels.max(axis=0), box[2:])
    return bool(np.prod(np.maximum(high - low, 0)) > 0.3 * np.prod(box[2:] - box[:2]))


def _others(
    rng: np.random.Generator,
    camera: Camera,
    main: Somebody,
    heading: float,
    class_name: str,
    ball: Array | None,
    teams: tuple[Outfit, Outfit],
) -> list[Somebody]:
    """Sample defenders, team-mates and bystanders who leave the main player visible."""
    at = main.body["pelvis"] * [1, 1, 0]
    points = main.body.joints if ball is None else np.concatenate([main.body.joints, ball[None]])
    box = box_around(camera, points)
    found: list[Somebody] = []
    taken = [at]
    close = int(rng.choice(4, p=(0.28, 0.42, 0.22, 0.08)))
    distant = int(rng.choice(5, p=(0.32, 0.26, 0.2, 0.13, 0.09)))
    behind = camera.rotation[2] * [1, 1, 0]
    for number in range(close + distant):
        near = number < close
        for _ in range(4):
            if near:
                turn = heading + rng.normal(0, 1.0)
                spot = at + rng.uniform(0.55, 1.6) * np.array([np.cos(turn), np.sin(turn), 0.0])
                outfit = teams[1] if rng.random() < 0.85 else teams[0]
                group = "rim" if class_name in {"layup", "shoot"} and rng.random() < 0.8 else "near"
                facing = float(np.arctan2(*(at - spot)[1::-1]) + rng.normal(0, 0.5))
            else:
                spot = at + rng.uniform(0.5, 9.0) * behind + rng.normal(0, 2.2, 3) * [1, 1, 0]
                outfit = teams[int(rng.integers(2))]
                group, facing = "far", float(rng.uniform(0, 2 * np.pi))
            if min(float(np.linalg.norm(spot - other)) for other in taken) < 0.5:
                continue
            if not is_in_picture(camera, spot + np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.2]])):
                continue
            player = civilian(rng) if not near and rng.random() < 0.18 else sample_player(rng, outfit)
            person, _, _ = _pose(rng, player, draw_phase(rng, group), spot, facing)
            if not _in_the_way(camera, person.body, main.body, box, ball):
                found.append(person)
                taken.append(spot)
                break
    return found


def sample_lesson(rng: np.random.Generator, class_name: str) -> Lesson:
    """Sample a scene of a class.

    Args:
        rng: the photo's generator.
        class_name: "shoot", "dribble", "layup" or "none".
    """
    teams = (sample_outfit(rng), sample_outfit(rng))
    if class_name == "none" and rng.random() < 0.3:
        return _group(rng, teams)
    casual = rng.random() < (0.2 if class_name == "none" else 0.05)
    player = civilian(rng) if casual else sample_player(rng, teams[0])
    phase = draw_phase(rng, class_name)
    at, heading = _spot(rng, class_name, phase)
    main, ball, speed = _pose(rng, player, phase, at, heading)
    held: Array | None = ball if class_name != "none" or phase in HOLDING else None
    size = sample_size(rng)
    framing = draw_framing(rng)
    if phase == "shoot_follow" or (class_name == "dribble" and framing == "chest"):
        framing = "waist" if rng.random() < 0.5 else "whole"
    in_view = held
    if phase == "shoot_follow" and rng.random() < 0.4:
        in_view = None  # the ball may be outside the picture
    points = points_of(main.body, framing, in_view)
    # A tight photo of an arm with a ball is a layup only where the hoop is in it.
    tight = class_name == "layup" and framing in {"waist", "chest"}
    hoop_share = {"layup": 0.94 if tight else 0.66, "shoot": 0.34, "dribble": 0.08, "none": 0.1}[class_name]
    with_hoop = rng.random() < hoop_share
    if with_hoop and float(np.linalg.norm(at[:2] - _HOOP[:2])) < (3.3 if class_name == "layup" else 5.0):
        points = np.concatenate([points, _HOOP + np.array([[0, 0, 0.1], [0, 0, -0.3], [0.23, 0, 0], [0, 0.23, 0]])])
    share = float(rng.uniform(0.4, 0.7) if framing == "wide" else rng.uniform(0.84, 1.04))
    middle = points.mean(axis=0)
    camera = look(rng, sample_position(rng, middle), middle, size)
    for _ in range(_TRIES):
        high = 0.1 if class_name == "layup" else 0.03
        camera = look(rng, sample_position(rng, middle, high, heading), middle, size)
        if camera.project(points)[1].min() < 0.8 or _behind_stand(camera.position, middle):
            continue
        leave_room = class_name != "dribble" and rng.random() < 0.5
        camera = frame(rng, camera, points, share, _HOOP if leave_room else None)
        if held is None or not _covers(camera, main.body, held):
            break
    others = _others(rng, camera, main, heading, class_name, held, teams)
    shown = held
    if held is None and rng.random() < 0.12:  # a loose ball on the floor
        shown = at + np.array([rng.normal(0, 2.0), rng.normal(0, 2.0), BALL_RADIUS - at[2]])
    return Lesson(camera, (main, *others), shown, speed if held is not None else np.zeros(3), phase, framing)


def _group(rng: np.random.Generator, teams: tuple[Outfit, Outfit]) -> Lesson:
    """Sample a group without a move: a team photo, a huddle, scattered players, a bench."""
    kind = str(rng.choice(["row", "huddle", "scattered", "bench"], p=[0.3, 0.2, 0.35, 0.15]))
    number = int(rng.integers(2, 10))
    middle = np.array([rng.uniform(2.0, 16.0), rng.uniform(-4.0, 4.0), 0.0])
    turn = float(rng.uniform(0, 2 * np.pi))
    along, across = np.array([np.cos(turn), np.sin(turn), 0.0]), np.array([-np.sin(turn), np.cos(turn), 0.0])
    people = []
    for index in range(number):
        if kind == "huddle":
            angle = 2 * np.pi * index / number
            spot = middle + 0.75 * np.array([np.cos(angle), np.sin(angle), 0.0])
            heading, group = float(angle + np.pi + rng.normal(0, 0.4)), "far"
        elif kind == "scattered":
            spot = middle + rng.normal(0, 1.0 + 0.25 * number, 3) * [1, 1, 0]
            heading, group = float(rng.uniform(0, 2 * np.pi)), "none"
        else:
            row = index % 2 if number > 5 else 0
            spot = middle + (0.62 * (index - number / 2) + rng.normal(0, 0.06)) * across - 0.6 * row * along
            heading, group = turn + float(rng.normal(0, 0.25)), "none"
        phase = draw_phase(rng, group)
        if kind == "bench":
            phase = "sit"
        elif kind == "row" and rng.random() < 0.7:
            phase = str(rng.choice(["idle", "arms_crossed", "hands_hips"]))
        if phase in HOLDING:
            phase = "idle"
        outfit = teams[0] if kind in {"row", "huddle"} or rng.random() < 0.5 else teams[1]
        player = civilian(rng) if rng.random() < 0.12 else sample_player(rng, outfit)
        people.append(_pose(rng, player, phase, spot, heading)[0])
    framing = "waist" if rng.random() < 0.4 else "whole"
    points = np.concatenate([points_of(person.body, framing, None) for person in people[: int(rng.integers(2, 10))]])
    target = points.mean(axis=0)
    size = sample_size(rng)
    camera = look(rng, sample_position(rng, target), target, size)
    for _ in range(_TRIES):
        position = sample_position(rng, target)
        if kind in {"row", "bench"}:  # photographed from the front
            position[:2] = target[:2] + (along * rng.uniform(3, 9) + across * rng.normal(0, 1.0))[:2]
        camera = look(rng, position, target, size)
        if camera.project(points)[1].min() > 0.8:
            break
    camera = frame(rng, camera, points, float(rng.uniform(0.75, 1.1)))
    ball: Array | None = None
    if rng.random() < 0.25:
        ball = middle + np.array([rng.normal(0, 1.0), rng.normal(0, 1.0), BALL_RADIUS])
    return Lesson(camera, tuple(people), ball, np.zeros(3), kind, "group")


def tall_in_pixels(camera: Camera, person: Somebody) -> float:
    """Return a person's standing height in the photo, in pixels."""
    _, depth = camera.project(person.body.joints[ROW["pelvis"]])
    return float(camera.focal * 1.9 / max(float(depth), 0.5))
