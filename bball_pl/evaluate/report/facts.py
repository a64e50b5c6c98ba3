"""Facts of an evaluation: dataset and split, settings of the run, versions, and the commands that repeat it."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from bball_pl import __version__, runs
from bball_pl.evaluate.calibration import file_sha256
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.report.wording import NONE, counted, shown, thousands

_SETTINGS = {
    "model": "backbone weights image_size fit probe head_epochs lr layer_decay weight_decay label_smoothing mixup "
    "cutmix dropout batch_norm ema_decay",
    "data": "augment batch_size val_fraction",
    "trainer": "max_epochs precision",
}
_PACKAGES = ("torch", "torchvision", "lightning", "timm", "numpy")


@dataclass(frozen=True)
class Facts:
    """Facts in words.

    Attributes:
        counts: the dataset by class and split: a head, a row per class, rows of totals and groups; empty if unknown.
        dataset: names and values.
        settings: names and values of the run's `config.yaml`; empty without one.
        versions: names and values.
        commands: what to type, with a word on each.
    """

    counts: list[list[str]]
    dataset: list[tuple[str, str]]
    settings: list[tuple[str, str]]
    versions: list[tuple[str, str]]
    commands: list[tuple[str, str]]


def collect_facts(evaluation: Evaluation) -> Facts:
    """Gather what a reader needs to know what was measured, and to measure it again."""
    return Facts(
        counts=_counts(evaluation.data),
        dataset=list(_dataset(evaluation)),
        settings=_settings(evaluation.run),
        versions=_versions(),
        commands=_commands(evaluation),
    )


def _counts(data: Mapping[str, Any]) -> list[list[str]]:
    counts: dict[str, dict[str, int]] = data.get("counts") or {}
    if not counts:
        return []
    names = list(dict.fromkeys(name for by_class in counts.values() for name in by_class))
    rows = [["class", *counts]]
    rows += [[shown(name), *(thousands(own.get(name, 0)) for own in counts.values())] for name in names]
    rows.append(["all photos", *(thousands(sum(own.values())) for own in counts.values())])
    groups: dict[str, int] = data.get("groups") or {}
    rows.append(["groups", *(thousands(groups[split]) if groups.get(split) else NONE for split in counts)])
    return rows


def _dataset(evaluation: Evaluation) -> list[tuple[str, str]]:
    data, metrics = evaluation.data, evaluation.metrics
    learned = str(data.get("root", ""))
    rows = [("photos answered", f"{counted(len(evaluation.answers), 'photo')} of the split “{evaluation.split}”")]
    groups = metrics.get("groups")
    known = f"{counted(groups, 'group')} (albums, games or clips)" if groups else "not known: photos.csv names none"
    rows.append(("groups among them", known))
    rows.append(("folder", str(evaluation.root)))
    if learned and learned != str(evaluation.root):
        rows.append(("folder at training", learned))
    if data.get("sha256"):
        rows.append(("dataset's SHA-256", str(data["sha256"])))
    rows.append(("checkpoint", str(evaluation.checkpoint)))
    if evaluation.checkpoint.is_file():
        rows.append(("checkpoint's SHA-256", file_sha256(evaluation.checkpoint)))
    rows.append(("test-time augmentation", str(metrics.get("tta", "none"))))
    if evaluation.seconds > 0:
        rate = len(evaluation.answers) / evaluation.seconds
        rows.append(("time", f"{evaluation.seconds:.1f} s, {rate:.1f} photos a second, decoding included"))
    return rows


def _settings(run: Path | None) -> list[tuple[str, str]]:
    path = None if run is None else run / runs.CONFIG
    if path is None or not path.is_file():
        return []
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return [(runs.CONFIG, "cannot be read")]
    if not isinstance(config, dict):
        return [(runs.CONFIG, "holds no settings")]
    rows = []
    for part, keys in _SETTINGS.items():
        own = config.get(part)
        if isinstance(own, dict):
            rows += [(f"{part}.{key}", str(own[key])) for key in keys.split() if own.get(key) is not None]
    if config.get("seed_everything") is not None:
        rows.append(("seed_everything", str(config["seed_everything"])))
    return rows


def _versions() -> list[tuple[str, str]]:
    rows = [("bball_pl", __version__), ("Python", platform.python_version())]
    for package in _PACKAGES:
        try:
            rows.append((package, version(package)))
        except PackageNotFoundError:
            rows.append((package, "not installed"))
    return rows


def _commands(evaluation: Evaluation) -> list[tuple[str, str]]:
    rows = []
    if evaluation.command:
        rows.append(("This evaluation again:", evaluation.command))
    if evaluation.run is not None and (evaluation.run / runs.CONFIG).is_file():
        config = evaluation.run / runs.CONFIG
        # As short as it can be, as long as it works from the repository's root.
        near = config if not config.is_relative_to(runs.ROOT) else Path(os.path.relpath(config, runs.ROOT))
        rows.append(("The training again:", shlex.join(["python", "scripts/fit.py", "--config", str(near)])))
    return rows
