"""Results of an evaluation or a run: predictions and figures in a folder, and a table on the terminal."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bball_pl import project
from bball_pl.evaluate.calibration import Calibration
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.metrics import compute_metrics, interval_words, rejection_sentence, write_metrics
from bball_pl.evaluate.predictions import Answers, write_answers
from bball_pl.evaluate.relabelled import relabelling_sentence
from bball_pl.model.fit.seeds import spread_sentence
from bball_pl.model.outcomes import Outcomes
from bball_pl.moves import display_name
from bball_pl.photos.tree import Photo
from bball_pl.project import next_step
from bball_pl.terminal import console, say, say_next


def metrics_table(metrics: dict[str, Any]) -> Table:
    """Return a rich table: figures of the whole split in its title, then a row of the confusion matrix per class."""
    title = (
        f"{metrics['split']}: accuracy {metrics['accuracy']:.1%} ({interval_words(metrics)}) on {metrics['n']} photos\n"
        f"always one class {metrics['chance']:.1%}, macro F1 {metrics['macro_f1']:.3f}, NLL {metrics['nll']:.3f}, "
        f"Brier {metrics['brier']:.3f}, ECE {metrics['ece']:.3f}"
    )
    # Without vertical lines three moves fit a terminal of 80 columns.
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, collapse_padding=True)
    table.add_column("true class", no_wrap=True)
    for heading in ("photos", "precision", "recall", "F1"):
        table.add_column(heading, justify="right")
    labels = metrics["confusion"]["labels"]
    for label in labels:
        table.add_column(Text(f"→{label}"), justify="right")  # square brackets in a name are not markup
    for label, row in zip(labels, metrics["confusion"]["matrix"], strict=True):
        figures = metrics["per_class"][label]
        # A class without photos has no figures; one of zero would look like a fault.
        cells = [f"{figures[key]:.3f}" if figures["support"] else "–" for key in ("precision", "recall", "f1")]
        table.add_row(Text(display_name(label)), str(figures["support"]), *cells, *(str(count) for count in row))
    return table


def evaluation_summary(evaluation: Evaluation) -> Group:
    """Return the table of the figures, the effect of the calibration, and the speed."""
    metrics, calibration = evaluation.metrics, evaluation.calibration
    relabelled = metrics["relabelled"]
    sentences = [*evaluation.origin.lines(), *([relabelling_sentence(relabelled)] if relabelled else [])]
    first = [Text(sentence, "bold") for sentence in sentences]
    lines = []
    if metrics["seeds"]:
        lines.append(spread_sentence(metrics["seeds"]))
    if metrics["rejection"]:
        lines.append(rejection_sentence(metrics["rejection"]))
    if calibration is None:
        lines.append("Confidences are not calibrated: there are no validation photos to calibrate on.")
    else:
        before, unsure = metrics["uncalibrated"], metrics["unsure"]
        lines.append(
            f"Temperature {calibration.temperature:.2f} ({_origin(calibration)}): calibration error "
            f"{before['ece']:.3f} → {metrics['ece']:.3f}, NLL {before['nll']:.3f} → {metrics['nll']:.3f}."
        )
        if unsure is None:
            wanted = f"{calibration.target_accuracy:.0%}" if calibration.n else "the wanted accuracy"
            lines.append(f"No threshold reaches {wanted} on the validation photos.")
        elif unsure["threshold"] == 0:
            wanted = f"{calibration.target_accuracy:.0%}" if calibration.n else "the wanted accuracy"
            lines.append(f'All validation answers together reach {wanted}: none is "unsure".')
        else:
            accuracy = f", {unsure['accuracy']:.1%} of those correct" if unsure["answered"] else ""
            aim = f" (for {calibration.target_accuracy:.0%} on validation)" if calibration.n else ""
            lines.append(
                f'"Unsure" below a confidence of {unsure["threshold"]:.2f}{aim}. '
                f"Coverage: {unsure['answered']:.1%} answered{accuracy}."
            )
    number = len(evaluation.answers)
    lines.append(
        f"{number} photos in {evaluation.seconds:.1f} s, {number / max(evaluation.seconds, 1e-9):.0f} photos/s."
    )
    return Group(metrics_table(metrics), *first, *map(Text, lines))


def _origin(calibration: Calibration) -> str:
    return f"from {calibration.n} validation photos" if calibration.n else "as the exported file states it"


def write_results(
    run: str | os.PathLike[str], split: str, photos: Sequence[Photo], outcomes: Outcomes, class_names: list[str]
) -> dict[str, Any]:
    """Write `predictions_<split>.csv` and `metrics.json` into a run's folder and return the figures.

    Args:
        run: folder of the run.
        split: name of the split.
        photos: all photos of the split.
        outcomes: the answers to them, in the same order.
        class_names: in the order of the logits.

    Raises:
        ValueError: if a photo has no answer or an answer has no photo.
    """
    from lightning.pytorch.utilities import rank_zero_only  # an evaluation needs no Lightning

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
    # Every process of a distributed run has all answers; only one writes.
    rank_zero_only(write_answers)(Path(run) / project.predictions_file(split), answers)
    rank_zero_only(write_metrics)(Path(run) / project.METRICS, metrics)
    return metrics


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write `predictions_<split>.csv` and `metrics.json`, each atomically."""
    write_answers(folder / project.predictions_file(evaluation.split), evaluation.answers)
    write_metrics(folder / project.METRICS, evaluation.metrics)


def is_evaluated(folder: Path, split: str) -> bool:
    """Return whether a folder has figures of a split from an evaluation, not from the test at the end of a fit."""
    try:
        metrics = json.loads((folder / project.METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    answered = (folder / project.predictions_file(split)).is_file()
    return answered and isinstance(metrics, dict) and metrics.get("split") == split and "temperature" in metrics


def show_results(run: str | os.PathLike[str], metrics: dict[str, Any] | None) -> None:
    """Print the figures, the run's folder and the next commands.

    Args:
        run: folder of the run.
        metrics: figures from `write_results`, or None without test photos.
    """
    if metrics is None:
        console.print("[bold]No test photos[/bold]: nothing says how good the model is on photos it has not seen.")
    else:
        console.print(metrics_table(metrics))
    say(f"run: {run}")
    commands = [
        next_step("evaluate", "--run", run),
        next_step("export", "--run", run),
        next_step("fit", "--config", "demo", "--data.root", "YOUR_PHOTOS"),
    ]
    if metrics is None:
        del commands[:2]  # both need test photos
    if any(Path(run).glob("events.out.tfevents*")):
        tensorboard = [Path(sys.executable).with_name("tensorboard"), "--logdir", Path(run).parents[1]]
        commands.insert(0, shlex.join(map(str, tensorboard)))
    say_next(*commands)
