"""The figures of a split, and what a run's folder keeps of them."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sklearn.metrics import f1_score, log_loss, precision_recall_fscore_support

from bball_pl.errors import RunError
from bball_pl.evaluate.metrics import (
    compute_metrics,
    interval_words,
    leading_interval,
    losses,
    probability_figures,
    table_figures,
    write_metrics,
)
from bball_pl.evaluate.predictions import Answers, read_answers
from bball_pl.evaluate.report.findings import believable
from bball_pl.evaluate.results import metrics_table, write_results
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.outcomes import Outcomes
from bball_pl.photos.tree import Photo

NAMES = ["shoot", "dribble", "layup"]

#: The 2018 project's test: a row per true class.
MATRIX_2018 = [[81, 2, 17], [2, 98, 0], [18, 3, 79]]


def from_matrix(matrix: list[list[int]], confidence: float = 0.9, groups: list[str] | None = None) -> Answers:
    """Answers of one confidence that give a confusion matrix."""
    pairs = [(true, said) for true, row in enumerate(matrix) for said, count in enumerate(row) for _ in range(count)]
    shares = np.full((len(pairs), len(matrix)), (1 - confidence) / (len(matrix) - 1))
    shares[np.arange(len(pairs)), [said for _, said in pairs]] = confidence
    paths = [f"test/{number}.jpg" for number in range(len(pairs))]
    targets = np.array([true for true, _ in pairs], np.int64)
    return Answers(NAMES[: len(matrix)], paths, groups or [""] * len(pairs), targets, shares.astype(np.float32))


def drawn(number: int, seed: int = 0, classes: int = 3, games: int = 0) -> Answers:
    """Random answers that are right more often than not, in `games` groups of photos."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, classes, number)
    logits = generator.normal(size=(number, classes))
    logits[np.arange(number), targets] += 1
    shares = np.exp(logits)
    groups = [f"game {place % games}" if games else "" for place in range(number)]
    paths = [f"{place}.jpg" for place in range(number)]
    names = [f"class {place}" for place in range(classes)]
    return Answers(names, paths, groups, targets, (shares / shares.sum(1, keepdims=True)).astype(np.float32))


def test_the_result_of_2018() -> None:
    metrics = compute_metrics("test", from_matrix(MATRIX_2018))
    assert (metrics["split"], metrics["n"], metrics["accuracy"], metrics["groups"]) == ("test", 300, 0.86, 0)
    low, high = metrics["accuracy_ci95"]
    assert (round(low, 3), round(high, 3)) == (0.816, 0.895)
    assert metrics["accuracy_bootstrap95"] == pytest.approx([0.86 - 0.0393, 0.86 + 0.0393], abs=0.006)
    assert metrics["confusion"] == {"labels": NAMES, "matrix": MATRIX_2018}
    shoot = metrics["per_class"]["shoot"]
    assert shoot["recall"] == pytest.approx(0.81)
    assert shoot["precision"] == pytest.approx(81 / 101)
    assert shoot["f1"] == pytest.approx(2 * 81 / (100 + 101))
    assert shoot["support"] == 100
    for figure in ("precision", "recall", "f1"):
        low, high = shoot[f"{figure}_bootstrap95"]
        assert low < shoot[figure] < high
    # Hundred photos of a class: 1.96 standard errors of a share.
    assert high - low < 0.2
    assert np.ptp(shoot["recall_bootstrap95"]) == pytest.approx(2 * 1.96 * math.sqrt(0.81 * 0.19 / 100), rel=0.1)
    wanted = sum(metrics["per_class"][name]["f1"] for name in NAMES) / 3
    assert metrics["macro_f1"] == pytest.approx(wanted)
    assert metrics["nll"] == pytest.approx(-(258 * math.log(0.9) + 42 * math.log(0.05)) / 300, rel=1e-5)
    right, wrong = 0.1**2 + 2 * 0.05**2, 0.95**2 + 0.9**2 + 0.05**2
    assert metrics["brier"] == pytest.approx((258 * right + 42 * wrong) / 300, rel=1e-5)
    assert metrics["ece"] == pytest.approx(0.04, abs=1e-5), "90 % sure and 86 % right"
    assert json.loads(json.dumps(metrics)) == metrics, "plain numbers only"


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(2, 5), st.integers(0, 1000))
def test_figures_are_those_of_their_definitions(number: int, classes: int, seed: int) -> None:
    answers = drawn(number, seed, classes)
    metrics = compute_metrics("val", answers)
    labels, present = list(range(classes)), sorted(set(answers.targets.tolist()))
    assert metrics["nll"] == pytest.approx(log_loss(answers.targets, answers.probabilities, labels=labels), rel=1e-5)
    squares = [
        sum((share - (label == target)) ** 2 for label, share in enumerate(row))
        for row, target in zip(answers.probabilities.tolist(), answers.targets.tolist(), strict=True)
    ]
    assert metrics["brier"] == pytest.approx(sum(squares) / number, rel=1e-5)
    f1 = f1_score(answers.targets, answers.predicted, labels=present, average="macro", zero_division=0)
    assert metrics["macro_f1"] == pytest.approx(f1)
    assert metrics["accuracy"] == pytest.approx((answers.predicted == answers.targets).mean())
    assert metrics["ece"] == pytest.approx(expected_calibration_error(answers), abs=1e-6)
    assert sum(own["support"] for own in metrics["per_class"].values()) == number
    # The figures of one table are those of the resampled tables.
    table = np.array(metrics["confusion"]["matrix"])
    figures = {name: values[0] for name, values in table_figures(table[None]).items()}
    assert figures["accuracy"] == pytest.approx(metrics["accuracy"])
    assert figures["macro_f1"] == pytest.approx(metrics["macro_f1"])
    wanted = precision_recall_fscore_support(answers.targets, answers.predicted, labels=labels, zero_division=np.nan)
    for own, name in zip(wanted, ("precision", "recall"), strict=False):
        np.testing.assert_allclose(figures[name], own)


