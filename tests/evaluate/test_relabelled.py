"""Labels that people change after a training are counted, and the figures under the labels before stay known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bball_pl.evaluate.predictions import Answers
from bball_pl.evaluate.relabelled import labels_before, relabelling, relabelling_sentence
from bball_pl.photos.journal import Journal, quarantine_place

from helpers.painting import paint_photo

NAMES = ["shoot", "dribble", "layup"]


def answers(targets: list[int], predicted: list[int]) -> Answers:
    probabilities = np.eye(3, dtype=np.float32)[predicted] * 0.7 + 0.1
    paths = [f"test/x/{number}.jpg" for number in range(len(targets))]
    return Answers(NAMES, paths, [""] * len(targets), np.array(targets, np.int64), probabilities)


def test_errors_that_became_right_by_relabelling_are_said() -> None:
    """Every error is given the model's own answer: 100 % now, 80 % before."""
    now = answers([0, 1, 2, 0, 1, 2, 0, 1, 2, 0], [0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    figures = relabelling(now, {"test/x/0.jpg": "layup", "test/x/4.jpg": "shoot", "test/x/5.jpg": "layup"})
    assert figures is not None
    assert (figures["changed"], figures["agreeing"], figures["n"]) == (2, 2, 10)
    assert figures["accuracy"] == 0.8
    assert now.correct.all()
    said = relabelling_sentence(figures)
    assert "the label of 2 photos was changed, 2 of them to its own answer." in said
    assert "Under the labels before, its accuracy is 80.0% (95 % interval 49.0%–94.3%) of 10 photos." in said


def test_errors_that_were_set_aside_are_said() -> None:
    aside = answers([1, 2], [0, 2])
    figures = relabelling(answers([0, 1], [0, 1]), {}, aside)
    assert figures is not None
    assert (figures["changed"], figures["quarantined"], figures["quarantined_errors"]) == (0, 2, 1)
    assert (figures["n"], figures["accuracy"]) == (4, 0.75)
    # Recalls 1, 1/2 and 1; precisions 1/2, 1 and 1; no photo of either is twice in the table.
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert "changed" not in relabelling_sentence(figures)
    assert "移出 2 張照片（其中 1 張模型的答案與標籤不同）。" in relabelling_sentence(figures, "zh-Hant")
    assert "2 photos were set aside, 1 of them answered otherwise than labelled." in relabelling_sentence(figures)


def test_a_label_that_came_back_and_one_that_the_model_does_not_know_change_nothing() -> None:
    now = answers([0, 1], [0, 1])
    assert relabelling(now, {"test/x/0.jpg": "shoot", "test/x/1.jpg": "dunk"}) is None
    assert relabelling(now, {}) is None


def test_labels_before_follow_the_folders_where_no_run_has_recorded_them(tmp_path: Path) -> None:
    root = tmp_path / "album"
    for number, name in enumerate(["test/shoot/1.jpg", "test/shoot/2.jpg", "test/layup/3.jpg", "train/shoot/4.jpg"]):
        paint_photo(root / name, (200, 30, 30), number)
    with Journal(tmp_path, "studio") as journal:
        there = journal.move(root / "test/shoot/1.jpg", root / "test/dribble/1.jpg", "label", "dribble")
        journal.move(tmp_path / there.to, root / "test/layup/1.jpg", "label", "layup")
        journal.move(root / "train/shoot/4.jpg", root / "train/layup/4.jpg", "label", "layup")
        journal.move(root / "test/layup/3.jpg", quarantine_place(tmp_path, root / "test/layup/3.jpg"), "quarantine")
        back = journal.move(root / "test/shoot/2.jpg", root / "test/layup/2.jpg", "label", "layup")
        journal.undo(back.number)
    before = labels_before(root, "test")
    assert before.classes == {"test/layup/1.jpg": "shoot"}
    assert [(photo.relative, photo.class_name) for photo in before.quarantined] == [("test/layup/3.jpg", "layup")]
    assert before.quarantined[0].path.is_file()
    assert labels_before(root, "val").classes == {}
    assert labels_before(root, "test", since="9999-01-01").classes == {}
