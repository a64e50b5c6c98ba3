"""One moment of a game: players in their poses, the ball, and the photographer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bball_pl.court.camera import Array, Camera
from bball_pl.court.framing import box_around, crop, is_in_picture, is_inside, place_camera
from bball_pl.court.game import Game
from bball_pl.court.hoop import RING_X
from bball_pl.court.outfit import Looks, Outfit, sample_looks
from bball_pl.court.pose import BALL_RADIUS, ROW, Skeleton, placed, sample_action, sample_phase


@dataclass(frozen=True)
class Person:
    """Someone in the picture.

    Attributes:
        body: the skeleton in the world.
        handed: +1 left-handed, -1 right-handed.
        looks: what the person looks like.
        outfit: what the person wears.
    """

    body: Skeleton
    handed: int
    looks: Looks
    outfit: Outfit


@dataclass(frozen=True)
class Scene:
    """One moment.

    Attributes:
        camera: the photographer's.
        main: the player with the ball.
        others: everyone else in the hall, the bench as well.
        ball: place of the ball's centre `[3]`, metres.
        ball_speed: its velocity `[3]`, metres a second.
        phase: the main player's phase, a key of `moves.RANGES`.
    """

    camera: Camera
    main: Person
    others: tuple[Person, ...]
    ball: Array
    ball_speed: Array
    phase: str


def _spot(rng: np.random.Generator, move: str) -> tuple[Array, float]:
    """Return where the main player is `[3]` (z = 0) and the heading in radians."""
    hoop = np.array([RING_X, 0.0, 0.0])
    if move == "dribble":
        at = np.array([rng.uniform(1.6, 15.0), rng.uniform(-6.8, 6.8), 0.0])
        wander = rng.normal(0.0, 1.0)
    else:
        if move == "layup":
            distance = rng.uniform(0.75, 2.1) if rng.random() < 0.8 else rng.uniform(2.1, 3.6)
        else:
            distance = rng.triangular(1.5, 5.2, 8.2)
        angle = rng.uniform(-1.45, 1.45)
        at = hoop + distance * np.array([np.cos(angle), np.sin(angle), 0.0])
        at[1] = np.clip(at[1], -7.2, 7.2)
        wander = rng.normal(0.0, 0.42 if move == "layup" else 0.16)
    to_hoop = hoop - at
    return at, float(np.arctan2(to_hoop[1], to_hoop[0]) + wander)


def _somebody(rng: np.random.Generator, looks: Looks, outfit: Outfit, at: Array, heading: float, phase: str) -> Person:
    action = sample_action(rng, phase, looks.size)
    handed = 1 if rng.random() < 0.2 else -1
    body, _ = placed(action.body, at + np.array([0, 0, action.jump]), heading, handed)
    return Person(body, handed, looks, outfit)


def _hides(camera: Camera, person: Skeleton, main: Array, main_depth: float) -> bool:
    """Return whether a body would cover too much of the box `main` `[4]` in pixels, or be much nearer to the lens.

    In front of the player little may be covered; behind, the crowding must leave the player's outline readable.
    """
    pixels, depth = camera.project(person.joints)
    if depth.max() <= 0:
        return False  # behind the photographer
    if depth.min() < 0.72 * main_depth:
        return True
    share = 0.07 if depth[0] < main_depth + 0.1 else 0.4
    low, high = np.maximum(pixels.min(axis=0), main[:2]), np.minimum(pixels.max(axis=0), main[2:])
    common = np.prod(np.maximum(high - low, 0))
    return bool(common > share * np.prod(main[2:] - main[:2]))


def _players(
    rng: np.random.Generator,
    game: Game,
    camera: Camera,
    main: tuple[Array, float, Array, float],
    team: int,
    squads: list[list[int]],
) -> list[Person]:
    """Return defenders, team-mates and referees, in the poses of all moves but without a ball.

    Args:
        rng: the photo's generator.
        game: the album.
        camera: the photographer's.
        main: place `[3]`, heading, box `[4]` in pixels and depth in metres of the player with the ball.
        team: number of that player's team.
        squads: numbers of the players who are left of each team; those on the court are taken out of it.
    """
    at, heading, box, depth = main
    others: list[Person] = []
    taken = [at]
    for number in range(int(rng.integers(1, 5))):
        for _ in range(6):
            if number < 2:  # a defender, between the ball and the basket or beside it
                turn = heading + rng.normal(0, 0.9)
                place = at + rng.uniform(0.95, 2.3) * np.array([np.cos(turn), np.sin(turn), 0.0])
                side = 1 - team
            else:
                place = np.array([rng.uniform(0.3, 15.0), rng.uniform(-7.0, 7.0), 0.0])
                side = int(rng.integers(2))
            if not is_inside(place[0], place[1]) or min(float(np.linalg.norm(place - spot)) for spot in taken) < 0.75:
                continue
            upright = place + np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.2]])
            if not is_in_picture(camera, upright):
                break  # somewhere else on the court
            if camera.project(upright)[1].min() < 0.75 * depth:
                continue
            if not squads[side]:
                break  # everyone of this team is already on the court
            who, outfit = game.players[side][squads[side][-1]], game.teams[side]
            if number >= 2 and rng.random() < 0.1:
                who, outfit = sample_looks(rng), game.teams[2]
            kind = str(rng.choice(["stand", "shoot", "dribble", "layup"], p=[0.58, 0.15, 0.17, 0.1]))
            facing = float(np.arctan2(*(at - place)[1::-1]) + rng.normal(0, 0.5 if number < 2 else 0.9))
            person = _somebody(rng, who, outfit, place, facing, "stand" if kind == "stand" else sample_phase(rng, kind))
            if not _hides(camera, person.body, box, depth):
                others.append(person)
                taken.append(place)
                squads[side].pop()
                break
    return others


def _bench(rng: np.random.Generator, game: Game, camera: Camera, box: Array, depth: float) -> list[Person]:
    """Return those on the bench whom the camera sees; `box` `[4]` and `depth` are of the player with the ball."""
    seated = []
    for seat, (who, side) in enumerate(game.bench):
        place = np.array([4.2 + 0.75 * seat, 8.7 * game.bench_side, 0.05])
        if not is_in_picture(camera, place + np.array([[0, 0, 0], [0, 0, 1.4]])):
            continue
        person = _somebody(rng, who, game.teams[side], place, -np.pi / 2 * game.bench_side + rng.normal(0, 0.2), "sit")
        if not _hides(camera, person.body, box, depth):
            seated.append(person)
    return seated


def sample_scene(rng: np.random.Generator, game: Game, move: str) -> Scene:
    """Return a moment of `game` in which the player with the ball does `move`.

    Args:
        rng: the photo's generator.
        game: the album.
        move: "shoot", "dribble" or "layup".
    """
    team = int(rng.integers(2))
    squads = [[int(number) for number in rng.permutation(6)] for _ in range(2)]
    looks = game.players[team][squads[team].pop()]
    handed = 1 if rng.random() < 0.2 else -1
    at, heading = _spot(rng, move)
    phase = sample_phase(rng, move)
    action = sample_action(rng, phase, looks.size)
    lifted = at + np.array([0, 0, action.jump])
    body, matrix = placed(action.body, lifted, heading, handed)
    ball = action.ball @ matrix + lifted
    ball[2] = max(ball[2], BALL_RADIUS)
    main = Person(body, handed, looks, game.teams[team])
    camera = crop(rng, place_camera(rng, body, ball, game), body, ball, move)
    box = box_around(camera, np.concatenate([body.joints, ball[None]]))
    depth = float(camera.project(body["pelvis"])[1])

    others = _players(rng, game, camera, (at, heading, box, depth), team, squads) + _bench(
        rng, game, camera, box, depth
    )
    return Scene(camera, main, tuple(others), ball, action.speed @ matrix, phase)


def tall_in_pixels(camera: Camera, person: Person) -> float:
    """Return how tall a person would stand in the picture, pixels."""
    _, depth = camera.project(person.body.joints[ROW["pelvis"]])
    return float(camera.focal * 1.9 / max(float(depth), 0.5))
