"""What a split made, as a table and lines for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from bball_pl.classes import display_name
from bball_pl.curate.placing import LEFT_OUT, Made
from bball_pl.data.folder import SPLITS


def split_table(made: Made) -> Table:
    """Return photos and shares by class and split, with the number of groups."""
    counts = made.plan.counts
    names = [*made.album.class_names]
    names += sorted({name for own in counts.values() for name in own} - set(names))
    table = Table()
    table.add_column("class")
    for split in SPLITS:
        table.add_column(split, justify="right")
    for name in [*names, ""]:
        own = [sum(counts[split].values()) if not name else counts[split][name] for split in SPLITS]
        whole = max(sum(own), 1)
        if not name:
            table.add_section()
        table.add_row(display_name(name) if name else "all", *(f"{count} ({count / whole:.0%})" for count in own))
    table.add_row("groups", *(str(made.plan.units[split]) for split in SPLITS))
    return table


def split_lines(made: Made, out: Path, dry_run: bool) -> Iterator[str]:
    """Yield what was done and what could not be."""
    new = len(made.plan.places)
    yield f"{new} photos {'would be' if dry_run else 'were'} added to {out}, {made.there} were there"
    if made.copied:
        yield f"{made.copied} of them are copies: there are no hard links between these two folders"
    reasons = Counter(_kind(why) for _, why in made.plan.left_out)
    if reasons:
        yield f"{len(made.plan.left_out)} left out:"
        for why, count in reasons.most_common():
            yield f"  {count:6d}  {why}"
        if not dry_run:
            yield f"each with its reason: {out / LEFT_OUT}"
    if made.plan.notes:
        yield "cannot be met:"
        for note in made.plan.notes:
            yield f"  {note}"


def _kind(why: str) -> str:
    """Return a reason without what is true of one photo only."""
    return "is in the dataset under another class" if why.startswith("is in the dataset as") else why
