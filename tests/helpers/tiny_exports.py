"""A run that answers by colour, its default export, and photos that are near its threshold."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.export.export import export_model
from bball_pl.export.options import ExportSettings

from helpers.made_once import made_once
from helpers.painting import COLOURS, paint_photo
from helpers.predict_runs import calibrated
from helpers.try_runs import make_run


@dataclass
class Tiny:
    """Where its parts are."""

    checkpoint: Path
    photos: Path
    folder: Path

    @property
    def run(self) -> Path:
        return self.checkpoint.parents[1]

    def file(self, suffix: str) -> Path:
        return self.folder / f"BasketballMoves.{suffix}"


def tiny_export(factory: pytest.TempPathFactory, base: Path) -> Tiny:
    """Put the run, nine test photos of three classes, and the export with a compressed copy into a folder of one's own.

    They are made once in a run of the tests.
    """
    first = made_once(factory, "tiny_export", _tiny_export)
    common = first.photos.parent
    shutil.copytree(common, base, dirs_exist_ok=True)
    return Tiny(*(base / path.relative_to(common) for path in (first.checkpoint, first.photos, first.folder)))


def _tiny_export(base: Path) -> Tiny:
    checkpoint = calibrated(make_run(base / "lightning_logs", "tiny/version_0", 5.0), 1.3, 0.8)
    for place, (name, colour) in enumerate(COLOURS.items()):
        for split, count in (("train", 1), ("test", 3)):
            for number in range(count):
                paint_photo(base / "photos" / split / name / f"{number}.png", colour, 10 * place + number, (64, 40))
    model = TrainedModel.open(checkpoint, device="cpu")
    settings = ExportSettings(photos=6, labels="bilingual", compress=["int8"], author="A. Coach")
    assert export_model(model, base / "exports" / "tiny", settings, base / "photos", Console(quiet=True)).passed
    return Tiny(checkpoint, base / "photos", base / "exports" / "tiny")
