"""Two models on the same photos."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from bball_pl.errors import DatasetError
from bball_pl.evaluate.compare import Comparison, compare_answers, comparison_json, comparison_table, write_comparison
from bball_pl.evaluate.metrics import compute_metrics
from bball_pl.evaluate.predictions import Answers

NAMES = ["shoot", "dribble", "layup"]


def answers(said: list[int], targets: list[int], groups: list[str] | None = None, confidence: float = 0.8) -> Answers:
    """Answers of one confidence."""
    shares = np.full((len(said), 3), (1 - confidence) / 2, np.float32)
    shares[np.arange(len(said)), said] = confidence
    paths = [f"test/{number:05d}.jpg" for number in range(len(said))]
    return Answers(NAMES, paths, groups or [""] * len(said), np.array(targets, np.int64), shares)


def drawn(number: int, seed: int, skill: float = 1.5, games: int = 0) -> Answers:
    """Random answers; photos, classes and games do not depend on the seed."""
    targets = np.random.default_rng(0).integers(0, 3, number)
    logits = np.random.default_rng(seed).normal(size=(number, 3))
    logits[np.arange(number), targets] += skill
    shares = np.exp(logits)
    groups = [f"game {place % games}" if games else "" for place in range(number)]
    paths = [f"test/{place:05d}.jpg" for place in range(number)]
    return Answers(NAMES, paths, groups, targets, (shares / shares.sum(1, keepdims=True)).astype(np.float32))


def reordered(a: Answers, seed: int = 0) -> Answers:
    """The same answers with photos and classes in another order."""
    rows = np.random.default_rng(seed).permutation(len(a))
    columns = [2, 0, 1]
    return Answers(
        [a.class_names[column] for column in columns],
        [a.paths[row] for row in rows],
        [a.groups[row] for row in rows],
        np.argsort(columns)[a.targets[rows]],
        a.probabilities[rows][:, columns],
    )


def decided(only_a: int, only_b: int, both: int, neither: int, games: int = 0) -> Comparison:
    """Compare models of which exactly so many photos tell one from the other, photos of a kind in the same games."""
    right = [(1, 0)] * only_a + [(0, 1)] * only_b + [(1, 1)] * both + [(0, 0)] * neither
    groups = [f"game {place * games // len(right)}" for place in range(len(right))] if games else None
    a, b = ([0 if pair[model] else 1 for pair in right] for model in (0, 1))
    return compare_answers(answers(a, [0] * len(a), groups), answers(b, [0] * len(b), groups), "A", "B")


def printed(comparison: Comparison) -> str:
    text = io.StringIO()
    Console(file=text, width=80).print(comparison_table(comparison))
    assert max(map(len, text.getvalue().splitlines())) <= 80
    return text.getvalue()


@pytest.mark.parametrize("games", [0, 10])
def test_equal_answers_differ_in_nothing(games: int) -> None:
    a = drawn(80, 1, games=games)
    for b in (a, reordered(a)):
        comparison = compare_answers(a, b, "one", "two")
        for figure in (comparison.accuracy, comparison.macro_f1, comparison.nll):
            assert figure.a == pytest.approx(figure.b, abs=1e-12)
            assert figure.difference == pytest.approx(0, abs=1e-12)
            assert figure.interval95 == pytest.approx([0, 0], abs=1e-12)
        assert (comparison.accuracy.difference, comparison.accuracy.interval95) == (0, [0, 0])
        assert (comparison.only_a, comparison.only_b, comparison.p_value) == (0, 0, 1)
        assert (comparison.changed, comparison.winner, comparison.n, comparison.groups) == ([], None, 80, games)
        assert printed(comparison).startswith("No significant difference in accuracy: +0.0 points (95 % interval +0.0")


def test_figures_are_those_of_the_metrics() -> None:
    a, b = drawn(150, 1), drawn(150, 2, skill=2.5)
    comparison = compare_answers(a, reordered(b), "one", "two")
    for name in ("accuracy", "macro_f1", "nll"):
        figure = getattr(comparison, name)
        assert figure.a == pytest.approx(compute_metrics("test", a)[name])
        assert figure.b == pytest.approx(compute_metrics("test", b)[name])
        assert figure.difference == pytest.approx(figure.b - figure.a)
        low, high = figure.interval95
        assert low < figure.difference < high


def test_the_order_of_photos_and_classes_does_not_matter() -> None:
    a, b = drawn(90, 1, games=30), drawn(90, 2, games=30)
    wanted = compare_answers(a, b, "one", "two")
    other = compare_answers(a, reordered(b), "one", "two")
    assert other.changed == wanted.changed
    assert (other.accuracy, other.macro_f1, other.p_value) == (wanted.accuracy, wanted.macro_f1, wanted.p_value)
    assert other.nll.interval95 == pytest.approx(wanted.nll.interval95)
    both = compare_answers(reordered(a, 1), reordered(b, 2), "one", "two")
    assert both.accuracy == wanted.accuracy, "not even that of A"
    assert sorted(both.changed, key=str) == sorted(wanted.changed, key=str)


def test_swapping_the_models_turns_the_signs() -> None:
    a, b = drawn(90, 1), drawn(90, 2, skill=3)
    one, two = compare_answers(a, b, "one", "two"), compare_answers(b, a, "two", "one")
    for name in ("accuracy", "macro_f1", "nll"):
        there, back = getattr(one, name), getattr(two, name)
        assert there.difference == pytest.approx(-back.difference)
        assert there.interval95 == pytest.approx([-end for end in reversed(back.interval95)])
    assert (one.only_a, one.only_b, one.p_value) == (two.only_b, two.only_a, two.p_value)
    assert (one.winner, two.winner) == ("B", "A")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_photos_that_changed(data: st.DataObject) -> None:
    labels = st.integers(0, 2)
    rows = data.draw(st.lists(st.tuples(labels, labels, labels), min_size=1, max_size=30))
    targets, said_a, said_b = (list(column) for column in zip(*rows, strict=True))
    comparison = compare_answers(answers(said_a, targets), answers(said_b, targets, confidence=0.5), "A", "B")
    wanted = {
        f"test/{place:05d}.jpg": (NAMES[target], NAMES[a], NAMES[b])
        for place, (target, a, b) in enumerate(rows)
        if a != b
    }
    found = {row.path: (row.class_name, row.predicted_a, row.predicted_b) for row in comparison.changed}
    assert found == wanted
    assert len(comparison.changed) == len(wanted)
    for row in comparison.changed:
        right = {"only A right": row.predicted_a, "only B right": row.predicted_b}.get(row.change)
        assert right == row.class_name or (right is None and row.class_name not in {row.predicted_a, row.predicted_b})
        assert (row.confidence_a, row.confidence_b) == pytest.approx((0.8, 0.5))
    kinds = [row.change for row in comparison.changed]
    assert kinds == sorted(kinds, key=["only A right", "only B right", "both wrong"].index)
    assert (comparison.only_a, comparison.only_b) == (kinds.count("only A right"), kinds.count("only B right"))
    tosses = comparison.only_a + comparison.only_b
    fewer = min(comparison.only_a, comparison.only_b)
    tail = sum(math.comb(tosses, count) for count in range(fewer + 1)) / 2**tosses
    assert comparison.p_value == pytest.approx(min(1, 2 * tail)), "both tails of the binomial distribution"


def test_the_interval_is_that_of_a_paired_difference() -> None:
    comparison = decided(only_a=20, only_b=40, both=200, neither=40)
    assert comparison.accuracy.difference == pytest.approx(20 / 300)
    # The variance of a difference of +1, 0 and -1.
    error = math.sqrt(60 / 300 - (20 / 300) ** 2) / math.sqrt(300)
    wanted = [20 / 300 - 1.96 * error, 20 / 300 + 1.96 * error]
    assert comparison.accuracy.interval95 == pytest.approx(wanted, abs=0.005)
    assert comparison.p_value == pytest.approx(0.0135, abs=0.0005)
    assert comparison.winner == "B"
    assert decided(only_a=40, only_b=20, both=200, neither=40).winner == "A"


def test_five_photos_make_no_winner() -> None:
    comparison = decided(only_a=0, only_b=5, both=3, neither=0)
    low, _ = comparison.accuracy.interval95 or (0, 0)
    assert low > 0, "the interval alone would say so"
    assert comparison.p_value == 2 / 2**5
    assert comparison.winner is None
    assert "Interval and test disagree" in printed(comparison)
    for clear in (decided(2, 12, 70, 16), decided(3, 4, 80, 13)):
        assert "disagree" not in printed(clear)


def test_photos_of_a_game_are_no_independent_witnesses() -> None:
    # B wins in 3 of 30 games and loses in 1, always with all ten photos.
    alone = decided(only_a=10, only_b=30, both=230, neither=30)
    games = decided(only_a=10, only_b=30, both=230, neither=30, games=30)
    assert (alone.groups, games.groups) == (0, 30)
    assert alone.p_value == games.p_value < 0.01
    assert alone.winner == "B"
    assert games.winner is None, "the interval has zero in it"
    assert np.ptp(games.accuracy.interval95 or []) > 2.5 * np.ptp(alone.accuracy.interval95 or [])
    assert "drawn by 30 groups" in printed(games)
    assert "groups" not in printed(alone)


def test_groups_that_only_one_table_has_are_used() -> None:
    a, b = drawn(60, 1, games=12), drawn(60, 2, games=12)
    bare = [""] * 60
    wanted = compare_answers(a, b, "A", "B")
    for one, two in ((replace(a, groups=bare), reordered(b)), (a, reordered(replace(b, groups=bare)))):
        comparison = compare_answers(one, two, "A", "B")
        assert comparison.groups == 12
        assert comparison.accuracy == wanted.accuracy


@pytest.mark.parametrize(("said", "accuracy"), [(0, 1), (1, 0)])
def test_one_photo(said: int, accuracy: float) -> None:
    comparison = compare_answers(answers([1], [0]), answers([said], [0]), "A", "B")
    assert comparison.accuracy.difference == accuracy
    assert comparison.accuracy.interval95 is None
    assert (comparison.p_value, comparison.winner) == (1, None)
    assert "(no interval from one photo), p = 1." in " ".join(printed(comparison).split())
    json.dumps(comparison_json(comparison), allow_nan=False)


def test_one_game_gives_no_interval_either() -> None:
    comparison = decided(only_a=0, only_b=20, both=20, neither=0, games=1)
    assert (comparison.accuracy.interval95, comparison.winner) == (None, None)
    assert "+50.0 points (no interval from one group)" in " ".join(printed(comparison).split())
    assert "disagree" not in printed(comparison)


def test_other_photos_are_refused() -> None:
    a = answers([0] * 8, [0] * 8)
    fewer = answers([0] * 3, [0] * 3)
    with pytest.raises(DatasetError) as refused:
        compare_answers(a, fewer, "demo/version_0", "demo/version_1")
    message = str(refused.value)
    assert "5 of 8 are only in demo/version_0 (test/00003.jpg, test/00004.jpg, test/00005.jpg and 2 more)" in message
    assert "only in demo/version_1" not in message
    assert "Evaluate both on the same split of the same dataset" in message
    moved = replace(fewer, paths=["val/00000.jpg", "test/00001.jpg", "test/00002.jpg"])
    with pytest.raises(DatasetError, match=r"1 of 3 are only in X \(test/00000\.jpg\); 1 of 3 are only in Y \(val/0"):
        compare_answers(fewer, moved, "X", "Y")


def test_other_labels_and_classes_are_refused() -> None:
    a = answers([0] * 6, [0, 1, 2, 0, 1, 2])
    relabelled = replace(reordered(a), targets=(reordered(a).targets + 1) % 3)
    with pytest.raises(DatasetError) as refused:
        compare_answers(a, relabelled, "X", "Y")
    assert "6 of 6 photos have one class in X and another in Y: test/00000.jpg is shoot and dribble, " in str(
        refused.value
    )
    assert "and 3 more. Evaluate both again" in str(refused.value)
    with pytest.raises(DatasetError, match="X knows the classes shoot, dribble, layup; Y knows shoot, dribble, dunk"):
        compare_answers(a, replace(a, class_names=["shoot", "dribble", "dunk"]), "X", "Y")
    with pytest.raises(DatasetError, match=r"Y answers test/00001\.jpg more than once"):
        compare_answers(a, replace(a, paths=[*a.paths[:5], "test/00001.jpg"]), "X", "Y")


def test_ten_thousand_photos_take_about_a_second() -> None:
    a, b = drawn(10_000, 1), reordered(drawn(10_000, 2, skill=1.6))
    # Time of this process: the machine may be busy with other tests.
    started = time.process_time()
    comparison = compare_answers(a, b, "A", "B")
    assert time.process_time() - started < 3
    assert comparison.n == 10_000


def test_the_sentence_comes_first_and_80_columns_are_enough() -> None:
    found = decided(2, 12, 70, 16)
    changed = [replace(found.changed[0], path="test/[red]0.jpg"), *found.changed[1:]]
    better = replace(found, name_a="x" * 200, name_b="runs/[bold]version_0", changed=changed)
    text = printed(better)
    low, high = better.accuracy.interval95 or (0, 0)
    interval = f"95 % interval {low * 100:+.1f} to {high * 100:+.1f}"
    assert text.startswith(f"B is better: +10.0 points ({interval}), p = 0.013.\n")
    assert "B: runs/[bold]version_0\n" in text, "square brackets are no markup"
    assert text.count("x") >= 200, "folded, not cut off"
    assert "answers that changed: 14 (only A right 2, only B right 12, both wrong" in text
    assert "4 more in changed.csv" in text
    rows = [line.split() for line in text.splitlines() if line.strip().startswith("test/")]
    assert rows[0] == ["test/[red]0.jpg", "shoot", "shoot", "80%", "dribble", "80%"]
    assert len(rows) == 10
    assert printed(decided(60, 0, 30, 10)).startswith("A is better: -60.0 points (95 % interval -")
    assert "p < 0.001" in printed(decided(60, 0, 30, 10))
    none = " ".join(printed(decided(3, 4, 80, 13)).split())
    assert none.startswith("No significant difference in accuracy: +1.0 points (95 % interval -")
    assert "), p = 1." in none


def test_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "comparison"
    a, b = drawn(40, 1), drawn(40, 2)
    a.paths[0] = b.paths[0] = 'test/a, "b" 運球.jpg'
    comparison = compare_answers(a, b, "demo/version_0", "demo/版本 1")
    write_comparison(folder, comparison)
    assert sorted(path.name for path in folder.iterdir()) == ["changed.csv", "comparison.json"]
    figures = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert figures == comparison_json(comparison)
    assert (figures["name_b"], figures["n"], figures["groups"]) == ("demo/版本 1", 40, 0)
    assert set(figures["accuracy"]) == {"a", "b", "difference", "interval95"}
    assert figures["nll"]["difference"] == comparison.nll.difference
    assert sum(figures["changed"].values()) == len(comparison.changed)
    assert figures["changed"]["only B right"] == figures["only_b"] == comparison.only_b
    with (folder / "changed.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    head = ["path", "class", "demo/version_0", "demo/版本 1", "confidence_a", "confidence_b", "change"]
    assert list(rows[0]) == head
    assert len(rows) == len(comparison.changed) > 0
    for row, changed in zip(rows, comparison.changed, strict=True):
        assert (row["path"], row["class"], row["change"]) == (changed.path, changed.class_name, changed.change)
        assert (row["demo/version_0"], row["demo/版本 1"]) == (changed.predicted_a, changed.predicted_b)
        assert float(row["confidence_b"]) == pytest.approx(changed.confidence_b, abs=1e-6)
    write_comparison(folder, compare_answers(a, a, "same", "same"))
    assert (folder / "changed.csv").read_text() == "path,class,same (A),same (B),confidence_a,confidence_b,change\n"
