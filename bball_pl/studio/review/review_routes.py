"""HTTP routes of the view Review."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, StringConstraints

from bball_pl.evaluate.predictions import DOUBT
from bball_pl.moves import MOVES
from bball_pl.studio.history import ConflictError, Trail
from bball_pl.studio.review.review_sheet import Line, Order, Sheet, Show, answer_tables
from bball_pl.studio.runs.runs_reading import near, run_folders
from bball_pl.studio.state import Context, printable

Name = Annotated[str, StringConstraints(max_length=300)]

_CHINESE = {move.name: move.chinese for move in MOVES}
_MOST_AT_ONCE = 120
#: Tables that stay in memory.
_KEPT = 4


class Change(BaseModel):
    """A key was pressed on a photo, which the page had last seen changed by `seen`."""

    path: Annotated[str, StringConstraints(max_length=4_000)]
    action: Literal["label", "quarantine", "confirm"]
    class_name: Name = ""
    seen: int = 0


class Undoing(BaseModel):
    """A change is taken back; 0 for the last one of this dataset."""

    number: int = 0


def router(context: Context) -> APIRouter:
    """Return the routes below /api/review."""
    routes = APIRouter(prefix="/api/review")
    reviews = Reviews(context)

    @routes.get("")
    def tables() -> dict[str, Any]:
        return reviews.tables()

    @routes.get("/{experiment}/{version}/{split}")
    def summary(experiment: str, version: str, split: str) -> dict[str, Any]:
        return reviews.summary(f"{experiment}/{version}", split)

    @routes.get("/{experiment}/{version}/{split}/photos")
    def photos(
        experiment: str,
        version: str,
        split: str,
        show: Show = "all",
        true: str = "",
        predicted: str = "",
        group: str = "",
        order: Order = "doubt",
        offset: int = 0,
        limit: int = 60,
    ) -> dict[str, Any]:
        sheet = reviews.sheet(f"{experiment}/{version}", split)
        lines = sheet.lines(show, true, predicted, group, order)
        start = max(0, offset)
        return reviews.page(sheet, lines, start, start + max(1, min(limit, _MOST_AT_ONCE)))

    @routes.post("/{experiment}/{version}/{split}/change")
    def change(experiment: str, version: str, split: str, wanted: Change) -> dict[str, Any]:
        return reviews.change(reviews.sheet(f"{experiment}/{version}", split), wanted)

    @routes.post("/{experiment}/{version}/{split}/undo")
    def undo(experiment: str, version: str, split: str, undoing: Undoing) -> dict[str, Any]:
        return reviews.undo(reviews.sheet(f"{experiment}/{version}", split), undoing.number)

    return routes


class Reviews:
    """The tables of answers that are open.

    Args:
        context: of this start.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sheets: dict[tuple[Path, int, int], Sheet] = {}
        self._lock = threading.Lock()

    def tables(self) -> dict[str, Any]:
        """Return the runs that have answers, the newest answers first."""
        found = []
        for name, run in run_folders(self._context.settings.logs):
            if tables := answer_tables(run):
                found.append((max(path.stat().st_mtime for path in tables.values()), name, list(tables)))
        return {
            "runs": [{"id": name, "splits": splits} for _, name, splits in sorted(found, reverse=True)],
            "current": self._context.checkpoint_run(),
        }

    def sheet(self, name: str, split: str) -> Sheet:
        """Return a table of answers.

        Raises:
            HTTPException: 404 if there is no such run or no such table.
            DatasetError: as in `Sheet`.
        """
        run = self._context.safe_run(name)
        path = answer_tables(run).get(split)
        if path is None:
            raise HTTPException(404, "this run has no answers to this split; make them with scripts/evaluate.py")
        stat = path.stat()
        key = path, stat.st_mtime_ns, stat.st_size
        with self._lock:
            if key not in self._sheets:
                self._sheets = dict(list(self._sheets.items())[-_KEPT + 1 :])
                self._sheets[key] = Sheet(path, run, self._context.ledger)
            return self._sheets[key]

    def summary(self, name: str, split: str) -> dict[str, Any]:
        """Return what stands beside the photos: the matrix, the groups, and how many photos each list has."""
        sheet = self.sheet(name, split)
        own, run = sheet.answers, self._context.safe_run(name)
        command = [
            "python",
            "scripts/evaluate.py",
            "--run",
            near(run),
            *(["--split", split] if split != "test" else []),
        ]
        clean = self._context.clean
        return {
            "classes": [{"name": clean(one), "chinese": _CHINESE.get(one, "")} for one in sheet.names],
            "matrix": sheet.matrix,
            "photos": len(own),
            "errors": int((~own.correct).sum()),
            "doubtful": int((own.label_margin <= -DOUBT).sum()),
            "audit": len(sheet.audit()),
            "changed": len(sheet.lines("changed")),
            "groups": [{"name": clean(group), "photos": n, "errors": bad} for group, n, bad in sheet.groups],
            "dataset": clean(str(sheet.root)),
            # Not shortened: it is there to be pasted.
            "command": printable(shlex.join(command)),
        }

    def page(self, sheet: Sheet, lines: list[Line], start: int, end: int) -> dict[str, Any]:
        """Return a part of a list."""
        passed = sheet.passed()
        return {"total": len(lines), "photos": [self._photo(sheet, line, passed) for line in lines[start:end]]}

    def change(self, sheet: Sheet, wanted: Change) -> dict[str, Any]:
        """Do to a photo what a key said."""
        if wanted.action == "label" and wanted.class_name not in sheet.names:
            raise HTTPException(422, "there is no such class")
        line = self._line(sheet, wanted.path)
        with sheet.ledger.lock:
            trail = sheet.trail(line, sheet.passed())
            if trail is None:
                raise self._conflict(sheet, line, "this photo is no longer there")
            if wanted.action == "label":
                to, class_name = sheet.place(line, wanted.class_name), wanted.class_name
            else:
                to, class_name = None, sheet.state(line, trail)[0] if wanted.action == "confirm" else ""
            try:
                entry = sheet.ledger.change(trail, wanted.action, class_name, to, wanted.seen)
            except ConflictError as conflict:
                raise self._conflict(sheet, line, str(conflict)) from None
        return {"number": entry.number, "photo": self._photo(sheet, line, sheet.passed())}

    def undo(self, sheet: Sheet, number: int) -> dict[str, Any]:
        """Take back a change to a photo of this dataset."""
        root, ledger = sheet.root, sheet.ledger
        with ledger.lock:
            if not number:
                last = ledger.last(lambda trail: (ledger.home / trail.first).is_relative_to(root))
                if last is None:
                    return {"photo": None}
                number = last.number
            try:
                trail, entry = ledger.undo(number, root)
            except ConflictError as conflict:
                raise HTTPException(409, {"message": str(conflict), "code": "conflict", "state": None}) from None
            places = {trail.place, trail.first, entry.path, entry.to, *(own.path for own in trail.changes)}
        return {"photo": self._of_places(sheet, places)}

    def _of_places(self, sheet: Sheet, places: set[str]) -> dict[str, Any] | None:
        below = [
            (sheet.ledger.home / place).relative_to(sheet.root).as_posix()
            for place in places
            if (sheet.ledger.home / place).is_relative_to(sheet.root)
        ]
        line = next((line for path in below if (line := sheet.find(path)) is not None), None)
        return None if line is None else self._photo(sheet, line, sheet.passed())

    def _line(self, sheet: Sheet, path: str) -> Line:
        found = sheet.find(path)
        if found is None:
            raise HTTPException(404, "there is no such photo")
        return found

    def _photo(self, sheet: Sheet, line: Line, passed: Mapping[str, Trail]) -> dict[str, Any]:
        trail = sheet.trail(line, passed)
        now, changed = sheet.state(line, trail)
        own, clean = sheet.answers, self._context.clean
        answered = line.row >= 0
        return {
            "id": "" if trail is None else trail.photo,
            "path": printable(line.path),
            "label": line.label,
            "predicted": sheet.names[own.predicted[line.row]] if answered else line.suggested,
            "probabilities": [float(share) for share in own.probabilities[line.row]] if answered else None,
            "margin": float(own.label_margin[line.row]) if answered else None,
            "group": clean(own.groups[line.row]) if answered else "",
            "suggested": line.suggested,
            "why": clean(line.why),
            "now": now,
            "changed": changed,
            "confirmed": trail is not None and trail.action == "confirm",
            "seen": 0 if trail is None else trail.number,
        }

    def _conflict(self, sheet: Sheet, line: Line, message: str) -> HTTPException:
        state = self._photo(sheet, line, sheet.passed())
        return HTTPException(409, {"message": message, "code": "conflict", "state": state})
