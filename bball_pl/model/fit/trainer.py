"""Lightning's Trainer with this project's defaults, and its progress on the terminal."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.utilities import rank_zero_info
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from torch.distributed import is_torchelastic_launched

from bball_pl.errors import ConfigError
from bball_pl.model.fit.checkpoints import CheckpointWriter, FitInterrupted
from bball_pl.model.network import best_precision
from bball_pl.model.recipe import SyncBatchNormPlugin
from bball_pl.processes import keep_freed_memory
from bball_pl.project import next_step
from bball_pl.terminal import LINE_EVERY


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
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins.append(CheckpointWriter())
        try:
            super().__init__(
                precision=resolved,
                plugins=plugins,
                # The datamodule's samplers are distributed already; Lightning's would pad and reorder.
                use_distributed_sampler=False,
                **kwargs,
            )
        except MisconfigurationException as error:
            raise ConfigError(" ".join(str(error).split())) from error

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
        keep_freed_memory()
        try:
            with self._ending_as_one():
                super().fit(model, train_dataloaders, val_dataloaders, datamodule, weights_only=weights_only)
        finally:
            # A later test is of the given model, not of this checkpoint.
            self.ckpt_path = None

    def test(self, *args: Any, **options: Any) -> Any:
        """Test as Lightning does."""
        with self._ending_as_one():
            return super().test(*args, **options)

    @contextmanager
    def _ending_as_one(self) -> Iterator[None]:
        """Let no other process of the run outlive this one's failure, and keep the kind of the failure."""
        on_interrupt = signal.getsignal(signal.SIGINT)
        try:
            yield
        except FitInterrupted:
            raise  # by all processes
        except SystemExit as ended:
            # Lightning turns Ctrl-C into an exit with status 1, that of a failure, and leaves it ignored.
            if isinstance(ended.__context__, KeyboardInterrupt):
                signal.signal(signal.SIGINT, on_interrupt)
                raise ended.__context__ from None
            raise
        except BaseException as error:
            launcher = self.strategy.launcher
            if launcher is not None:
                # They wait for this process in a collective operation, where they hear nothing else.
                launcher.kill(signal.SIGKILL)
            if isinstance(error, MisconfigurationException):
                raise ConfigError(" ".join(str(error).split())) from error
            raise


#: Options that would leave best.ckpt or metrics.json without the photos that they are of, and why.
_WHOLE = {
    "limit_test_batches": "metrics.json is of all test photos",
    "limit_val_batches": "the best epoch is chosen on all validation photos",
}
_STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")
_ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options of Lightning's Trainer that a run cannot be made with.

    Args:
        options: the options by name; a missing one and None are Lightning's default.

    Raises:
        ConfigError: with the option, what was expected, and why.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name, reason in _WHOLE.items():
        limit = given.get(name, 1.0)
        if not (isinstance(limit, float) and limit == 1):  # the integer 1 is one batch
            raise ConfigError(
                f"--trainer.{name} is {limit}: {reason}. Leave it out, and point --data.root to a smaller dataset "
                "for a trial"
            )
    if given.get("max_steps", -1) != -1:
        raise ConfigError(
            f"--trainer.max_steps is {given['max_steps']}: a run ends with a whole epoch, whose validation chooses "
            "best.ckpt. Leave it out, and pass --trainer.max_epochs N"
        )
    for name in ("accumulate_grad_batches", "num_nodes", "check_val_every_n_epoch"):
        if given.get(name, 1) < 1:
            raise ConfigError(f"--trainer.{name} is {given[name]}; expected 1 or more")
    epochs = given.get("max_epochs", 1000)
    if 0 < epochs < given.get("check_val_every_n_epoch", 1):
        raise ConfigError(
            f"--trainer.check_val_every_n_epoch is {given['check_val_every_n_epoch']}, more than the {epochs} epochs "
            "of the run: none would be validated"
        )
    accelerator, strategy = given.get("accelerator", "auto"), given.get("strategy", "auto")
    if isinstance(accelerator, str):
        _check_accelerator(accelerator)
    if isinstance(strategy, str) and strategy not in _STRATEGIES:
        raise ConfigError(f"--trainer.strategy is {strategy}; expected one of {', '.join(_STRATEGIES)}")
    devices = _number(given.get("devices", "auto"))
    _check_devices(devices, accelerator)
    _check_launch(given.get("num_nodes", 1), devices)


def _check_accelerator(accelerator: str) -> None:
    if accelerator not in _ACCELERATORS:
        raise ConfigError(f"--trainer.accelerator is {accelerator}; expected one of {', '.join(_ACCELERATORS)}")
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    found = {"gpu": has_cuda or has_mps, "cuda": has_cuda, "mps": has_mps}
    if not found.get(accelerator, True):
        raise ConfigError(
            f"--trainer.accelerator is {accelerator}, and torch finds none on this machine; "
            "pass --trainer.accelerator auto, which takes the CPU here"
        )


def _number(devices: Any) -> Any:
    # The parser of the command line leaves numbers of devices as texts.
    return int(devices) if isinstance(devices, str) and devices.removeprefix("-").isdecimal() else devices


