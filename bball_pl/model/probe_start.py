"""Fine-tuning that starts from a linear probe, and the choice between probe, fine-tuned network and their average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.nn.functional import cross_entropy

from bball_pl import project
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.data.dataset import PhotoBatch
from bball_pl.data.validation import cross_validation_folds
from bball_pl.errors import ConfigError
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.fit.checkpoints import checkpoint_folder, model_checkpoint, write_checkpoint
from bball_pl.model.linear_probe import (
    ClassWeights,
    Features,
    ProbeChoice,
    Regression,
    choose_probe,
    clearly_better,
    fit_regressions,
    none_offset,
    raised,
    with_none,
)
from bball_pl.model.network import chosen_weights, image_sizes, is_twin
from bball_pl.model.outcomes import OutcomeCollector, Outcomes
from bball_pl.model.twin import HALF, TWIN
from bball_pl.photos.tree import Photo
from bball_pl.terminal import log, progress

if TYPE_CHECKING:
    from bball_pl.model.classifier import MoveClassifier

#: Up to this many photos for training and validation the probe is chosen by cross-validation, with the image size: 15 %
#: of them are 90 photos, on which an accuracy is known to 4 points (one standard error at 85 %).
SMALL_SET = 600
_FOLDS = 5


class LinearProbe(Callback):
    """Fits the head on frozen features before fine-tuning (LP-FT, arXiv:2202.10054), and keeps the better model.

    A random head sends random gradients into trained layers, and with few photos that costs more than fine-tuning
    gains. From the probe's solution the first gradients are small. Settings of the probe are chosen on held-out photos:
    on small sets by cross-validation over all photos for training and validation, else on the validation photos.

    After the last epoch the probe, the best epoch and the average of their weights (arXiv:2109.01903) are compared on
    the validation photos. Unless one of the others is clearly better, `best.ckpt` becomes the probe, fitted again to
    all photos for training and validation, with its answers to held-out photos for calibration.

    Attributes:
        val_losses: cross entropy of the probe of the training photos on each validation photo, in nats; None before.
        val_acc: its accuracy on the validation photos, 0–1; None before.
        kept: whether `best.ckpt` is the probe; None before the end.
    """

    def __init__(self) -> None:
        self.val_losses: Tensor | None = None
        self.val_acc: float | None = None
        self.kept: bool | None = None
        # Head of the start, fitted to the training photos alone; the one that `probe.ckpt` gets, fitted to all.
        self._start: Regression | None = None
        self._final: Regression | None = None
        self._held_out: dict[str, Any] = {}
        # Validation photos and losses of the best epoch so far.
        self._best: tuple[Tensor, Tensor] | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Choose and fit the probe and set the head to its solution, unless this is a resumed run."""
        # A resumed run gets its weights and the probe's figures from the checkpoint.
        if stage == "fit" and trainer.ckpt_path is None:
            classifier: Any = pl_module
            self._fit(trainer, classifier)

    def _fit(self, trainer: L.Trainer, classifier: MoveClassifier) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, PhotoDataModule):
            raise ConfigError("the linear probe needs a PhotoDataModule; pass --model.probe false to do without it")
        photos, train, val, folds = _divided(data)
        sizes = image_sizes(classifier.backbone, classifier.hparams["image_size"])
        if not folds:
            folds, sizes = [(train, val)], sizes[:1]
        elif classifier.hparams["auxiliary"]:
            sizes = sizes[:1]
        sizes = _accepted_sizes(classifier, sizes)
        targets = torch.tensor([photo.target for photo in photos])
        # Rendered scenes add a class to what the photos of moves have chosen, and change nothing among the moves.
        classes = len(classifier.class_names) - bool(data.scenes)
        single, backbone = classifier.network, classifier.backbone
        if widens := len(folds) > 1 and _may_widen(classifier):
            classifier.use(classifier.widened(), TWIN)
        rank_zero_info(f"linear probe: frozen {classifier.backbone} features at {', '.join(map(str, sizes))} px …")
        # Every process fits the same regressions to the same gathered features: nothing has to be exchanged.
        features = {size: _features(trainer, classifier, data, photos, size) for size in sizes}
        known = _known_head(classifier, classes) if classifier.has_known_head else None
        groups = classifier.network.feature_groups
        weightings = _weightings(classifier)
        choice = choose_probe(features, targets, folds, classes, weightings, known, groups)
        if widens:
            alone = {size: one.of_first(groups[0]) for size, one in features.items()}
            first = None if known is None else known.split(groups)[0]
            narrow = choose_probe(alone, targets, folds, classes, weightings, first, groups[:1])
            if not _beats(choice, narrow):
                classifier.use(single, backbone)
                features, known, groups, choice = alone, first, groups[:1], narrow
        classifier.adopt(choice.size, choice.class_weights)
        fitted, plain = features[choice.size]
        scenes = _features(trainer, classifier, data, data.scenes, choice.size).fitted if data.scenes else None

        def fit(chosen: list[int]) -> Regression:
            (regression,) = fit_regressions(
                fitted[chosen], targets[chosen], classes, choice.class_weights, [choice.strength], known, groups
            )
            return regression if scenes is None else with_none(regression, fitted[chosen], scenes)

        self._start, self._final = fit(train), fit(list(range(len(photos))))
        if scenes is not None:
            logits = plain.new_zeros(len(photos), classes + 1)
            for learned, judged in folds:
                logits[judged] = fit(learned).logits(plain[judged])
            choice = choice.with_logits(logits[choice.indices], targets)
            offset = none_offset(choice.logits, targets[choice.indices], classes)
            choice = choice.with_logits(raised(choice.logits, offset), targets)
            self._start, self._final = (
                replace(regression, bias=raised(regression.bias, offset)) for regression in (self._start, self._final)
            )
        _set_head(classifier, self._start)
        self._held_out = {
            "size": choice.size,
            "class_weights": choice.class_weights,
            "strength": choice.strength,
            "folds": len(folds),
            "targets": targets[choice.indices].tolist(),
            "logits": choice.logits.tolist(),
        }
        logits = self._start.logits(plain[val])
        self.val_losses = cross_entropy(logits, targets[val], reduction="none")
        self.val_acc = float((logits.argmax(1) == targets[val]).float().mean())
        rank_zero_info(_described(choice, targets, len(folds)))
        rank_zero_info(f"linear probe: val loss {float(self.val_losses.mean()):.4g}, val accuracy {self.val_acc:.4g}")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the probe's figures and write `probe.ckpt`."""
        if self.val_losses is None or self.val_acc is None:
            return
        figures = {"probe/loss": float(self.val_losses.mean()), "probe/acc": self.val_acc}
        for logger in trainer.loggers:
            logger.log_metrics(figures, step=trainer.global_step)
        # A run that is resumed at its very start has the file already, and not what belongs into it.
        if self._final is not None and (path := self._checkpoint(trainer)):
            start = path.with_name(f".{path.name}.start")
            trainer.save_checkpoint(start, weights_only=False)
            classifier: Any = pl_module
            if trainer.is_global_zero:
                checkpoint = read_checkpoint(start)
                checkpoint["state_dict"].update(_head_state(classifier, self._final))
                checkpoint["bball_pl"]["held_out"] = self._held_out
                write_checkpoint(checkpoint, path)
                start.unlink()
            trainer.strategy.barrier("probe")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember the losses of the best epoch, which `best.ckpt` holds."""
        classifier: Any = pl_module
        if trainer.sanity_checking or self.val_losses is None:
            return
        outcomes = classifier.outcomes["val"]
        if self._best is None or outcomes.losses.mean() < self._best[1].mean():
            self._best = outcomes.indices, outcomes.losses

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Make the probe or the average `best.ckpt` if it beats the best epoch."""
        path = self._checkpoint(trainer)
        if self.val_losses is None or self._start is None or path is None or model_checkpoint(trainer) is None:
            return
        classifier: Any = pl_module
        best = path.with_name(project.BEST)
        if best.is_file() and (chosen := read_checkpoint(best)["bball_pl"]).keys() & {"held_out", "averaged"}:
            # A run that was interrupted in its test: the choice is made, and best.ckpt is no longer the best epoch.
            self.kept = "held_out" in chosen
            return
        # A loss that is not a number beats nothing.
        losses = torch.full_like(self.val_losses, torch.nan)
        name, averaged = "fine-tuning", None
        if self._best is not None and best.is_file():
            indices, tuned = self._best
            losses[indices] = tuned
            averaged = read_checkpoint(best)
            state = averaged["state_dict"]
            start = read_checkpoint(path)["state_dict"] | _head_state(classifier, self._start)
            for key, value in state.items():
                state[key] = (value + start[key]) / 2 if value.is_floating_point() else value
            averaged_losses = _val_losses(trainer, classifier, state)
            if averaged_losses.mean() < losses.mean():
                name, losses = "the weight average", averaged_losses
            else:
                averaged = None
        self.kept = not clearly_better(losses, self.val_losses)
        figures = f"val loss {float(losses.mean()):.4g} against {float(self.val_losses.mean()):.4g}"
        if self.kept:
            # Without the remark a user who sees the lower figure would wonder.
            doubt = ", less than one standard error apart" if losses.mean() < self.val_losses.mean() else ""
            rank_zero_info(f"{name} did not beat the linear probe ({figures}{doubt}): best.ckpt is the probe")
        else:
            rank_zero_info(f"{name} beat the linear probe: {figures}")
        trainer.strategy.barrier("compared")  # every process has read best.ckpt
        if trainer.is_global_zero and self.kept:
            write_checkpoint(read_checkpoint(path), best)
        elif trainer.is_global_zero and averaged is not None:
            averaged["bball_pl"]["averaged"] = True
            write_checkpoint(averaged, best)
        trainer.strategy.barrier("chosen")

    def state_dict(self) -> dict[str, Any]:
        """Return the probe and the figures of the best epoch, so that a resumed run can still compare."""
        start = None if self._start is None else (self._start.weight, self._start.bias)
        return {"val_losses": self.val_losses, "val_acc": self.val_acc, "start": start, "best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the figures of the interrupted run."""
        self.val_losses, self.val_acc = state_dict["val_losses"], state_dict["val_acc"]
        self._start = None if state_dict["start"] is None else Regression(*state_dict["start"])
        self._best = state_dict["best"]

    @staticmethod
    def _checkpoint(trainer: L.Trainer) -> Path | None:
        folder = checkpoint_folder(trainer)
        return None if folder is None else folder / project.PROBE


def _divided(data: PhotoDataModule) -> tuple[list[Photo], list[int], list[int], list[tuple[list[int], list[int]]]]:
    """Return the photos for training and validation, the positions of each, and the folds of a small set."""
    photos = sorted(data.photos["train"] + data.photos["val"], key=lambda photo: photo.relative)
    positions = {photo.relative: position for position, photo in enumerate(photos)}
    train, val = ([positions[photo.relative] for photo in data.photos[split]] for split in ("train", "val"))
    folds = cross_validation_folds(photos, _FOLDS, data.seed) if len(photos) <= SMALL_SET else []
    return photos, train, val, folds


def _accepted_sizes(classifier: MoveClassifier, sizes: list[int]) -> list[int]:
    """Return the sizes that the backbone takes.

    Raises:
        ConfigError: if it does not take one that the user asked for, or the one that it was trained at.
    """
    accepted = []
    for size in sizes:
        try:
            classifier.network.check_size(size)
        except ConfigError:
            # The sizes beside the trained one are this program's idea.
            if size == sizes[0] or classifier.hparams["image_size"] is not None:
                raise
        else:
            accepted.append(size)
    return accepted


def _described(choice: ProbeChoice, targets: Tensor, folds: int) -> str:
    accuracy = float((choice.logits.argmax(1) == targets[choice.indices]).float().mean())
    where = (
        f"{folds} folds of {len(choice.indices)} photos" if folds > 1 else f"{len(choice.indices)} validation photos"
    )
    weights = "balanced classes" if choice.class_weights == "balanced" else "unweighted photos"
    return (
        f"linear probe: {where} choose {choice.size} px, {weights}, C = {choice.strength:.2g}; held-out loss "
        f"{float(choice.losses.mean()):.4g}, accuracy {accuracy:.4g}"
    )


def _features(
    trainer: L.Trainer, classifier: MoveClassifier, data: PhotoDataModule, photos: list[Photo], size: int
) -> Features:
    def both(images: Tensor) -> Tensor:
        return torch.cat([classifier.network.features(images), classifier.network.features(images.flip(3))], 1)

    # Minutes for a large set; the progress bar of the training comes after it.
    with progress(log if trainer.is_global_zero else None) as bar:
        task = bar.add_task(f"features at {size} px", total=len(photos))

        def counted(images: Tensor) -> Tensor:
            found = both(images)
            bar.advance(task, len(images) * trainer.world_size)
            return found

        plain, mirrored = _answers(trainer, classifier, data, photos, size, counted).logits.chunk(2, 1)
    return Features((plain + mirrored) / 2, plain.clone())


def _val_losses(trainer: L.Trainer, classifier: MoveClassifier, state: dict[str, Tensor]) -> Tensor:
    data = trainer.datamodule  # type: ignore[attr-defined]
    present = {key: value.clone() for key, value in classifier.state_dict().items()}
    classifier.load_state_dict(state)
    losses = _answers(trainer, classifier, data, data.photos["val"], classifier.spec.size, classifier).losses
    classifier.load_state_dict(present)
    return losses


@torch.no_grad()
def _answers(
    trainer: L.Trainer,
    classifier: MoveClassifier,
    data: PhotoDataModule,
    photos: list[Photo],
    size: int,
    answer: Callable[[Tensor], Tensor],
) -> Outcomes:
    device = trainer.strategy.root_device
    was_training = classifier.training
    classifier.to(device).eval()
    collector = OutcomeCollector()
    for batch in data.eval_loader(photos, size):
        moved = PhotoBatch(*(part.to(device, non_blocking=True) for part in batch))
        images, targets, indices = data.on_after_batch_transfer(moved, 0)
        with trainer.precision_plugin.forward_context():
            collector.add(indices, targets, answer(images))
    classifier.train(was_training)
    return collector.gather()


def _may_widen(classifier: MoveClassifier) -> bool:
    settings = classifier.hparams
    backbone = str(settings["backbone"])
    weights = chosen_weights(backbone, settings["weights"], classifier.class_names)
    return bool(settings["twin"]) and weights == "court" and not is_twin(backbone)


def _beats(twin: ProbeChoice, single: ProbeChoice) -> bool:
    """Say and return whether the twin's held-out answers are clearly better: it is twice the size and time."""
    wide = clearly_better(twin.losses, single.losses)
    figures = f"held-out loss {float(twin.losses.mean()):.4g} against {float(single.losses.mean()):.4g}"
    rank_zero_info(
        f"linear probe: ImageNet's weights beside court's are clearly better ({figures}): {TWIN}, twice as large on a "
        "phone; --model.twin false does without"
        if wide
        else f"linear probe: ImageNet's weights beside court's are not clearly better ({figures}): {HALF}"
    )
    return wide


def _weightings(classifier: MoveClassifier) -> list[ClassWeights]:
    weights: ClassWeights | Literal["auto"] = classifier.hparams["class_weights"]
    return ["balanced", "none"] if weights == "auto" else [weights]


def _known_head(classifier: MoveClassifier, classes: int) -> Regression:
    head: Any = classifier.network.head
    return Regression(head.weight.detach().float().cpu()[:classes], head.bias.detach().float().cpu()[:classes])


@torch.no_grad()
def _set_head(classifier: MoveClassifier, probe: Regression) -> None:
    head: Any = classifier.network.head
    head.weight.copy_(probe.weight)
    head.bias.copy_(probe.bias)


def _head_state(classifier: MoveClassifier, probe: Regression) -> dict[str, Tensor]:
    (prefix,) = (name for name, module in classifier.named_modules() if module is classifier.network.head)
    return {f"{prefix}.weight": probe.weight, f"{prefix}.bias": probe.bias}
