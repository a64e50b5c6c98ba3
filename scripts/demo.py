"""Render the demo court: a dataset of basketball scenes to try everything with before the first real photo.

python scripts/demo.py
python scripts/demo.py --train 90 --test 30 --out data/demo_small
python scripts/demo.py --court teaching --train 3000 --out data/teaching
python scripts/demo.py --contact_sheet contact_sheet.jpg
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Literal

from jsonargparse import auto_cli

from bball_pl.court.contact_sheet import write_contact_sheet
from bball_pl.court.demo_dataset import write_demo
from bball_pl.errors import exit_on_error
from bball_pl.project import ROOT


def demo(
    train: int = 900,
    test: int = 300,
    seed: int = 7,
    out: Path = ROOT / "data" / "demo",
    workers: int | None = None,
    force: bool = False,
    contact_sheet: Path | None = None,
    court: Literal["demo", "teaching"] = "demo",
) -> None:
    """Render the demo court: a dataset of basketball scenes to try everything with before the first real photo.

    Args:
        train: number of training photos, shared evenly by the classes.
        test: number of test photos, from other games than the training photos.
        seed: the same seed gives the same bytes.
        out: folder of the dataset; it must not hold anything else.
        workers: number of processes; one per core unless given. It changes no byte.
        force: replace another demo in that folder. Nothing but a demo is ever replaced.
        contact_sheet: also write a sheet of sample photos to this JPEG file.
        court: demo is an album of the three moves; teaching is made to learn from before there are real photos, in
            framings, places and light of all kinds, with a class none.
    """
    result = write_demo(out, train, test, seed, workers, force, court=court)
    if result.written:
        print(f"{result.photos} photos in {result.root}")
    else:
        print(f"{result.root} already holds this demo ({result.photos} photos): nothing to do")
    if contact_sheet is not None:
        print(f"contact sheet: {write_contact_sheet(result.root, contact_sheet)}")
    script, config = ROOT / "scripts" / "fit.py", ROOT / "configs" / "demo.yaml"
    command = (sys.executable, script, "--config", config, "--data.root", result.root.absolute())
    print(f"next:\n  {shlex.join(map(str, command))}")


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(demo, as_positional=False)
