"""Predictions of a run under review: lists of photos, and the current class of each photo after relabelling."""

from __future__ import annotations

import csv
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from bball_pl import project
from bball_pl.errors import DatasetError
from bball_pl.evaluate.predictions import DOUBT, Answers, read_answers
from bball_pl.photos.audit_record import TABLE
from bball_pl.photos.tree import split_of
from bball_pl.studio.history import History, TrackedPhoto
from bball_pl.studio.runs.runs_reading import read_config, setting

Show = Literal["all", "errors", "doubtful", "blind", "audit", "changed"]
Order = Literal["confident", "unsure", "doubt"]
#: States beside the class names: moved to quarantine, and file not found.
QUARANTINED, MISSING = "quarantine", "missing"


@dataclass(frozen=True)
class ReviewItem:
    """One photo of a list.

    Attributes:
        path: path in the table, below the dataset's root.
        label: class in the table.
        row: row of the predictions; -1 for a photo that only the audit lists.
        suggested: class that the audit considers more likely; empty without one.
        why: reason given by the audit.
    """

    path: str
    label: str
    row: int = -1
    suggested: str = ""
    why: str = ""


def prediction_tables(run: Path) -> dict[str, Path]:
    """Return the prediction tables of a run's own photos, by split."""
    found = {}
    for split in ("test", "val", "train"):
        name = project.predictions_file(split)
        for path in (run / name, run / "evaluations" / split / name):
            if path.is_file() and path.resolve().is_relative_to(run.resolve()):
                found[split] = path
                break
    return found


def dataset_root(run: Path) -> Path:
    """Return the folder of the dataset that a run was trained on.

    Raises:
        DatasetError: if the run's settings cannot be read or name no dataset, or the folder does not exist.
    """
    try:
        root = setting(read_config(run), "data.root")
    except ValueError as error:
        raise DatasetError(f"{project.CONFIG} of this run {error}, so its photos cannot be found.") from None
    if not isinstance(root, str) or not root:
        raise DatasetError(f"{project.CONFIG} of this run does not name its dataset (data.root).")
    folder = Path(os.path.abspath(project.ROOT / root))  # noqa: PTH100 - links must not be resolved
    if not folder.is_dir():
        raise DatasetError(f"the dataset of this run is no longer at {folder}")
    return folder


