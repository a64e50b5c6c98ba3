"""What benchmarks/train_speed.py and benchmarks/speed_gpu.py measure: each part trains a few steps when it is called.

A part is built once, keeps its network, and is called once per round with a number of steps. It takes a few untimed
steps first (first-time set-up of kernels, caches that another part has emptied) and answers with photos per second.
"""

from __future__ import annotations

import contextlib
import io
import logging
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
import timm
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.flop_counter import FlopCounterMode

from bball_pl.data.dataset import PhotoBatch
from bball_pl.errors import BballError
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.fit.fit_cli import FitCLI
from bball_pl.model.recipe import apply_policy, parameter_groups
from bball_pl.moves import MOVES
from bball_pl.processes import keep_freed_memory

BACKBONE = "inception_v3"
CLASSES = len(MOVES)

#: Untimed batches of the Trainer: the first waits for the workers and draws pictures, two more fill the queues.
TRAINER_WARM_UP = 3

_MATRIX_SIDE = 4096


class BareStep:
    """Forward, loss, backward and AdamW on tensors that are ready: the upper limit of what the Trainer can reach.

    The network, the loss with mixup and label smoothing, the parameter groups and the precision are the project's own.
    Clipping, average of the weights, scheduler and logging are the Trainer's part, and are not in here.

    Args:
        size: side of the network's input, in pixels.
        batch: photos per step.
        precision: `bf16-mixed` or `32-true`.
        device: `cpu` or `cuda`.
        compile: compile the network with torch.compile.
        backbone: timm name.
        weights: as `--model.weights`; batch norm is frozen, as the recipe has it, unless they are `none`.
    """

    def __init__(
        self,
        size: int,
        batch: int,
        precision: str,
        device: str = "cpu",
        compile: bool = False,
        backbone: str = BACKBONE,
        weights: str = "none",
    ) -> None:
        keep_freed_memory()
        names = [move.name for move in MOVES]
        self._classifier = MoveClassifier(names, backbone, weights, image_size=size, compile=compile)
        self._classifier.to(device).train()
        self._classifier.setup("fit")
        # `training_step` logs, and there is no Trainer here to log to.
        warnings.filterwarnings("ignore", "You are trying to `self.log")
        recipe = self._classifier.hparams
        apply_policy(self._classifier.network, self._classifier.batch_norm)
        groups = parameter_groups(
            self._classifier.network.net, recipe["lr"], recipe["layer_decay"], recipe["weight_decay"]
        )
        self._optimiser = torch.optim.AdamW(groups, lr=recipe["lr"], fused=True)
        images = torch.randn(batch, 3, size, size, device=device).to(memory_format=torch.channels_last)
        targets = torch.randint(CLASSES, (batch,), device=device)
        self._batch = PhotoBatch(images, targets, torch.arange(batch, device=device))
        self._autocast = torch.autocast(device, torch.bfloat16, enabled=precision == "bf16-mixed")
        self._size = batch

    def __call__(self, steps: int, warm_up: int = 1) -> float:
        """Return photos per second over `steps` steps."""
        for step in range(-warm_up, steps):
            if step == 0:
                synchronise()
                start = time.perf_counter()
            with self._autocast:
                loss = self._classifier.training_step(self._batch, step + warm_up)
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
        synchronise()
        return steps * self._size / (time.perf_counter() - start)


