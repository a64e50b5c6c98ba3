"""Results of a run's best model: predictions and figures in its folder, and as a table on the terminal."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only
from rich import box
from rich.console import Console, Group
from rich.table import Table

from bball_pl import project
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.metrics import compute_metrics, write_metrics
from bball_pl.evaluate.predictions import Answers, write_answers
from bball_pl.model.outcomes import Outcomes
from bball_pl.moves import display_name
from bball_pl.photos.tree import Photo

#: Below this many groups an interval from drawing groups covers the truth clearly less often than it says.
_FEW_GROUPS = 20


def metrics_table(metrics: dict[str, Any]) -> Table:
    """Return a rich table: the whole split in its title, then a row per class with its confusions."""
    low, high = metrics["accuracy_ci95"]
    title = (
        f"{metrics['split']}: accuracy {metrics['accuracy']:.1%} (95 % interval {low:.1%}–{high:.1%}) on "
        f"{metrics['n']} photos\nmacro F1 {metrics['macro_f1']:.3f}, NLL {metrics['nll']:.3f}, "
        f"Brier {metrics['brier']:.3f}, ECE {metrics['ece']:.3f}"
    )
    # Without vertical lines three moves fit a terminal of 80 columns.
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, collapse_padding=True)
    table.add_column("true class", no_wrap=True)
    for heading in ("photos", "precision", "recall", "F1"):
        table.add_column(heading, justify="right")
    labels = metrics["confusion"]["labels"]
    for label in labels:
        table.add_column(f"→{label}", justify="right")
    for label, row in zip(labels, metrics["confusion"]["matrix"], strict=True):
        own = metrics["per_class"][label]
        figures = [f"{own[key]:.3f}" for key in ("precision", "recall", "f1")]
        table.add_row(display_name(label), str(own["support"]), *figures, *(str(count) for count in row))
    return table


def evaluation_summary(evaluation: Evaluation) -> Group:
    """Return the table of the figures, and below it what calibration changed and how fast the network answered."""
    metrics, calibration = evaluation.metrics, evaluation.calibration
    lines = []
    if metrics["groups"] and metrics["accuracy_bootstrap95"]:
        low, high = metrics["accuracy_bootstrap95"]
        doubt = "; with so few groups it is still too narrow" if metrics["groups"] < _FEW_GROUPS else ""
        lines.append(
            f"Drawn by {metrics['groups']} groups instead of photos the interval is {low:.1%}–{high:.1%}{doubt}."
        )
    if calibration is None:
        lines.append("Confidences are not calibrated: there are no validation photos to calibrate on.")
    else:
        before, after = metrics["uncalibrated"], metrics
        lines.append(
            f"Temperature {calibration.temperature:.2f} (from {calibration.n} validation photos): calibration error "
            f"{before['ece']:.3f} → {after['ece']:.3f}, NLL {before['nll']:.3f} → {after['nll']:.3f}."
        )
        unsure = metrics["unsure"]
        if unsure is None:
            lines.append(f"No threshold reaches {calibration.target_accuracy:.0%} on the validation photos.")
        elif unsure["threshold"] == 0:
            lines.append(f'All validation answers together reach {calibration.target_accuracy:.0%}: none is "unsure".')
        else:
            rest = f", {unsure['accuracy']:.1%} of them rightly" if unsure["answered"] else ""
            lines.append(
                f'"Unsure" below a confidence of {unsure["threshold"]:.2f} (chosen for '
                f"{calibration.target_accuracy:.0%} on validation): {unsure['answered']:.1%} are answered{rest}."
            )
    number = len(evaluation.answers)
    lines.append(
        f"{number} photos in {evaluation.seconds:.1f} s, {number / max(evaluation.seconds, 1e-9):.0f} photos/s."
    )
    return Group(metrics_table(metrics), *lines)


def write_results(
    run: str | os.PathLike[str], split: str, photos: Sequence[Photo], outcomes: Outcomes, class_names: list[str]
) -> dict[str, Any]:
    """Write `predictions_<split>.csv` and `metrics.json` into a run's folder and return the figures.

    Args:
        run: the folder.
        split: its name.
        photos: every photo of the split.
        outcomes: the answer to each of them, in the same order.
        class_names: in the order of the logits.

    Raises:
        ValueError: if a photo has no answer or an answer has no photo.
    """
    if outcomes.indices.tolist() != list(range(len(photos))):
        raise ValueError(f"{len(outcomes.indices)} answers for {len(photos)} photos of {split}")
    answers = Answers(
        class_names,
        [photo.relative for photo in photos],
        [photo.group for photo in photos],
        outcomes.targets.numpy(),
        outcomes.probabilities.numpy(),
    )
    metrics = compute_metrics(split, answers)
    # Every process of a distributed run has all answers; one of them writes.
    rank_zero_only(write_answers)(Path(run) / project.predictions_file(split), answers)
    rank_zero_only(write_metrics)(Path(run) / project.METRICS, metrics)
    return metrics


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write `predictions_<split>.csv` and `metrics.json`, each whole or not at all."""
    write_answers(folder / project.predictions_file(evaluation.split), evaluation.answers)
    write_metrics(folder / project.METRICS, evaluation.metrics)


def is_evaluated(folder: Path, split: str) -> bool:
    """Say whether a folder's figures are of that split and of an evaluation, not of the test at the end of a fit."""
    try:
        metrics = json.loads((folder / project.METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    answered = (folder / project.predictions_file(split)).is_file()
    return answered and isinstance(metrics, dict) and metrics.get("split") == split and "temperature" in metrics


@rank_zero_only
def show_results(run: str | os.PathLike[str], metrics: dict[str, Any] | None) -> None:
    """Print the figures, where the run lies and what to do next.

    Args:
        run: its folder.
        metrics: what `write_results` returned, or None if there was nothing to test on.
    """
    console = Console()
    if metrics is None:
        console.print("[bold]No test photos[/bold]: nothing says how good the model is on photos it has not seen.")
    else:
        console.print(metrics_table(metrics))
    console.print(f"run: {run}", soft_wrap=True, highlight=False)
    console.print("next:", highlight=False)
    # In full, so that they work when pasted, whatever folder and environment the shell is in.
    python, root = Path(sys.executable), project.ROOT
    commands = [
        [python, root / "scripts/evaluate.py", "--run", run],
        [python, root / "scripts/export.py", "--run", run],
        [python, root / "scripts/fit.py", "--config", root / "configs/demo.yaml", "--data.root", "YOUR_PHOTOS"],
    ]
    if metrics is None:
        del commands[:2]  # both ask test photos
    if any(Path(run).glob("events.out.tfevents*")):
        commands.insert(0, [python.with_name("tensorboard"), "--logdir", Path(run).parents[1]])
    for command in commands:
        console.print(f"  {shlex.join(map(str, command))}", soft_wrap=True, highlight=False, markup=False)
