"""Photos per second, as a curve."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback


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
