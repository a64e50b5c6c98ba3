"""A game with its hall, teams, light and photographer, and one moment of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from bball_pl.court.camera import Array, Camera, Image
from bball_pl.court.figure import Light
from bball_pl.court.framing import box_around, crop, is_in_picture, is_inside, place_camera
from bball_pl.court.hall import STRONG, Gym, build_gym
from bball_pl.court.hoop import RING_X
from bball_pl.court.outfit import Looks, Outfit, sample_looks
from bball_pl.court.pose import BALL_RADIUS, ROW, Skeleton, placed, sample_action, sample_phase

_LIGHT_SHIRTS = ((244, 244, 242), (226, 226, 230), (244, 222, 120), (172, 208, 236), (250, 190, 190), (200, 232, 196))
_CLUBS = ("WEEKEND LEAGUE", "CITY HOOPS", "COURT 7", "SUNDAY BALL", "RIM & CO. PHOTO", "HAWKS CUP", "BALLERS.ALBUM")


@dataclass(frozen=True)
class Game:
    """What the photos of one album share.

    Attributes:
        name: the group's name in photos.csv.
        gym: the hall.
        teams: clothes of the two teams and of the referee.
        players: six people of each team.
        bench: people on the bench with the number of their team.
        bench_side: +1 or -1, the side of the court with the bench.
        light: the hall's light.
        shadow: direction `[3]` to the lamp that throws shadows.
        shadow_depth: how dark a shadow is, 0–1.
        gloss: how strongly the floor mirrors, 0–1.
        glass: whether the backboards are glass.
        ball: colour of the ball, RGB 0–255.
        balance: white balance of the camera, RGB factors `[3]`.
        exposure: brightness factor.
        contrast: slope of the tone curve in its middle.
        saturation: factor on colours.
        grain: standard deviation of the noise, 0–255.
        noise: noise tile float32 `[700, 700, 3]`, standard deviation 1.
        vignette: darkening at the corners, 0–1.
        softness: standard deviation of the lens's own blur, pixels.
        defocus: standard deviation of the blur far away, pixels.
        tall: share of portrait photos.
        watermark: opacity uint8 `[H, W]` of the album's mark, or None.
    """

    name: str
    gym: Gym
    teams: tuple[Outfit, Outfit, Outfit]
    players: tuple[tuple[Looks, ...], tuple[Looks, ...]]
    bench: tuple[tuple[Looks, int], ...]
    bench_side: int
    light: Light
    shadow: Array
    shadow_depth: float
    gloss: float
    glass: bool
    ball: tuple[int, int, int]
    balance: Array
    exposure: float
    contrast: float
    saturation: float
    grain: float
    noise: Image
    vignette: float
    softness: float
    defocus: float
    tall: float
    watermark: Image | None


def _outfits(rng: np.random.Generator) -> tuple[Outfit, Outfit, Outfit]:
    """Return a light team, a dark team (as the rules ask for) and the referee's clothes."""
    light = _LIGHT_SHIRTS[int(rng.choice(len(_LIGHT_SHIRTS), p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.1]))]
    trim = STRONG[int(rng.integers(len(STRONG)))]
    dark = STRONG[int(rng.integers(len(STRONG) - 1))]
    digits = (244, 244, 244) if rng.random() < 0.7 else (250, 214, 70)
    edge = (20, 20, 26) if rng.random() < 0.5 else (238, 238, 238)
    # A weekend league: some teams wear their own black shorts below the club's vest.
    own = (28, 28, 34)
    return (
        Outfit(light, trim, own if rng.random() < 0.25 else light, trim, bool(rng.random() < 0.12)),
        Outfit(dark, edge, own if rng.random() < 0.25 else dark, digits, bool(rng.random() < 0.12)),
        Outfit((206, 206, 210), (40, 40, 46), (24, 24, 28), (24, 24, 28), True, True),
    )