def expected_calibration_error(answers: Answers) -> float:
    """The definition of arXiv:1706.04599, bin by bin."""
    confidence, total = answers.confidence.astype(np.float64), 0.0
    for place in range(15):
        inside = (confidence > place / 15) & (confidence <= (place + 1) / 15)
        if inside.any():
            gap = abs(answers.correct[inside].mean() - confidence[inside].mean())
            total += inside.mean() * gap
    return total


def test_a_class_without_photos_counts_nothing() -> None:
    metrics = compute_metrics("val", from_matrix([[4, 0, 1], [0, 5, 0], [0, 0, 0]]))
    layup = metrics["per_class"]["layup"]
    assert [layup[key] for key in ("precision", "recall", "f1", "support")] == [0, 0, 0, 0]
    assert (layup["recall_bootstrap95"], layup["f1_bootstrap95"]) == (None, None)
    assert layup["precision_bootstrap95"] == [0, 0], "it is answered once, and wrongly"
    assert metrics["macro_f1"] == pytest.approx((8 / 9 + 1) / 2)
    low, high = metrics["macro_f1_bootstrap95"]
    assert 0.6 < low < metrics["macro_f1"] < high == 1


def test_one_photo() -> None:
    answers = Answers(NAMES, ["a.jpg"], [""], np.array([0]), np.array([[0, 1, 0]], np.float32))
    metrics = compute_metrics("test", answers)
    assert metrics["accuracy"] == 0.0
    low, high = metrics["accuracy_ci95"]
    assert low == pytest.approx(0.0, abs=1e-12)
    assert 0.7 < high < 0.8
    assert metrics["nll"] == pytest.approx(27.63, abs=0.01), "a probability of zero costs much, and stays finite"
    assert metrics["brier"] == 2
    assert metrics["ece"] == pytest.approx(1, abs=1e-6)
    assert metrics["accuracy_bootstrap95"] is None, "one photo says nothing about others"
    assert metrics["macro_f1_bootstrap95"] is None
    assert {own[f"{figure}_bootstrap95"] for own in metrics["per_class"].values() for figure in ("recall", "f1")} == {
        None
    }
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_always_the_same_class() -> None:
    metrics = compute_metrics("test", from_matrix([[5, 0, 0], [5, 0, 0], [5, 0, 0]], 0.5))
    assert metrics["accuracy"] == pytest.approx(1 / 3)
    assert metrics["macro_f1"] == pytest.approx(0.5 / 3)
    dribble = metrics["per_class"]["dribble"]
    assert (dribble["precision"], dribble["recall"]) == (0, 0)
    assert dribble["precision_bootstrap95"] is None, "never answered, in no resample"
    assert dribble["recall_bootstrap95"] == dribble["f1_bootstrap95"] == [0, 0]


def test_groups_are_drawn_whole_where_they_are_known() -> None:
    # Thirty games of ten photos; a network that knows a game knows all its photos.
    matrix = [[80, 20, 0], [20, 80, 0], [0, 0, 100]]
    alone = compute_metrics("test", from_matrix(matrix))
    games = compute_metrics("test", from_matrix(matrix, groups=[f"game {row // 10}" for row in range(300)]))
    assert (alone["groups"], games["groups"]) == (0, 30)
    assert games["accuracy_ci95"] == alone["accuracy_ci95"], "Wilson's takes every photo for independent"
    for figure in ("accuracy", "macro_f1"):
        assert games[figure] == alone[figure]
        assert np.ptp(games[f"{figure}_bootstrap95"]) > 2 * np.ptp(alone[f"{figure}_bootstrap95"])
    one = compute_metrics("test", from_matrix(matrix, groups=["game"] * 300))
    assert (one["groups"], one["accuracy_bootstrap95"]) == (1, None)


