"""Run folders as JSON: figures, curves and settings of runs that are finished, in training, stopped or damaged."""

from __future__ import annotations

import datetime
import inspect
import json
import math
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from bball_pl import project
from bball_pl.errors import DatasetError, RunError
from bball_pl.evaluate.calibration import calibration_file, read_calibration
from bball_pl.evaluate.metrics import leading_interval
from bball_pl.evaluate.report.curves import read_curves
from bball_pl.photos.photos_csv import PHOTOS_CSV
from bball_pl.studio.state import Stamp, printable, stamp
from bball_pl.wording import LANGUAGES, Language

REPORT = "report.html"
_EVENTS = "events.out.tfevents.*"
_ANSWERS = project.predictions_file("test")
#: Curves are written every few steps; a run without a write for this many seconds is not training.
_QUIET_SECONDS = 300
#: Tolerance for timestamps of files that were copied together, in seconds.
_COPY_SECONDS = 60
#: Keys of a run's page that are left out of its row in the table.
_DETAIL_KEYS = ("curves", "confusion", "per_class", "calibration", "commands", "figures")
#: Parts of a run that are written at its end or later.
_LATE_PARTS = {"metrics", "answers", "calibration", "report"}
#: Settings that say only where photos and results are stored.
_PATH_SETTINGS = ("data.root", "data.cache_dir", "trainer.default_root_dir", "name", "ckpt_path")
#: Most levels of nested settings that are flattened: a YAML mapping can contain itself.
_MAX_DEPTH = 6


def run_folders(logs: Path) -> list[tuple[str, Path]]:
    """Return the name, `experiment/version_N`, and the folder of each run below `logs`, sorted by name."""
    # A link that leads elsewhere is not a run of this folder.
    home = logs.resolve()
    found = [path for path in logs.glob("*/version_*") if path.is_dir() and path.resolve().is_relative_to(home)]
    named = [(f"{path.parent.name}/{path.name}", path) for path in found]
    # A name that is not valid text could neither be shown nor requested.
    return sorted((name, path) for name, path in named if printable(name) == name)


def run_summary(name: str, run: Path) -> dict[str, Any]:
    """Return a run's row in the table of runs.

    A damaged run raises no exception: `missing` names the absent parts, and `problems` the unreadable files, each with
    the reason.

    Args:
        name: `experiment/version_N`.
        run: folder of the run.
    """
    return {key: value for key, value in _facts(name, run).items() if key not in _DETAIL_KEYS}


def run_detail(name: str, run: Path) -> dict[str, Any]:
    """Return everything that a run's page shows; arguments and damaged files as in `run_summary`."""
    facts = _facts(name, run)
    # The defaults need imports that take seconds, so the table does without them.
    config = _config(run, [])
    facts["settings"] = changed_settings(config) if config else None
    return facts


def curves_json(run: Path) -> dict[str, Any] | None:
    """Return the learning curves of a run in numbers that JSON can hold; None without a curve.

    Args:
        run: folder of the run; it may be training, or its event files may end in the middle of a record.

    Returns:
        `curves` by tag, each with `epochs` (counted from 1, rising) and `values` (null for infinity and NaN),
        `last_epoch`, `probe_loss` in nats, `probe_acc` 0–1, `kept` (`epoch`, `probe` or empty) and `kept_epoch`.
    """
    best = run / project.CHECKPOINTS / project.BEST
    try:
        found = read_curves(run, best)
    except OSError:
        return None  # the run is being deleted
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
        "kept": found.kept if best.is_file() else "",
        "kept_epoch": found.kept_epoch if best.is_file() else None,
    }


def finite(value: object) -> float | None:
    """Return a number that JSON can hold; None for infinity, NaN and anything that is not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def short_path(path: Path) -> str:
    """Return a path relative to the project's root where possible, for commands that are run from the root."""
    path = path.absolute()
    return printable(os.path.relpath(path, project.ROOT) if path.is_relative_to(project.ROOT) else str(path))


def _facts(name: str, run: Path) -> dict[str, Any]:
    stamps = _stamps(run)
    facts = dict(_read(name, run, stamps))
    newest = max(
        (changed for file, changed, _ in stamps if file.startswith("events.") or file == project.LAST), default=0
    )
    facts["state"] = _state(facts, stamps, time.time() - newest / 1e9)
    if facts["state"] == "training":
        facts["missing"] = [part for part in facts["missing"] if part not in _LATE_PARTS]
    return facts


def _stamps(run: Path) -> Stamp:
    checkpoints = run / project.CHECKPOINTS
    paths = [run / name for name in (project.CONFIG, project.METRICS, _ANSWERS, REPORT)]
    paths += [checkpoints / name for name in (project.BEST, project.LAST, project.PROBE)]
    paths += [calibration_file(checkpoints / project.BEST), *sorted(run.glob(_EVENTS))]
    return stamp(*paths)


