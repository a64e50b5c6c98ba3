"""Copies of one picture are joined to clusters."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bball_pl.audit.copies import candidate_pairs, find_copies
from bball_pl.photos.measurements import Measurements, measure_photo
from bball_pl.photos.tree import Photo

from helpers.audit_albums import jpeg, scene


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
