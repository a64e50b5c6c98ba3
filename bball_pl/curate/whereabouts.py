"""Where photos of a tree are now, by the journal of the changes that people and audits made."""

from __future__ import annotations

import os
from pathlib import Path

from bball_pl.curate.journal import home_of
from bball_pl.curate.labels_csv import LABELS, UNDO, Labels, is_labels, undone


def whereabouts(root: str | os.PathLike[str]) -> dict[str, str | None]:
    """Return where the photos went that were once below a folder; those that never moved are not in it.

    Nothing is written: the folder may be read-only.

    Args:
        root: folder of a dataset.

    Returns:
        By the place below `root` that a photo had first, with forward slashes, the place that it has now; None if it
        is no longer below `root`, as in quarantine.

    Raises:
        DatasetError: if the journal is damaged.
    """
    home, tree = home_of(root), Path(os.path.abspath(root))  # noqa: PTH100 - links stay, as in the journal
    if not is_labels(home / LABELS):
        return {}
    labels = Labels(home / LABELS)
    labels.refresh()
    gone = undone(labels.entries)
    first: dict[str, str] = {}  # by the present place, the first one
    for entry in labels.entries:
        if entry.number not in gone and entry.action != UNDO and entry.to != entry.path:
            first[entry.to] = first.pop(entry.path, entry.path)
    found: dict[str, str | None] = {}
    for now, before in first.items():
        if (home / before).is_relative_to(tree) and now != before:
            there = (home / now).is_relative_to(tree)
            found[(home / before).relative_to(tree).as_posix()] = (
                (home / now).relative_to(tree).as_posix() if there else None
            )
    return found