@lru_cache(maxsize=1024)
def _read(name: str, run: Path, stamps: Stamp) -> dict[str, Any]:
    files = {file for file, _, _ in stamps}
    problems: list[dict[str, str]] = []
    config = _config(run, problems)
    metrics = _metrics(run, problems) if project.METRICS in files else {}
    curves = curves_json(run)
    max_epochs = setting(config, "trainer.max_epochs")
    root = setting(config, "data.root")
    parts = {
        "config": project.CONFIG in files,
        "curves": curves is not None,
        "checkpoint": project.BEST in files,
        "metrics": project.METRICS in files,
        "answers": _ANSWERS in files,
        "calibration": calibration_file(project.BEST).name in files,
        "report": REPORT in files,
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
        "image_size": size if isinstance(size := setting(config, "model.image_size"), int) else None,
        "dataset": Path(str(root)).name if root else "",
        "root": str(root or ""),
        "origin": _origin(root, str(metrics.get("split", ""))),
        "n": finite(metrics.get("n")),
        "split": str(metrics.get("split", "")),
        "accuracy": finite(metrics.get("accuracy")),
        "accuracy_ci95": _interval(metrics.get("accuracy_ci95")),
        "accuracy_bootstrap95": _interval(metrics.get("accuracy_bootstrap95")),
        "interval": _leading_interval(metrics),
        "relabelled": _relabelled(metrics.get("relabelled")),
        "groups": finite(metrics.get("groups")),
        "macro_f1": finite(metrics.get("macro_f1")),
        "ece": finite(metrics.get("ece")),
        "calibrated": "temperature" in metrics,
        "stale": _is_newer(stamps, project.BEST, project.METRICS),
        "missing": [part for part, present in parts.items() if not present],
        "problems": problems,
        "figures": {key: finite(metrics.get(key)) for key in ("nll", "brier", "temperature")},
        "confusion": _confusion(metrics.get("confusion")),
        "per_class": metrics.get("per_class") if isinstance(metrics.get("per_class"), dict) else {},
        "calibration": _calibration(run, problems) if parts["checkpoint"] else None,
        "curves": curves,
        "commands": _commands(run, bool(config), parts["checkpoint"], project.LAST in files),
    }


def _origin(root: object, split: str) -> dict[Language, str] | None:
    """Return what is to be said of rendered photos among a run's, by language; None if there is nothing to say."""
    # Imported here: the rendered court takes half a second.
    from bball_pl.evaluate.origin import origin_of_sources

    if not isinstance(root, str) or not root:
        return None
    table = project.ROOT / root / PHOTOS_CSV
    sources = _sources(table, stamp(table))
    tested = [source for path, source in sources.items() if split and path.partition("/")[0] == split]
    origin = origin_of_sources(sources.values(), tested)
    found = {language: " ".join(origin.lines(language)) for language in LANGUAGES}
    return found if found["en"] else None


@lru_cache(maxsize=32)
def _sources(table: Path, stamps: Stamp) -> dict[str, str]:
    from bball_pl.evaluate.origin import sources_of

    try:
        return sources_of(table.parent) if stamps else {}
    except DatasetError:
        return {}


def _leading_interval(metrics: Mapping[str, Any]) -> list[float] | None:
    """Return the interval that stands beside the accuracy; None where the figures have none."""
    own = {key: _interval(metrics.get(key)) for key in ("accuracy_ci95", "accuracy_bootstrap95")}
    if own["accuracy_ci95"] is None:
        return None
    return leading_interval(own | {"groups": finite(metrics.get("groups"))})[0]


def _relabelled(figures: object) -> dict[str, Any] | None:
    """Return the figures under the labels before people changed them, where they are whole."""
    if not isinstance(figures, Mapping):
        return None
    numbers = {key: finite(figures.get(key)) for key in ("changed", "agreeing", "quarantined", "accuracy", "n")}
    return None if None in numbers.values() else numbers


def _state(facts: dict[str, Any], stamps: Stamp, quiet_seconds: float) -> str:
    """Return `empty`, `training`, `finished` or `stopped`."""
    if not stamps:
        return "empty"
    finished = "metrics" not in facts["missing"] and not _is_newer(stamps, project.LAST, project.METRICS)
    # A run without test photos has no metrics; its epochs show that it is finished.
    finished = finished or (facts["max_epochs"] is not None and facts["epoch"] >= facts["max_epochs"])
    if finished:
        return "finished"
    return "training" if quiet_seconds < _QUIET_SECONDS else "stopped"


