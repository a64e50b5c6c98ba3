"""Lightning's Trainer with this project's defaults, and its progress on the terminal."""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import Callback, RichProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from bball_pl.model.recipe import SyncBatchNormPlugin


class FitTrainer(L.Trainer):
    """Lightning's Trainer; see its documentation for every option.

    Args:
        precision: auto takes bf16-mixed where GPU or CPU has bfloat16 in hardware and 32-true elsewhere.
        sync_batchnorm: shares batch norm statistics between processes, on CPUs as well.
        deterministic: algorithms that repeat bit for bit, at some cost on a GPU.
    """

    def __init__(
        self,
        *,
        precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto",
        sync_batchnorm: bool = False,
        **kwargs: Any,
    ):
        resolved = best_precision(kwargs.get("accelerator", "auto")) if precision == "auto" else precision
        plugins = kwargs.pop("plugins", None) or []
        plugins = list(plugins) if isinstance(plugins, list) else [plugins]
        if sync_batchnorm:
            plugins.append(SyncBatchNormPlugin())
        if SLURMEnvironment.detect():
            # Requeueing by Lightning would write a checkpoint into the root folder and open a second run folder; on
            # SIGTERM GracefulStop saves into the folder of the run.
            plugins.append(SLURMEnvironment(auto_requeue=False))
        super().__init__(
            precision=resolved,
            plugins=plugins,
            # The datamodule's samplers are distributed already; Lightning's would pad and reorder.
            use_distributed_sampler=False,
            **kwargs,
        )

    def fit(
        self,
        model: L.LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: L.LightningDataModule | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Fit as Lightning does, with `self.ckpt_path` set from the start: callbacks read it in `setup`."""
        self.ckpt_path = ckpt_path
        try:
            super().fit(model, train_dataloaders, val_dataloaders, datamodule, weights_only=weights_only)
        except SystemExit as ended:
            # Lightning turns Ctrl-C into an exit with status 1, that of a failure.
            if isinstance(ended.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise
        finally:
            # A later test is of the given model, not of this checkpoint.
            self.ckpt_path = None


def best_precision(accelerator: object = "auto") -> Literal["bf16-mixed", "32-true"]:
    """Return bfloat16 if the device that Lightning would use has it in hardware, else 32 bits.

    bfloat16 has the range of float32, so no loss scaling is needed; emulated in software it is slower than float32.

    Args:
        accelerator: Lightning's option; anything but auto, gpu, cuda and cpu gets 32 bits.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if accelerator == "cpu" or (accelerator == "auto" and not torch.backends.mps.is_available()):
        found = torch.cpu.get_capabilities()
        if any(found.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")):
            return "bf16-mixed"
    return "32-true"


class Throughput(Callback):
    """Logs `train/photos_per_s` of each epoch: training photos of all devices over the time of the training batches.

    The time covers loading, transfer, step and logging, and leaves out validation and pictures.
    """

    def __init__(self) -> None:
        self._photos = 0
        self._started = 0.0
        self._ended = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock for a run that is resumed within an epoch, which has no epoch start."""
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


#: Parts of messages that no user of this project can act on.
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
    """Lightning's rich progress bar with the main figures, short enough for one line."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def configure_columns(self, trainer: L.Trainer) -> list[Any]:
        """Return the columns before the figures; Lightning's would leave them no room in 80 columns."""
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
        # Four digits: a diverged loss would otherwise break the line.
        return {short: f"{metrics[name]:.4g}" for name, short in wanted.items() if name in metrics}


def silence_chatter() -> None:
    """Suppress messages of Lightning and its libraries that say nothing about the run."""

    def matters(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(part in message for part in _CHATTER)

    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).addFilter(matters)
    # Lightning 2.6 uses an interface of torch 2.15 that is about to change; nothing here depends on it.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    # A handful of photos is a fair start, and the curves per epoch are logged in any case.
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than the logging interval")
    # A resumed run continues in its folder on purpose.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