def _check_devices(devices: Any, accelerator: Any) -> None:
    on_cpu = accelerator == "cpu" or (
        accelerator == "auto" and not torch.cuda.is_available() and not torch.backends.mps.is_available()
    )
    if isinstance(devices, int):
        valid = devices > 0 or (devices == -1 and not on_cpu)
    else:
        valid = devices == "auto" or (bool(devices) and not on_cpu)
    if not valid:
        every = "auto" if on_cpu else "auto or -1 for every device"
        raise ConfigError(f"--trainer.devices is {devices}; expected 1 or more, or {every}")


def _check_launch(nodes: int, devices: Any) -> None:
    if nodes < 2 or SLURMEnvironment.detect() or is_torchelastic_launched() or "NODE_RANK" in os.environ:
        return
    here = devices if isinstance(devices, int) and devices > 0 else "DEVICES"
    raise ConfigError(
        f"--trainer.num_nodes is {nodes}, and this process was started alone: it would wait for the others for ever. "
        f"Start it on each machine with torchrun --nnodes {nodes} --nproc_per_node {here} --rdzv_backend c10d "
        "--rdzv_endpoint FIRST_HOST:29500 -m bball_pl fit …, or with srun (docs/scaling.md)"
    )


def launched_step(command: str, *words: object) -> str:
    """Return a command to type, as `project.next_step`, with the launcher that has started this process."""
    line = next_step(command, *words)
    if is_torchelastic_launched():
        nodes = int(os.environ.get("GROUP_WORLD_SIZE", "1"))
        meeting = ["--standalone"]
        if nodes > 1:
            meeting = ["--nnodes", str(nodes), "--rdzv_backend", "c10d", "--rdzv_endpoint"]
            meeting.append(f"{os.environ.get('MASTER_ADDR', 'FIRST_HOST')}:29500")
        started = shlex.split(line)
        # A script is started by torchrun itself, and an installed command as a module.
        program = started[1:] if started[1].endswith(".py") else ["-m", "bball_pl", *started[1:]]
        front = ["torchrun", *meeting, "--nproc_per_node", os.environ.get("LOCAL_WORLD_SIZE", "1")]
        return shlex.join([*front, *program])
    if SLURMEnvironment.detect():
        counts = {"nodes": "SLURM_NNODES", "ntasks": "SLURM_NTASKS"}
        options = [f"--{option}={os.environ[name]}" for option, name in counts.items() if name in os.environ]
        return shlex.join(["srun", "--kill-on-bad-exit=1", *options]) + f" {line}"
    return line


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
    "Detected KeyboardInterrupt",
)


class ProgressLines(Callback):
    """Prints a line per epoch with its figures and the time left, where no terminal shows the progress bar.

    Within an epoch there is a line every `LINE_EVERY` seconds.
    """

    def __init__(self) -> None:
        self._started = self._last = 0.0
        self._first_position: float | None = None
        self._photos = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock, for what a resumed run has still to train."""
        self._started = self._last = time.perf_counter()
        self._first_position, self._photos = None, 0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember where a run goes on that was stopped within an epoch."""
        if self._first_position is None:
            self._first_position = trainer.current_epoch + batch_idx / trainer.num_training_batches
        if batch_idx == 0:
            self._last, self._photos = time.perf_counter(), 0  # the validation before is no training

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print a line if the last one is long ago."""
        self._photos += len(batch.targets) * trainer.world_size
        now = time.perf_counter()
        if sys.stderr.isatty() or now - self._last < LINE_EVERY:
            return
        rate = self._photos / (now - self._last)
        self._last, self._photos = now, 0
        steps = int(trainer.num_training_batches)
        left = self._seconds_left(trainer, trainer.current_epoch + (batch_idx + 1) / steps)
        rank_zero_info(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}, {rate:,.{0 if rate >= 10 else 1}f} photos/s, "
            f"step: {batch_idx + 1:,} of {steps:,}, about {timedelta(seconds=left)} left"
        )

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the line of the epoch; its validation is over by now."""
        if sys.stderr.isatty():
            return
        named = (("train/loss_epoch", "loss"), ("val/loss", "val loss"), ("val/acc", "val acc"), ("gap/acc", "gap"))
        figures = ", ".join(
            f"{short} {float(trainer.callback_metrics[name]):.4g}"
            for name, short in named
            if name in trainer.callback_metrics
        )
        seconds = round(time.perf_counter() - self._started)
        left = self._seconds_left(trainer, trainer.current_epoch + 1)
        rank_zero_info(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: {figures}; {timedelta(seconds=seconds)} so far, "
            f"about {timedelta(seconds=left)} left"
        )

    def _seconds_left(self, trainer: L.Trainer, position: float) -> int:
        """Return the seconds to the last epoch's end, at the pace so far; `position` counts epochs."""
        trained = position - (self._first_position or 0.0)
        remaining = max(0.0, (trainer.max_epochs or 0) - position)
        return round((time.perf_counter() - self._started) * remaining / trained)


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
