"""Facts of an evaluation: dataset and split, settings, versions, commands, and the comparison with 2018."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from bball_pl import __version__, project
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.metrics import Share
from bball_pl.evaluate.predictions import Answers
from bball_pl.evaluate.report.remarks import NONE, percent, percents, shown
from bball_pl.moves import MOVES
from bball_pl.wording import counted, thousands

#: Confusion matrix of the test of 2018: a row per true move and a column per answer, in the order of `MOVES`.
MATRIX_2018 = ((81, 2, 17), (2, 98, 0), (18, 3, 79))


@dataclass(frozen=True)
class Baseline:
    """Comparison with the result of 2018.

    Attributes:
        head: headings of the columns.
        rows: a row per figure: its name, the value of 2018, the value now.
        remark: how far the two can be compared.
    """

    head: list[str]
    rows: list[list[str]]
    remark: str


def baseline_2018(answers: Answers) -> Baseline | None:
    """Compare answers with the result of 2018; None if the classes are not the three moves."""
    names = [move.name for move in MOVES]
    if sorted(answers.class_names) != sorted(names):
        return None
    order = [answers.class_names.index(name) for name in names]
    then, now = np.array(MATRIX_2018), answers.confusion[np.ix_(order, order)]
    figures = [
        "photos",
        "right",
        "accuracy",
        "95 % interval",
        "errors between layup and shoot",
        *(f"{move.name} {move.chinese} recognised" for move in MOVES),
    ]
    rows = [list(row) for row in zip(figures, _column(then), _column(now), strict=True)]
    layup, shoot = names.index("layup"), names.index("shoot")
    errors, between = int(then.sum() - np.trace(then)), _between(then)
    remark = (
        "Not a like-for-like comparison: the 2018 photos were different, and a few points can be due to the photos "
        f"alone. The confusion matrix of 2018 in words: {between} of {errors} errors were between layup and shoot "
        f"({then[layup, shoot]} layups answered as shoot, {then[shoot, layup]} shoots answered as layup); the other "
        f"{errors - between} involved dribble."
    )
    return Baseline(["figure", "2018", "now"], rows, remark)


def _column(matrix: np.ndarray) -> list[str]:
    accuracy = Share(int(np.trace(matrix)), int(matrix.sum()))
    errors = accuracy.n - accuracy.right
    recalls = [f"{row[label]} of {row.sum()}" if row.sum() else "no photos" for label, row in enumerate(matrix)]
    return [
        thousands(accuracy.n),
        thousands(accuracy.right),
        percent(accuracy.value),
        percents(accuracy.interval),
        f"{_between(matrix)} of {errors}" if errors else "no errors",
        *recalls,
    ]


def _between(matrix: np.ndarray) -> int:
    """Return the number of layups answered as shoot and shoots answered as layup."""
    names = [move.name for move in MOVES]
    layup, shoot = names.index("layup"), names.index("shoot")
    return int(matrix[layup, shoot] + matrix[shoot, layup])


_SETTINGS = {
    "model": "backbone weights image_size answer_size fit probe head_epochs lr layer_decay weight_decay "
    "label_smoothing mixup cutmix dropout batch_norm ema_decay",
    "data": "augment batch_size val_fraction",
    "trainer": "max_epochs precision",
}
_PACKAGES = ("torch", "torchvision", "lightning", "timm", "numpy")


@dataclass(frozen=True)
class Facts:
    """Facts in words.

    Attributes:
        counts: photos by class and split: a header, a row per class, rows of totals and groups; empty if not known.
        dataset: names and values.
        settings: names and values from the run's `config.yaml`; empty without one.
        versions: packages and their versions.
        commands: titles and command lines.
    """

    counts: list[list[str]]
    dataset: list[tuple[str, str]]
    settings: list[tuple[str, str]]
    versions: list[tuple[str, str]]
    commands: list[tuple[str, str]]


def collect_facts(evaluation: Evaluation) -> Facts:
    """Collect the facts that describe an evaluation and repeat it."""
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
    rows += [[shown(name), *(thousands(by_class.get(name, 0)) for by_class in counts.values())] for name in names]
    rows.append(["all photos", *(thousands(sum(by_class.values())) for by_class in counts.values())])
    groups: dict[str, int] = data.get("groups") or {}
    rows.append(["groups", *(thousands(groups[split]) if groups.get(split) else NONE for split in counts)])
    return rows


def _dataset(evaluation: Evaluation) -> list[tuple[str, str]]:
    data, metrics = evaluation.data, evaluation.metrics
    training_root = str(data.get("root", ""))
    rows = [("photos answered", f"{counted(len(evaluation.answers), 'photo')} of the split “{evaluation.split}”")]
    groups = metrics.get("groups")
    known = f"{counted(groups, 'group')} (albums, games or clips)" if groups else "not known: photos.csv names none"
    rows.append(("groups among them", known))
    if scenes := data.get("scenes"):
        rows.append(("rendered scenes without a move", f"{scenes}, learnt as the class none beside the photos"))
    rows.append(("folder", str(evaluation.root)))
    if training_root and training_root != str(evaluation.root):
        rows.append(("folder at training", training_root))
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
        values = config.get(part)
        if isinstance(values, dict):
            rows += [(f"{part}.{key}", str(values[key])) for key in keys.split() if values.get(key) is not None]
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
        rows.append(("Repeat this evaluation:", evaluation.command))
    if evaluation.run is not None and (evaluation.run / project.CONFIG).is_file():
        config = evaluation.run / project.CONFIG
        # Relative to the project's folder where that is possible, because commands are run from it.
        short = config if not config.is_relative_to(project.ROOT) else Path(os.path.relpath(config, project.ROOT))
        rows.append(("Repeat the training:", shlex.join(["bball", "fit", "--config", str(short)])))
    return rows
