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

from jsonargparse import ArgumentParser
from rich.console import Console

from bball_pl.errors import exit_on_error
from bball_pl.project import ROOT
from bball_pl.split.write import SplitSettings, split, split_lines, split_table


def main() -> None:
    """Parse and call."""
    from bball_pl.photos.store import PhotoStore

    parser = ArgumentParser(description="Make a dataset of sorted photos: no game and no picture in two splits.")
    parser.add_argument("root", type=Path, help="an inbox, or folders of photos, one a class")
    parser.add_argument("--class_names", nargs="+", type=str, help="class folder names (default: detected)")
    parser.add_class_arguments(SplitSettings, as_group=False, skip={"root", "class_names"})
    settings = SplitSettings(**parser.parse_args().as_dict())
    console = Console()
    store = PhotoStore(ROOT / "data" / ".cache")
    try:
        made = split(settings, store, Console(stderr=True))
    finally:
        store.close()
    console.print(split_table(made))
    for line in split_lines(made, settings):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if not settings.dry_run:
        commands = [
            [str(ROOT / "scripts" / "audit.py"), str(settings.out)],
            [str(ROOT / "scripts" / "fit.py"), "--data.root", str(settings.out)],
        ]
        console.print(
            "next:",
            *(f"  {shlex.join([sys.executable, *command])}" for command in commands),
            sep="\n",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )


if __name__ == "__main__":
    with exit_on_error():
        main()
