"""What a model answered to labelled photos: in memory, and as the table predictions_<split>.csv."""

from __future__ import annotations

import csv
import io
import os
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
        paths: N names of photos below the dataset's root, with forward slashes.
        groups: N names of what must not be split (album, game, clip); empty if not known.
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
    def label_margin(self) -> np.ndarray:
        """Probability of the given label minus the highest of the others, float32 `[N]`, -1–1: low is doubtful."""
        rows = np.arange(len(self))
        others = self.probabilities.copy()
        others[rows, self.targets] = -1
        margin: np.ndarray = self.probabilities[rows, self.targets] - others.max(1)
        return margin


def write_answers(path: str | os.PathLike[str], answers: Answers) -> None:
    """Write `path,class,predicted,prob_<class>…,group`, a row per photo, whole or not at all.

    Probabilities have nine significant digits: read back, they are the same float32.
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
            that does not fit the head: another number of fields, the path of an earlier row, an unknown class, a
            probability that is no number from 0 to 1, or probabilities that do not sum to 1 within 0.001.
    """
    path = Path(path)
    try:
        # Not read_text: it would turn the line ends inside a quoted name into others.
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}). Make it with scripts/evaluate.py.") from None
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: byte {error.start} is not UTF-8. Make it again with scripts/evaluate.py."
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DatasetError(
            f"{path}, line {reader.line_num}: {error}. Make it again with scripts/evaluate.py."
        ) from None
    head = rows[0][1] if rows else []
    names = [column.removeprefix(_PREFIX) for column in head if column.startswith(_PREFIX)]
    wanted = [*_BEFORE, *(f"{_PREFIX}{name}" for name in names), *_AFTER]
    if head != wanted or not names or len(set(names)) < len(names):
        raise DatasetError(
            f"{path}, line 1: found {','.join(head) or 'nothing'}; expected path,class,predicted,prob_<class>…,group. "
            "Make the table again with scripts/evaluate.py."
        )
    if len(rows) < 2:
        raise DatasetError(f"{path} has no answers. Make it again with scripts/evaluate.py.")
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
            raise DatasetError(f"{path}, line {line}: {error}. Make it again with scripts/evaluate.py.") from None
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
