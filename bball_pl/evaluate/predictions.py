"""Answers to labelled photos: in memory, as predictions_<split>.csv, aligned with another model's, selected to show."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bball_pl.errors import DatasetError
from bball_pl.files import write_text

_BEFORE, _AFTER = ("path", "class", "predicted"), ("group",)
_PREFIX = "prob_"


@dataclass(frozen=True)
class Answers:
    """Answers to the photos of one split.

    Attributes:
        class_names: in the order of the columns of `probabilities`.
        paths: N paths below the dataset's root, with forward slashes.
        groups: N names of the album, game or clip that must not be split; empty if not known.
        targets: int64 `[N]`, index of each photo's class.
        probabilities: float32 `[N, classes]`, rows sum to 1.
    """

    class_names: list[str]
    paths: list[str]
    groups: list[str]
    targets: np.ndarray
    probabilities: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def predicted(self) -> np.ndarray:
        """Index of the most probable class, int64 `[N]`."""
        predicted: np.ndarray = self.probabilities.argmax(1)
        return predicted

    @cached_property
    def confidence(self) -> np.ndarray:
        """Probability of the most probable class, float32 `[N]`."""
        confidence: np.ndarray = self.probabilities.max(1)
        return confidence

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether the most probable class is the true one, bool `[N]`."""
        correct: np.ndarray = self.predicted == self.targets
        return correct

    @cached_property
    def confusion(self) -> np.ndarray:
        """Confusion matrix, int64 `[classes, classes]`: a row per true class, a column per predicted class."""
        from sklearn.metrics import confusion_matrix

        matrix: np.ndarray = confusion_matrix(self.targets, self.predicted, labels=range(len(self.class_names)))
        return matrix

    @cached_property
    def label_margin(self) -> np.ndarray:
        """Probability of the label minus the highest of the other classes, float32 `[N]`, -1–1; low is doubtful."""
        rows = np.arange(len(self))
        rest = self.probabilities.copy()
        rest[rows, self.targets] = -1
        margin: np.ndarray = self.probabilities[rows, self.targets] - rest.max(1)
        return margin


