"""Pictures of the class "none" without a main player: a ball, a hoop, a graphic, stands, an empty court."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from bball_pl.court.backdrops import (
    WORDS,
    crowd_picture,
    draw_style,
    fractal_noise,
    noise_picture,
    paint_backdrop,
)
from bball_pl.court.camera import Array, Image
from bball_pl.court.figure import Light, paint_soup
from bball_pl.court.framing import frame, look, sample_size
from bball_pl.court.game import Game
from bball_pl.court.hoop import RING_X, RING_Z, BallMake, hoop_soup, paint_make, print_on, sample_ball
from bball_pl.court.people import strong_colour
from bball_pl.court.pose import BALL_RADIUS

_KINDS = (("ball", 0.36), ("hoop", 0.3), ("graphic", 0.12), ("floor", 0.12), ("stand", 0.1))


def paint_still(rng: np.random.Generator, game: Game) -> Image:
    """Paint a random picture without a main player: RGB uint8 `[H, W, 3]`, 0–255, before lens and sensor."""
    kind = _KINDS[int(rng.choice(len(_KINDS), p=[share for _, share in _KINDS]))][0]
    width, height = sample_size(rng)
    if kind == "ball":
        return _ball(rng, game, height, width)
    if kind == "graphic":
        return _graphic(rng, game, height, width)
    if kind == "stand":
        tall = float(rng.uniform(10, 80))
        return crowd_picture(rng, height, width, tall, float(rng.uniform(0.4, 1.0)))
    return _scene(rng, game, (width, height), with_hoop=kind == "hoop")


def _plain(rng: np.random.Generator, height: int, width: int) -> Image:
    """Return the background of a product photo: white, black, a gradient, wood or defocused noise."""
    kind = int(rng.choice(5, p=(0.3, 0.16, 0.2, 0.16, 0.18)))
    if kind == 0:
        return np.full((height, width, 3), int(rng.integers(236, 256)), np.uint8)
    if kind == 1:
        return np.full((height, width, 3), int(rng.integers(0, 26)), np.uint8)
    if kind == 2:
        tone = strong_colour(rng)
        fall = np.linspace(rng.uniform(0.3, 1.2), rng.uniform(0.3, 1.2), height)[:, None, None]
        image: Image = np.broadcast_to(np.array(tone) * fall, (height, width, 3)).clip(0, 255).astype(np.uint8)
        return image
    if kind == 3:
        boards = fractal_noise(rng, height, max(4, width // 24), 0.8)
        boards = cv2.resize(boards, (width, height), interpolation=cv2.INTER_LINEAR)
        wood = np.array([206, 160, 108]) * rng.uniform(0.4, 1.1)
        plank = 1 - 0.25 * ((np.arange(height) % int(rng.integers(14, 60))) < 2)[:, None]
        lit: Image = (((0.7 + 0.5 * boards) * plank)[..., None] * wood).clip(0, 255).astype(np.uint8)
        return lit
    return cv2.GaussianBlur(noise_picture(rng, height, width), (0, 0), float(rng.uniform(2, 9)))


def _axes(rng: np.random.Generator) -> tuple[Array, Array]:
    """Return a camera's axes `[3, 3]` and a ball's rotation `[3, 3]`."""
    spin, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]), spin


def _ball(rng: np.random.Generator, game: Game, height: int, width: int) -> Image:
    """Return a product photo or close-up of a ball, sometimes of several."""
    picture = _plain(rng, height, width).copy()
    axes, spin = _axes(rng)
    grain = game.noise[:128, :128, 0]
    number = 1 if rng.random() < 0.85 else int(rng.integers(2, 6))
    for _ in range(number):
        make = sample_ball(rng)
        least = min(height, width)
        radius = least * float(rng.uniform(0.34, 0.49)) if rng.random() < 0.6 else least * float(rng.uniform(0.12, 1.0))
        if number > 1:
            radius *= 0.6
        loose = 0.03 if radius < 0.49 * least and number == 1 and rng.random() < 0.6 else 0.22
        at = np.array([width * (0.5 + rng.normal(0, loose)), height * (0.5 + rng.normal(0, loose))])
        if rng.random() < 0.4:  # its shadow on the ground
            shade: Image = np.zeros((height, width), np.uint8)
            low = (round(at[0] + rng.normal(0, 0.2) * radius), round(at[1] + radius * rng.uniform(0.8, 1.0)))
            cv2.ellipse(shade, low, (round(radius), round(radius * 0.22)), 0, 0, 360, 160, -1)
            shade = cv2.GaussianBlur(shade, (0, 0), max(1.0, radius * 0.1))
            picture[:] = (picture * (1 - shade[..., None] / 255 * rng.uniform(0.3, 1.0))).astype(np.uint8)
        paint_make(picture, at, radius, make, game.light, axes, spin, None, grain)
        print_on(rng, picture, at, radius, make)
    return picture


def _graphic(rng: np.random.Generator, game: Game, height: int, width: int) -> Image:
    """Return a graphic: a flat ball with or without words."""
    ground, ink = strong_colour(rng), strong_colour(rng)
    if rng.random() < 0.5:
        ground, ink = ((250, 250, 250), (12, 12, 14)) if rng.random() < 0.6 else ((10, 10, 12), (250, 250, 250))
    picture = np.full((height, width, 3), ground, np.uint8)
    if rng.random() < 0.25:
        for x in range(0, width, int(rng.integers(8, 40))):
            cv2.line(picture, (x, 0), (width - x, height), strong_colour(rng), int(rng.integers(1, 8)))
    if rng.random() < 0.8:
        axes, spin = _axes(rng)
        flat = BallMake(ink, ink, ground, float(rng.uniform(0.03, 0.09)), "", ink, 0.0, 0.0)
        if rng.random() < 0.4:
            flat = BallMake(
                (240, 130, 30), (240, 130, 30), (16, 14, 14), float(rng.uniform(0.03, 0.08)), "", ink, 0.0, 0.0
            )
        at = np.array([width * rng.uniform(0.3, 0.7), height * rng.uniform(0.3, 0.7)])
        radius = min(height, width) * float(rng.uniform(0.15, 0.5))
        even = _flat_light(game)
        paint_make(picture, at, radius, flat, even, axes, spin)
        if rng.random() < 0.5:
            cv2.circle(
                picture, (round(at[0]), round(at[1])), round(radius), (10, 10, 12), int(rng.integers(2, 7)), cv2.LINE_AA
            )
    if rng.random() < 0.65:
        words = WORDS[int(rng.integers(len(WORDS)))]
        scale = width / 260 * float(rng.uniform(0.6, 1.5))
        at_words = (int(rng.integers(0, width // 3)), int(rng.integers(height // 5, height)))
        cv2.putText(
            picture,
            words,
            at_words,
            cv2.FONT_HERSHEY_TRIPLEX,
            scale,
            strong_colour(rng),
            int(rng.integers(1, 6)),
            cv2.LINE_AA,
        )
    return picture


def _flat_light(game: Game) -> Light:
    """Return a light without direction, for flat colours."""
    none = np.zeros(3)
    return replace(game.light, key_colour=none, side_colour=none, sky=np.full(3, 1.25), bounce=np.full(3, 1.25))


def _scene(rng: np.random.Generator, game: Game, size: tuple[int, int], with_hoop: bool) -> Image:
    """Return a hoop with or without a ball near its net, or an empty court with or without a ball."""
    if with_hoop:
        target = np.array([RING_X - 0.1, 0.0, RING_Z - 0.1])
        distance, turn = float(rng.uniform(1.5, 12.0)), float(rng.uniform(-1.9, 1.9))
        height = float(rng.uniform(0.4, 4.2))
        ball = np.array([RING_X, 0.0, RING_Z]) + rng.normal(0, 0.12, 3) + [0, 0, rng.uniform(-0.4, 0.4)]
        if rng.random() < 0.3:
            ball = ball + rng.normal(0, 0.6, 3)
        shown = rng.random() < 0.72
        span = float(rng.uniform(0.3, 1.4))
    else:
        target = np.array([rng.uniform(2, 12), rng.uniform(-4, 4), BALL_RADIUS])
        distance, turn = float(rng.uniform(0.8, 9.0)), float(rng.uniform(0, 2 * np.pi))
        height = float(rng.uniform(0.15, 2.5))
        ball, shown = target, rng.random() < 0.85
        span = float(rng.uniform(0.14, 1.2))
    position = np.array([target[0] + distance * np.cos(turn), target[1] + distance * np.sin(turn), height])
    camera = look(rng, position, target, size)
    points = target + span * np.concatenate([np.eye(3), -np.eye(3)])
    camera = frame(rng, camera, points, 0.95)
    style = draw_style(rng)
    backdrop = paint_backdrop(rng, camera, "dark" if style == "hall" else style, game.gym.planes[0])
    blur = backdrop.blur if with_hoop else 0.4 * backdrop.blur
    canvas = cv2.GaussianBlur(backdrop.picture, (0, 0), max(0.3, blur))
    fine = camera.scaled(2)
    canvas = cv2.resize(canvas, fine.size, interpolation=cv2.INTER_LINEAR)
    soups, events = hoop_soup(fine, game.light, False, game.glass, game.gym.accent)
    if shown:
        pixel, depth = fine.project(ball)
        make = sample_ball(rng)
        _, spin = _axes(rng)
        if float(depth) > 0.3:
            radius = fine.focal * BALL_RADIUS / float(depth)
            grain = game.noise[:128, :128, 0]
            events.append(
                (
                    float(depth),
                    lambda target: paint_make(
                        target, pixel, radius, make, game.light, fine.rotation, spin, None, grain
                    ),
                )
            )
    paint_soup(canvas, fine, soups, events)
    photo: Image = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    return photo
