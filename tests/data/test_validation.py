"""The validation split: no group divided, classes in their shares, the same for any order of the list."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bball_pl.data.validation import cross_validation_folds, split_train, stratified_subset, write_split_csv
from bball_pl.errors import ConfigError, DatasetError
from bball_pl.photos.tree import Photo


def photo(name: str, target: int, group: str = "", sha256: str = "") -> Photo:
    relative = f"train/{target}/{name}.jpg"
    sha256 = sha256 or f"sha of {relative}"
    return Photo(Path("/data") / relative, relative, "train", str(target), group, sha256, target)


@st.composite
def albums(draw: st.DrawFn) -> list[Photo]:
    """Two to four classes, each with photos of its own and a few groups; some photos are copies of others."""
    photos = []
    for target in range(draw(st.integers(2, 4))):
        for number in range(draw(st.integers(12, 40))):
            group = draw(st.sampled_from(["", "", "", "a", "b", "c"]))
            copy = draw(st.booleans()) and number % 5 == 4
            sha256 = f"sha {target} {number - 1 if copy else number}"
            photos.append(photo(str(number), target, f"{target}{group}" if group else "", sha256))
    return photos


@settings(max_examples=25, deadline=None)
@given(albums(), st.sampled_from([0.1, 0.15, 0.2, 0.3, 0.5]), st.integers(0, 2**40))
def test_split_keeps_groups_classes_and_order(photos: list[Photo], fraction: float, seed: int) -> None:
    train, val = split_train(photos, fraction, seed)
    assert sorted(map(repr, train + val)) == sorted(map(repr, photos))
    assert {p.group for p in train if p.group} & {p.group for p in val} == set()
    assert {p.sha256 for p in train} & {p.sha256 for p in val} == set()
    assert {p.target for p in train} == {p.target for p in val} == {p.target for p in photos}
    shuffled = photos.copy()
    random.Random(seed).shuffle(shuffled)
    assert split_train(shuffled, fraction, seed) == (train, val)


@settings(max_examples=25, deadline=None)
@given(albums(), st.integers(2, 6), st.integers(0, 2**40))
def test_folds_hold_out_every_photo_once_and_divide_no_group(photos: list[Photo], count: int, seed: int) -> None:
    photos = sorted(photos, key=lambda p: p.relative)
    folds = cross_validation_folds(photos, count, seed)
    assert 2 <= len(folds) <= count
    assert sorted(position for _, judged in folds for position in judged) == list(range(len(photos)))
    for learned, judged in folds:
        assert sorted(learned + judged) == list(range(len(photos)))
        train, held_out = [photos[position] for position in learned], [photos[position] for position in judged]
        assert {p.group for p in train if p.group} & {p.group for p in held_out} == set()
        assert {p.sha256 for p in train} & {p.sha256 for p in held_out} == set()
        assert {p.target for p in train} == {p.target for p in photos}
    assert cross_validation_folds(photos, count, seed) == folds


def test_folds_are_stratified_and_depend_on_the_seed() -> None:
    photos = sorted((photo(str(n), int(n % 4 == 0)) for n in range(60)), key=lambda p: p.relative)
    for _, judged in cross_validation_folds(photos, 5, 0):
        assert Counter(photos[position].target for position in judged) == {0: 9, 1: 3}
    assert cross_validation_folds(photos, 5, 0) != cross_validation_folds(photos, 5, 1)


def test_a_class_of_one_group_leaves_no_folds() -> None:
    photos = [photo(str(n), 0, "one game") for n in range(5)] + [photo(str(n), 1) for n in range(9)]
    assert cross_validation_folds(photos, 5, 0) == []


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(20, 80), min_size=2, max_size=4), st.sampled_from([0.1, 0.15, 0.25, 0.3, 0.4]))
def test_without_groups_each_class_gets_its_share(counts: list[int], fraction: float) -> None:
    photos = [photo(str(number), target) for target, count in enumerate(counts) for number in range(count)]
    _, val = split_train(photos, fraction, 0)
    got = Counter(p.target for p in val)
    for target, count in enumerate(counts):
        assert abs(got[target] - fraction * count) <= 1 + 0.02 * count


def test_seeds_give_different_splits() -> None:
    photos = [photo(str(number), number % 2) for number in range(60)]
    assert len({tuple(p.relative for p in split_train(photos, 0.2, seed)[1]) for seed in range(5)}) == 5


def test_few_large_groups_still_leave_every_class_on_both_sides() -> None:
    photos = [photo(f"{n}", t, f"album {t} {n % 2}") for t in range(3) for n in range(10)]
    train, val = split_train(photos, 0.15, 0)
    assert len(train) == len(val) == 15


@pytest.mark.parametrize(
    ("photos", "reason"),
    [
        ([photo("a", 0), *(photo(str(n), 1) for n in range(9))], "'0' are too few"),
        ([*(photo(str(n), 0, "one game") for n in range(5)), *(photo(str(n), 1) for n in range(9))], "one game"),
        ([*(photo(str(n), 0, sha256="x") for n in range(5)), *(photo(str(n), 1) for n in range(9))], "copies of one"),
        (
            [*(photo(f"{n}", t, "both") for t in (0, 1) for n in range(5)), photo("x", 0, "p"), photo("y", 1, "q")],
            None,
        ),
    ],
)
def test_what_cannot_be_split_is_said_with_the_fix(photos: list[Photo], reason: str | None) -> None:
    if reason is None:
        # Two classes in three groups: one fold holds both small groups, and that is enough.
        train, val = split_train(photos, 0.15, 0)
        assert {p.target for p in train} == {p.target for p in val} == {0, 1}
        return
    with pytest.raises(DatasetError, match=reason) as caught:
        split_train(photos, 0.15, 0)
    assert "'val'" in str(caught.value)


@pytest.mark.parametrize("fraction", [0, -0.1, 0.6, 15, float("nan")])
def test_fractions_out_of_range_are_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match=r"--data\.val_fraction"):
        split_train([photo(str(n), n % 2) for n in range(20)], fraction, 0)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=4), st.integers(0, 100))
def test_subset_holds_the_classes_in_their_shares(counts: list[int], size: int) -> None:
    photos = [photo(str(number), target) for target, count in enumerate(counts) for number in range(count)]
    subset = stratified_subset(photos, size, 0)
    assert len(subset) == len(set(subset)) == min(size, len(photos))
    got = Counter(p.target for p in subset)
    for target, count in enumerate(counts):
        assert abs(got[target] - count * len(subset) / len(photos)) <= 1.5
    assert stratified_subset(photos[::-1], size, 0) == subset


def test_split_csv_lists_every_photo_with_its_split(tmp_path: Path) -> None:
    photos = {"train": [photo("投籃, 1", 0, "album")], "val": [photo("b", 1)], "test": []}
    write_split_csv(tmp_path / "run" / "split.csv", photos)
    assert (tmp_path / "run" / "split.csv").read_text(encoding="utf-8") == (
        'path,class,split,group\n"train/0/投籃, 1.jpg",0,train,album\ntrain/1/b.jpg,1,val,\n'
    )
