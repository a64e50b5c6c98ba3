"""Answers in memory and as the table predictions_<split>.csv."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bball_pl.errors import DatasetError
from bball_pl.evaluate.predictions import Answers, read_answers, write_answers

HEAD = "path,class,predicted,prob_shoot,prob_layup,group"
#: A lone carriage return is left out: Python 3.11 writes it without quotes.
NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=8)


@st.composite
def any_answers(draw: st.DrawFn) -> Answers:
    """Answers with names of every kind and probabilities of every size."""
    classes = draw(st.lists(NAME, min_size=2, max_size=4, unique=True))
    paths = draw(st.lists(NAME, min_size=1, max_size=5, unique=True))
    groups = draw(st.lists(NAME, min_size=len(paths), max_size=len(paths)))
    targets = draw(st.lists(st.integers(0, len(classes) - 1), min_size=len(paths), max_size=len(paths)))
    rows = st.lists(st.floats(-60, 60, width=32), min_size=len(classes), max_size=len(classes))
    logits = np.array(draw(st.lists(rows, min_size=len(paths), max_size=len(paths))), np.float32)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return Answers(classes, paths, groups, np.array(targets, np.int64), shares / shares.sum(1, keepdims=True))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(any_answers())
def test_a_table_is_read_as_it_was_written(tmp_path: Path, answers: Answers) -> None:
    write_answers(tmp_path / "answers.csv", answers)
    again = read_answers(tmp_path / "answers.csv")
    assert (again.class_names, again.paths, again.groups) == (answers.class_names, answers.paths, answers.groups)
    assert again.targets.dtype == np.int64
    np.testing.assert_array_equal(again.targets, answers.targets)
    np.testing.assert_array_equal(again.probabilities, answers.probabilities, strict=True)


def test_any_program_reads_the_table(tmp_path: Path) -> None:
    names = ['layup, "left"', "運球"]
    answers = Answers(
        names,
        ['test/a,"b".jpg', "test/two\nlines.jpg", "test/上籃\r\n.jpg"],
        ["game 1, half 2", "", "籃"],
        np.array([0, 1, 0]),
        np.array([[1 / 3, 2 / 3], [0, 1], [0.5, 0.5]], np.float32),
    )
    path = tmp_path / "new" / "predictions_test.csv"
    write_answers(path, answers)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "class", "predicted", 'prob_layup, "left"', "prob_運球", "group"]
    assert [row["path"] for row in rows] == answers.paths
    assert [row["class"] for row in rows] == [names[0], names[1], names[0]]
    assert [row["predicted"] for row in rows] == [names[1], names[1], names[0]], "the first of two equal ones"
    assert [row["group"] for row in rows] == answers.groups
    assert rows[0]["prob_運球"] == "0.666666687", "nine digits, and no more"
    assert read_answers(path).paths == answers.paths, "line ends inside a name stay as they are"
    # A spreadsheet saves with a byte order mark, other line ends and a last empty line.
    text = f"{HEAD}\na.jpg,layup,shoot,0.25,0.75,\n\n".replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    saved = read_answers(path)
    assert (saved.class_names, saved.paths, saved.groups) == (["shoot", "layup"], ["a.jpg"], [""])
    assert saved.predicted.tolist() == [1], "from the probabilities, whatever the column says"


def test_what_follows_from_the_probabilities() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.2, 0.4, 0.4]], np.float32)
    answers = Answers(["a", "b", "c"], ["x", "y", "z"], ["", "", ""], np.array([0, 1, 2]), shares)
    assert len(answers) == 3
    assert answers.predicted.tolist() == [0, 2, 1]
    assert answers.confidence.tolist() == pytest.approx([0.7, 0.6, 0.4])
    assert answers.correct.tolist() == [True, False, False]
    assert answers.label_margin.tolist() == pytest.approx([0.5, -0.3, 0])
    assert (answers.probabilities == shares).all(), "the margin is worked out on a copy"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "found nothing; expected path,class,predicted,prob_<class>…,group"),
        ("path,class,predicted,group\na,b,b,\n", 1, "found path,class,predicted,group"),
        ("path,class,prob_shoot,prob_layup,group\n", 1, "expected path,class,predicted"),
        ("path,class,predicted,prob_shoot,group,prob_layup\n", 1, "found path"),
        ("path,class,predicted,prob_shoot,prob_shoot,group\na,shoot,shoot,1,0,\n", 1, "prob_shoot,prob_shoot"),
        (f"{HEAD}\na,shoot,shoot,1,0\n", 2, "5 fields, but the first line names 6"),
        (f"{HEAD}\na,shoot,shoot,1,0,,\n", 2, "7 fields"),
        (f"{HEAD}\na,shoot,shoot,1,0,\nb,dunk,shoot,1,0,\n", 3, "class 'dunk', but the first line names shoot, layup"),
        (f"{HEAD}\na,shoot,shoot,1,0,\n\nb,shoot,shoot,one,0,\n", 4, "'one'"),
        (f"{HEAD}\na,shoot,shoot,1.5,-0.5,\n", 2, "probabilities 1.5, -0.5; expected numbers from 0 to 1"),
        (f"{HEAD}\na,shoot,shoot,nan,1,\n", 2, "probabilities nan, 1"),
        (f"{HEAD}\na,shoot,shoot,inf,0,\n", 2, "probabilities inf, 0"),
        (f"{HEAD}\na,shoot,shoot,0.5,0.4,\n", 2, "that sum to 1"),
        (f'{HEAD}\n"two\nlines",shoot,shoot,1,0,\nb,shoot,shoot,1,1,\n', 4, "probabilities 1, 1"),
        (f"{HEAD}\na,shoot,shoot,1,0,\nb,shoot,shoot,1,0,\na,layup,shoot,1,0,\n", 4, "path 'a' is already on line 2"),
        (f'{HEAD}\na,shoot,shoot,1,0,"\n{"x" * 200_000}', 3, "field"),
    ],
)
def test_a_table_that_is_not_right_is_refused_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = tmp_path / "predictions_test.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError) as refused:
        read_answers(path)
    assert f"{path}, line {line}: " in str(refused.value)
    assert message in str(refused.value)
    assert "with bball evaluate" in str(refused.value), "and how to mend it"


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions_test.csv"
    with pytest.raises(DatasetError, match=r"predictions_test\.csv cannot be read \(No such file.*Make it with"):
        read_answers(path)
    path.write_text(f"{HEAD}\n")
    with pytest.raises(DatasetError, match=r"has no answers\. Make it again"):
        read_answers(path)
    path.write_bytes(b"path,\xff\n")
    with pytest.raises(DatasetError, match="byte 5 is not UTF-8"):
        read_answers(path)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_answers(tmp_path)


def test_six_digits_of_an_older_table_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "predictions_test.csv"
    path.write_text("path,class,predicted,prob_a,prob_b,prob_c,group\nx,a,a,0.333333,0.333333,0.333333,\n")
    assert read_answers(path).probabilities.tolist() == [pytest.approx([1 / 3] * 3, abs=1e-6)]
