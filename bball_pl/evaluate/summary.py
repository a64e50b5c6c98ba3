"""The figures of a split as a table on the terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table

from bball_pl.classes import display_name
from bball_pl.evaluate.evaluation import Evaluation

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
