"""What an audit finds of faults planted in rendered games: recall and precision, by kind and by seed.

    python benchmarks/audit_planted.py
    python benchmarks/audit_planted.py --scenes data/s1000 --seeds [0,1,2] --labels false

In 1,000 scenes of the demo court: 50 near-duplicates (cropped by up to 15 % of a side, resized, JPEG quality 40,
mirrored, brightness, all of these together), 10 copies and 10 strays from train to test, 30 wrong labels. Wanted:
recall of 0.95 at a precision of 0.95 for duplicates and leaks; of the 30 most doubtful labels 0.7 are wrong.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from jsonargparse import auto_cli
from rich.console import Console
from rich.table import Table

from bball_pl.audit.audit import Audit
from bball_pl.court.demo_dataset import write_demo
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import PhotoTree

from planted_faults import Planted, plant

#: Demo court that has nothing to do with the one of `scripts/demo.py`.
_RENDERED = 11


def main(
    scenes: Path | None = None, seeds: Sequence[int] = (0, 1, 2), labels: bool = True, train: int = 800, test: int = 200
) -> None:
    """Plant faults, audit, and print a table.

    Args:
        scenes: folder of a rendered demo court; rendered into it if it is not there, and anew each time unless given.
        seeds: of what is planted where.
        labels: judge the labels as well, which takes minutes.
        train: scenes to render for training.
        test: scenes to render for testing.
    """
    table = Table("seed", "found", "planted", "told", "right", "recall", "precision", "CPU s")
    for column in table.columns[2:]:
        column.justify = "right"
    with tempfile.TemporaryDirectory() as folder:
        root = scenes or Path(folder) / "scenes"
        if not (root / "photos.csv").is_file():
            write_demo(root, train, test, _RENDERED, None)
        # One store: most photos are the same for every seed, and their features are computed once.
        store = PhotoStore(Path(folder) / "cache")
        for seed in seeds:
            started = time.process_time()
            planted = plant(root, Path(folder) / f"planted-{seed}", seed)
            audit = Audit.of(PhotoTree.scan(planted.root), store, labels=labels)
            seconds = time.process_time() - started
            for name, wanted, told in _compared(audit, planted, labels):
                right = len(set(wanted) & set(told))
                recall, precision = right / max(1, len(wanted)), right / max(1, len(told))
                numbers = f"{len(wanted)}", f"{len(told)}", f"{right}", f"{recall:.2f}", f"{precision:.2f}"
                table.add_row(str(seed), name, *numbers, f"{seconds:.0f}" if seconds else "")
                seconds = 0.0
            table.add_section()
        store.close()
    Console().print(table)


def _compared(audit: Audit, planted: Planted, labels: bool) -> list[tuple[str, Collection, Collection]]:
    """Return for each kind what was planted and what was told."""
    clusters = [frozenset(photo.relative for photo in cluster) for cluster in audit.copies.clusters]
    split = {photo.relative: photo.split for photo in audit.tree.photos}
    leaking = [own for own in clusters if len({split[name] for name in own}) > 1]
    found: list[tuple[str, Collection, Collection]] = [
        (
            "copies, pairs",
            {frozenset(pair) for pair in planted.copies.items()},
            [own for own in clusters if own not in leaking],
        ),
        ("leaks by copy, pairs", {frozenset(pair) for pair in planted.leaks.items()}, leaking),
        ("leaks by game", planted.strays, {own.path for own in audit.of_kind("leak_group")}),
    ]
    if labels:
        doubted = [own.path for own in audit.of_kind("doubtful_label")]
        found.append(("labels, first 30", set(planted.labels), doubted[:30]))
        found.append(("labels, all told", set(planted.labels), doubted))
    return found


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
