"""The teaching court: photos that depend on the seed alone, of every class, in framings of all kinds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bball_pl.court.album import COURTS
from bball_pl.court.backdrops import STYLES, crowd_picture, fractal_noise, noise_picture
from bball_pl.court.demo_dataset import write_demo
from bball_pl.court.framing import FRAMINGS, frame, look, points_of, sample_position, sample_size
from bball_pl.court.game import Game, sample_game
from bball_pl.court.lesson import sample_lesson
from bball_pl.court.people import civilian, sample_outfit, sample_player
from bball_pl.court.photograph import encode_for_web
from bball_pl.court.pose import ANGLES, BALL_RADIUS, BONES
from bball_pl.court.stances import SHARES, draw_phase, phases, sample_stance, stance_range
from bball_pl.court.stills import paint_still
from bball_pl.court.teaching import CLASSES, take_lesson_photo
from bball_pl.errors import ConfigError
from bball_pl.photos.photos_csv import read_photos_csv

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def game() -> Game:
    return sample_game(np.random.default_rng(5), "game")


def test_the_same_seed_gives_the_same_photo(game: Game) -> None:
    for class_name in CLASSES:
        first, again, other = (
            take_lesson_photo(np.random.default_rng(seed), game, class_name) for seed in (11, 11, 12)
        )
        assert np.array_equal(first, again)
        assert first.shape != other.shape or not np.array_equal(first, other)


def test_photos_are_of_many_shapes_and_about_one_size(game: Game) -> None:
    photos = [take_lesson_photo(np.random.default_rng(seed), game, CLASSES[seed % 4]) for seed in range(16)]
    shapes = {photo.shape for photo in photos}
    assert len(shapes) > 6
    assert any(high > wide for high, wide, _ in shapes)
    assert any(wide > high for high, wide, _ in shapes)
    for photo in photos:
        assert photo.dtype == np.uint8
        assert 70_000 < photo.shape[0] * photo.shape[1] < 110_000


def test_a_teaching_dataset_has_the_class_none_and_keeps_its_bytes(tmp_path: Path) -> None:
    roots = [tmp_path / name for name in ("one", "more")]
    for root, count in zip(roots, (8, 12), strict=True):
        write_demo(root, count, 4, 3, workers=1, show_progress=False, court="teaching")
    records = read_photos_csv(roots[0] / "photos.csv")
    assert {record.class_name for record in records} == set(CLASSES)
    assert {record.source for record in records} == {"teaching court"}
    for record in records:
        assert (roots[0] / record.path).read_bytes() == (roots[1] / record.path).read_bytes()
    assert not write_demo(roots[0], 8, 4, 3, workers=1, show_progress=False, court="teaching").written


def test_an_unknown_court_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected one of demo, teaching"):
        write_demo(tmp_path / "x", 8, 4, 3, court="street")
    with pytest.raises(ConfigError, match="shoot, dribble, layup, none"):
        write_demo(tmp_path / "x", 3, 4, 3, court="teaching")


def test_every_group_of_phases_is_known() -> None:
    known = set(phases())
    for group, shares in SHARES.items():
        assert {phase for phase, _ in shares} <= known
        assert sum(share for _, share in shares) == pytest.approx(1.0, abs=0.011), group
    assert set(COURTS["teaching"].classes) == set(CLASSES)


@given(seed=seeds, phase=st.sampled_from(sorted(set(phases()) - {"stand", "sit"})))
@settings(max_examples=60, deadline=None)
def test_a_stance_keeps_its_bones_and_its_ball_near_a_hand(seed: int, phase: str) -> None:
    action = sample_stance(np.random.default_rng(seed), phase, 1.0)
    for (start, end), metres in BONES.items():
        assert np.linalg.norm(action.body[end] - action.body[start]) == pytest.approx(metres, rel=1e-6)
    for name in ANGLES:
        low, high = stance_range(phase, name)
        assert low <= high
    assert action.jump >= 0
    assert np.all(np.isfinite(action.ball))
    if phase in {"shoot_hold", "shoot_high", "ball_chest", "layup_gather"}:
        hand = np.linalg.norm(action.body["tip_b"] - action.ball)
        assert hand < 3 * BALL_RADIUS


@given(seed=seeds, framing=st.sampled_from(sorted(FRAMINGS)), share=st.floats(0.4, 0.99))
@settings(max_examples=40, deadline=None)
def test_a_frame_holds_what_it_must(seed: int, framing: str, share: float) -> None:
    rng = np.random.default_rng(seed)
    body = sample_stance(rng, draw_phase(rng, "shoot")).body
    points = points_of(body, framing, body["tip_b"])
    middle = points.mean(axis=0)
    camera = look(rng, sample_position(rng, middle), middle, sample_size(rng))
    framed = frame(rng, camera, points, share)
    pixels, depth = framed.project(points)
    if depth.min() > 0.3:
        assert pixels.min() > -0.5
        assert np.all(pixels.max(axis=0) < np.array(framed.size) + 0.5)
        span = (pixels.max(axis=0) - pixels.min(axis=0)) / np.array(framed.size)
        assert span.max() == pytest.approx(share, rel=1e-3)


@given(seed=seeds, class_name=st.sampled_from(CLASSES))
@settings(max_examples=25, deadline=None)
def test_a_lesson_of_a_move_has_its_ball(seed: int, class_name: str) -> None:
    lesson = sample_lesson(np.random.default_rng(seed), class_name)
    assert lesson.people
    if class_name != "none":
        assert lesson.ball is not None
        assert lesson.ball[2] >= BALL_RADIUS - 1e-9
        if lesson.phase != "shoot_follow":
            pixel, _ = lesson.camera.project(lesson.ball)
            margin = 0.25 * np.array(lesson.camera.size)
            assert np.all(pixel > -margin)
            assert np.all(pixel < np.array(lesson.camera.size) + margin)


def test_people_differ() -> None:
    rng = np.random.default_rng(4)
    people = [sample_player(rng, sample_outfit(rng)) for _ in range(40)] + [civilian(rng) for _ in range(5)]
    assert len({person.looks.skin for person in people}) > 20
    assert {person.looks.cut for person in people} == {"short", "bald", "long", "band"}
    assert min(person.looks.size for person in people) < 0.85
    assert any(person.wear.ink is not None for person in people)
    assert any(person.wear.tail > 0 for person in people)


def test_backgrounds_and_stills_are_pictures(game: Game) -> None:
    rng = np.random.default_rng(2)
    assert "hall" in STYLES
    noise = fractal_noise(rng, 20, 30, 0.6)
    assert noise.shape == (20, 30)
    assert noise.min() == 0
    assert noise.max() == pytest.approx(1)
    for picture in (noise_picture(rng, 40, 50), crowd_picture(rng, 40, 50, 12.0, 0.8)):
        assert picture.shape == (40, 50, 3)
        assert picture.dtype == np.uint8
    for _ in range(6):
        assert paint_still(rng, game).std() > 1


def test_a_photo_for_the_web_is_a_jpeg(game: Game) -> None:
    rng = np.random.default_rng(3)
    data = encode_for_web(rng, take_lesson_photo(rng, game, "none"))
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
