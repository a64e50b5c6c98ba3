"""Make a dataset of sorted photos: train, val and test, with no game and no picture in two of them.

python scripts/split.py data/inbox --out data/photos            # all sources, links, 70 % / 15 % / 15 %
python scripts/split.py data/inbox --out data/photos            # again: new photos are added, none changes its split
python scripts/split.py album --out data/album --groups folder --val 0 --test 0.2 --how copy

Every option: python scripts/split.py --help
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser
from rich.console import Console

from bball_pl.errors import exit_on_error
from bball_pl.project import ROOT

Groups = Literal["table", "folder"]
How = Literal["link", "copy"]


def split(
    root: Path,
    out: Path,
    val: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    how: How = "link",
    groups: Groups = "table",
    near_duplicates: bool = True,
    class_names: list[str] | None = None,
    dry_run: bool = False,
) -> None:
    """Make a dataset of sorted photos: train, val and test, with no game and no picture in two of them.

    Args:
        root: an inbox, or folders of photos, one a class.
        out: folder of the dataset; if it is there, new photos are added to it.
        val: share of the photos to choose the best epoch by; 0 leaves that to scripts/fit.py.
        test: share of the photos to measure with.
        seed: of the drawing.
        how: hard links take no room and are the same file under two names; copies are independent.
        groups: what must stay together: table is the column group of photos.csv; folder is, for photos without one,
            the folder that they lie in as well.
        near_duplicates: keep copies together that were cropped, resized, mirrored or encoded again.
        class_names: names of the class folders; found out unless given.
        dry_run: say what would be done, and write nothing.
    """
    from bball_pl.photos.store import PhotoStore
    from bball_pl.split.write import make_split, split_lines, split_table

    console = Console()
    store = PhotoStore(ROOT / "data" / ".cache")
    try:
        made = make_split(
            root,
            out,
            store,
            {"train": 1 - val - test, "val": val, "test": test},
            seed,
            how,
            near_duplicates,
            groups == "folder",
            class_names,
            dry_run,
            Console(stderr=True),
        )
    finally:
        store.close()
    console.print(split_table(made))
    for line in split_lines(made, out, dry_run):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if not dry_run:
        commands = [
            [str(ROOT / "scripts" / "audit.py"), str(out)],
            [str(ROOT / "scripts" / "fit.py"), "--data.root", str(out)],
        ]
        console.print(
            "next:",
            *(f"  {shlex.join([sys.executable, *own])}" for own in commands),
            sep="\n",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )


def main() -> None:
    """Parse and call."""
    parser = ArgumentParser(description="Make a dataset of sorted photos: no game and no picture in two splits.")
    parser.add_argument("root", type=Path, help="an inbox, or folders of photos, one a class")
    parser.add_argument("--class_names", nargs="+", type=str, help="names of the class folders; found out unless given")
    parser.add_function_arguments(split, as_group=False, skip={"root", "class_names"})
    split(**parser.instantiate(parser.parse_args()).as_dict())


if __name__ == "__main__":
    with exit_on_error():
        main()
