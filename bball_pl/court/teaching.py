"""The teaching court: photos of the moves and of "none" whose class depends on pose, ball and hoop alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from bball_pl.court.backdrops import Backdrop, draw_style, paint_backdrop
from bball_pl.court.body import COARSE, FINE, MIDDLE, Mesh, build_mesh
from bball_pl.court.camera import Array, Camera, Image
from bball_pl.court.figure import Event, Light, Soup, mesh_soup, paint_soup, patch_soup
from bball_pl.court.framing import is_in_picture, is_inside
from bball_pl.court.game import Game
from bball_pl.court.hall import COURT_LENGTH
from bball_pl.court.hoop import RING_X, hoop_soup, paint_make, print_on, sample_ball
from bball_pl.court.lesson import Lesson, Somebody, sample_lesson, tall_in_pixels
from bball_pl.court.outfit import patches
from bball_pl.court.people import paint_player, shape_body, strong_colour, tail_soup
from bball_pl.court.photograph import darken_and_mirror, develop, finish, paint_hall, streak
from bball_pl.court.pose import BALL_RADIUS
from bball_pl.court.stills import paint_still

#: The classes of a teaching dataset.
CLASSES = ("shoot", "dribble", "layup", "none")
#: Share of the class "none" without a main player: balls, hoops, graphics, stands, empty courts.
STILLS = 0.5
#: People are painted at twice the photo's size without smoothed edges, then halved: no seams between polygons.
_FINER = 2


@dataclass(frozen=True)
class Body:
    """A person as surfaces and colours."""

    person: Somebody
    mesh: Mesh
    paint: Array
    depth: float


def sample_light(rng: np.random.Generator) -> Light:
    """Sample a light between soft and hard, from any side."""
    key = np.array([rng.normal(0, 0.6), rng.normal(0, 0.6), rng.uniform(0.4, 1.2)])
    turn = rng.uniform(0, 2 * np.pi)
    side = np.array([np.cos(turn), np.sin(turn), rng.uniform(-0.1, 0.6)])
    warmth = float(rng.normal(0, 0.06))
    lamp = np.array([1 + warmth, 1.0, 1 - warmth])
    hard = float(rng.uniform(0, 1))
    return Light(
        key=key / np.linalg.norm(key),
        key_colour=lamp * (0.42 + 0.45 * hard) * rng.uniform(0.9, 1.2),
        side=side / np.linalg.norm(side),
        side_colour=np.array([1 - warmth, 1.0, 1 + warmth]) * rng.uniform(0.0, 0.5),
        sky=np.array([0.98, 0.99, 1.02]) * (0.62 - 0.24 * hard) * rng.uniform(0.9, 1.2),
        bounce=np.array([0.82, 0.7, 0.55]) * rng.uniform(0.18, 0.5),
    )


def _camera_game(rng: np.random.Generator, game: Game) -> Game:
    """Return the game with new light, exposure, colours and noise, so that each photo has another look."""
    warmth = float(rng.normal(0.0, 0.07))
    return replace(
        game,
        light=sample_light(rng),
        shadow=np.array([rng.normal(0, 0.4), rng.normal(0, 0.4), 1.0]),
        shadow_depth=float(rng.uniform(0.15, 0.55)),
        gloss=float(rng.uniform(0.0, 0.4)),
        glass=bool(rng.random() < 0.6),
        balance=np.array([1 + warmth, 1 + float(rng.normal(0, 0.02)), 1 - warmth]),
        exposure=float(rng.uniform(0.85, 1.25)),
        contrast=float(rng.uniform(0.9, 1.28)),
        saturation=float(rng.uniform(0.5, 1.15)),
        grain=float(rng.gamma(1.6, 1.6)),
        vignette=float(rng.uniform(0.0, 0.3)) * float(rng.random() < 0.5),
        softness=float(rng.uniform(0.3, 0.8)),
        watermark=game.watermark if rng.random() < 0.2 else None,
    )


def _bodies(rng: np.random.Generator, camera: Camera, people: tuple[Somebody, ...]) -> list[Body]:
    """Return the people inside the picture as meshes, with the detail that their size needs."""
    bodies = []
    for number, person in enumerate(people):
        if number and not is_in_picture(camera, person.body.joints):
            continue
        tall = tall_in_pixels(camera, person)
        detail = FINE if tall > (170 if number == 0 else 420) else MIDDLE if tall > 100 else COARSE
        folds = tuple(float(phase) for phase in rng.uniform(0, 2 * np.pi, 6))
        looks = person.player.looks
        mesh = build_mesh(person.body, person.handed, looks.size, looks.girth, detail, folds, person.player.wear.shorts)
        shape_body(mesh, person.player)
        depth = float(camera.project(person.body["pelvis"])[1])
        bodies.append(Body(person, mesh, paint_player(person.player, detail), depth))
    return bodies


def _soups(camera: Camera, light: Light, body: Body, gloss: float) -> list[Soup]:
    player = body.person.player
    soups = [mesh_soup(body.mesh, body.paint, camera, light, gloss)]
    if body.mesh.detail is not COARSE:
        soups.append(patch_soup(*patches(body.mesh, player.looks, player.outfit), camera, light))
        if (tail := tail_soup(body.mesh, body.person.body.head, player, camera, light)) is not None:
            soups.append(tail)
    return soups


def _hoops(
    camera: Camera, fine: Camera, game: Game, sharp_to: float
) -> tuple[list[Soup], list[Event], list[Soup], list[Event]]:
    """Return the baskets' polygons and events: sharp ones for the fine picture, then those out of focus."""
    near: list[Soup] = []
    far: list[Soup] = []
    near_events: list[Event] = []
    far_events: list[Event] = []
    for far_end in (False, True):
        x = COURT_LENGTH - RING_X if far_end else RING_X
        corners = np.array([[x + dx, dy, z] for dx in (-3.0, 0.3) for dy in (-1, 1) for z in (0, 4)])
        if not is_in_picture(camera, corners):
            continue
        behind = float(camera.project(np.array([x, 0.0, 2.0]))[1]) > sharp_to
        soups, events = hoop_soup(camera if behind else fine, game.light, far_end, game.glass, game.gym.accent)
        (far if behind else near).extend(soups)
        (far_events if behind else near_events).extend(events)
    return near, near_events, far, far_events


