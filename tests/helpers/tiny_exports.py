"""A run that answers by colour, its default export, and photos that are near its threshold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.export.export import export_model
from bball_pl.export.options import ExportSettings

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


def tiny_export(base: Path) -> Tiny:
    """Make the run, nine test photos of three classes, and the export with a compressed copy."""
    checkpoint = calibrated(make_run(base / "lightning_logs", "tiny/version_0", 5.0), 1.3, 0.8)
    for place, (name, colour) in enumerate(COLOURS.items()):
        for split, count in (("train", 1), ("test", 3)):
            for number in range(count):
                paint_photo(base / "photos" / split / name / f"{number}.png", colour, 10 * place + number, (64, 40))
    model = TrainedModel.open(checkpoint, device="cpu")
    settings = ExportSettings(photos=6, labels="bilingual", compress=["int8"], author="A. Coach")
    assert export_model(model, base / "exports" / "tiny", settings, base / "photos", Console(quiet=True)).passed
    return Tiny(checkpoint, base / "photos", base / "exports" / "tiny")