def write_answers(path: str | os.PathLike[str], answers: Answers) -> None:
    """Write a table `path,class,predicted,prob_<class>…,group` with a row per photo, atomically.

    Probabilities have nine significant digits, so that reading them gives the same float32.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_BEFORE, *(f"{_PREFIX}{name}" for name in answers.class_names), *_AFTER])
    names = answers.class_names
    for row, (name, group) in enumerate(zip(answers.paths, answers.groups, strict=True)):
        shares = [f"{value:.9g}" for value in answers.probabilities[row]]
        writer.writerow([name, names[answers.targets[row]], names[answers.predicted[row]], *shares, group])
    write_text(path, text.getvalue())


def read_answers(path: str | os.PathLike[str]) -> Answers:
    """Read a table that `write_answers` wrote; the column `predicted` is derived from the probabilities again.

    Raises:
        DatasetError: if the file is missing, is not UTF-8, has no answer, lacks a column or has one twice, or has a row
            that contradicts the header: another number of fields, the path of an earlier row, an unknown class, a
            probability that is no number from 0 to 1, or probabilities that do not sum to 1 within 0.001.
    """
    path = Path(path)
    try:
        # Not read_text: it would turn the line ends inside a quoted name into others.
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}). Make it with bball evaluate.") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: byte {error.start} is not UTF-8. Make it again with bball evaluate.") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DatasetError(f"{path}, line {reader.line_num}: {error}. Make it again with bball evaluate.") from None
    head = rows[0][1] if rows else []
    names = [column.removeprefix(_PREFIX) for column in head if column.startswith(_PREFIX)]
    wanted = [*_BEFORE, *(f"{_PREFIX}{name}" for name in names), *_AFTER]
    if head != wanted or not names or len(set(names)) < len(names):
        raise DatasetError(
            f"{path}, line 1: found {','.join(head) or 'nothing'}; expected path,class,predicted,prob_<class>…,group. "
            "Make the table again with bball evaluate."
        )
    if len(rows) < 2:
        raise DatasetError(f"{path} has no answers. Make it again with bball evaluate.")
    first_line: dict[str, int] = {}
    targets: list[int] = []
    groups: list[str] = []
    shares: list[list[float]] = []
    for line, row in rows[1:]:
        try:
            name, class_name, _, *values, group = _fitting(row, len(head))
            if name in first_line:
                raise ValueError(f"path {name!r} is already on line {first_line[name]}")
            targets.append(_index(names, class_name))
            shares.append(_probabilities(values))
        except ValueError as error:
            raise DatasetError(f"{path}, line {line}: {error}. Make it again with bball evaluate.") from None
        first_line[name] = line
        groups.append(group)
    return Answers(names, list(first_line), groups, np.array(targets, np.int64), np.array(shares, np.float32))


def _fitting(row: Sequence[str], columns: int) -> Sequence[str]:
    if len(row) != columns:
        raise ValueError(f"{len(row)} fields, but the first line names {columns}")
    return row


def _index(names: Sequence[str], class_name: str) -> int:
    if class_name not in names:
        raise ValueError(f"class {class_name!r}, but the first line names {', '.join(names)}")
    return names.index(class_name)


def _probabilities(values: Sequence[str]) -> list[float]:
    shares = [float(value) for value in values]
    if not all(0 <= share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-3:
        raise ValueError(f"probabilities {', '.join(values)}; expected numbers from 0 to 1 that sum to 1")
    return shares


#: Photos that a message names before it only counts them.
_LISTED = 3


def in_order_of(a: Answers, b: Answers, name_a: str, name_b: str) -> Answers:
    """Return the answers of B with photos and classes in the order of A; the groups stay those of B.

    Args:
        a: answers that give the order.
        b: answers to the same photos with the same classes.
        name_a: name of model A, for messages.
        name_b: name of model B.

    Raises:
        DatasetError: if a photo is missing from one table or twice in one, the classes differ, or a photo has two
            different labels.
    """
    if sorted(a.class_names) != sorted(b.class_names):
        raise DatasetError(
            f"{name_a} knows the classes {', '.join(a.class_names)}; {name_b} knows {', '.join(b.class_names)}. "
            "Compare models with the same classes."
        )
    for answers, name in ((a, name_a), (b, name_b)):
        if doubles := [path for path, times in Counter(answers.paths).items() if times > 1]:
            raise DatasetError(f"{name} answers {_some(doubles)} more than once. Evaluate it again.")
    only_a, only_b = sorted(set(a.paths) - set(b.paths)), sorted(set(b.paths) - set(a.paths))
    if only_a or only_b:
        found = [
            f"{len(only)} of {len(answers)} are only in {name} ({_some(only)})"
            for only, answers, name in ((only_a, a, name_a), (only_b, b, name_b))
            if only
        ]
        raise DatasetError(
            f"the photos are not the same: {'; '.join(found)}. "
            "Evaluate both on the same split of the same dataset with bball evaluate."
        )
    row_of = {path: row for row, path in enumerate(b.paths)}
    rows = np.array([row_of[path] for path in a.paths])
    columns = np.array([b.class_names.index(name) for name in a.class_names])
    targets = np.argsort(columns)[b.targets[rows]]
    relabelled = np.flatnonzero(targets != a.targets)
    if len(relabelled):
        names = a.class_names
        labels = [f"{a.paths[row]} is {names[a.targets[row]]} and {names[targets[row]]}" for row in relabelled]
        raise DatasetError(
            f"{len(relabelled)} of {len(a)} photos have one class in {name_a} and another in {name_b}: "
            f"{_some(labels)}. Evaluate both again with bball evaluate."
        )
    probabilities = b.probabilities[rows][:, columns]
    return Answers(a.class_names, a.paths, [b.groups[row] for row in rows], targets, probabilities)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


#: Errors with a picture. At most 64 kB each with those below, they leave room for the rest on a page of 6 MB.
MOST_ERRORS = 60
#: Right answers with a picture, over all classes.
MOST_RIGHT = 6
#: Doubtful labels in the list.
MOST_DOUBTFUL = 12
#: Margin by which another class must be more probable for a label to be doubtful. Errors with a smaller margin are
#: mostly close calls, which say nothing about the label.
DOUBT = 0.5


@dataclass(frozen=True)
class Selection:
    """Rows of the answers that a report shows.

    Attributes:
        errors: wrong answers, the most confident first, at most `MOST_ERRORS`.
        all_errors: number of all wrong answers.
        right: right answers of each class in turn, from high to low confidence, at most `MOST_RIGHT`.
        doubtful: doubtful labels, the most doubtful first, at most `MOST_DOUBTFUL`.
        all_doubtful: number of all doubtful labels.
    """

    errors: list[int]
    all_errors: int
    right: list[int]
    doubtful: list[int]
    all_doubtful: int


def select(answers: Answers) -> Selection:
    """Choose the answers to show; equal answers give an equal choice."""
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
    """Return the rows that a report shows with a picture, each once; these need a heat map."""
    selection = select(answers)
    return list(dict.fromkeys([*selection.errors, *selection.right, *selection.doubtful]))


def _right(answers: Answers) -> list[int]:
    """Return right answers, evenly spaced in each class's order by confidence: typical ones, not the best."""
    by_class = []
    for label in range(len(answers.class_names)):
        rows = np.flatnonzero(answers.correct & (answers.targets == label))
        if len(rows):
            by_class.append(rows[np.argsort(-answers.confidence[rows], kind="stable")])
    by_class = by_class[:MOST_RIGHT]
    chosen: list[int] = []
    for rows in by_class:
        wanted = min(MOST_RIGHT // len(by_class), len(rows))
        ranks = ((np.arange(wanted) + 0.5) * len(rows) / wanted).astype(int)
        chosen += rows[ranks].tolist()
    return chosen
