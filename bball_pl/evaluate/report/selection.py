"""Which photos a report shows: errors, right answers for comparison, and labels to look at again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bball_pl.evaluate.answers import Answers

#: Errors with a picture. At most 64 kB each and those below, they leave a page of 6 MB room for the rest.
MOST_ERRORS = 60
#: Right answers with a picture, over all classes.
MOST_RIGHT = 6
#: Doubtful labels in the list.
MOST_DOUBTFUL = 12
#: A label is in doubt if another class is at least this much more probable. Errors with a lower margin are mostly close
#: calls, which say nothing about the label.
DOUBT = 0.5


@dataclass(frozen=True)
class Selection:
    """Rows of the answers.

    Attributes:
        errors: wrong answers, the most confident first, at most `MOST_ERRORS`.
        all_errors: number of wrong answers.
        right: right answers of each class in turn, from sure to less sure, at most `MOST_RIGHT`.
        doubtful: rows whose label is in doubt, the most doubtful first, at most `MOST_DOUBTFUL`.
        all_doubtful: number of such rows.
    """

    errors: list[int]
    all_errors: int
    right: list[int]
    doubtful: list[int]
    all_doubtful: int


def select(answers: Answers) -> Selection:
    """Choose what to show; equal answers give an equal choice."""
    errors = np.flatnonzero(~answers.correct)
    errors = errors[np.argsort(-answers.confidence[errors], kind="stable")]
    doubtful = np.flatnonzero(answers.label_margin <= -DOUBT)
    doubtful = doubtful[np.argsort(answers.label_margin[doubtful], kind="stable")]
    return Selection(
        errors=errors[:MOST_ERRORS].tolist(),
        all_errors=len(errors),
        right=_right(answers),
        doubtful=doubtful[:MOST_DOUBTFUL].tolist(),
        all_doubtful=len(doubtful),
    )


def gallery_rows(answers: Answers) -> list[int]:
    """Return the rows that a report shows with a picture, and which therefore want a heat map; each once."""
    selection = select(answers)
    return list(dict.fromkeys([*selection.errors, *selection.right, *selection.doubtful]))


def _right(answers: Answers) -> list[int]:
    """Return right answers at evenly spaced places of each class's order by confidence: typical ones, not the best."""
    by_class = []
    for label in range(len(answers.class_names)):
        rows = np.flatnonzero(answers.correct & (answers.targets == label))
        if len(rows):
            by_class.append(rows[np.argsort(-answers.confidence[rows], kind="stable")])
    by_class = by_class[:MOST_RIGHT]
    chosen: list[int] = []
    for rows in by_class:
        wanted = min(MOST_RIGHT // len(by_class), len(rows))
        places = ((np.arange(wanted) + 0.5) * len(rows) / wanted).astype(int)
        chosen += rows[places].tolist()
    return chosen