def _background(rng: np.random.Generator, camera: Camera, game: Game) -> Backdrop:
    style = draw_style(rng)
    if style == "hall" and not is_inside(camera.position[0], camera.position[1]):
        style = "crowd"
    if style == "hall":
        picture, mask = paint_hall(camera, game)
        return Backdrop(style, picture, mask, float(rng.uniform(0.4, 3.0)))
    return paint_backdrop(rng, camera, style, game.gym.planes[0])


def paint_lesson(rng: np.random.Generator, lesson: Lesson, game: Game) -> Image:
    """Paint a scene: RGB uint8 `[H, W, 3]`, 0–255, before lens, sensor and compression.

    Args:
        rng: the photo's generator.
        lesson: The scene.
        game: Hall and light.
    """
    camera = lesson.camera
    backdrop = _background(rng, camera, game)
    canvas = backdrop.picture
    bodies = _bodies(rng, camera, lesson.people)
    if backdrop.floor.any():
        darken_and_mirror(
            canvas, backdrop.floor, camera, game, [body.mesh for body in bodies], [body.paint for body in bodies]
        )
    fine = camera.scaled(_FINER)
    main_depth = bodies[0].depth
    # Depth of field: everything farther away than this is blurred.
    sharp_to = main_depth + float(rng.uniform(0.8, 4.0))
    gloss = float(rng.uniform(0.0, 0.3))
    near: list[Soup] = []
    far: list[Soup] = []
    for body in bodies:
        (far if body.depth > sharp_to else near).extend(_soups(camera, game.light, body, gloss))
    sharp, sharp_events, soft, soft_events = _hoops(camera, fine, game, sharp_to)
    if far or soft:
        paint_soup(canvas, camera, far + soft, soft_events)
    blur = backdrop.blur
    if rng.random() < 0.1:  # panning with the player
        canvas = streak(canvas, float(rng.uniform(4, 16)), float(rng.normal(0, 0.15)))
    else:
        canvas = cv2.GaussianBlur(canvas, (0, 0), max(0.3, blur))
    canvas = cv2.resize(canvas, fine.size, interpolation=cv2.INTER_LINEAR)
    events: list[Event] = list(sharp_events)
    if lesson.ball is not None:
        events += _ball_event(rng, fine, lesson, game)
    paint_soup(canvas, fine, near + sharp, events)
    photo: Image = cv2.resize(canvas, camera.size, interpolation=cv2.INTER_AREA)
    return photo


def _ball_event(rng: np.random.Generator, fine: Camera, lesson: Lesson, game: Game) -> list[Event]:
    """Return the ball as a paint event at its depth; empty if it is behind the camera."""
    assert lesson.ball is not None
    make = sample_ball(rng)
    pixel, depth = fine.project(lesson.ball)
    if float(depth) < 0.4:
        return []
    shutter = float(rng.choice([1 / 1000, 1 / 500, 1 / 160], p=[0.5, 0.35, 0.15]))
    smear = fine.project(lesson.ball + lesson.ball_speed * shutter)[0] - pixel
    spin, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    # Ball sizes 5 to 7, roughly.
    radius = fine.focal * BALL_RADIUS / float(depth) * float(rng.uniform(0.92, 1.06))
    grain = game.noise[:128, :128, 0]

    def ball(target: Image) -> None:
        paint_make(target, pixel, radius, make, game.light, fine.rotation, spin, smear, grain)
        if radius > 60:
            print_on(np.random.default_rng(round(radius)), target, pixel, radius, make)

    return [(float(depth), ball)]


def take_lesson_photo(rng: np.random.Generator, game: Game, class_name: str) -> Image:
    """Return a photo for a class of the teaching court: RGB uint8 `[H, W, 3]`, 0–255.

    Args:
        rng: the photo's generator.
        game: Hall, floor and noise; people, light and camera differ from photo to photo.
        class_name: one of `CLASSES`.
    """
    seen = _camera_game(rng, game)
    if class_name == "none" and rng.random() < STILLS:
        photo = paint_still(rng, seen)
    else:
        photo = paint_lesson(rng, sample_lesson(rng, class_name), seen)
    return finish(rng, develop(rng, photo, seen), strong_colour(rng))
