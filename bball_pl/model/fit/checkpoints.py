"""Checkpoint policy: best.ckpt and last.ckpt, the record of a run's photos, shutdown on SIGINT and SIGTERM."""

from __future__ import annotations

import io
import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, Checkpoint, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from bball_pl import project
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.data.validation import write_split_csv
from bball_pl.errors import RunError, Terminated
from bball_pl.files import atomic_path, remove_leftovers


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


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint beside its place, flush it, and rename it over the older one, which stays if that fails.

    Raises:
        RunError: if it cannot be written, because the disk is full for example.
    """
    try:
        # Nobody else writes it: what lies there was left by a killed process, and is as large as the checkpoint.
        remove_leftovers(path)
        with atomic_path(path) as temporary, _Remembering(temporary) as stream:
            try:
                torch.save(checkpoint, stream)
            except RuntimeError as error:
                # torch hides why its writer failed.
                raise stream.error or error from error
    except OSError as error:
        kept = f"the {path.name} of before is whole" if path.is_file() else "there is no earlier one"
        # A run without a checkpoint has nothing to go on from.
        run = path.parent.parent
        advice = f"go on with:\n  {project.next_step('fit', '--resume', run)}" if path.is_file() else "start again"
        raise RunError(
            f"{path} cannot be written ({error.strerror or error}); {kept}. Make room and {advice}"
        ) from error


class _Remembering(io.FileIO):
    """A file that remembers the error of a failed write."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "wb")
        self.error: OSError | None = None

    def write(self, content: Any) -> int:
        """Write all of the content; a raw file may take a part of it only."""
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
            raise
        return size


class CheckpointWriter(TorchCheckpointIO):
    """Lightning's reader of checkpoints with `write_checkpoint`.

    Lightning writes to TMPDIR and copies from there if that is another file system (2.6.6): a process that is killed in
    the copy leaves a truncated checkpoint in the place of the last good one. Nor is anything flushed.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            RunError: if it cannot be written.
        """
        write_checkpoint(checkpoint, Path(path))


class KeepBest(ModelCheckpoint):
    """Writes `best.ckpt` after each epoch with the lowest validation loss so far.

    The best loss is known again in a resumed run wherever its folder lies by now: Lightning forgets it in a folder that
    was moved (2.6.6), and the next epoch, better or worse, would become the best.
    """

    def __init__(self) -> None:
        super().__init__(
            filename=Path(project.BEST).stem,
            monitor="val/loss",
            mode="min",
            # One best.ckpt, replaced; Lightning would number them otherwise.
            enable_version_counter=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the best loss of the interrupted run, unless its `best.ckpt` is gone."""
        folder = Path(self.dirpath or "")

        def moved(path: str) -> str:
            return str(folder / Path(path).name) if path else ""

        if not (folder / project.BEST).is_file():
            return
        names = ("best_model_path", "kth_best_model_path", "last_model_path")
        paths = {name: moved(state_dict[name]) for name in names}
        scores = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "dirpath": self.dirpath, "best_k_models": scores})


class KeepLast(Checkpoint):
    """Writes `last.ckpt` at the start and after every epoch, to resume from.

    Lightning's `save_last` writes it only after an epoch that is the best so far (2.6.6): a run on a machine that
    crashed would fall back to its best epoch. It must come after `KeepBest`, whose best score it stores.

    While the run is not over, a file `unfinished` lies in its folder: it is not taken for the newest run.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Mark the run as unfinished, and write the checkpoint of a new run: the probe need not be fitted again."""
        last = _last(trainer)
        if last is None:
            return
        if trainer.is_global_zero:
            project.mark_unfinished(last.parents[1])
        if trainer.ckpt_path is None:
            trainer.save_checkpoint(last, weights_only=False)
        early = trainer.early_stopping_callback
        if trainer.ckpt_path is not None and early is not None and early.wait_count >= early.patience:
            # It was stopped after early stopping had ended it: Lightning would train one more epoch (2.6.6).
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the checkpoint."""
        last = _last(trainer)
        if last is not None:
            trainer.save_checkpoint(last, weights_only=False)


class FiniteLoss(Callback):
    """Ends a run whose loss is not a number any more, before anything is saved.

    On one CPU every step is looked at. Elsewhere a look would synchronise all devices: there it is every few steps, as
    often as the loss is logged, and before an epoch ends.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor] = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the losses since the last look, if it is time."""
        self._losses.append(outputs["loss"].detach())
        every = 1 if trainer.world_size == 1 and self._losses[0].device.type == "cpu" else trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (batch_idx + 1) % every == 0:
            self._look(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at the last losses of the epoch; checkpoints are written after it."""
        if self._losses:
            self._look(trainer, pl_module)

    def _look(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        bad = (~torch.isfinite(torch.stack(self._losses)).all()).int()
        self._losses = []
        if trainer.world_size > 1:
            dist.all_reduce(bad, op=dist.ReduceOp.MAX)
        if not bad:
            return
        last = _last(trainer)
        kept = f"; {last} of epoch {trainer.current_epoch} is kept" if last is not None and last.is_file() else ""
        raise RunError(
            f"the loss is not a number in epoch {trainer.current_epoch + 1}, step {trainer.global_step}, with "
            f"--model.lr {pl_module.hparams['lr']:g}{kept}. Start again with a lower --model.lr, such as "
            f"{pl_module.hparams['lr'] / 10:.2g}"
        )


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


def _last(trainer: L.Trainer) -> Path | None:
    folder = checkpoint_folder(trainer)
    return None if folder is None else folder / project.LAST


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
    The class derives from Lightning's `Checkpoint` because those are called last: the weight average must have seen the
    batch before the state is written; among them it must be the last. A second signal ends the process at once.
    """

    def __init__(self) -> None:
        self._requested = 0
        # Handlers of the process, which end it at once.
        self._previous: dict[int, Any] = {}

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Remember the handlers of the process."""
        self._requested = 0
        if threading.current_thread() is threading.main_thread():
            self._previous = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Install the handlers; Lightning's would exit in the middle of a batch."""
        for signum in self._previous:
            signal.signal(signum, self._request)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let a signal end the process at once again; one that came after the last batch still does."""
        signum = self._agreed(trainer)
        self._restore()
        if signum:
            raise FitInterrupted(_last(trainer), signum)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take Lightning's handler of SIGTERM out of the way, after which a run would end without a result."""
        self._restore()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Restore the handlers of the process."""
        self._restore()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Restore the handlers of the process."""
        self._restore()

    def _restore(self) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _request(self, signum: int, frame: FrameType | None) -> None:
        if self._requested:
            raise Terminated if signum == signal.SIGTERM else KeyboardInterrupt
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
        path = _last(trainer)
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
