"""The frame around a picture is found, and a dark ceiling is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bball_pl.photos.picture_frame import inner_box


def noise(height: int, width: int, low: int = 40, high: int = 220) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (height, width)).astype(np.uint8)


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("sides", [(20, 20, 10, 10), (60, 90, 0, 0), (0, 0, 80, 80), (5, 25, 5, 5)])
def test_a_frame(level: int, sides: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = sides
    framed = cv2.copyMakeBorder(noise(100, 140), top, bottom, left, right, cv2.BORDER_CONSTANT, value=level)
    assert inner_box(np.asarray(framed)) == (slice(top, top + 100), slice(left, left + 140))


def test_the_clock_of_a_phone_stands_on_a_bar() -> None:
    framed = np.asarray(cv2.copyMakeBorder(noise(100, 140), 120, 120, 0, 0, cv2.BORDER_CONSTANT, value=0))
    framed[8:16, 4:60] = 255
    framed[-20:-8, ::3] = 255
    assert inner_box(framed) == (slice(120, 220), slice(0, 140))


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 200), (200, 1), (50, 80)])
def test_without_a_frame_nothing_is_cut_off(shape: tuple[int, int]) -> None:
    height, width = shape
    whole = slice(0, height), slice(0, width)
    assert inner_box(np.full(shape, 90, np.uint8)) == whole
    assert inner_box(noise(*shape)) == whole


def test_one_dark_side_is_no_frame() -> None:
    photo = noise(100, 140)
    photo[:40] = 3
    assert inner_box(photo) == (slice(0, 100), slice(0, 140))
