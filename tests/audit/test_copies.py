"""Copies of a picture are found however they were changed, and different pictures are not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bball_pl.audit.copies import Picture, candidate_pairs, find_copies, overlay
from bball_pl.photos.decode import decode
from bball_pl.photos.measurements import GREY_SIDE, Measurements, measure_photo, shrunk_grey
from bball_pl.photos.tree import Photo

from helpers.audit_albums import scene


def jpeg(pixels: np.ndarray, quality: int = 90) -> bytes:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)


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
    for pair in ((one, other), (other, one)):
        laid = overlay(*map(picture, pair))
        assert laid is not None
        assert laid.agreement > 0.8
        assert laid.mirrored == (name in {"mirrored", "all at once"})
        if name.startswith("cropped"):
            share = other.size / one.size
            assert laid.overlap == pytest.approx(share, abs=0.04)


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


def photos(contents: list[bytes]) -> list[Photo]:
    """Measured photos of these contents; the features of a network are random, so that hashes alone decide."""
    facts = [measure_photo(content)[0] for content in contents]
    rng = np.random.default_rng(0)
    shorts = {content: rng.random(64).astype(np.float16) for content in contents}
    facts = [
        own if own.problem else Measurements("", own.quality, own.dhash, own.mirrored, own.grey, shorts[content])
        for own, content in zip(facts, contents, strict=True)
    ]
    return [
        Photo(Path(str(number)), str(number), sha256=hashlib.sha256(content).hexdigest(), measurements=own)
        for number, (content, own) in enumerate(zip(contents, facts, strict=True))
    ]


def test_clusters() -> None:
    one, other = scene(1), scene(2)
    contents = [
        *(jpeg(one), jpeg(other), jpeg(one, 40), jpeg(scene(3)), jpeg(one)),
        *(jpeg(np.ascontiguousarray(other[:, ::-1])), b"no photo", b"no photo", b"nor this"),
    ]
    made = photos(contents)
    copies = find_copies(made)
    assert [[made.index(photo) for photo in cluster] for cluster in copies.clusters] == [[0, 2, 4], [1, 5], [6, 7]]
    assert set(copies.overlays) == {frozenset({Path("0"), Path("2")}), frozenset({Path("1"), Path("5")})}
    laid = copies.overlay(made[5], made[1])
    assert laid is not None
    assert laid.mirrored
    assert copies.overlay(made[0], made[1]) is None


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_photos(count: int) -> None:
    assert find_copies(photos([jpeg(scene(seed)) for seed in range(count)])).clusters == []


def test_a_file_that_cannot_be_read_is_in_no_cluster() -> None:
    unread = [replace(photo, sha256="") for photo in photos([b"no photo", b"nor this"])]
    assert find_copies(unread).clusters == []


@given(st.one_of(st.integers(2, 40), st.integers(150, 300)), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_candidates_are_pairs_told_once(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hashes, mirrored = (rng.integers(0, 2**63, count).astype(np.uint64) for _ in range(2))
    hashes[-1] = hashes[0] ^ np.uint64(5)  # two bits
    pairs = candidate_pairs(hashes, mirrored, rng.random((count, 16)).astype(np.float16))
    assert (0, count - 1) in pairs
    assert len(set(pairs)) == len(pairs)
    assert all(0 <= one < other < count for one, other in pairs)
    # Few photos are all compared; of many, each has a limited number of neighbours by either measure.
    assert len(pairs) <= (count * (count - 1) // 2 if count < 100 else 16 * count)
