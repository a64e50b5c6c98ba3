"""Which checkpoints a run keeps, and where."""

from __future__ import annotations

from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from bball_pl import runs


def model_checkpoint(trainer: L.Trainer) -> ModelCheckpoint | None:
    """Return the callback that keeps the best and the last checkpoint, or None if the run keeps none.

    Lightning's `trainer.checkpoint_callback` is whatever checkpoint callback comes first, `GracefulStop` included.
    """
    return next((found for found in trainer.checkpoint_callbacks if isinstance(found, ModelCheckpoint)), None)


def checkpoint_folder(trainer: L.Trainer) -> Path | None:
    """Return the folder of the run's checkpoints, or None if the run keeps none; known once fitting has begun."""
    # A trial of one batch (`fast_dev_run`) must not write over the checkpoints of a run.
    keeper = None if trainer.fast_dev_run else model_checkpoint(trainer)  # type: ignore[attr-defined]
    return Path(keeper.dirpath) if keeper is not None and keeper.dirpath is not None else None


class KeepLast(Checkpoint):
    """Writes `last.ckpt` after every epoch, to resume from.

    Lightning's `save_last` writes it only after an epoch that is the best so far (2.6.6): a run that lost its machine
    would fall back to its best epoch. It must come after `ModelCheckpoint`, whose best score it keeps as well.
    """

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the checkpoint; Lightning puts it in place whole or not at all."""
        folder = checkpoint_folder(trainer)
        if folder is not None:
            trainer.save_checkpoint(folder / runs.LAST, weights_only=False)