class ReviewTable:
    """Predictions of a run for one split.

    Args:
        table: file of the predictions.
        root: folder of the dataset.
        history: change history of the dataset's photos.

    Raises:
        DatasetError: if the table is damaged.
    """

    def __init__(self, table: Path, root: Path, history: History) -> None:
        self.answers: Answers = read_answers(table)
        self.root = root
        self.history = history
        self.class_names = self.answers.class_names
        self._rows = {path: row for row, path in enumerate(self.answers.paths)}

    @cached_property
    def matrix(self) -> list[list[int]]:
        """Confusion matrix: photos by label and prediction, with the labels of the table."""
        counts: list[list[int]] = self.answers.confusion.tolist()
        return counts

    @cached_property
    def groups(self) -> list[tuple[str, int, int]]:
        """Name, photos and errors of each group, most errors first; empty if groups are unknown."""
        counts: dict[str, list[int]] = {}
        for group, correct in zip(self.answers.groups, self.answers.correct, strict=True):
            count = counts.setdefault(group, [0, 0])
            count[0] += 1
            count[1] += not correct
        found = [(group, photos, errors) for group, (photos, errors) in counts.items() if group]
        return sorted(found, key=lambda group: (-group[2], group[0]))

    @cached_property
    def _blind_rows(self) -> np.ndarray:
        """Rows of all errors and of as many right predictions, int64, in an order drawn once for a table."""
        errors, right = np.flatnonzero(~self.answers.correct), np.flatnonzero(self.answers.correct)
        generator = np.random.default_rng(zlib.crc32("\n".join(self.answers.paths).encode(errors="surrogatepass")))
        drawn = generator.choice(right, min(len(errors), len(right)), replace=False)
        rows: np.ndarray = generator.permutation(np.concatenate([errors, drawn]))
        return rows

    def audit_items(self) -> list[ReviewItem]:
        """Return the photos whose label the dataset's audit doubts, most doubtful first."""
        found = []
        try:
            with (project.audit_folder(self.root) / TABLE).open(encoding="utf-8", newline="") as file:
                for line in csv.DictReader(file):
                    if line.get("kind") == "doubtful_label":
                        path = (line.get("path") or "").removeprefix("./")
                        label, suggested, why = (line.get(key) or "" for key in ("class", "suggested", "why"))
                        item = ReviewItem(path, label, self._rows.get(path, -1), suggested, why)
                        found.append((float(line.get("severity") or 0), item))
        except (OSError, ValueError, csv.Error):
            return []
        return [item for _, item in sorted(found, key=lambda pair: -pair[0])]

    def items(
        self, show: Show = "all", true: str = "", predicted: str = "", group: str = "", order: Order = "doubt"
    ) -> list[ReviewItem]:
        """Return the photos of a list, in order.

        Args:
            show: all photos, wrong predictions, labels that the predictions doubt, wrong predictions among as many
                right ones, labels that the audit doubts, or photos whose class was changed after the predictions.
            true: only photos with this label.
            predicted: only photos with this prediction.
            group: only photos of this group.
            order: most confident prediction first, least confident first, or most doubtful label first; `blind` has
                an order of its own, which says nothing about the predictions.
        """
        answers = self.answers
        if show == "audit":
            return [
                item for item in self.audit_items() if true in {"", item.label} and predicted in {"", item.suggested}
            ]
        rows = np.arange(len(answers))
        if show == "errors":
            rows = rows[~answers.correct]
        elif show == "doubtful":
            rows = rows[answers.label_margin <= -DOUBT]
        elif show == "blind":
            rows = self._blind_rows
        if true:
            rows = rows[answers.targets[rows] == self._class_index(true)]
        if predicted:
            rows = rows[answers.predicted[rows] == self._class_index(predicted)]
        if group:
            rows = np.array([row for row in rows if answers.groups[row] == group], np.int64)
        keys = {"confident": -answers.confidence, "unsure": answers.confidence, "doubt": answers.label_margin}[order]
        if show != "blind":
            rows = rows[np.argsort(keys[rows], kind="stable")]
        items = [ReviewItem(answers.paths[row], self.class_names[answers.targets[row]], int(row)) for row in rows]
        if show == "changed":
            moved = self.moved()
            touched = moved.keys() | {photo.path for photo in self.history.changed_photos()}
            folder = self.history.relative(self.root)
            items = [item for item in items if f"{folder}/{item.path}".removeprefix("./") in touched]
            items = [item for item in items if self.state(item, self.photo(item, moved)) != item.label]
        return items

    def find(self, path: str) -> ReviewItem | None:
        """Return the item of a path if it is in one of the tables; the path is never used to open a file."""
        row = self._rows.get(path)
        if row is not None:
            return ReviewItem(path, self.class_names[self.answers.targets[row]], row)
        return next((item for item in self.audit_items() if item.path == path), None)

    def photo(self, item: ReviewItem, moved: Mapping[str, TrackedPhoto]) -> TrackedPhoto | None:
        """Return the photo of an item at its current path; None if its file was not found.

        Args:
            item: photo of a list.
            moved: result of `moved`.
        """
        parts = PurePosixPath(item.path).parts
        if not parts or ".." in parts or item.path.startswith("/"):
            return None  # the table of a run may come from an untrusted source
        path = self.root / item.path
        if os.path.lexists(path):
            return self.history.photo_at(path, self.root)
        photo = moved.get(self.history.relative(path))
        return None if photo is None else self.history.photo_at(self.history.home / photo.path, self.root)

    def moved(self) -> dict[str, TrackedPhoto]:
        """Return the photos that have been moved, by each of their former paths."""
        self.history.sync()
        return {entry.path: photo for photo in self.history.changed_photos() for entry in photo.changes}

    def state(self, item: ReviewItem, photo: TrackedPhoto | None) -> str:
        """Return the current class of a photo, `quarantine` or `missing`."""
        if photo is None:
            return MISSING
        path = self.history.home / photo.path
        if not path.is_relative_to(self.root):
            return QUARANTINED
        parts = path.relative_to(self.root).parts
        index = class_folder_index(PurePosixPath(item.path).parts, item.label)
        return parts[index] if index is not None and index < len(parts) else item.label

    def place(self, item: ReviewItem, photo: TrackedPhoto | None) -> str:
        """Return where a photo lies now, below the dataset's root, or below the home for a quarantined one."""
        if photo is None:
            return item.path
        path = self.history.home / photo.path
        return path.relative_to(self.root if path.is_relative_to(self.root) else self.history.home).as_posix()

    def path_for(self, item: ReviewItem, class_name: str) -> Path:
        """Return the path of a photo in another class of the same split.

        Raises:
            DatasetError: if the photo is in no class folder.
        """
        parts = list(PurePosixPath(item.path).parts)
        index = class_folder_index(parts, item.label)
        if index is None:
            raise DatasetError(f"{item.path} is not in the folder of its class, so it cannot move to another class.")
        parts[index] = class_name
        return self.root.joinpath(*parts)

    def _class_index(self, name: str) -> int:
        return self.class_names.index(name) if name in self.class_names else -1


def class_folder_index(parts: Sequence[str], label: str) -> int | None:
    """Return the index of the class folder in a path: the one below the split, else the first one of that name."""
    folders = list(parts[:-1])
    if len(folders) > 1 and split_of(folders[0]) and folders[1] == label:
        return 1
    return folders.index(label) if label in folders else None