class WholeTrainer:
    """The run that `scripts/fit.py` makes: Trainer, datamodule, heavy augmentation, average of the weights, callbacks.

    Each call builds it anew from a command line and fits for a few batches, with a warm photo cache. Validation, probe
    and checkpoints happen once in an epoch or a run and are left out.

    Args:
        root: the dataset's folder.
        work: folder for cache and logs.
        size: side of the network's input, in pixels.
        batch: photos per step.
        options: further options of `scripts/fit.py`.
    """

    def __init__(self, root: Path, work: Path, size: int, batch: int, options: dict[str, object]) -> None:
        chosen: dict[str, object] = {
            "data.root": root,
            "data.cache_dir": work / "cache",
            "data.batch_size": batch,
            "model.backbone": BACKBONE,
            "model.weights": "none",
            "model.image_size": size,
            "model.probe": "false",
            # As in the other parts: with the default, frozen, ours would do less than they do.
            "model.batch_norm": "train",
            # Without validation there is no loss that early stopping could go by.
            "model.patience": 0,
            "trainer.max_epochs": 1,
            "trainer.default_root_dir": work,
            "name": "train_speed",
            **options,
        }
        self._arguments = [f"--{name}={value}" for name, value in chosen.items()]
        self._size = batch
        warnings.filterwarnings("ignore", "LightningCLI's args parameter")
        warnings.filterwarnings("ignore", ".*does not have many workers")
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    def loading(self, steps: int, warm_up: int = TRAINER_WARM_UP) -> float:
        """Return photos per second of the training loader alone; in pinned memory where there is a GPU."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            data = FitCLI(self._arguments).datamodule
            data.prepare_data()
            data.setup("fit")
            batches = iter(data.train_dataloader())
        for step in range(-warm_up, steps):
            if step == 0:
                start = time.perf_counter()
            next(batches)
        return steps * self._size / (time.perf_counter() - start)

    def __call__(self, steps: int, warm_up: int = TRAINER_WARM_UP) -> float:
        """Return photos per second over `steps` batches, from the end of a batch to the end of a later one."""
        clock = _Clock(warm_up, warm_up + steps)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            cli = FitCLI([*self._arguments, f"--trainer.limit_train_batches={warm_up + steps}"])
            trainer = cast(Any, cli.trainer)
            trainer.limit_val_batches = 0  # as an option fit refuses it
            callbacks: list[Callback] = trainer.callbacks
            callbacks.append(clock)
            cli.datamodule.prepare_data()
            cli.trainer.fit(cli.model, cli.datamodule)
        if clock.seconds is None:
            raise BballError(f"the dataset has fewer than {warm_up + steps} training batches; render more photos")
        return steps * self._size / clock.seconds


class _Clock(Callback):
    """Takes the time from the end of batch `first` to the end of batch `last`, both counted from 1."""

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last
        self._start = 0.0
        self.seconds: float | None = None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx + 1 == self._first:
            synchronise()
            self._start = time.perf_counter()
        elif batch_idx + 1 == self._last:
            synchronise()
            self.seconds = time.perf_counter() - self._start


class OwnProcess:
    """A way of training in a process of its own, which sleeps between the rounds.

    Args:
        command: program that answers lines as `speed_keras.py` does.
        batch: photos per step.
    """

    def __init__(self, command: Sequence[str], batch: int) -> None:
        self._command, self._batch = command, batch
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # TensorFlow's start-up lines say nothing about the figures.
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.versions = self._ask("versions")

    def __call__(self, steps: int, warm_up: int = 1) -> float:
        """Return photos per second over `steps` steps."""
        return steps * self._batch / float(self._ask(f"{warm_up} {steps}"))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _ask(self, question: str) -> str:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process was started without pipes")
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise BballError(f"the process died. Run it by itself to see why: {' '.join(self._command)}")
        return answer


def plain_torch(folder: Path, size: int, batch: int) -> OwnProcess:
    """Return the loop of a tutorial, on class folders of photos; the input's side in pixels, photos per step."""
    script = Path(__file__).with_name("speed_plain.py")
    return OwnProcess([sys.executable, str(script), str(folder), str(size), str(batch)], batch)


def keras(python: Path, size: int, batch: int, policy: str) -> OwnProcess:
    """Return Keras InceptionV3 on TensorFlow, with ready arrays.

    Args:
        python: the interpreter of the environment with keras and tensorflow-cpu.
        size: side of the network's input, in pixels.
        batch: photos per step.
        policy: `float32` or `mixed_bfloat16`.
    """
    script = Path(__file__).with_name("speed_keras.py")
    return OwnProcess([str(python), str(script), str(size), str(batch), policy], batch)


class ArithmeticLimit:
    """Photos per second if a training step were nothing but matrix products at the rate of one large product.

    Args:
        size: side of the network's input, in pixels.
        precision: `bf16-mixed` or `32-true`, the project's own on this machine.
    """

    def __init__(self, size: int, precision: str) -> None:
        self.gflop_per_photo = _flop_per_photo(size) / 1e9
        dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
        self._left, self._right = (torch.randn(_MATRIX_SIDE, _MATRIX_SIDE).to(dtype) for _ in range(2))
        self.gflop_per_second: list[float] = []

    def __call__(self, steps: int, warm_up: int = 1) -> float:
        """Return the rate of `steps` products divided by the work of a photo."""
        product = self._left @ self._right
        for step in range(-warm_up, steps):
            if step == 0:
                start = time.perf_counter()
            torch.matmul(self._left, self._right, out=product)
        rate = steps * 2 * _MATRIX_SIDE**3 / (time.perf_counter() - start) / 1e9
        self.gflop_per_second.append(rate)
        return rate / self.gflop_per_photo


def synchronise() -> None:
    """Wait for the GPU, if there is one: its work is only queued when a step returns."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _flop_per_photo(size: int) -> float:
    # Counted from shapes alone, on torch's meta device; two photos, because batch norm refuses one.
    with torch.device("meta"):
        network = timm.create_model(BACKBONE, pretrained=False, num_classes=CLASSES).train()
        images = torch.randn(2, 3, size, size)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    return float(counter.get_total_flops() / len(images))
