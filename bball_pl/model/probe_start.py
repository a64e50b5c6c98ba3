"""The callback that starts the head from a linear probe, and keeps the probe when fine-tuning does not beat it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from bball_pl import project
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.data.dataset import PhotoBatch
from bball_pl.errors import ConfigError
from bball_pl.files import atomic_path
from bball_pl.model.checkpoints import checkpoint_folder, model_checkpoint
from bball_pl.model.linear_probe import Probe, clearly_better, fit_probe
from bball_pl.model.outcomes import OutcomeCollector
from bball_pl.photos.tree import Photo

if TYPE_CHECKING:
    from bball_pl.model.classifier import MoveClassifier


class LinearProbe(Callback):
    """LP-FT (arXiv:2202.10054): fit the head on frozen features first, then fine-tune from there.

    A random head sends random gradients into trained layers, and with few photos that costs more than fine-tuning
    gains. Starting from the probe's solution the first gradients are small, and the probe's figures on validation say
    what fine-tuning has to beat: if it does not beat them clearly, the probe becomes `best.ckpt`.

    Attributes:
        val_losses: the probe's cross entropy on each validation photo, in nats; None before it ran.
        val_acc: the probe's accuracy on validation, 0–1; None before it ran.
        kept: whether the run ended with the probe as its best model; None before the end.
    """

    def __init__(self) -> None:
        self.val_losses: Tensor | None = None
        self.val_acc: float | None = None
        self.kept: bool | None = None
        # The validation photos of the best epoch so far, and the loss on each.
        self._best: tuple[Tensor, Tensor] | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Fit the probe and give the head its solution, unless this is a resumed run."""
        # A resumed run gets its weights and the probe's figures from the checkpoint.
        if stage == "fit" and trainer.ckpt_path is None:
            classifier: Any = pl_module
            self._fit(trainer, classifier)

    def _fit(self, trainer: L.Trainer, classifier: MoveClassifier) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, PhotoDataModule):
            raise ConfigError("the linear probe needs a PhotoDataModule; pass --model.probe false to do without it")
        rank_zero_info(f"linear probe: frozen {classifier.hparams['backbone']} features …")
        train = _features(trainer, classifier, data, data.photos["train"])
        val = _features(trainer, classifier, data, data.photos["val"])
        # Every process fits the same regression on the same gathered features: nothing has to be sent around.
        probe = fit_probe(*train, *val, classes=len(classifier.class_names))
        _set_head(classifier, probe)
        self.val_losses, self.val_acc = probe.val_losses, probe.val_acc
        rank_zero_info(
            f"linear probe: val loss {probe.val_loss:.4g}, val accuracy {probe.val_acc:.4g} (C = {probe.strength:.2g})"
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the probe's figures and keep its model, which is the network at this moment."""
        if self.val_losses is None or self.val_acc is None:
            return
        figures = {"probe/loss": float(self.val_losses.mean()), "probe/acc": self.val_acc}
        for logger in trainer.loggers:
            logger.log_metrics(figures, step=trainer.global_step)
        if trainer.global_step == 0 and (path := self._checkpoint(trainer)):
            trainer.save_checkpoint(path, weights_only=False)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember the losses of the best epoch: those that belong to `best.ckpt`."""
        classifier: Any = pl_module
        if trainer.sanity_checking or self.val_losses is None:
            return
        outcomes = classifier.outcomes["val"]
        if self._best is None or outcomes.losses.mean() < self._best[1].mean():
            self._best = outcomes.indices, outcomes.losses

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compare with the best epoch; if that is not clearly better than the probe, make the probe `best.ckpt`."""
        path = self._checkpoint(trainer)
        if self.val_losses is None or path is None or model_checkpoint(trainer) is None:
            return
        # A loss that is not a number beats nothing.
        indices, losses = self._best or (
            torch.arange(len(self.val_losses)),
            torch.full_like(self.val_losses, torch.nan),
        )
        own = self.val_losses[indices]
        self.kept = not clearly_better(losses, own)
        figures = f"val loss {float(losses.mean()):.4g} against {float(own.mean()):.4g}"
        if self.kept:
            # A difference within the noise is said to be that: a user who sees the lower figure would wonder.
            doubt = ", less than one standard error apart" if losses.mean() < own.mean() else ""
            rank_zero_info(f"fine-tuning did not beat its own linear probe ({figures}{doubt}): best.ckpt is the probe")
            if trainer.is_global_zero:
                with atomic_path(path.with_name(project.BEST)) as temporary:
                    shutil.copyfile(path, temporary)
        else:
            rank_zero_info(f"fine-tuning beat its linear probe: {figures}")
        trainer.strategy.barrier("probe")

    def state_dict(self) -> dict[str, Any]:
        """Return the probe's figures and those of the best epoch, so that a resumed run can still compare."""
        return {"val_losses": self.val_losses, "val_acc": self.val_acc, "best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the figures of the interrupted run."""
        self.val_losses, self.val_acc = state_dict["val_losses"], state_dict["val_acc"]
        self._best = state_dict["best"]

    @staticmethod
    def _checkpoint(trainer: L.Trainer) -> Path | None:
        folder = checkpoint_folder(trainer)
        return None if folder is None else folder / project.PROBE


@torch.inference_mode()
def _features(
    trainer: L.Trainer, classifier: MoveClassifier, data: PhotoDataModule, photos: list[Photo]
) -> tuple[Tensor, Tensor]:
    device = trainer.strategy.root_device
    was_training = classifier.training
    classifier.to(device).eval()
    collector = OutcomeCollector()
    for batch in data.eval_loader(photos):
        moved = PhotoBatch(*(part.to(device, non_blocking=True) for part in batch))
        images, targets, indices = data.on_after_batch_transfer(moved, 0)
        with trainer.precision_plugin.forward_context():
            features = classifier.network.features(images)
        collector.add(indices, targets, features)
    classifier.train(was_training)
    gathered = collector.gather()
    return gathered.logits.clone(), gathered.targets.clone()


@torch.no_grad()
def _set_head(classifier: MoveClassifier, probe: Probe) -> None:
    head = classifier.network.head
    if not isinstance(head, torch.nn.Linear):
        raise ConfigError(
            f"the linear probe needs a linear head, and {classifier.hparams['backbone']} ends in "
            f"{type(head).__name__}; pass --model.probe false"
        )
    head.weight.copy_(probe.weight)
    head.bias.copy_(probe.bias)
