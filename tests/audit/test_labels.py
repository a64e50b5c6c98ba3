"""Wrong labels come first, games are never divided, and what cannot be judged is said."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bball_pl.audit.labels import Judgement, judge_labels, out_of_fold, reduce_features
from bball_pl.photos.measurements import Measurements
from bball_pl.photos.tree import Photo

NAMES = ("dribble", "layup", "shoot")


def clouds(count: int, seed: int = 0, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of two views in which the classes lie apart, classes, and games of ten photos."""
    rng = np.random.default_rng(seed)
    targets = np.arange(count) % 3
    centres = rng.normal(0, 1, (3, 2, 1500))
    features = centres[targets] + rng.normal(0, noise, (count, 2, 1500))
    return features.astype(np.float16), targets, np.arange(count) // 10


def photos(labels: Sequence[str], groups: Sequence[str]) -> list[Photo]:
    """Measured photos, named by their number."""
    return [
        Photo(Path(str(number)), str(number), class_name=label, group=group, measurements=Measurements(""))
        for number, (label, group) in enumerate(zip(labels, groups, strict=True))
    ]


def lookup(features: np.ndarray) -> Callable[[Sequence[Photo]], Iterator[np.ndarray]]:
    """Features of photos by their number, seven at a time."""
    return lambda chosen: (
        features[[int(photo.relative) for photo in chosen[start : start + 7]]] for start in range(0, len(chosen), 7)
    )


def judge(features: np.ndarray, labels: Sequence[str], groups: Sequence[str], seed: int = 0) -> tuple[list[int], str]:
    judged = judge_labels(photos(labels, groups), [], lookup(features), seed)
    return rows(judged), judged.remark


def rows(judged: Judgement) -> list[int]:
    return [int(doubt.photo.relative) for doubt in judged.doubts]


