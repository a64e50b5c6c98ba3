"""What a run's folder says about its best model: predictions and figures of a split."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from bball_pl import runs
from bball_pl.data.folder import Photo
from bball_pl.evaluate.answers import Answers, write_answers
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.metrics import compute_metrics, write_metrics
from bball_pl.evaluate.summary import metrics_table
from bball_pl.model.outcomes import Outcomes


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
    rank_zero_only(write_answers)(Path(run) / runs.predictions_file(split), answers)
    rank_zero_only(write_metrics)(Path(run) / runs.METRICS, metrics)
    return metrics


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write `predictions_<split>.csv` and `metrics.json`, each whole or not at all."""
    write_answers(folder / runs.predictions_file(evaluation.split), evaluation.answers)
    write_metrics(folder / runs.METRICS, evaluation.metrics)


def is_evaluated(folder: Path, split: str) -> bool:
    """Say whether a folder's figures are of that split and of an evaluation, not of the test at the end of a fit."""
    try:
        metrics = json.loads((folder / runs.METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    answered = (folder / runs.predictions_file(split)).is_file()
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
    python, root = Path(sys.executable), runs.ROOT
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
