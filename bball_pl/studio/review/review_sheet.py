"""The review sheet: answers of a run to one split, beside where each photo is now and its changes since."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from bball_pl import project
from bball_pl.errors import DatasetError
from bball_pl.evaluate.predictions import DOUBT, Answers, read_answers
from bball_pl.photos.audit_record import TABLE
from bball_pl.photos.tree import SPLITS
from bball_pl.studio.history import Ledger, Trail
from bball_pl.studio.runs.runs_settings import read_config, setting

Show = Literal["all", "errors", "doubtful", "audit", "changed"]
Order = Literal["confident", "unsure", "doubt"]
#: State of a photo that is not to be used, and of one that is nowhere to be found.
QUARANTINED, GONE = "quarantine", "gone"


@dataclass(frozen=True)
class Line:
    """One photo of a list.

    Attributes:
        path: as in the table, below the dataset's root.
        label: its class in the table.
        row: of the answers; -1 for a photo that only the audit knows.
        suggested: class that the audit thinks more likely; empty if it says nothing.
        why: the audit's reason.
    """

    path: str
    label: str
    row: int = -1
    suggested: str = ""
    why: str = ""


def answer_tables(run: Path) -> dict[str, Path]:
    """Return the tables of answers of a run by split; those of its own photos only."""
    found = {}
    for split in ("test", "val", "train"):
        name = project.predictions_file(split)
        for path in (run / name, run / "evaluations" / split / name):
            if path.is_file() and path.resolve().is_relative_to(run.resolve()):
                found[split] = path
                break
    return found


class Sheet:
    """A table of answers that is being reviewed.

    Args:
        table: its file.
        run: folder of the run.
        open_ledger: gives the ledger of a tree.

    Raises:
        DatasetError: if the table is damaged, the run does not say where its photos are, or they are not there.
    """

    def __init__(self, table: Path, run: Path, open_ledger: Callable[[Path], Ledger]) -> None:
        self.answers: Answers = read_answers(table)
        self.root = _root(run)
        if not self.root.is_dir():
            raise DatasetError(f"the dataset of this run is no longer at {self.root}")
        self.ledger = open_ledger(self.root)
        self.names = self.answers.class_names
        self._rows = {path: row for row, path in enumerate(self.answers.paths)}

    @cached_property
    def matrix(self) -> list[list[int]]:
        """Photos by label and answer, as the run counted them."""
        counts: list[list[int]] = self.answers.confusion.tolist()
        return counts

    @cached_property
    def groups(self) -> list[tuple[str, int, int]]:
        """Groups with their photos and errors, the most errors first; nothing if groups are not known."""
        counts: dict[str, list[int]] = {}
        for group, correct in zip(self.answers.groups, self.answers.correct, strict=True):
            own = counts.setdefault(group, [0, 0])
            own[0] += 1
            own[1] += not correct
        found = [(group, photos, errors) for group, (photos, errors) in counts.items() if group]
        return sorted(found, key=lambda own: (-own[2], own[0]))

    def audit(self) -> list[Line]:
        """Return the labels that the audit of the dataset doubts, the most doubtful first."""
        lines = []
        try:
            with (project.audit_folder(self.root) / TABLE).open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    if row.get("kind") == "doubtful_label":
                        path = (row.get("path") or "").removeprefix("./")
                        suggested, why = row.get("suggested") or "", row.get("why") or ""
                        severity = float(row.get("severity") or 0)
                        lines.append(
                            (severity, Line(path, row.get("class") or "", self._rows.get(path, -1), suggested, why))
                        )
        except (OSError, ValueError, csv.Error):
            return []
        return [line for _, line in sorted(lines, key=lambda own: -own[0])]

    def lines(
        self, show: Show = "all", true: str = "", predicted: str = "", group: str = "", order: Order = "doubt"
    ) -> list[Line]:
        """Return the photos of a list in its order.

        Args:
            show: all, the wrong answers, the labels that the answers doubt, those that the audit doubts, or what was
                changed since the answers.
            true: only photos of this label.
            predicted: only photos with this answer.
            group: only photos of this group.
            order: the most confident answer first, the least confident first, or the most doubtful label first.
        """
        own = self.answers
        if show == "audit":
            return [line for line in self.audit() if true in {"", line.label} and predicted in {"", line.suggested}]
        rows = np.arange(len(own))
        if show == "errors":
            rows = rows[~own.correct]
        elif show == "doubtful":
            rows = rows[own.label_margin <= -DOUBT]
        if true:
            rows = rows[own.targets[rows] == self._index(true)]
        if predicted:
            rows = rows[own.predicted[rows] == self._index(predicted)]
        if group:
            rows = np.array([row for row in rows if own.groups[row] == group], np.int64)
        keys = {"confident": -own.confidence, "unsure": own.confidence, "doubt": own.label_margin}[order]
        rows = rows[np.argsort(keys[rows], kind="stable")]
        lines = [Line(own.paths[row], self.names[own.targets[row]], int(row)) for row in rows]
        if show == "changed":
            passed = self.passed()
            touched = passed.keys() | {trail.place for trail in self.ledger.trails()}
            here = self.ledger.place(self.root)
            lines = [line for line in lines if f"{here}/{line.path}".removeprefix("./") in touched]
            lines = [line for line in lines if self.state(line, self.trail(line, passed))[1]]
        return lines

    def find(self, path: str) -> Line | None:
        """Return the line of a photo: a path is looked up among those of the tables, and never taken for a place."""
        row = self._rows.get(path)
        if row is not None:
            return Line(path, self.names[self.answers.targets[row]], row)
        return next((line for line in self.audit() if line.path == path), None)

    def trail(self, line: Line, passed: Mapping[str, Trail]) -> Trail | None:
        """Return a photo's trail, wherever it is now; None if it is nowhere.

        Args:
            line: of the list.
            passed: from `passed`.
        """
        parts = PurePosixPath(line.path).parts
        if not parts or ".." in parts or line.path.startswith("/"):
            return None  # the table of a run may come from anybody
        path = self.root / line.path
        if os.path.lexists(path):
            return self.ledger.at(path, self.root)
        trail = passed.get(self.ledger.place(path))
        # It has an id from here on.
        return None if trail is None else self.ledger.at(self.ledger.home / trail.place, self.root)

    def passed(self) -> dict[str, Trail]:
        """Return the photos that were moved, by the places where they were before."""
        self.ledger.sync()
        found = {}
        for trail in self.ledger.trails():
            for entry in trail.changes:
                found[entry.path] = trail
        return found

    def state(self, line: Line, trail: Trail | None) -> tuple[str, bool]:
        """Return a photo's class now, `quarantine` or `gone`, and whether anything was done to it."""
        if trail is None:
            return GONE, True
        path = self.ledger.home / trail.place
        if not path.is_relative_to(self.root):
            return QUARANTINED, True
        parts = path.relative_to(self.root).parts
        slot = class_slot(PurePosixPath(line.path).parts, line.label)
        now = parts[slot] if slot is not None and slot < len(parts) else line.label
        return now, now != line.label or trail.action == "confirm"

    def place(self, line: Line, class_name: str) -> Path:
        """Return where a photo goes when it has another class: its split stays.

        Raises:
            DatasetError: if its place says no class.
        """
        parts = list(PurePosixPath(line.path).parts)
        slot = class_slot(parts, line.label)
        if slot is None:
            raise DatasetError(f"{line.path} lies in no folder of its class, so that it cannot go to another one.")
        parts[slot] = class_name
        return self.root.joinpath(*parts)

    def _index(self, name: str) -> int:
        return self.names.index(name) if name in self.names else -1


def class_slot(parts: tuple[str, ...] | list[str], label: str) -> int | None:
    """Return which folder of a photo's place says its class: the one below the split, else the first of that name."""
    folders = list(parts[:-1])
    if len(folders) > 1 and folders[0] in SPLITS and folders[1] == label:
        return 1
    return folders.index(label) if label in folders else None


def _root(run: Path) -> Path:
    try:
        root = setting(read_config(run), "data.root")
    except ValueError as error:
        raise DatasetError(f"{project.CONFIG} of this run {error}, so that its photos cannot be found.") from None
    if not isinstance(root, str) or not root:
        raise DatasetError(f"{project.CONFIG} of this run does not say where its photos are (data.root).")
    return Path(os.path.abspath(project.ROOT / root))  # noqa: PTH100 - links stay as they are
