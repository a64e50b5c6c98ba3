"""Reading of a run's folder, whole, damaged, half-finished or in training, as JSON."""

from __future__ import annotations

import datetime
import json
import math
import os
import shlex
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from bball_pl import project
from bball_pl.errors import RunError
from bball_pl.evaluate.calibration import calibration_file, read_calibration
from bball_pl.evaluate.report.curves import read_curves
from bball_pl.studio.runs.runs_settings import changed_settings, read_config, setting
from bball_pl.studio.state import printable


def curves_json(run: Path) -> dict[str, Any] | None:
    """Return what the event files of a run say, in numbers that JSON holds; None if they hold no curve.

    Args:
        run: its folder; it may be training now, or its event files may end in the middle of a record.

    Returns:
        `curves` by tag, each with `epochs` (counted from 1, rising) and `values` (null where the run logged an infinity
        or what is not a number), `last_epoch`, `probe_loss` in nats, `probe_acc` 0–1, `kept` (`epoch`, `probe` or
        empty) and `kept_epoch`.
    """
    best = run / project.CHECKPOINTS / project.BEST
    try:
        found = read_curves(run, best)
    except OSError:
        # A run that is deleted while it is read; the caller says that there are no curves.
        return None
    if found is None:
        return None
    curves = {
        tag: {"epochs": curve.epochs, "values": [finite(value) for value in curve.values]}
        for tag, curve in found.curves.items()
    }
    return {
        "curves": curves,
        "last_epoch": found.last_epoch,
        "probe_loss": finite(found.probe_loss),
        "probe_acc": finite(found.probe_acc),
        # Which epoch would have been kept is no news of a run that keeps none.
        "kept": found.kept if best.is_file() else "",
        "kept_epoch": found.kept_epoch if best.is_file() else None,
    }


def finite(value: object) -> float | None:
    """Return a number that JSON has a word for; None for anything else, an infinity and not-a-number included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


REPORT = "report.html"
_EVENTS = "events.out.tfevents.*"
_ANSWERS = project.predictions_file("test")
#: Curves are written every few steps: a run that wrote nothing for so many seconds is not training.
_QUIET = 300
#: Files that are copied together get their times in any order.
_COPIED = 60


def run_folders(logs: Path) -> list[tuple[str, Path]]:
    """Return the name, `experiment/version_N`, and the folder of each run below `logs`, in the order of the names."""
    # A link that leads elsewhere is no run of this folder.
    home = logs.resolve()
    found = [path for path in logs.glob("*/version_*") if path.is_dir() and path.resolve().is_relative_to(home)]
    named = [(f"{path.parent.name}/{path.name}", path) for path in found]
    # A name whose bytes are no text could neither be shown nor asked for.
    return sorted((name, path) for name, path in named if printable(name) == name)


def run_summary(name: str, run: Path) -> dict[str, Any]:
    """Return a run's row in the table of runs.

    Nothing that is wrong with a run ends in an exception: `missing` names the parts that are not there, and `problems`
    the files that cannot be read, each with the reason.

    Args:
        name: `experiment/version_N`.
        run: its folder.
    """
    return {key: value for key, value in _facts(name, run).items() if key not in _DETAILS}


def run_detail(name: str, run: Path) -> dict[str, Any]:
    """Return all that a run's page shows; as careful as `run_summary`."""
    facts = _facts(name, run)
    # The defaults are in the signatures of classes that take seconds to import: not for the table.
    config = _config(run, [])
    facts["settings"] = changed_settings(config) if config else None
    return facts


def _facts(name: str, run: Path) -> dict[str, Any]:
    stamps = _stamps(run)
    facts = dict(_read(name, run, stamps))
    newest = max((stamp for file, stamp, _ in stamps if file.startswith("events.") or file == project.LAST), default=0)
    facts["state"] = _state(facts, stamps, time.time() - newest / 1e9)
    if facts["state"] == "training":
        # They come at the end: nothing is missing yet.
        facts["missing"] = [part for part in facts["missing"] if part not in _LATE]
    return facts


