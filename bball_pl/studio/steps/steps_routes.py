"""HTTP routes of the Steps view: the state of the project, uploads, jobs, pages of audits and files of exports."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, cast
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi import Path as PathNumber
from pydantic import BaseModel, StringConstraints
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from bball_pl import project
from bball_pl.errors import ConfigError
from bball_pl.moves import NO_MOVE
from bball_pl.photos.audit_record import PAGE
from bball_pl.studio.runs.runs_reading import short_path
from bball_pl.studio.runs.runs_routes import REPORT_HEADERS
from bball_pl.studio.state import Context, CurrentContext, stamp
from bball_pl.studio.steps.job_log import log_progress, read_log
from bball_pl.studio.steps.job_process import LOG, STATUS, STOP, UPLOADS
from bball_pl.studio.steps.jobs import BusyError, Job, Jobs
from bball_pl.studio.steps.steps import BESIDE, WAY, Steps
from bball_pl.studio.steps.uploads import SUFFIXES, NoUploadError, OffsetError, Uploads
from bball_pl.studio.steps.way import INBOX, Way, run_of_job
from bball_pl.studio.try_.try_routes import exported_files

router = APIRouter(prefix="/api/steps")

Number = Annotated[str, StringConstraints(max_length=9, pattern=r"^[0-9]+$")]
Name = Annotated[str, StringConstraints(max_length=200)]

#: Older jobs that are listed below the newest one.
_EARLIER = 8
#: Bytes of a piece of a download.
_PIECE = 1 << 20


class Chosen(BaseModel):
    """A step and its options."""

    step: Name
    options: dict[Name, Any] = {}


class Stop(BaseModel):
    """A job to stop: in good order, or at once."""

    job: Number
    force: bool = False


class Collection(BaseModel):
    """Name of the photos that are uploaded together."""

    name: Name


class StepsView:
    """The jobs and uploads of a project.

    Args:
        context: State of the studio.
    """

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._context = context
        self.jobs = Jobs(settings.data)
        self.uploads = Uploads(settings.data / UPLOADS, frozenset({*settings.sort_classes, NO_MOVE.name}))

    def steps(self) -> tuple[Way, Steps]:
        """Return the state of the project, and its steps."""
        settings = self._context.settings
        newest = next(iter(self.jobs.all()), None)
        ended = run_of_job(settings.logs, newest) if newest is not None and not newest.is_running else ""
        way = Way.of(settings, ended)
        return way, Steps(settings, way, self.uploads)

    def job_json(self, job: Job) -> dict[str, Any]:
        """Return a job without its log."""
        kept = ("id", "state", "step", "options", "command", "started", "ended", "status")
        of = BESIDE.get(job.step, job.step)
        return {name: getattr(job, name) for name in kept} | {"of": of, "seconds": _seconds(job)}


def _view(context: CurrentContext) -> StepsView:
    return context.shared(StepsView)


@router.get("")
def overview(context: CurrentContext) -> dict[str, Any]:
    """State of every step, its options and its command, and the jobs."""
    view = _view(context)
    way, steps = view.steps()
    shown = []
    for step in (*WAY, *BESIDE):
        fields = steps.fields(step)
        # What there is nothing for yet has a choice of nothing.
        ready = bool(fields) and all(field.choices for field in fields if field.kind == "choice")
        command, problem = "", ""
        try:
            command = _shown(steps.words(step, {})[0]) if ready else ""
        except ConfigError as error:
            problem = context.clean(str(error))
        found = {"id": step, "ready": ready, "command": command, "problem": problem}
        shown.append(found | {"fields": [field.json for field in fields]})
    waiting = [
        {"id": one.id, "name": one.folder.name, "files": one.files, "size": one.size} for one in view.uploads.waiting()
    ]
    facts = _cleaned(context, {"inbox": way.inbox, "datasets": way.datasets})
    return {
        **facts,
        "audits": way.audits,
        "runs": way.runs,
        "exports": way.exports,
        "folders": {
            "project": context.clean(project.ROOT.name),
            "inbox": short_path(context.settings.inbox),
            "data": short_path(context.settings.data),
            "exports": short_path(context.settings.exports),
        },
        "next": way.next,
        "steps": shown,
        "uploads": waiting,
        "suffixes": sorted(SUFFIXES),
        "jobs": [view.job_json(job) for job in view.jobs.all()[: _EARLIER + 1]],
    }


@router.post("/command")
def command(chosen: Chosen, context: CurrentContext) -> dict[str, Any]:
    """The command line that the options of a step make."""
    view = _view(context)
    _, steps = view.steps()
    if chosen.step == "collect" and "collection" in chosen.options:
        # Before the photos are there.
        name = view.uploads.collection(str(chosen.options["collection"]))
        fields = {field.name: field for field in steps.fields("collect")}
        given = {key: value for key, value in chosen.options.items() if key in {"group", "author", "licence"}}
        options = {key: fields[key].read(value) for key, value in given.items()}
        folder = view.uploads.home / view.uploads.next_number() / name
        return {"command": _shown(steps.collect_words(folder, options))}
    return {"command": _shown(steps.words(chosen.step, chosen.options)[0])}


@router.post("/start")
def start(chosen: Chosen, context: CurrentContext) -> dict[str, Any]:
    """Start the command of a step as a job."""
    view = _view(context)
    _, steps = view.steps()
    words, options = steps.words(chosen.step, chosen.options)
    clear = str(options["upload"]) if chosen.step == "collect" else ""
    try:
        return view.job_json(view.jobs.start(chosen.step, words, options, clear))
    except BusyError as error:
        raise HTTPException(409, {"message": str(error), "code": "busy"}) from None


@router.post("/stop")
def stop(wanted: Stop, context: CurrentContext) -> dict[str, Any]:
    """Ask a running job to end."""
    view = _view(context)
    job = view.jobs.get(wanted.job)
    if job is None:
        raise HTTPException(404, "there is no such job")
    if job.is_running:
        view.jobs.stop(job, wanted.force)
    return view.job_json(view.jobs.get(wanted.job) or job)


@router.get("/jobs/{number}")
def job(number: Number, context: CurrentContext, seen: Name = "") -> dict[str, Any]:
    """A job with its log, its progress and its run; only the tag if `seen` is still true."""
    view = _view(context)
    found = view.jobs.get(number)
    if found is None:
        raise HTTPException(404, "there is no such job")
    tag = _tag(found)
    if seen == tag:
        return {"tag": tag}
    lines = read_log(found.log)
    progress = log_progress(lines) if found.is_running else None
    if found.step in {"train", "resume"}:
        run = run_of_job(context.settings.logs, found)
    else:
        run = str(found.options.get("run", ""))
    return view.job_json(found) | {
        "tag": tag,
        # Paths below the project's folder stay: commands are copied from the log.
        "log": [context.clean(line) for line in lines],
        "progress": None if progress is None else asdict(progress),
        "run": context.clean(run),
    }


@router.post("/uploads")
def begin_upload(collection: Collection, context: CurrentContext) -> dict[str, Any]:
    """Begin an upload."""
    return {"upload": _view(context).uploads.begin(collection.name)}


@router.post("/uploads/{number}/{file}")
async def upload_piece(
    request: Request,
    number: Number,
    file: Annotated[int, PathNumber(ge=0, le=10**6)],
    context: CurrentContext,
    name: Annotated[str, Query(min_length=1, max_length=2000)],
    offset: Annotated[int, Query(ge=0, le=10**12)] = 0,
    last: bool = True,
) -> dict[str, Any]:
    """Write a piece of a file: the body."""
    try:
        await _view(context).uploads.write(number, file, name, offset, last, request.stream())
    except NoUploadError:
        raise _no_upload() from None
    except OffsetError:
        raise HTTPException(409, {"message": "this piece does not continue its file", "code": "offset"}) from None
    except ClientDisconnect:
        raise HTTPException(400, "the piece was cut short") from None
    return {}


@router.post("/finish/{number}")
async def finish_upload(number: Number, context: CurrentContext) -> dict[str, Any]:
    """Make an upload whole; it can be collected then."""
    try:
        upload = await _view(context).uploads.finish(number)
    except NoUploadError:
        raise _no_upload() from None
    return {"upload": upload.id, "name": upload.folder.name, "files": upload.files, "size": upload.size}


@router.post("/discard/{number}")
async def discard_upload(number: Number, context: CurrentContext) -> dict[str, Any]:
    """Remove an upload."""
    view = _view(context)
    newest = next(iter(view.jobs.all()), None)
    if newest is not None and newest.is_running and newest.options.get("upload") == number:
        raise HTTPException(409, {"message": "a job is collecting these photos; stop it first", "code": "collecting"})
    try:
        await view.uploads.discard(number)
    except NoUploadError:
        raise _no_upload() from None
    return {}


@router.get("/audits/{tree}")
def audit_page(tree: Name, context: CurrentContext) -> Response:
    """The page of the newest audit of the inbox or a dataset."""
    way, _ = _view(context).steps()
    if tree not in way.audits:
        raise HTTPException(404, "there is no audit of it yet")
    settings = context.settings
    path = project.audit_folder(settings.inbox if tree == INBOX else settings.data / tree) / PAGE
    if not path.is_file() or path.is_symlink():
        raise HTTPException(404, "this audit has no page")
    return Response(path.read_bytes(), media_type="text/html; charset=utf-8", headers=REPORT_HEADERS)


@router.get("/exports/{export}/{file}")
def exported(export: Name, file: Name, context: CurrentContext) -> Response:
    """A file of an export to save; a package, which is a folder, as a zip file."""
    known = {one.id: one.path for one in exported_files(context.settings.exports)}
    path = known.get(f"{export}/{file}")
    if path is None:
        raise HTTPException(404, "there is no such file")
    name = f"{path.name}.zip" if path.is_dir() else path.name
    opened = _packed(path) if path.is_dir() else path.open("rb")
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}", "cache-control": "no-store"}
    kind = "application/zip" if path.is_dir() else "application/octet-stream"
    return StreamingResponse(_pieces(opened), media_type=kind, headers=headers)


def _packed(folder: Path) -> BinaryIO:
    """Return a temporary zip file of a folder, open at its start."""
    packed = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - closed when it has been sent
    with zipfile.ZipFile(packed, "w") as target:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                target.write(path, path.relative_to(folder.parent))
    packed.seek(0)
    return packed


def _pieces(opened: BinaryIO) -> Iterator[bytes]:
    with opened:
        while piece := opened.read(_PIECE):
            yield piece


def _seconds(job: Job) -> float | None:
    """Return how long a job has been running, or ran; None if it is not known."""
    try:
        end = datetime.fromisoformat(job.ended) if job.ended else datetime.now(UTC)
        seconds = (end - datetime.fromisoformat(job.started)).total_seconds()
    except (ValueError, TypeError):
        return None
    return max(0.0, seconds) if job.ended or job.is_running else None


def _tag(job: Job) -> str:
    """Return a tag of everything that the page shows of a job; the curves have a tag of their own."""
    files = stamp(*(job.folder / name for name in (LOG, STATUS, STOP)))
    return hashlib.blake2b(repr((job.id, job.state, files)).encode(), digest_size=9).hexdigest()


def _shown(words: list[str]) -> str:
    return shlex.join(["bball", *words])


def _no_upload() -> HTTPException:
    return HTTPException(404, {"message": "this upload does not exist; choose the photos again", "code": "upload"})


def _cleaned(context: Context, value: Any) -> Any:
    if isinstance(value, str):
        return context.clean(value)
    if isinstance(value, list):
        return [_cleaned(context, item) for item in value]
    if isinstance(value, dict):
        return {key: _cleaned(context, item) for key, item in value.items()}
    return value
