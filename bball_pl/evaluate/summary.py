"""The figures of a split as a table on the terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table

from bball_pl.classes import display_name


def metrics_table(metrics: dict[str, Any]) -> Table:
    """Return a rich table: the whole split in its title, then a row per class with its confusions."""
    low, high = metrics["accuracy_ci95"]
    title = (
        f"{metrics['split']}: accuracy {metrics['accuracy']:.1%} (95 % interval {low:.1%}–{high:.1%}) on "
        f"{metrics['n']} photos\nmacro F1 {metrics['macro_f1']:.3f}, NLL {metrics['nll']:.3f}, "
        f"calibration error {metrics['ece']:.3f}"
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