#: Keys of a run's page that its row in the table does not have.
_DETAILS = ("curves", "confusion", "per_class", "calibration", "commands", "figures")
#: Parts of a run that are made at its end or after it.
_LATE = {"metrics", "answers", "calibration", "report"}


def _stamps(run: Path) -> tuple[tuple[str, int, int], ...]:
    """Return name, time of change in ns and bytes of each file that is read: equal stamps, equal content."""
    checkpoints = run / project.CHECKPOINTS
    paths = [run / name for name in (project.CONFIG, project.METRICS, _ANSWERS, REPORT)]
    paths += [checkpoints / name for name in (project.BEST, project.LAST, project.PROBE)]
    paths += [calibration_file(checkpoints / project.BEST), *sorted(run.glob(_EVENTS))]
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((path.name, status.st_mtime_ns, status.st_size))
    return tuple(found)


@lru_cache(maxsize=1024)
def _read(name: str, run: Path, stamps: tuple[tuple[str, int, int], ...]) -> dict[str, Any]:
    here = {file for file, _, _ in stamps}
    problems: list[dict[str, str]] = []
    config = _config(run, problems)
    metrics = _metrics(run, problems) if project.METRICS in here else {}
    curves = curves_json(run)
    max_epochs = setting(config, "trainer.max_epochs")
    root = setting(config, "data.root")
    parts = {
        "config": project.CONFIG in here,
        "curves": curves is not None,
        "checkpoint": project.BEST in here,
        "metrics": project.METRICS in here,
        "answers": _ANSWERS in here,
        "calibration": calibration_file(project.BEST).name in here,
        "report": REPORT in here,
    }
    experiment, _, version = name.partition("/")
    return {
        "id": name,
        "experiment": experiment,
        "version": version,
        "started": _started(run, stamps),
        "epoch": curves["last_epoch"] if curves is not None else 0,
        "max_epochs": max_epochs if isinstance(max_epochs, int) and max_epochs > 0 else None,
        "backbone": str(setting(config, "model.backbone") or ""),
        "image_size": setting(config, "model.image_size"),
        "dataset": Path(str(root)).name if root else "",
        "root": str(root or ""),
        "n": finite(metrics.get("n")),
        "split": str(metrics.get("split", "")),
        "accuracy": finite(metrics.get("accuracy")),
        "accuracy_ci95": _pair(metrics.get("accuracy_ci95")),
        "accuracy_bootstrap95": _pair(metrics.get("accuracy_bootstrap95")),
        "groups": finite(metrics.get("groups")),
        "macro_f1": finite(metrics.get("macro_f1")),
        "ece": finite(metrics.get("ece")),
        "calibrated": "temperature" in metrics,
        "stale": _newer(stamps, project.BEST, project.METRICS),
        "missing": [part for part, there in parts.items() if not there],
        "problems": problems,
        "figures": {key: finite(metrics.get(key)) for key in ("nll", "brier", "temperature")},
        "confusion": _confusion(metrics.get("confusion")),
        "per_class": metrics.get("per_class") if isinstance(metrics.get("per_class"), dict) else {},
        "calibration": _calibration(run, problems) if parts["checkpoint"] else None,
        "curves": curves,
        "commands": _commands(run, bool(config), parts["checkpoint"], project.LAST in here),
    }


def _state(facts: dict[str, Any], stamps: tuple[tuple[str, int, int], ...], quiet: float) -> str:
    """Return `empty`, `training`, `finished` or `stopped`."""
    if not stamps:
        return "empty"
    finished = "metrics" not in facts["missing"] and not _newer(stamps, project.LAST, project.METRICS)
    # Without test photos a run has no figures; its epochs say that it came to its end.
    finished = finished or (facts["max_epochs"] is not None and facts["epoch"] >= facts["max_epochs"])
    if finished:
        return "finished"
    return "training" if quiet < _QUIET else "stopped"


