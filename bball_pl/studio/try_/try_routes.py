"""HTTP routes of the view Try: its models and engines, and their answers to a photo."""

from __future__ import annotations

import shlex
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request

from bball_pl import project
from bball_pl.errors import BballError, RunError
from bball_pl.studio.pictures import read_upload
from bball_pl.studio.runs.runs_reading import near, run_folders, run_summary
from bball_pl.studio.state import Context
from bball_pl.studio.try_.exports import ExportedFile, checkpoint_sha256, exported_files

if TYPE_CHECKING:
    from bball_pl.studio.try_.answers import Answering


def router(context: Context) -> APIRouter:
    """Return the routes below `/api/try`."""
    routes = APIRouter(prefix="/api/try")

    @cache
    def answering() -> Answering:
        # Torch and the formats take seconds to import: in the thread of the networks, when the first photo comes.
        from bball_pl.studio.try_.answers import Answering

        return Answering(context)

    # What was exported lies beside the runs.
    exports = context.settings.exports

    @routes.get("/models")
    def models() -> dict[str, Any]:
        found = [run_summary(name, run) for name, run in run_folders(context.settings.logs) if _has_best(run)]
        found.sort(key=lambda run: run["started"], reverse=True)
        keys = ("id", "started", "backbone", "accuracy", "n")
        listed = [{key: run[key] for key in keys} for run in found]
        return {"models": listed, "current": _current(context, listed), "file": _file(context, listed)}

    def prepare(checkpoint: Path) -> None:
        # What is wrong with it is told to whoever asks it something.
        with suppress(BballError):
            answering().prepare(checkpoint)

    @routes.get("/engines")
    def engines(model: str = "") -> dict[str, Any]:
        checkpoint = _checkpoint(context, model)
        sha256 = checkpoint_sha256(checkpoint)
        # The page has been opened or another model chosen: a photo is likely to come, and torch takes seconds to load.
        context.compute.submit(prepare, checkpoint)
        which = ["--run", near(checkpoint.parents[1])] if model else ["--ckpt", near(checkpoint)]
        command = shlex.join(["python", "scripts/export.py", *which])
        return {"engines": [_about(file, sha256) for file in exported_files(exports)], "export": command}

    @routes.post("/answer")
    async def answer(
        request: Request,
        model: str = "",
        engine: Annotated[list[str] | None, Query()] = None,
        pictures: bool = True,
    ) -> dict[str, Any]:
        checkpoint = _checkpoint(context, model)
        known = {file.id: file for file in exported_files(exports)}
        # An id is looked up in the list of what is there; it never becomes a path.
        if strange := [name for name in engine or () if name not in known]:
            raise HTTPException(404, f"there is no export {strange[0]}")
        files = [known[name] for name in engine or ()]
        content = await read_upload(request)
        return await context.computed(lambda: answering().answer(content, checkpoint, files, pictures))

    @routes.post("/explain")
    async def explain(request: Request, model: str = "", class_name: str = "") -> dict[str, Any]:
        checkpoint = _checkpoint(context, model)
        content = await read_upload(request)
        return await context.computed(lambda: answering().explain(content, checkpoint, class_name))

    return routes


def _has_best(run: Path) -> bool:
    return (run / project.CHECKPOINTS / project.BEST).is_file()


def _checkpoint(context: Context, model: str) -> Path:
    """Return the checkpoint that an id of a run stands for; the current one for an empty id."""
    if model:
        try:
            return project.best_checkpoint(context.safe_run(model))
        except RunError:
            raise HTTPException(404, "this run has no best checkpoint yet") from None
    current = context.settings.checkpoint
    if current is None or not current.is_file():
        raise HTTPException(404, "there is no checkpoint yet; make one with: python scripts/fit.py")
    return current


def _current(context: Context, listed: list[dict[str, Any]]) -> str:
    """Return the id of the model that is chosen at first; empty for a checkpoint that is of no run here."""
    if _file(context, listed):
        return ""
    names = [run["id"] for run in listed]
    own = context.checkpoint_run()
    return own if own in names else next(iter(names), "")


def _file(context: Context, listed: list[dict[str, Any]]) -> str:
    """Return the name of the current checkpoint's file if it is not the best one of a run in the list."""
    current = context.settings.checkpoint
    if current is None or not current.is_file():
        return ""
    for run in listed:
        if (context.settings.logs / run["id"] / project.CHECKPOINTS / project.BEST).resolve() == current.resolve():
            return ""
    return context.clean(str(current.name))


def _about(file: ExportedFile, sha256: str) -> dict[str, Any]:
    return {
        "id": file.id,
        "export": file.path.parent.name,
        "file": file.path.name,
        "runtime": file.runtime,
        "fp16": file.fp16,
        # None: it does not say whose it is.
        "own": file.checkpoint_sha256 == sha256 if file.checkpoint_sha256 else None,
        "proven": file.proven,
        "available": file.available,
    }