def test_the_interval_beside_the_accuracy_is_drawn_by_group_and_never_narrower_than_wilsons() -> None:
    matrix = [[80, 20, 0], [20, 80, 0], [0, 0, 100]]
    alone = compute_metrics("test", from_matrix(matrix))
    assert leading_interval(alone) == (alone["accuracy_ci95"], 0)
    games = compute_metrics("test", from_matrix(matrix, groups=[f"game {row // 10}" for row in range(300)]))
    assert leading_interval(games) == (games["accuracy_bootstrap95"], 30)
    assert "by 30 groups" in interval_words(games)
    # Every game alike: drawn by group there would be no doubt at all.
    certain = compute_metrics("test", from_matrix([[10, 0], [0, 10]], groups=[f"{row % 5}" for row in range(20)]))
    assert certain["accuracy_bootstrap95"] == [1, 1]
    low, high = certain["accuracy_ci95"]
    assert leading_interval(certain) == ([low, high], 5)
    assert low < 0.9
    assert interval_words(certain).endswith("by 5 groups; still too narrow with so few")
    few = compute_metrics("test", from_matrix(matrix, groups=[f"{row // 100}" for row in range(300)]))
    assert leading_interval(few) == (few["accuracy_ci95"], 0)


def test_the_calibration_error_has_an_interval_and_the_doubts_are_checked_apart() -> None:
    """Sure and right nearly always, and of those that are not sure hardly any is right: the mean hides it."""
    sure, doubtful = from_matrix([[300, 0], [0, 300]], 0.99), from_matrix([[4, 16], [16, 4]], 0.75)
    both = Answers(
        sure.class_names,
        [*sure.paths, *(f"other/{path}" for path in doubtful.paths)],
        [*sure.groups, *doubtful.groups],
        np.concatenate([sure.targets, doubtful.targets]),
        np.concatenate([sure.probabilities, doubtful.probabilities]),
    )
    metrics = compute_metrics("test", both)
    low, high = metrics["ece_bootstrap95"]
    assert low < metrics["ece"] < high < 0.1
    below = metrics["below_sure"]
    assert (below["n"], below["accuracy"]) == (40, 0.2)
    assert below["confidence"] == pytest.approx(0.75)
    assert not believable(metrics)
    honest = metrics | {"below_sure": below | {"accuracy": 0.75, "accuracy_ci95": [0.6, 0.86]}}
    assert believable(honest)
    assert not believable(honest | {"ece_bootstrap95": [0.02, 0.11]})
    assert not believable(honest | {"below_sure": honest["below_sure"] | {"n": 19}})
    assert compute_metrics("test", sure)["below_sure"] is None
    assert not believable(compute_metrics("test", sure))