def _newer(stamps: tuple[tuple[str, int, int], ...], file: str, than: str) -> bool:
    times = {name: stamp for name, stamp, _ in stamps}
    return file in times and than in times and times[file] - times[than] > _COPIED * 1e9


def _started(run: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:
    """Return when a run began, ISO 8601 in UTC; the names of event files hold the second."""
    seconds = [float(name.split(".")[3]) for name, _, _ in stamps if name.startswith("events.") and _numbered(name)]
    try:
        moment = min(seconds) if seconds else run.stat().st_mtime
        return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="seconds")
    except (OSError, OverflowError, ValueError):
        return ""


def _numbered(event_file: str) -> bool:
    parts = event_file.split(".")
    return len(parts) > 3 and parts[3].isdecimal()


def _config(run: Path, problems: list[dict[str, str]]) -> dict[str, Any]:
    try:
        return read_config(run)
    except ValueError as error:
        if (run / project.CONFIG).exists():
            problems.append({"file": project.CONFIG, "reason": str(error)})
        return {}


def _metrics(run: Path, problems: list[dict[str, str]]) -> dict[str, Any]:
    try:
        metrics = json.loads((run / project.METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        problems.append({"file": project.METRICS, "reason": f"cannot be read ({error})"})
        return {}
    if not isinstance(metrics, dict) or finite(metrics.get("accuracy")) is None:
        problems.append(
            {"file": project.METRICS, "reason": "holds no accuracy; make it again with scripts/evaluate.py"}
        )
        return {}
    return metrics


def _calibration(run: Path, problems: list[dict[str, str]]) -> dict[str, Any] | None:
    checkpoint = run / project.CHECKPOINTS / project.BEST
    try:
        found = read_calibration(checkpoint)
    except (RunError, OSError) as error:
        problems.append({"file": calibration_file(project.BEST).name, "reason": str(error)})
        return None
    if found is None:
        return None
    return {
        "temperature": found.temperature,
        "threshold": found.threshold,
        "target_accuracy": found.target_accuracy,
        "coverage": found.coverage,
        "n": found.n,
    }


def _confusion(table: Any) -> dict[str, Any] | None:
    if not isinstance(table, dict):
        return None
    labels, matrix = table.get("labels"), table.get("matrix")
    if not isinstance(labels, list) or not isinstance(matrix, list) or len(labels) != len(matrix):
        return None
    rows = [[finite(count) for count in row] for row in matrix if isinstance(row, list) and len(row) == len(labels)]
    if len(rows) != len(labels) or any(count is None for row in rows for count in row):
        return None
    return {"labels": [str(label) for label in labels], "matrix": rows}


def _pair(value: Any) -> list[float] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    low, high = finite(value[0]), finite(value[1])
    return None if low is None or high is None else [low, high]


def _commands(run: Path, has_config: bool, has_best: bool, has_last: bool) -> dict[str, str]:
    """Return what to type in the repository's root, by what it does."""
    where = near(run)
    commands = {"tensorboard": shlex.join(["tensorboard", "--logdir", near(run.parents[1])])}
    if has_best:
        commands["evaluate"] = shlex.join(["python", "scripts/evaluate.py", "--run", where])
        commands["export"] = shlex.join(["python", "scripts/export.py", "--run", where])
        commands["predict"] = shlex.join(["python", "scripts/predict.py", "--run", where, "photo.jpg"])
    if has_config:
        again = ["python", "scripts/fit.py", "--config", f"{where}/{project.CONFIG}"]
        commands["again"] = shlex.join(again)
        if has_last:
            commands["resume"] = shlex.join([*again, "--ckpt_path", f"{where}/{project.CHECKPOINTS}/{project.LAST}"])
    return commands


def near(path: Path) -> str:
    """Return a path as short as it can be while it works from the repository's root."""
    path = path.absolute()
    return printable(os.path.relpath(path, project.ROOT) if path.is_relative_to(project.ROOT) else str(path))
