"""What an audit finds of faults planted in photos: recall and precision, by kind.

    python benchmarks/audit_planted.py
    python benchmarks/audit_planted.py --folder data/s1000 --seeds [0,1,2] --labels false
    python benchmarks/audit_planted.py --folder ~/album --seeds [0,1] --copies 220 --labels false

Without a folder, 1,000 scenes of the demo court are rendered. Planted are near-duplicates (`CHANGES` in
planted_faults.py, in turns), in datasets also 10 copies and 10 strays from train to test, and wrong labels. A folder of
class folders has no splits, so nothing leaks there. Wanted: recall of 0.95 for every kind of copy and no false pair; of
the 30 most doubtful labels 0.7 are wrong where 30 were planted.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from jsonargparse import auto_cli
from rich.console import Console
from rich.table import Table

from bball_pl.audit.audit import Audit
from bball_pl.court.demo_dataset import write_demo
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import PhotoTree

from planted_faults import CHANGES, Planted, plant

#: Demo court that has nothing to do with the one of `scripts/demo.py`.
_RENDERED = 11


def main(
    folder: Path | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    copies: int = 110,
    wrong_labels: int = 30,
    labels: bool = True,
    cache: Path | None = None,
) -> None:
    """Plant faults, audit, and print a table by fault and one by kind of copy.

    Args:
        folder: dataset or class folders to plant in; a rendered demo court by default, rendered into the folder if
            that is not there.
        seeds: of what is planted where.
        copies: near-duplicates to plant.
        wrong_labels: labels to plant.
        labels: judge the labels as well.
        cache: folder of the measurements of an earlier call; measured anew by default.
    """
    faults = Table("seed", "found", "planted", "told", "right", "recall", "precision", "wall s")
    for column in faults.columns[2:]:
        column.justify = "right"
    planted_of, found_of, missed = Counter[str](), Counter[str](), list[str]()
    with tempfile.TemporaryDirectory() as temporary:
        root = folder.expanduser() if folder else Path(temporary) / "scenes"
        if not root.is_dir():
            write_demo(root, 800, 200, _RENDERED, None)
        # One store: most photos are the same for every seed, and their features are computed once.
        store = PhotoStore(cache or Path(temporary) / "cache")
        before = _pairs(Audit.of(PhotoTree.scan(root), store, labels=False))
        for seed in seeds:
            moving = 10 if PhotoTree.scan(root).has_splits else 0
            made = plant(root, Path(temporary) / f"planted-{seed}", seed, copies, moving, moving, wrong_labels)
            started = time.perf_counter()
            audit = Audit.of(PhotoTree.scan(made.root), store, labels=labels)
            seconds = time.perf_counter() - started
            linked = {photo: cluster for cluster in _clusters(audit) for photo in cluster}
            for copy, kind in made.kinds.items():
                planted_of[kind] += 1
                if made.copies[copy] in linked.get(copy, ()):
                    found_of[kind] += 1
                else:
                    missed.append(f"seed {seed}: {made.copies[copy]}, {kind}")
            for name, wanted, told in _compared(audit, made, labels):
                right = len(set(wanted) & set(told))
                recall, precision = right / max(1, len(wanted)), right / max(1, len(told))
                numbers = f"{len(wanted)}", f"{len(told)}", f"{right}", f"{recall:.2f}", f"{precision:.2f}"
                faults.add_row(str(seed), name, *numbers, f"{seconds:.0f}" if seconds else "")
                seconds = 0.0
            faults.add_section()
        store.close()
    kinds = Table("copies", "found", "of", "recall")
    for kind in CHANGES:
        if of := planted_of[kind]:
            kinds.add_row(kind, f"{found_of[kind]}", f"{of}", f"{found_of[kind] / of:.2f}")
    console = Console()
    console.print(faults, kinds)
    console.print("not found:", *missed, sep="\n  ")
    console.print(f"pairs linked before anything was planted: {len(before)}")
    for pair in sorted(map(sorted, before)):
        console.print(f"  {' = '.join(pair)}")


def _clusters(audit: Audit) -> list[frozenset[str]]:
    return [frozenset(photo.relative for photo in cluster) for cluster in audit.copies.clusters]


def _pairs(audit: Audit) -> set[frozenset[str]]:
    return {frozenset((one, other)) for cluster in _clusters(audit) for one in cluster for other in cluster - {one}}


def _compared(audit: Audit, planted: Planted, labels: bool) -> list[tuple[str, Collection, Collection]]:
    """Return for each fault what was planted and what was told."""
    clusters = _clusters(audit)
    split = {photo.relative: photo.split for photo in audit.tree.photos}
    leaking = [cluster for cluster in clusters if len({split[name] for name in cluster}) > 1]
    # A photo that was moved to another class as a wrong label is no copy, so that names are those of the copies.
    copies = {frozenset(pair) for pair in planted.copies.items()}
    found: list[tuple[str, Collection, Collection]] = [
        ("copies, pairs", copies, [cluster for cluster in clusters if cluster not in leaking])
    ]
    if planted.leaks or planted.strays:
        found.append(("leaks by copy, pairs", {frozenset(pair) for pair in planted.leaks.items()}, leaking))
        found.append(("leaks by game", planted.strays, {finding.path for finding in audit.of_kind("leak_group")}))
    if labels:
        doubted = [finding.path for finding in audit.of_kind("doubtful_label")]
        found.append(("labels, first 30", set(planted.labels), doubted[:30]))
        found.append(("labels, all told", set(planted.labels), doubted))
    return found


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
