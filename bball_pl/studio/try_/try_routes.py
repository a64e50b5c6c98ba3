"""HTTP routes of the Try view: its models, the exported files beside them, and their answers to a photo."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request

from bball_pl import project
from bball_pl.errors import BballError, RunError
from bball_pl.evaluate.calibration import file_sha256
from bball_pl.studio.pictures import read_upload
from bball_pl.studio.runs.runs_reading import run_folders, run_summary, short_path
from bball_pl.studio.state import Context, CurrentContext, printable
from bball_pl.wording import Language

if TYPE_CHECKING:
    from bball_pl.studio.try_.answers import Responder

router = APIRouter(prefix="/api/try")

#: Export formats in display order, each with the runtime that runs it here.
RUNTIMES = {
    ".onnx": "onnxruntime",
    ".mlpackage": "built-in executor",
    ".mlmodel": "built-in executor",
    ".aimodel": "Core AI",
}


@dataclass(frozen=True)
class ExportedFile:
    """A model file below the folder of exports.

    Attributes:
        id: `<export>/<file>`.
        path: path of the file or package.
        runtime: runtime that runs it here.
        fp16: whether it computes in 16 bits.
        checkpoint_sha256: checkpoint that it was made from, according to parity.json; empty if unknown.
        proven: whether parity.json says that this file and its whole export passed; False without a parity.json.
        available: whether the packages that it needs are installed.
    """

    id: str
    path: Path
    runtime: str
    fp16: bool
    checkpoint_sha256: str
    proven: bool
    available: bool


@router.get("/models")
def models(context: CurrentContext) -> dict[str, Any]:
    """Runs with a best checkpoint, newest first, and the model to select first."""
    found = [run_summary(name, run) for name, run in run_folders(context.settings.logs) if _has_best(run)]
    found.sort(key=lambda run: run["started"], reverse=True)
    listed = [{key: run[key] for key in ("id", "started", "backbone", "accuracy", "n")} for run in found]
    return {"models": listed, **_selected(context, [run["id"] for run in listed])}


@router.get("/engines")
def engines(context: CurrentContext, model: str = "") -> dict[str, Any]:
    """Exported files beside a model, and the command that makes an export."""
    checkpoint = _checkpoint(context, model)
    # A photo is likely to follow, and torch takes seconds to load.
    context.compute.submit(_prepare, context, checkpoint)
    status = checkpoint.stat()
    sha256 = _sha256(checkpoint, status.st_mtime_ns, status.st_size)
    source = ["--run", short_path(checkpoint.parents[1])] if model else ["--ckpt", short_path(checkpoint)]
    command = shlex.join(["bball", "export", *source])
    files = exported_files(context.settings.exports)
    return {"engines": [_engine_json(file, sha256) for file in files], "export": command}


@router.get("/seen")
async def seen(context: CurrentContext, model: str = "") -> dict[Language, dict[str, str]]:
    """What a model was trained on, as sentences by language."""
    return await context.computed(_seen, context, _checkpoint(context, model))


@router.post("/answer")
async def answer(
    request: Request,
    context: CurrentContext,
    model: str = "",
    engine: Annotated[list[str] | None, Query()] = None,
    pictures: bool = True,
) -> dict[str, Any]:
    """Answers of a model and of the chosen exported files to the photo in the body."""
    checkpoint = _checkpoint(context, model)
    # An id is looked up in the list of existing files; it is never made into a path.
    known = {file.id: file for file in exported_files(context.settings.exports)}
    if unknown := [name for name in engine or () if name not in known]:
        raise HTTPException(404, f"there is no export {unknown[0]}")
    files = [known[name] for name in engine or ()]
    content = await read_upload(request)
    return await context.computed(lambda: _responder(context).answer(content, checkpoint, files, pictures))


@router.post("/explain")
async def explain(request: Request, context: CurrentContext, model: str = "", class_name: str = "") -> dict[str, Any]:
    """Heat map of a class in the photo in the body."""
    checkpoint = _checkpoint(context, model)
    content = await read_upload(request)
    return await context.computed(lambda: _responder(context).explain(content, checkpoint, class_name))


def _responder(context: Context) -> Responder:
    # Torch and the formats take seconds to import: in the compute thread, when the first photo comes.
    from bball_pl.studio.try_.answers import Responder

    return context.shared(Responder)


def _seen(context: Context, checkpoint: Path) -> dict[Language, dict[str, str]]:
    # Imported here like the engines: in the compute thread.
    from bball_pl.evaluate.origin import seen_photos

    opened = context.models.load(checkpoint)
    return seen_photos(opened.checkpoint, opened.data, opened.trained)


def _prepare(context: Context, checkpoint: Path) -> None:
    # An unreadable checkpoint is reported with the first answer.
    with suppress(BballError):
        _responder(context).prepare(checkpoint)


def exported_files(exports: Path) -> list[ExportedFile]:
    """Return the model files of all exports by export and format, rejected and unproven ones included."""
    found = []
    for folder in sorted(path for path in exports.glob("*") if path.is_dir() and _is_listed(path)):
        parity = _parity(folder)
        results = {file.get("name"): file for file in parity.get("files", []) if isinstance(file, dict)}
        sha256 = parity.get("checkpoint_sha256")
        paths = [path for path in folder.iterdir() if path.suffix in RUNTIMES and _is_listed(path)]
        for path in sorted(paths, key=lambda path: (list(RUNTIMES).index(path.suffix), path.name)):
            result = results.get(path.name, {})
            found.append(
                ExportedFile(
                    id=f"{folder.name}/{path.name}",
                    path=path,
                    runtime=RUNTIMES[path.suffix],
                    # An ML Program has 16 bits unless parity.json says otherwise.
                    fp16=path.suffix == ".mlpackage" and result.get("engine", "executor fp16") != "executor fp32",
                    checkpoint_sha256=sha256 if isinstance(sha256, str) else "",
                    proven=result.get("passed") is True and parity.get("passed") is True,
                    available=path.suffix != ".aimodel" or find_spec("coreai") is not None,
                )
            )
    return found


@lru_cache(maxsize=64)
def _sha256(path: Path, modified: int, size: int) -> str:
    return file_sha256(path)


def _is_listed(path: Path) -> bool:
    """Return whether a file or folder is not hidden and has a name that can be shown."""
    return not path.name.startswith(".") and printable(path.name) == path.name


def _parity(folder: Path) -> dict[str, Any]:
    try:
        parity = json.loads((folder / "parity.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return parity if isinstance(parity, dict) and isinstance(parity.get("files", []), list) else {}


def _has_best(run: Path) -> bool:
    return (run / project.CHECKPOINTS / project.BEST).is_file()


def _checkpoint(context: Context, model: str) -> Path:
    """Return the best checkpoint of a run by its id; the current checkpoint for an empty id."""
    if model:
        try:
            return project.best_checkpoint(context.safe_run(model))
        except RunError:
            raise HTTPException(404, "this run has no best checkpoint yet") from None
    current = context.settings.checkpoint
    if current is None or not current.is_file():
        raise HTTPException(404, "there is no checkpoint yet; make one with: bball fit")
    return current


def _selected(context: Context, names: list[str]) -> dict[str, str]:
    """Return the model to select first: `current`, the id of a run, or `file`, the name of another checkpoint."""
    current = context.settings.checkpoint
    if current is not None and current.is_file():
        best = (context.settings.logs / name / project.CHECKPOINTS / project.BEST for name in names)
        if all(path.resolve() != current.resolve() for path in best):
            return {"current": "", "file": context.clean(current.name)}
    run = context.checkpoint_run()
    return {"current": run if run in names else next(iter(names), ""), "file": ""}


def _engine_json(file: ExportedFile, sha256: str) -> dict[str, Any]:
    return {
        "id": file.id,
        "export": file.path.parent.name,
        "file": file.path.name,
        "runtime": file.runtime,
        "fp16": file.fp16,
        # None: the file's checkpoint is unknown.
        "matches": file.checkpoint_sha256 == sha256 if file.checkpoint_sha256 else None,
        "proven": file.proven,
        "available": file.available,
    }
