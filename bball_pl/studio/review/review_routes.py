"""HTTP routes of the Review view."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, StringConstraints

from bball_pl.evaluate.predictions import DOUBT
from bball_pl.moves import chinese_name
from bball_pl.studio.history import ConflictError, TrackedPhoto
from bball_pl.studio.review.review_table import (
    Order,
    ReviewItem,
    ReviewTable,
    Show,
    dataset_root,
    prediction_tables,
)
from bball_pl.studio.runs.runs_reading import run_folders, short_path
from bball_pl.studio.state import Context, CurrentContext, printable

router = APIRouter(prefix="/api/review")

_MAX_PAGE = 120
#: Its labels measure the model: a person who saw the prediction first would tend to agree with it.
BLIND_SPLIT = "test"
#: Tables kept in memory.
_CACHED_TABLES = 4


class Change(BaseModel):
    """A change to a photo whose last version on the page was `seen`."""

    path: Annotated[str, StringConstraints(max_length=4_000)]
    action: Literal["label", "quarantine", "confirm"]
    class_name: Annotated[str, StringConstraints(max_length=300)] = ""
    seen: int = 0


class Undo(BaseModel):
    """The number of a change to undo; 0 for the latest change to a photo of this dataset."""

    number: int = 0


@lru_cache(_CACHED_TABLES)
def _read_table(context: Context, path: Path, run: Path, modified: int, size: int) -> ReviewTable:
    root = dataset_root(run)
    return ReviewTable(path, root, context.history(root))


def _open_table(experiment: str, version: str, split: str, context: CurrentContext) -> tuple[ReviewTable, Path]:
    """Return a table and its run, or 404 if there is no such run or no such table."""
    run = context.safe_run(f"{experiment}/{version}")
    path = prediction_tables(run).get(split)
    if path is None:
        raise HTTPException(404, "this run has no predictions for this split; make them with bball evaluate")
    stat = path.stat()
    return _read_table(context, path, run, stat.st_mtime_ns, stat.st_size), run


OpenTable = Annotated[tuple[ReviewTable, Path], Depends(_open_table)]


@router.get("")
def tables(context: CurrentContext) -> dict[str, Any]:
    """Runs with predictions, newest predictions first."""
    found = []
    for name, run in run_folders(context.settings.logs):
        if by_split := prediction_tables(run):
            found.append((max(path.stat().st_mtime for path in by_split.values()), name, list(by_split)))
    runs = [{"id": name, "splits": splits} for _, name, splits in sorted(found, reverse=True)]
    return {"runs": runs, "current": context.checkpoint_run()}


@router.get("/{experiment}/{version}/{split}")
def summary(split: str, opened: OpenTable, context: CurrentContext) -> dict[str, Any]:
    """Confusion matrix, groups and list sizes of a table, and the command that evaluates the run again."""
    table, run = opened
    answers, clean = table.answers, context.clean
    command = ["bball", "evaluate", "--run", short_path(run)]
    return {
        "classes": [{"name": clean(name), "chinese": chinese_name(name)} for name in table.class_names],
        "matrix": table.matrix,
        "photos": len(answers),
        "errors": int((~answers.correct).sum()),
        "doubtful": int((answers.label_margin <= -DOUBT).sum()),
        "blind": len(table.items("blind")),
        "audit": len(table.audit_items()),
        "changed": len(table.items("changed")),
        "groups": [{"name": clean(group), "photos": n, "errors": errors} for group, n, errors in table.groups],
        "dataset": clean(str(table.root)),
        # Not shortened: it is meant to be pasted.
        "command": printable(shlex.join(command if split == "test" else [*command, "--split", split])),
    }


@router.get("/{experiment}/{version}/{split}/photos")
def photos(
    split: str,
    opened: OpenTable,
    context: CurrentContext,
    show: Show = "all",
    true: str = "",
    predicted: str = "",
    group: str = "",
    order: Order = "doubt",
    offset: int = 0,
    limit: int = 60,
) -> dict[str, Any]:
    """One page of a list of photos; of test photos, the lists in which labels are decided hide the predictions."""
    table, _ = opened
    items = table.items(show, true, predicted, group, order)
    start, moved = max(0, offset), table.moved()
    page = items[start : start + max(1, min(limit, _MAX_PAGE))]
    blind = split == BLIND_SPLIT and show in {"blind", "audit"}
    return {"total": len(items), "photos": [_photo_json(context, table, item, moved, blind) for item in page]}


@router.post("/{experiment}/{version}/{split}/change")
def change(split: str, request: Change, opened: OpenTable, context: CurrentContext) -> dict[str, Any]:
    """Change the label of a photo, confirm it, or quarantine the photo."""
    table, _ = opened
    if request.action == "label" and request.class_name not in table.class_names:
        raise HTTPException(422, "there is no such class")
    item = table.find(request.path)
    if item is None:
        raise HTTPException(404, "there is no such photo")
    with table.history.lock:
        photo = table.photo(item, table.moved())
        if photo is None:
            raise _conflict(context, table, item, "this photo no longer exists")
        if request.action == "label":
            to, class_name = table.path_for(item, request.class_name), request.class_name
        else:
            to, class_name = None, table.state(item, photo) if request.action == "confirm" else ""
        try:
            entry = table.history.change(photo, request.action, class_name, to, request.seen)
        except ConflictError as error:
            raise _conflict(context, table, item, str(error)) from None
    blind = split == BLIND_SPLIT
    return {"number": entry.number, "photo": _photo_json(context, table, item, table.moved(), blind)}


@router.post("/{experiment}/{version}/{split}/undo")
def undo(split: str, request: Undo, opened: OpenTable, context: CurrentContext) -> dict[str, Any]:
    """Undo a change to a photo of this dataset."""
    table, _ = opened
    with table.history.lock:
        number = request.number
        if not number:
            last = table.history.last_change(table.root)
            if last is None:
                return {"photo": None}
            number = last.number
        try:
            photo, entry = table.history.undo(number, table.root)
        except ConflictError as error:
            raise HTTPException(409, {"message": str(error), "code": "conflict", "state": None}) from None
    paths = [photo.path, photo.first_path, entry.path, entry.to, *(change.path for change in photo.changes)]
    folders = [table.history.home / path for path in paths]
    below = [path.relative_to(table.root).as_posix() for path in folders if path.is_relative_to(table.root)]
    item = next((item for path in below if (item := table.find(path)) is not None), None)
    if item is None:
        return {"photo": None}
    return {"photo": _photo_json(context, table, item, table.moved(), split == BLIND_SPLIT)}


def _photo_json(
    context: Context, table: ReviewTable, item: ReviewItem, moved: Mapping[str, TrackedPhoto], blind: bool = False
) -> dict[str, Any]:
    """Return a photo; `blind` hides its prediction until a person has decided on the photo."""
    photo, answers, row = table.photo(item, moved), table.answers, item.row
    state = table.state(item, photo)
    decided = photo is not None and photo.action in {"label", "quarantine", "confirm"}
    hidden = blind and not decided
    answered = row >= 0 and not hidden
    return {
        "id": "" if photo is None else photo.id,
        "path": printable(item.path),
        "place": context.clean(table.place(item, photo)),
        "label": item.label,
        "predicted": table.class_names[answers.predicted[row]] if answered else ("" if hidden else item.suggested),
        "probabilities": answers.probabilities[row].tolist() if answered else None,
        "margin": float(answers.label_margin[row]) if answered else None,
        "group": context.clean(answers.groups[row]) if row >= 0 else "",
        "suggested": item.suggested,
        "why": context.clean(item.why),
        "hidden": hidden and row >= 0,
        "now": state,
        "changed": state != item.label,
        "confirmed": photo is not None and photo.action == "confirm",
        "seen": 0 if photo is None else photo.version,
    }


def _conflict(context: Context, table: ReviewTable, item: ReviewItem, message: str) -> HTTPException:
    state = _photo_json(context, table, item, table.moved())
    return HTTPException(409, {"message": message, "code": "conflict", "state": state})
