"""The result of 2018, which everything here exists to beat, and what can be said beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bball_pl.classes import MOVES
from bball_pl.evaluate.answers import Answers
from bball_pl.evaluate.intervals import wilson
from bball_pl.evaluate.report.wording import percent, percents, thousands

#: The test of 2018: a row per true move and a column per answer, in the order of `MOVES`.
MATRIX_2018 = ((81, 2, 17), (2, 98, 0), (18, 3, 79))


@dataclass(frozen=True)
class Beside:
    """Two results in words.

    Attributes:
        head: headings of the columns.
        rows: a row per figure: its name, that of 2018, that of now.
        remark: how the two may be compared.
    """

    head: list[str]
    rows: list[list[str]]
    remark: str


def beside_2018(answers: Answers) -> Beside | None:
    """Put answers beside the result of 2018; None if the classes are not the three moves."""
    names = [move.name for move in MOVES]
    if sorted(answers.class_names) != sorted(names):
        return None
    place = [answers.class_names.index(name) for name in names]
    now = np.zeros((len(names), len(names)), np.int64)
    np.add.at(now, (answers.targets, answers.predicted), 1)
    columns = [_column(np.array(MATRIX_2018)), _column(now[np.ix_(place, place)])]
    figures = [
        "photos",
        "right",
        "accuracy",
        "95 % interval",
        "errors between layup and shoot",
        *(f"{move.name} {move.chinese} recognised" for move in MOVES),
    ]
    rows = [[figure, *pair] for figure, pair in zip(figures, zip(*columns, strict=True), strict=True)]
    remark = (
        "This is no like-for-like: the photos of 2018 were others, and a few points of difference can be the photos "
        f"alone. In words, the confusion matrix of 2018: {_words(np.array(MATRIX_2018))}"
    )
    return Beside(["figure", "2018", "now"], rows, remark)


def _column(matrix: np.ndarray) -> list[str]:
    right, number = int(np.trace(matrix)), int(matrix.sum())
    between = _between(matrix)
    recall = [
        f"{matrix[row, row]} of {matrix[row].sum()}" if matrix[row].sum() else "no photos" for row in range(len(matrix))
    ]
    return [
        thousands(number),
        thousands(right),
        percent(right / number),
        percents(wilson(right, number)),
        f"{between} of {number - right}" if number > right else "no errors",
        *recall,
    ]


def _between(matrix: np.ndarray) -> int:
    """Return how many layups were taken for shoots or shoots for layups."""
    layup, shoot = _index("layup"), _index("shoot")
    return int(matrix[layup, shoot] + matrix[shoot, layup])


def _words(matrix: np.ndarray) -> str:
    layup, shoot = _index("layup"), _index("shoot")
    errors = int(matrix.sum() - np.trace(matrix))
    rest = errors - _between(matrix)
    return (
        f"{_between(matrix)} of {errors} errors were between layup and shoot ({matrix[layup, shoot]} layups taken for "
        f"shoots, {matrix[shoot, layup]} shoots taken for layups); the other {rest} had to do with dribble."
    )


def _index(name: str) -> int:
    names: Sequence[str] = [move.name for move in MOVES]
    return names.index(name)