def _light(rng: np.random.Generator, wood: tuple[int, int, int]) -> Light:
    """Return the hall's light: lamps above, windows at one side, wood below."""
    key = np.array([rng.normal(0, 0.35), rng.normal(0, 0.35), 1.0])
    turn = rng.uniform(0, 2 * np.pi)
    side = np.array([np.cos(turn), np.sin(turn), 0.45])
    warmth = rng.normal(0, 0.05)
    lamp = np.array([1 + warmth, 1.0, 1 - warmth])
    return Light(
        key=key / np.linalg.norm(key),
        key_colour=lamp * rng.uniform(0.42, 0.62),
        side=side / np.linalg.norm(side),
        side_colour=np.array([0.94, 0.98, 1.06]) * rng.uniform(0.05, 0.4),
        sky=np.array([0.97, 0.99, 1.03]) * rng.uniform(0.42, 0.56),
        bounce=np.array(wood) / 255 * rng.uniform(0.32, 0.48),
    )


def _watermark(rng: np.random.Generator) -> Image:
    """Return the album's mark as opacity uint8 `[H, W]`: words, sometimes framed or with the date."""
    words = _CLUBS[int(rng.integers(len(_CLUBS)))]
    if rng.random() < 0.5:
        words += f"  {int(rng.integers(2016, 2026))}.{int(rng.integers(1, 13)):02d}.{int(rng.integers(1, 29)):02d}"
    font = ImageFont.load_default(size=int(rng.integers(13, 24)))
    left, top, right, low = font.getbbox(words)
    picture = PillowImage.new("L", (int(right - left) + 16, int(low - top) + 12), 0)
    pen = ImageDraw.Draw(picture)
    opacity = int(rng.integers(120, 215))
    pen.text((8 - left, 6 - top), words, fill=opacity, font=font)
    if rng.random() < 0.4:
        pen.rectangle((0, 0, picture.width - 1, picture.height - 1), outline=opacity)
    return np.array(picture, dtype=np.uint8)


def sample_game(rng: np.random.Generator, name: str) -> Game:
    """Return a game.

    Args:
        rng: the game's own generator.
        name: the group's name in photos.csv.
    """
    gym = build_gym(rng, glow=float(rng.uniform(0.9, 1.15)))
    teams = _outfits(rng)
    shadow = np.array([rng.normal(0, 0.22), rng.normal(0, 0.22), 1.0])
    warmth = float(rng.normal(0.0, 0.055))
    noise = rng.standard_normal((700, 700), np.float32)[..., None] * 0.8
    noise = noise + 0.6 * cv2.resize(rng.standard_normal((350, 350, 3), np.float32), (700, 700))
    return Game(
        name=name,
        gym=gym,
        teams=teams,
        players=(tuple(sample_looks(rng) for _ in range(6)), tuple(sample_looks(rng) for _ in range(6))),
        bench=tuple((sample_looks(rng), int(rng.integers(2))) for _ in range(int(rng.integers(3, 7)))),
        bench_side=int(rng.choice([-1, 1])),
        light=_light(rng, gym.wood),
        shadow=shadow,
        shadow_depth=float(rng.uniform(0.22, 0.46)),
        gloss=float(rng.uniform(0.06, 0.34)),
        glass=bool(rng.random() < 0.55),
        ball=((214, 112, 48), (196, 92, 40), (224, 128, 60), (180, 84, 44))[int(rng.integers(4))],
        balance=np.array([1 + warmth, 1 + float(rng.normal(0, 0.012)), 1 - warmth]),
        exposure=float(rng.uniform(0.9, 1.14)),
        contrast=float(rng.uniform(0.96, 1.22)),
        saturation=float(rng.uniform(0.82, 1.12)),
        grain=float(rng.gamma(2.0, 1.15)) + 0.8,
        noise=noise.astype(np.float32),
        vignette=float(rng.uniform(0.0, 0.26)),
        softness=float(rng.uniform(0.35, 0.75)),
        defocus=float(rng.uniform(0.5, 2.4)),
        tall=0.22,
        watermark=_watermark(rng) if rng.random() < 0.4 else None,
    )


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
