"""State of a project on the way from photos to a phone file, as it is on disk: inbox, datasets, runs, exports."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bball_pl import project
from bball_pl.errors import BballError
from bball_pl.photos.audit_record import PAGE, read_audit
from bball_pl.photos.photos_csv import QUARANTINE
from bball_pl.photos.tree import PhotoTree, is_image, is_litter, split_folders, walk
from bball_pl.studio.runs.runs_reading import run_folders, run_summary
from bball_pl.studio.state import Settings, printable
from bball_pl.studio.steps.job_process import UPLOADS
from bball_pl.studio.steps.jobs import Job
from bball_pl.studio.steps.uploads import folder_size
from bball_pl.studio.try_.try_routes import exported_files

#: Folders below the data that are not datasets.
NOT_DATASETS = {"inbox", UPLOADS, "audits", QUARANTINE}
#: Id of the inbox among the trees that can be audited; no dataset has it, because `data/inbox` is none.
INBOX = "inbox"
#: Seconds by which the clock of a file's name may be behind that of a record.
_SLACK = 5
#: Name of the folder of an export that is not proven.
_REJECTED = ".rejected"


@dataclass(frozen=True)
class Way:
    """What there is of each step.

    Attributes:
        inbox: Numbers of `photos`, of the `unsorted` ones and by class (`classes`), and a `problem` in words.
        datasets: For each `name`, `counts` of photos by split, and a `problem`.
        audits: Newest audit of the inbox and of each dataset by its id: `time`, number of `findings`, of
            `unlicensed` photos, whether the number of photos has changed since (`stale`), and whether there is a page.
        runs: Table of the runs, newest first, with `evaluated` and `resumable`.
        exports: For each `name`, whether it is `proven`, and its `files`.
        configs: Configuration files of the project.
    """

    inbox: dict[str, Any]
    datasets: list[dict[str, Any]]
    audits: dict[str, dict[str, Any]]
    runs: list[dict[str, Any]]
    exports: list[dict[str, Any]]
    configs: list[str]

    @classmethod
    def of(cls, settings: Settings, ended: str = "") -> Way:
        """Read the state of a project.

        Args:
            settings: Settings of the studio.
            ended: Id of a run whose training job is known to have ended, however new its files are.
        """
        inbox, datasets = _inbox(settings), _datasets(settings.data)
        audits = {INBOX: _audit(settings.inbox, inbox["photos"])}
        audits |= {one["name"]: _audit(settings.data / one["name"], sum(one["counts"].values())) for one in datasets}
        return cls(
            inbox,
            datasets,
            {name: audit for name, audit in audits.items() if audit is not None},
            _runs(settings.logs, ended),
            _exports(settings.exports),
            _configs(),
        )

    @property
    def next(self) -> str:
        """The step that makes sense next; empty after the last one."""
        photos, unsorted = self.inbox["photos"], self.inbox["unsorted"]
        finished = [run for run in self.runs if run["has_best"] and not run["unfinished"]]
        missing = (
            ("collect", not (photos or self.datasets)),
            ("sort", unsorted and (unsorted == photos or not self.datasets)),
            ("audit", not self.datasets and INBOX not in self.audits),
            ("split", not self.datasets),
            ("train", not finished),
            ("evaluate", not any(run["evaluated"] for run in finished)),
            ("export", not any(export["proven"] for export in self.exports)),
            ("sort", unsorted),
        )
        return next((step for step, is_missing in missing if is_missing), "")


def run_of_job(logs: Path, job: Job) -> str:
    """Return the id of the run that a training job writes; empty before its first curve.

    The names of event files have the second of their start and the number of the process.
    """
    pid = job.pid
    if pid is None:
        return ""
    try:
        started = datetime.fromisoformat(job.started).timestamp()
    except ValueError:
        return ""
    for path in logs.glob(f"*/version_*/events.out.tfevents.*.{pid}.*"):
        second = path.name.split(".")[3]
        if second.isdecimal() and int(second) >= started - _SLACK:
            return f"{path.parents[1].name}/{path.parent.name}"
    return ""


def _inbox(settings: Settings) -> dict[str, Any]:
    names = list(settings.sort_classes)
    try:
        tree = PhotoTree.scan(settings.inbox, names, movable=True)
    except (BballError, OSError) as error:
        return {"photos": 0, "unsorted": 0, "classes": {}, "problem": str(error)}
    counts = Counter(photo.class_name for photo in tree.photos)
    classes = {name: counts[name] for name in names if counts[name]}
    return {"photos": len(tree.photos), "unsorted": counts[""], "classes": classes, "problem": ""}


def _datasets(data: Path) -> list[dict[str, Any]]:
    found = []
    for folder in _visible(data):
        if folder.name in NOT_DATASETS or not folder.is_dir():
            continue
        try:
            splits = split_folders(folder)
            if "train" not in splits:
                continue
            counts = {split: sum(map(is_image, walk(path, links=[]))) for split, path in splits.items()}
            found.append({"name": folder.name, "counts": counts, "problem": ""})
        except BballError as error:
            found.append({"name": folder.name, "counts": {}, "problem": str(error)})
    return found


def _audit(root: Path, photos: int) -> dict[str, Any] | None:
    record = read_audit(root)
    if record is None:
        return None
    counts = {kind: count for kind, count in record.counts.items() if isinstance(count, int)}
    # Every photo of an album without a licence is a finding: they would hide the others.
    unlicensed = max(counts.pop("no_licence", 0), counts.pop("no_author", 0))
    page = (project.audit_folder(root) / PAGE).is_file()
    return {
        "time": str(record.time),
        "findings": sum(counts.values()),
        "unlicensed": unlicensed,
        "stale": record.photos != photos,
        "page": page,
    }


def _runs(logs: Path, ended: str) -> list[dict[str, Any]]:
    found = []
    for name, run in run_folders(logs):
        facts = run_summary(name, run)
        checkpoints = run / project.CHECKPOINTS
        unfinished = (run / project.UNFINISHED).exists()
        last = (checkpoints / project.LAST).is_file() and "config" not in facts["missing"]
        keys = ("id", "started", "state", "epoch", "max_epochs", "dataset", "accuracy", "interval", "n")
        found.append(
            {key: facts[key] for key in keys}
            | {
                "has_best": (checkpoints / project.BEST).is_file(),
                "unfinished": unfinished,
                "evaluated": facts["calibrated"] and not facts["stale"],
                "report": "report" not in facts["missing"],
                # Its files may be new because another program is training it at this moment.
                "resumable": unfinished and last and (facts["state"] != "training" or name == ended),
            }
        )
    return sorted(found, key=lambda run: str(run["started"]), reverse=True)


def _exports(exports: Path) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    # An export may be replaced at this moment.
    with suppress(OSError):
        for file in exported_files(exports):
            folder = file.path.parent
            export = found.setdefault(
                folder.name,
                {
                    "name": folder.name,
                    "rejected": folder.name.endswith(_REJECTED),
                    "changed": folder.stat().st_mtime,
                    "files": [],
                },
            )
            size = folder_size(file.path)[1] if file.path.is_dir() else file.path.stat().st_size
            export["files"].append({"id": file.id, "file": file.path.name, "proven": file.proven, "size": size})
    for export in found.values():
        export["proven"] = not export["rejected"] and all(file["proven"] for file in export["files"])
    return sorted(found.values(), key=lambda export: float(export["changed"]), reverse=True)


def _configs() -> list[str]:
    """Return the names of the project's configuration files, without those that come with the program."""
    shipped = {path.name for path in project.CONFIGS.glob("*.yaml")}
    folder = project.ROOT / "configs"
    return [path.name for path in _visible(folder) if path.suffix in {".yaml", ".yml"} and path.name not in shipped]


def _visible(folder: Path) -> list[Path]:
    """Return the entries of a folder that are not hidden and whose names can be shown; none without the folder."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names, to be judged as text
    except OSError:
        return []
    return [folder / name for name in names if not is_litter(name) and printable(name) == name]