def test_the_interval_of_a_calibration_error_holds_the_error() -> None:
    """Nearly every resample is further off than photos are whose confidences are exact."""
    parts = [from_matrix([[n, (100 - n) // 2, (100 - n) // 2]] + [[0, 0, 0]] * 2, n / 100) for n in (80, 60)]
    answers = Answers(
        parts[0].class_names,
        [f"{number}/{path}" for number, part in enumerate(parts) for path in part.paths],
        [group for part in parts for group in part.groups],
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
    )
    metrics = compute_metrics("test", answers)
    assert metrics["ece"] == pytest.approx(0, abs=1e-6)
    assert metrics["ece_bootstrap95"][0] == metrics["ece"] < 0.01 < metrics["ece_bootstrap95"][1]


def test_the_order_of_photos_changes_no_figure() -> None:
    answers = drawn(60, games=20)
    order = np.random.default_rng(1).permutation(60)
    shuffled = Answers(
        answers.class_names,
        [answers.paths[row] for row in order],
        [answers.groups[row] for row in order],
        answers.targets[order],
        answers.probabilities[order],
    )
    metrics, other = compute_metrics("test", answers), compute_metrics("test", shuffled)
    assert metrics.pop("nll") == pytest.approx(other.pop("nll"))
    assert metrics.pop("brier") == pytest.approx(other.pop("brier"))
    assert metrics.pop("ece") == pytest.approx(other.pop("ece"))
    assert metrics.pop("ece_bootstrap95") == pytest.approx(other.pop("ece_bootstrap95"))
    assert metrics["below_sure"].pop("confidence") == pytest.approx(other["below_sure"].pop("confidence"))
    assert metrics == other


def test_perfect_calibration_has_no_error() -> None:
    answers = from_matrix([[8, 1, 1], [1, 8, 1], [1, 1, 8]], 0.8)
    assert compute_metrics("test", answers)["ece"] == pytest.approx(0, abs=1e-6)
    certain = from_matrix([[3, 0, 0], [0, 3, 0], [0, 0, 3]], 1.0)
    figures = compute_metrics("test", certain)
    assert (figures["brier"], figures["nll"]) == (0, 0)
    assert figures["ece"] == pytest.approx(0, abs=1e-6)


def test_answers_that_are_entirely_sure_share_a_bin_with_their_neighbours() -> None:
    shares = np.array([[1, 0], [0.96, 0.04]], np.float32)
    # One is wrong and 100 % sure, one right and 96 % sure: together half right and 98 % sure.
    assert probability_figures(shares, np.array([1, 0]))["ece"] == pytest.approx(0.48)
    assert losses(shares, np.array([1, 0])) == pytest.approx([-math.log(1e-12), -math.log(0.96)])


def test_ten_thousand_photos_take_about_a_second() -> None:
    answers = drawn(10_000)
    # Time of this process: the machine may be busy with other tests.
    started = time.process_time()
    metrics = compute_metrics("train", answers)
    assert time.process_time() - started < 2
    low, high = metrics["accuracy_ci95"]
    assert metrics["accuracy_bootstrap95"] == pytest.approx([low, high], abs=0.002), "the two ways agree"


def test_results_on_disk_belong_to_the_photos(tmp_path: Path) -> None:
    photos = [
        Photo(tmp_path / f"{n}.jpg", f"test/layup/a,{n}.jpg", "test", "layup", f"game{n}", target=2) for n in range(3)
    ]
    logits = torch.tensor([[0.0, 0.0, 3.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    outcomes = Outcomes(torch.arange(3), torch.full((3,), 2), logits)
    metrics = write_results(tmp_path, "test", photos, outcomes, NAMES)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    with (tmp_path / "predictions_test.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "class", "predicted", "prob_shoot", "prob_dribble", "prob_layup", "group"]
    assert [row["path"] for row in rows] == [photo.relative for photo in photos]
    assert [row["predicted"] for row in rows] == ["layup", "shoot", "layup"]
    assert [row["group"] for row in rows] == ["game0", "game1", "game2"]
    answers = read_answers(tmp_path / "predictions_test.csv")
    np.testing.assert_array_equal(answers.probabilities, outcomes.probabilities.numpy())
    assert compute_metrics("test", answers) == metrics, "the table is all that the figures need"
    for wrong in (photos[:2], [*photos, photos[0]]):
        with pytest.raises(ValueError, match="answers for"):
            write_results(tmp_path, "test", wrong, outcomes, NAMES)


def test_figures_on_disk_are_plain_and_readable(tmp_path: Path) -> None:
    metrics: dict[str, Any] = compute_metrics("test", from_matrix([[3, 0, 0], [3, 0, 0], [0, 0, 0]]))
    metrics["confusion"]["labels"][1] = "運球"
    assert metrics["per_class"]["layup"]["recall_bootstrap95"] is None
    write_metrics(tmp_path / "運球.json", metrics)
    text = (tmp_path / "運球.json").read_text(encoding="utf-8")
    assert json.loads(text) == metrics
    assert text.endswith("}\n")
    assert '"運球"' in text
    assert "NaN" not in text


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    text = io.StringIO()
    metrics = compute_metrics("test", from_matrix(MATRIX_2018))
    Console(file=text, width=80).print(metrics_table(metrics))
    lines = text.getvalue().splitlines()
    assert "86.0%" in lines[0]
    assert "81.6%–89.5%" in lines[0]
    assert "…" not in text.getvalue()
    for name, row in zip(("shoot 投籃", "dribble 運球", "layup 上籃"), MATRIX_2018, strict=True):
        (line,) = [line for line in lines if name in line]
        assert line.split()[-3:] == [str(count) for count in row]


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"there is no checkpoint .*best\.ckpt"):
        read_checkpoint(tmp_path / "best.ckpt")
    garbage = tmp_path / "garbage.ckpt"
    garbage.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(RunError, match="garbage"):
        read_checkpoint(garbage)
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(RunError, match="not a checkpoint of this project"):
        read_checkpoint(tmp_path / "other.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(RunError, match="not a checkpoint of this project"):
        read_checkpoint(tmp_path / "list.ckpt")
