"""The table of an export on the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bball_pl.export.settings import STEM, Export


def export_summary(export: Export) -> Group:
    """Return a table of files, and below it every gate that did not hold."""
    table = Table(
        title=f"{STEM}.*, compared with the trained model on {export.photos} test photos",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for heading in ("file", "run with"):
        table.add_column(heading, no_wrap=True)
    for heading in ("MB", "largest\ndiff.", "same\nanswer", "right", "s per\nphoto", "gates\nheld"):
        table.add_column(heading, justify="right")
    lines: list[Text] = []
    for file in [*export.files, *export.refused]:
        held = sum(gate.passed for gate in file.gates)
        table.add_row(
            file.name.removeprefix(STEM),  # in full it would not fit a terminal of 80 columns
            file.engine,
            f"{file.megabytes:.1f}",
            f"{file.largest_difference:.0e}",
            f"{file.same_answers:.1%}",
            f"{file.accuracy:.1%}",
            f"{file.seconds_per_photo:.2f}",
            f"{held}/{len(file.gates)}",
            style=None if file.passed else "red",
        )
        failed = [gate for gate in file.gates if not gate.passed]
        lines.extend(
            Text(f"{file.name}: {gate.name}: found {gate.value}, expected {gate.limit}", "red") for gate in failed
        )
    lines.extend(Text(f"{file.name} loses too much and was left out; --force true keeps it") for file in export.refused)
    return Group(table, *lines)
