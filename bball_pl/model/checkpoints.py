"""Checkpoint policy: best.ckpt and last.ckpt, the record of a run's photos, shutdown on SIGINT and SIGTERM."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback, Checkpoint, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info

from bball_pl import project
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.data.validation import write_split_csv


def model_checkpoint(trainer: L.Trainer) -> ModelCheckpoint | None:
    """Return the callback that writes best.ckpt, or None if the run keeps no checkpoints.

    Lightning's `trainer.checkpoint_callback` is the first checkpoint callback of any class, `GracefulStop` included.
    """
    return next((found for found in trainer.checkpoint_callbacks if isinstance(found, ModelCheckpoint)), None)


def checkpoint_folder(trainer: L.Trainer) -> Path | None:
    """Return the folder of the run's checkpoints, or None if the run keeps none; known once fitting has begun."""
    # A trial of one batch (`fast_dev_run`) must not overwrite the checkpoints of a run.
    keeper = None if trainer.fast_dev_run else model_checkpoint(trainer)  # type: ignore[attr-defined]
    return Path(keeper.dirpath) if keeper is not None and keeper.dirpath is not None else None


class KeepLast(Checkpoint):
    """Writes `last.ckpt` after every epoch, to resume from.

    Lightning's `save_last` writes it only after an epoch that is the best so far (2.6.6): a run on a machine that
    crashed would fall back to its best epoch. It must come after `ModelCheckpoint`, whose best score it stores.
    """

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the checkpoint; Lightning does so atomically."""
        folder = checkpoint_folder(trainer)
        if folder is not None:
            trainer.save_checkpoint(folder / project.LAST, weights_only=False)


class DataRecord(Callback):
    """Writes `split.csv` into the run's folder, and the dataset's facts into every checkpoint."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write `split.csv`."""
        folder, data = trainer.log_dir, _photos(trainer)  # log_dir is a collective operation
        if trainer.is_global_zero and folder is not None and data is not None:
            write_split_csv(Path(folder) / project.SPLIT, data.photos)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add counts, groups and hash of the dataset."""
        data = _photos(trainer)
        if data is not None:
            checkpoint.setdefault("bball_pl", {})["data"] = data.describe()


def _photos(trainer: L.Trainer) -> PhotoDataModule | None:
    data = trainer.datamodule  # type: ignore[attr-defined]
    return data if isinstance(data, PhotoDataModule) else None


class FitInterrupted(Exception):  # noqa: N818 - not an error
    """A run that was stopped by a signal, after it has saved itself.

    Attributes:
        checkpoint: the checkpoint to resume from, or None if the run keeps none.
        signum: the signal.
    """

    def __init__(self, checkpoint: Path | None, signum: int):
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.checkpoint = checkpoint
        self.signum = signum


class GracefulStop(Checkpoint):
    """Turns SIGINT and SIGTERM into a checkpoint at the end of the running batch.

    An epoch whose batches are all done is validated first: its figures decide on the best epoch and on early stopping.
    The class derives from Lightning's `Checkpoint` because those are called last: the weight average must include the
    batch before the state is written; among them it must be the last. A second signal ends the process at once.
    """

    def __init__(self) -> None:
        self._requested = 0
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Install the handlers; Lightning's would exit in the middle of a batch."""
        for signum in (signal.SIGINT, signal.SIGTERM):
            self._previous[signum] = signal.signal(signum, self._request)

    def _request(self, signum: int, frame: FrameType | None) -> None:
        if self._requested:
            raise KeyboardInterrupt
        self._requested = signum
        rank_zero_info("\nstopping after this batch; once more to stop at once, without saving")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop if any process has received a signal."""
        # Between accumulated batches there is no state that a checkpoint could hold.
        accumulates = (batch_idx + 1) % trainer.accumulate_grad_batches != 0
        if not accumulates and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._stop_if_requested(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save and stop if any process has received a signal since the last batch but one."""
        self._stop_if_requested(trainer)

    def _stop_if_requested(self, trainer: L.Trainer) -> None:
        signum = self._agreed(trainer)
        if not signum:
            return
        folder = checkpoint_folder(trainer)
        path = None if folder is None else folder / project.LAST
        if path is not None:
            trainer.save_checkpoint(path, weights_only=False)
        raise FitInterrupted(path, signum)

    def _agreed(self, trainer: L.Trainer) -> int:
        if trainer.world_size == 1:
            return self._requested
        # A signal may reach one process only; saving is a collective operation, so all must agree.
        requested = torch.tensor(self._requested, device=trainer.strategy.root_device)
        dist.all_reduce(requested, op=dist.ReduceOp.MAX)
        return int(requested)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Restore the previous handlers."""
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        self._previous = {}