@pytest.mark.parametrize(
    ("seed", "dimensions", "sample"),
    # Fewer dimensions than photos; dimensions of some of the photos, both more and fewer than those.
    [(0, 1024, 4096), (1, 1024, 4096), (2, 1024, 4096), (0, 40, 4096), (0, 40, 90), (1, 1024, 90)],
)
def test_wrong_labels_come_first(seed: int, dimensions: int, sample: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bball_pl.audit.labels._DIMENSIONS", dimensions)
    monkeypatch.setattr("bball_pl.audit.labels._SAMPLE", sample)
    features, targets, games = clouds(300, seed)
    labels = [NAMES[target] for target in targets]
    wrong = np.random.default_rng(seed).choice(300, 15, replace=False)
    for place in wrong:
        labels[place] = NAMES[(targets[place] + 1) % 3]
    judged = judge_labels(photos(labels, [str(game) for game in games]), [], lookup(features))
    assert set(rows(judged)[:15]) == set(wrong.tolist())
    assert judged.judged == 300
    assert judged.accuracy == pytest.approx(0.95, abs=0.02)
    for doubt in judged.doubts[:15]:
        assert doubt.suggested == NAMES[targets[int(doubt.photo.relative)]]
        assert 0 <= doubt.confidence < doubt.suggested_confidence <= 1
    confidences = [doubt.confidence for doubt in judged.doubts]
    assert confidences == sorted(confidences)


def test_right_labels_are_not_doubted() -> None:
    features, targets, games = clouds(150)
    doubted, remark = judge(features, [NAMES[target] for target in targets], [str(game) for game in games])
    assert doubted == []
    assert remark == ""


def test_the_same_seed_gives_the_same_doubts() -> None:
    features, targets, games = clouds(150, noise=14)
    labels, groups = [NAMES[target] for target in targets], [str(game) for game in games]
    assert judge(features, labels, groups, 1)[0] == judge(features, labels, groups, 1)[0] != []


def test_no_photo_is_judged_by_its_own_game() -> None:
    # Within a game all photos look the same, and every game has labels of its own at random: whoever has seen the game
    # knows the label, whoever has not cannot. Two games of the same look are linked by a copy in both.
    rng = np.random.default_rng(0)
    games = np.repeat(np.arange(60), 5)
    looks = rng.normal(0, 1, (30, 1, 64))[games // 2]
    targets = np.resize([0, 1, 2], 30)[rng.permutation(30)][games // 2]
    features = (looks + rng.normal(0, 0.01, (300, 1, 64))).astype(np.float32)
    made = photos([NAMES[target] for target in targets], [str(game) for game in games])
    clusters = [[made[10 * pair], made[10 * pair + 5]] for pair in range(30)]
    linked = judge_labels(made, clusters, lookup(features))
    alone = judge_labels(made, [], lookup(features))
    assert linked.accuracy < 0.7 < alone.accuracy


def test_photos_without_a_group_are_their_own() -> None:
    features, targets, _ = clouds(90)
    doubted, remark = judge(features, [NAMES[target] for target in targets], ["" for _ in targets])
    assert (doubted, remark) == ([], "")


def test_what_cannot_be_judged() -> None:
    features, targets, games = clouds(60)
    one_game = ["game" for _ in targets]
    doubted, remark = judge(features, [NAMES[target] for target in targets], one_game)
    assert doubted == []
    assert "two classes" in remark
    assert judge(features, ["shoot"] * 60, [str(game) for game in games])[0] == []
    assert judge(features[:4], ["shoot", "layup"] * 2, [""] * 4)[1] != ""


def test_a_class_with_too_few_photos_is_left_out_and_named() -> None:
    features, targets, games = clouds(90)
    labels = [NAMES[target] for target in targets]
    labels[:3] = ["dunk"] * 3
    doubted, remark = judge(features, labels, [str(game) for game in games])
    assert doubted == []
    assert remark.endswith(": dunk")


def test_predictions_are_shares() -> None:
    features, targets, games = clouds(100, noise=5)
    shares = out_of_fold(reduce_features([features]), targets, games)
    assert shares.shape == (100, 3)
    assert shares.min() > 0
    assert np.allclose(shares.sum(1), 1)


def test_more_photos_than_features_answer_alike() -> None:
    # The rotation into fewer dimensions is only for speed.
    features, targets, games = clouds(200, noise=3)
    few = features[:, :, :150]
    padded = np.concatenate([few, np.zeros((200, 2, 100), np.float16)], 2)
    standardised = ((few - few.mean(0, np.float32)) / few.std(0, np.float32)).astype(np.float32)
    answers = out_of_fold(standardised, targets, games)
    assert np.allclose(out_of_fold(reduce_features([few]), targets, games), answers, atol=0.005)
    assert np.allclose(out_of_fold(reduce_features([padded]), targets, games), answers, atol=0.005)


def test_features_are_reduced_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bball_pl.audit.labels._SAMPLE", 64)
    rng = np.random.default_rng(0)
    reduce_features([rng.normal(size=(32, 2, 2000)).astype(np.float16)])  # imports
    tracemalloc.start()
    reduced = reduce_features(rng.normal(size=(32, 2, 2000)).astype(np.float16) for _ in range(40))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reduced.shape == (1280, 2, 64)
    assert peak < 1280 * 2 * 2000 * 2 / 1.5  # the features as they come, together


def test_what_is_rare_in_the_sample_does_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bball_pl.audit.labels._SAMPLE", 90)
    features, targets, games = clouds(300, noise=4)
    order, columns = np.random.default_rng(0).permutation(300), np.arange(60)
    # Each of these features hardly responds to one photo of the sample, and fully to one of the others.
    rare = np.zeros((300, 2, 60), np.float16)
    rare[order[:60], :, columns], rare[order[-60:], :, columns] = 0.01, 6
    made = photos([NAMES[target] for target in targets], [str(game) for game in games])
    judged = judge_labels(made, [], lookup(np.concatenate([features, rare], 2)))
    assert rows(judged) == []
    assert judged.accuracy == 1


def test_a_confirmed_label_and_an_unusable_photo_are_not_doubted() -> None:
    features, targets, games = clouds(150)
    made = photos([NAMES[target] for target in targets], [str(game) for game in games])
    wrong = (3, 40, 77)
    for number in wrong:
        made[number] = replace(made[number], class_name=NAMES[(targets[number] + 1) % 3])
    assert set(rows(judge_labels(made, [], lookup(features)))) == set(wrong)
    made[3] = replace(made[3], confirmed=True)
    made[40] = replace(made[40], measurements=Measurements("damaged"))
    judged = judge_labels(made, [], lookup(features))
    assert rows(judged) == [77]
    assert judged.judged == 149
    assert judged.remark == "doubts left out because a person has confirmed the label: 1"
