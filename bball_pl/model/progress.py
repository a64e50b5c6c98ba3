"""Progress of a run on the terminal, and photos per second as a curve."""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, RichProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn


class Throughput(Callback):
    """Logs `train/photos_per_s` of each epoch: training photos of all devices over the time of the training batches.

    The time covers loading, transfer, step and logging, and leaves out validation and pictures.
    """

    def __init__(self) -> None:
        self._photos = 0
        self._started = 0.0
        self._ended = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock: a run that is resumed within an epoch has no start of that epoch."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._photos = 0
        self._started = self._ended = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch."""
        self._photos += len(batch.targets) * trainer.world_size
        self._ended = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the epoch's rate."""
        seconds = self._ended - self._started
        if seconds > 0:
            pl_module.log("train/photos_per_s", self._photos / seconds, rank_zero_only=True)


#: Lines that name nothing a user of this project could do.
_CHATTER = (
    "Tip:",
    "TPU available",
    "override existing callbacks",
    "Loading `train_dataloader`",
    "Restor",
    "Found current_model_state",
    "stopped: `max_epochs",
)


class FitProgressBar(RichProgressBar):
    """Lightning's rich progress bar with the figures that matter, short enough for one line."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def configure_columns(self, trainer: L.Trainer) -> list[Any]:
        """Return the columns before the figures; Lightning's own would not leave them room in 80 columns."""
        return [
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
        ]

    def _get_train_description(self, current_epoch: int) -> str:
        # People count epochs from one; Lightning's "Epoch 1/1" would be the second of two.
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs}"

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return the loss of the step, and loss and accuracy of the last validation."""
        metrics = super().get_metrics(trainer, pl_module)
        wanted = {"train/loss_step": "loss", "val/loss": "val loss", "val/acc": "val acc"}
        # Four digits: a loss that has run away would otherwise break the line.
        return {short: f"{metrics[name]:.4g}" for name, short in wanted.items() if name in metrics}


def silence_chatter() -> None:
    """Leave out those lines of Lightning and its libraries that say nothing about the run."""

    def matters(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(part in message for part in _CHATTER)

    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).addFilter(matters)
    # Lightning 2.6 asks torch 2.15 in a way that is about to change; nothing depends on it here.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    # A handful of photos is a fair start; the epoch's own curves are there in any case.
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than the logging interval")
    # A resumed run goes on in its folder, on purpose.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
