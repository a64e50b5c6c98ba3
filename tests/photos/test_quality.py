"""Size, sharpness and light of a photo."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bball_pl.photos.measurements import Limits, measure_quality, shrunk_grey

from helpers.audit_albums import scene


def problems(pixels: np.ndarray, limits: Limits | None = None) -> list[str]:
    return [kind for kind, _ in measure_quality(pixels).problems(limits or Limits())]


@pytest.mark.parametrize("seed", range(5))
def test_a_good_photo_has_no_problem(seed: int) -> None:
    assert problems(scene(seed, (640, 427))) == []


def test_each_problem_alone() -> None:
    good = scene(0, (640, 427))
    assert problems(cv2.GaussianBlur(good, (0, 0), 5)) == ["blurred"]
    assert problems((good * 0.15).astype(np.uint8)) == ["dark"]
    assert problems(np.ascontiguousarray(good[:120, :300])) == ["tiny"]


def test_the_hand_that_shook_in_one_direction() -> None:
    good = scene(1, (640, 427))
    before = measure_quality(good).blur
    for kernel in (np.ones((1, 21)) / 21, np.ones((21, 1)) / 21):
        assert measure_quality(cv2.filter2D(good, -1, kernel)).blur > before + 0.2


def test_a_sharp_player_before_a_soft_hall() -> None:
    good = scene(2, (640, 427))
    photo = cv2.GaussianBlur(good, (0, 0), 6)
    photo[100:420, 200:440] = good[100:420, 200:440]
    assert problems(photo) == []


def test_more_blur_is_more() -> None:
    good = scene(3, (640, 427))
    blur = [measure_quality(cv2.GaussianBlur(good, (0, 0), sigma)).blur for sigma in (0.5, 1, 2, 4)]
    assert blur == sorted(blur)
    assert 0 <= blur[0] < blur[-1] <= 1


def test_brightness_does_not_count_as_sharpness() -> None:
    good = scene(4, (640, 427))
    assert measure_quality((good * 0.5).astype(np.uint8)).blur == pytest.approx(measure_quality(good).blur, abs=0.06)


def test_a_light_in_the_dark_is_no_bright_photo() -> None:
    dark = (scene(5, (640, 427)) * 0.15).astype(np.uint8)
    dark[:40, :40] = 255
    assert "dark" in problems(dark)


def test_limits_are_the_users() -> None:
    photo = scene(6, (300, 200))
    assert problems(photo, Limits(side=201, blur=0.6, light=60)) == ["tiny"]
    assert problems(photo, Limits(side=1, blur=0.0, light=300)) == ["blurred", "dark"]


@example(4, 4, 0)
@example(5, 4, 90)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([0, 90, 255]))
@settings(max_examples=30, deadline=None)
def test_any_size_can_be_measured(width: int, height: int, value: int) -> None:
    quality = measure_quality(np.full((height, width, 3), value, np.uint8))
    assert (quality.width, quality.height) == (width, height)
    assert 0 <= quality.blur <= 1
    assert abs(quality.light - value) <= 1


def test_a_photo_shrinks_to_its_long_side_and_never_grows() -> None:
    assert shrunk_grey(scene(0, (400, 300)), 160).shape == (120, 160)
    assert shrunk_grey(scene(0, (100, 50)), 160).shape == (50, 100)
    assert shrunk_grey(np.zeros((2000, 1, 3), np.uint8), 160).shape == (160, 1)
