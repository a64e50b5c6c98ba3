"""Pictures are laid over each other however one was changed, and different pictures are not."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bball_pl.audit.overlay import Picture, overlay
from bball_pl.photos.decode import decode
from bball_pl.photos.measurements import GREY_SIDE, dhash, hamming, measure_photo, shrunk_grey

import planted_faults
from helpers.audit_albums import jpeg, scene


def picture(pixels: np.ndarray) -> Picture:
    return Picture(shrunk_grey(pixels, GREY_SIDE))


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "cropped": lambda own: own[12:190, 30:],
    "cropped at all sides": lambda own: own[15:200, 22:300],
    "resized": lambda own: np.asarray(cv2.resize(own, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)),
    "encoded again": lambda own: decode(jpeg(own, 40)),
    "mirrored": lambda own: own[:, ::-1],
    "brighter": lambda own: np.clip(own * 1.4, 0, 255).astype(np.uint8),
    "darker": lambda own: (own * 0.65).astype(np.uint8),
    "all at once": lambda own: (
        cv2.resize(np.ascontiguousarray(own[15:200, 22:300][:, ::-1]), None, fx=0.5, fy=0.5) * 0.8
    ).astype(np.uint8),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_changed_copy_lies_over_its_original(name: str, seed: int) -> None:
    one = scene(seed)
    other = np.ascontiguousarray(CHANGES[name](one))
    for first, second in ((one, other), (other, one)):
        laid = overlay(picture(first), picture(second))
        assert laid is not None
        assert laid.agreement > 0.8
        assert laid.mirrored == (name in {"mirrored", "all at once"})
        if name.startswith("cropped"):
            share = other.size / one.size
            assert laid.overlap == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize("name", planted_faults.CHANGES)
def test_a_copy_on_its_way_through_other_programs_lies_over_its_original(name: str) -> None:
    # As the audit compares them: by the thumbnails that the store keeps.
    one = scene(7)
    other = decode(jpeg(planted_faults.CHANGES[name](np.random.default_rng(1), one)))
    first, second = (
        Picture(np.asarray(cv2.imdecode(np.frombuffer(grey, np.uint8), cv2.IMREAD_GRAYSCALE)))
        for grey in (measure_photo(jpeg(pixels))[0].grey for pixels in (one, other))
    )
    alike = bool(hamming(np.array(dhash(one), np.uint64), np.array(dhash(other), np.uint64)) <= 8)
    for laid in (overlay(first, second, alike), overlay(second, first, alike)):
        assert laid is not None
        assert laid.mirrored == (name in {"mirrored", "all of these"})


@pytest.mark.parametrize("size", [(320, 214), (214, 320), (320, 180)])
def test_each_axis_may_have_a_scale_of_its_own(size: tuple[int, int]) -> None:
    one = scene(5, size)
    for shape in ((224, 224), (300, 100)):
        laid = overlay(picture(one), picture(np.asarray(cv2.resize(one, shape, interpolation=cv2.INTER_AREA))))
        assert laid is not None
        assert laid.overlap > 0.95


@given(
    seed=st.integers(0, 10_000),
    cut=st.tuples(*[st.floats(0, 0.075)] * 4),
    mirrored=st.booleans(),
    light=st.floats(0.65, 1.3),
)
@settings(max_examples=25, deadline=None)
def test_no_crop_hides_a_copy(seed: int, cut: tuple[float, float, float, float], mirrored: bool, light: float) -> None:
    one = scene(seed)
    height, width = one.shape[:2]
    top, bottom, left, right = cut
    other = one[int(top * height) : height - int(bottom * height), int(left * width) : width - int(right * width)]
    other = np.clip((other[:, ::-1] if mirrored else other) * light, 0, 255).astype(np.uint8)
    laid = overlay(picture(one), picture(np.ascontiguousarray(other)))
    assert laid is not None
    assert laid.mirrored == mirrored


@given(st.integers(0, 10_000), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_two_scenes_are_two(one: int, other: int) -> None:
    if one != other:
        assert overlay(picture(scene(one)), picture(scene(other))) is None


def test_what_differs_in_one_place_is_another_picture() -> None:
    # As two photos of a series: the hall agrees, the player has moved on.
    one, other = scene(3), scene(3)
    other[40:180, 90:230] = scene(4)[40:180, 90:230]
    assert overlay(picture(one), picture(other)) is None


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3), (16, 16)])
def test_pictures_without_anything_in_them(shape: tuple[int, int]) -> None:
    flat = picture(np.full((*shape, 3), 90, np.uint8))
    assert overlay(flat, flat) is None
    assert overlay(flat, picture(scene(0))) is None
    assert overlay(picture(scene(0)), flat) is None


def test_where_the_hashes_agree_a_larger_part_may_differ() -> None:
    one = scene(3)
    other = one.copy()
    other[80:150, 100:200] = scene(4)[80:150, 100:200]  # a tenth of the picture, a sixth of the squares
    assert overlay(picture(one), picture(other)) is None
    assert overlay(picture(one), picture(other), alike=True) is not None
    # But not the whole of it: two flat or dark pictures have the same hash.
    assert overlay(picture(one), picture(scene(4)), alike=True) is None


def test_a_frame_is_looked_through_on_either_side() -> None:
    one = scene(6)
    for level in (0, 255):
        framed = cv2.copyMakeBorder(one, 60, 90, 40, 40, cv2.BORDER_CONSTANT, value=(level,) * 3)
        for first, second in ((one, framed), (framed, one), (framed, framed[20:])):
            assert overlay(picture(first), picture(second)) is not None
        assert overlay(picture(framed), picture(scene(8))) is None
