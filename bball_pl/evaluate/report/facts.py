"""Facts of an evaluation: dataset and split, settings, versions, commands, and the result of 2018 beside it."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from bball_pl import __version__, project
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.metrics import wilson
from bball_pl.evaluate.predictions import Answers
from bball_pl.evaluate.report.remarks import NONE, counted, percent, percents, shown, thousands
from bball_pl.moves import MOVES

#: The test of 2018: a row per true move and a column per answer, in the order of `MOVES`.
MATRIX_2018 = ((81, 2, 17), (2, 98, 0), (18, 3, 79))


@dataclass(frozen=True)
class Beside:
    """Two results in words.

    Attributes:
        head: headings of the columns.
        rows: a row per figure: its name, that of 2018, that of now.
        remark: how the two may be compared.
    """

    head: list[str]
    rows: list[list[str]]
    remark: str


def beside_2018(answers: Answers) -> Beside | None:
    """Put answers beside the result of 2018; None if the classes are not the three moves."""
    names = [move.name for move in MOVES]
    if sorted(answers.class_names) != sorted(names):
        return None
    place = [answers.class_names.index(name) for name in names]
    now = np.zeros((len(names), len(names)), np.int64)
    np.add.at(now, (answers.targets, answers.predicted), 1)
    columns = [_column(np.array(MATRIX_2018)), _column(now[np.ix_(place, place)])]
    figures = [
        "photos",
        "right",
        "accuracy",
        "95 % interval",
        "errors between layup and shoot",
        *(f"{move.name} {move.chinese} recognised" for move in MOVES),
    ]
    rows = [[figure, *pair] for figure, pair in zip(figures, zip(*columns, strict=True), strict=True)]
    remark = (
        "This is no like-for-like: the photos of 2018 were others, and a few points of difference can be the photos "
        f"alone. In words, the confusion matrix of 2018: {_words(np.array(MATRIX_2018))}"
    )
    return Beside(["figure", "2018", "now"], rows, remark)


def _column(matrix: np.ndarray) -> list[str]:
    right, number = int(np.trace(matrix)), int(matrix.sum())
    between = _between(matrix)
    recall = [
        f"{matrix[row, row]} of {matrix[row].sum()}" if matrix[row].sum() else "no photos" for row in range(len(matrix))
    ]
    return [
        thousands(number),
        thousands(right),
        percent(right / number),
        percents(wilson(right, number)),
        f"{between} of {number - right}" if number > right else "no errors",
        *recall,
    ]


def _between(matrix: np.ndarray) -> int:
    """Return how many layups were taken for shoots or shoots for layups."""
    layup, shoot = _index("layup"), _index("shoot")
    return int(matrix[layup, shoot] + matrix[shoot, layup])


def _words(matrix: np.ndarray) -> str:
    layup, shoot = _index("layup"), _index("shoot")
    errors = int(matrix.sum() - np.trace(matrix))
    rest = errors - _between(matrix)
    return (
        f"{_between(matrix)} of {errors} errors were between layup and shoot ({matrix[layup, shoot]} layups taken for "
        f"shoots, {matrix[shoot, layup]} shoots taken for layups); the other {rest} had to do with dribble."
    )


def _index(name: str) -> int:
    names: Sequence[str] = [move.name for move in MOVES]
    return names.index(name)


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
    if evaluation.checkpoint_sha256:
        rows.append(("checkpoint's SHA-256", evaluation.checkpoint_sha256))
    rows.append(("test-time augmentation", str(metrics.get("tta", "none"))))
    if evaluation.seconds > 0:
        rate = len(evaluation.answers) / evaluation.seconds
        rows.append(("time", f"{evaluation.seconds:.1f} s, {rate:.1f} photos a second, decoding included"))
    return rows


def _settings(run: Path | None) -> list[tuple[str, str]]:
    path = None if run is None else run / project.CONFIG
    if path is None or not path.is_file():
        return []
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return [(project.CONFIG, "cannot be read")]
    if not isinstance(config, dict):
        return [(project.CONFIG, "holds no settings")]
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
    if evaluation.run is not None and (evaluation.run / project.CONFIG).is_file():
        config = evaluation.run / project.CONFIG
        # As short as it can be, as long as it works from the repository's root.
        near = config if not config.is_relative_to(project.ROOT) else Path(os.path.relpath(config, project.ROOT))
        rows.append(("The training again:", shlex.join(["python", "scripts/fit.py", "--config", str(near)])))
    return rows