def _is_newer(stamps: Stamp, file: str, than: str) -> bool:
    times = {name: changed for name, changed, _ in stamps}
    return file in times and than in times and times[file] - times[than] > _COPY_SECONDS * 1e9


def _started(run: Path, stamps: Stamp) -> str:
    """Return the start of a run, ISO 8601 in UTC: the names of event files contain the second."""
    fields = [name.split(".") for name, _, _ in stamps if name.startswith("events.")]
    seconds = [float(parts[3]) for parts in fields if len(parts) > 3 and parts[3].isdecimal()]
    try:
        moment = min(seconds) if seconds else run.stat().st_mtime
        return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="seconds")
    except (OSError, OverflowError, ValueError):
        return ""


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
        reason = "contains no accuracy; make it again with bball evaluate"
        problems.append({"file": project.METRICS, "reason": reason})
        return {}
    return metrics


def _calibration(run: Path, problems: list[dict[str, str]]) -> dict[str, Any] | None:
    try:
        found = read_calibration(run / project.CHECKPOINTS / project.BEST)
    except (RunError, OSError) as error:
        problems.append({"file": calibration_file(project.BEST).name, "reason": str(error)})
        return None
    if found is None:
        return None
    return {key: getattr(found, key) for key in ("temperature", "threshold", "target_accuracy", "coverage", "n")}


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


def _interval(value: Any) -> list[float] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    low, high = finite(value[0]), finite(value[1])
    return None if low is None or high is None else [low, high]


def _commands(run: Path, has_config: bool, has_best: bool, has_last: bool) -> dict[str, str]:
    """Return the commands to type in the project's root, by their purpose."""
    folder = short_path(run)
    commands = {"tensorboard": shlex.join(["tensorboard", "--logdir", short_path(run.parents[1])])}
    if has_best:
        for name, *photos in (("evaluate",), ("export",), ("predict", "photo.jpg")):
            commands[name] = shlex.join(["bball", name, "--run", folder, *photos])
    if has_config:
        commands["again"] = shlex.join(["bball", "fit", "--config", f"{folder}/{project.CONFIG}"])
        if has_last:
            commands["resume"] = shlex.join(["bball", "fit", "--resume", folder])
    return commands


def read_config(run: Path) -> dict[str, Any]:
    """Return the settings in a run's `config.yaml`.

    Raises:
        ValueError: if the file is missing, cannot be read or contains no settings; the message is the reason alone.
    """
    path = run / project.CONFIG
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError("is missing") from None
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"is not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(config, dict):
        raise ValueError("contains no settings")
    return config


def setting(config: Mapping[str, Any], name: str) -> Any:
    """Return a setting by its dotted name, or None."""
    value: Any = config
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def changed_settings(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the settings that differ from the defaults of `bball fit`, as `name`, `value`, `default`."""
    defaults = _defaults()
    # A setting that this version does not know is listed with an empty default.
    return [
        {"name": name, "value": _text(value), "default": _text(defaults[name]) if name in defaults else ""}
        for name, value in _flat(config)
        if name not in _PATH_SETTINGS and (name not in defaults or defaults[name] != value)
    ]


def different_settings(config_a: Mapping[str, Any], config_b: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the settings in which two runs differ, as `name`, `a`, `b`; an absent setting is an empty text."""
    a, b = dict(_flat(config_a)), dict(_flat(config_b))
    return [
        {"name": name, "a": _text(a[name]) if name in a else "", "b": _text(b[name]) if name in b else ""}
        for name in dict.fromkeys([*a, *b])
        # Two runs on different datasets should say so.
        if (name == "data.root" or name not in _PATH_SETTINGS)
        and (name not in a or name not in b or a[name] != b[name])
    ]


@cache
def _defaults() -> dict[str, Any]:
    # The signatures are the schema of the command line, and configs/fit.yaml overrides their defaults.
    import lightning as L

    from bball_pl.data.datamodule import PhotoDataModule
    from bball_pl.model.classifier import MoveClassifier
    from bball_pl.model.fit.trainer import FitTrainer

    defaults: dict[str, Any] = {"seed_everything": 7, "pictures": True}
    groups = [("trainer", L.Trainer), ("trainer", FitTrainer), ("model", MoveClassifier), ("data", PhotoDataModule)]
    for group, owner in groups:
        for name, parameter in inspect.signature(owner).parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                defaults[f"{group}.{name}"] = parameter.default
    defaults.update(_flat(yaml.safe_load((project.CONFIGS / "fit.yaml").read_text(encoding="utf-8"))))
    return defaults


def _flat(settings: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and name.count(".") < _MAX_DEPTH:
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _text(value: Any) -> str:
    """Return a value as it is written on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_text(item) for item in value)}]"
    return str(value)
