"""Writes down which photos a run learns from, before it learns from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from bball_pl import runs
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.data.split import write_split_csv


class DataRecord(Callback):
    """Puts `split.csv` into the run's folder, and the dataset's facts into every checkpoint."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write `split.csv`."""
        folder, data = trainer.log_dir, _photos(trainer)  # log_dir is a joint question: every process has to ask it
        if trainer.is_global_zero and folder is not None and data is not None:
            write_split_csv(Path(folder) / runs.SPLIT, data.photos)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add counts, groups and hash of the dataset to what the classifier says of itself."""
        data = _photos(trainer)
        if data is not None:
            checkpoint.setdefault("bball_pl", {})["data"] = data.describe()


def _photos(trainer: L.Trainer) -> PhotoDataModule | None:
    data = trainer.datamodule  # type: ignore[attr-defined]
    return data if isinstance(data, PhotoDataModule) else None
