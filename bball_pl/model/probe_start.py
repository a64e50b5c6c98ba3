"""Fine-tuning that starts from a linear probe, whose settings held-out photos choose."""

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

from bball_pl import project
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.data.dataset import PhotoBatch
from bball_pl.data.validation import cross_validation_folds
from bball_pl.errors import ConfigError
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.fit.checkpoints import checkpoint_folder, write_checkpoint
from bball_pl.model.folding import folded
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
    """Fits the head on frozen features before fine-tuning (LP-FT, arXiv:2202.10054), and writes `probe.ckpt`.

    A random head sends random gradients into trained layers, and with few photos that costs more than fine-tuning
    gains. From the probe's solution the first gradients are small. Settings of the probe are chosen on held-out photos:
    on small sets by cross-validation over all photos for training and validation, else on the validation photos.

    Attributes:
        val: answers of the probe of the training photos to the validation photos; None before.
        start: head of the start, fitted to the training photos alone; None before.
        folds: number of folds that have chosen its settings; 1 for one split.
    """

    def __init__(self) -> None:
        self.val: Outcomes | None = None
        self.start: Regression | None = None
        self.folds = 1
        # The head that `probe.ckpt` gets, fitted to all photos for training and validation.
        self._final: Regression | None = None
        self._held_out: dict[str, Any] = {}

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
        mirror = is_small(data)
        features = {size: _features(trainer, classifier, data, photos, size, mirror) for size in sizes}
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
        scenes = _features(trainer, classifier, data, data.scenes, choice.size, mirror).fitted if data.scenes else None

        def fit(chosen: list[int]) -> Regression:
            (regression,) = fit_regressions(
                fitted[chosen], targets[chosen], classes, choice.class_weights, [choice.strength], known, groups
            )
            return regression if scenes is None else with_none(regression, fitted[chosen], scenes)

        self.start, self._final = fit(train), fit(list(range(len(photos))))
        if scenes is not None:
            logits = plain.new_zeros(len(photos), classes + 1)
            for learned, judged in folds:
                logits[judged] = fit(learned).logits(plain[judged])
            choice = choice.with_logits(logits[choice.indices], targets)
            offset = none_offset(choice.logits, targets[choice.indices], classes)
            choice = choice.with_logits(raised(choice.logits, offset), targets)
            self.start, self._final = (
                replace(regression, bias=raised(regression.bias, offset)) for regression in (self.start, self._final)
            )
        # Only now: beside answers that are surer of the moves, the row of none would be fitted to less.
        self.start, self._final = self.start.cooled(choice.temperature), self._final.cooled(choice.temperature)
        _set_head(classifier, self.start)
        self.folds = len(folds)
        self._held_out = {
            "size": choice.size,
            "class_weights": choice.class_weights,
            "strength": choice.strength,
            "folds": len(folds),
            "targets": targets[choice.indices].tolist(),
            "logits": (choice.logits / choice.temperature).tolist(),
        }
        self.val = Outcomes(torch.arange(len(val)), targets[val], self.start.logits(plain[val]))
        rank_zero_info(_described(choice, targets))
        loss, accuracy = self._val_figures()
        rank_zero_info(f"linear probe: val loss {loss:.4g}, val accuracy {accuracy:.4g}")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the probe's figures and write `probe.ckpt`."""
        if self.val is None:
            return
        figures = dict(zip(("probe/loss", "probe/acc"), self._val_figures(), strict=True))
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

    def start_state(self, trainer: L.Trainer, classifier: MoveClassifier) -> dict[str, Tensor]:
        """Return the weights of the start: those of the body before fine-tuning, and the start's head."""
        path = self._checkpoint(trainer)
        assert path is not None
        assert self.start is not None
        state: dict[str, Tensor] = read_checkpoint(path)["state_dict"]
        return state | _head_state(classifier, self.start)

    def state_dict(self) -> dict[str, Any]:
        """Return the probe and its validation answers, so that a resumed run can still compare."""
        start = None if self.start is None else (self.start.weight, self.start.bias)
        val = None if self.val is None else (self.val.indices, self.val.targets, self.val.logits)
        return {"start": start, "val": val, "folds": self.folds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the probe of the interrupted run."""
        self.start = None if state_dict["start"] is None else Regression(*state_dict["start"])
        self.val = None if state_dict["val"] is None else Outcomes(*state_dict["val"])
        self.folds = state_dict["folds"]

    def _val_figures(self) -> tuple[float, float]:
        assert self.val is not None
        return float(self.val.losses.mean()), float(self.val.correct.float().mean())

    @staticmethod
    def _checkpoint(trainer: L.Trainer) -> Path | None:
        folder = checkpoint_folder(trainer)
        return None if folder is None else folder / project.PROBE


def _divided(data: PhotoDataModule) -> tuple[list[Photo], list[int], list[int], list[tuple[list[int], list[int]]]]:
    """Return the photos for training and validation, the positions of each, and the folds of a small set."""
    photos = sorted(data.photos["train"] + data.photos["val"], key=lambda photo: photo.relative)
    positions = {photo.relative: position for position, photo in enumerate(photos)}
    train, val = ([positions[photo.relative] for photo in data.photos[split]] for split in ("train", "val"))
    folds = cross_validation_folds(photos, _FOLDS, data.seed) if is_small(data) else []
    return photos, train, val, folds


def is_small(data: PhotoDataModule) -> bool:
    """Return whether the photos for training and validation are so few that folds choose, where groups allow any."""
    return len(data.photos["train"]) + len(data.photos["val"]) <= SMALL_SET


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


def _described(choice: ProbeChoice, targets: Tensor) -> str:
    accuracy = float((choice.logits.argmax(1) == targets[choice.indices]).float().mean())
    where = (
        f"{choice.folds} folds of {len(choice.indices)} photos"
        if choice.folds > 1
        else f"{len(choice.indices)} validation photos"
    )
    weights = "balanced classes" if choice.class_weights == "balanced" else "unweighted photos"
    return (
        f"linear probe: {where} choose {choice.size} px, {weights}, C = {choice.strength:.2g}; held-out loss "
        f"{float(choice.losses.mean()):.4g}, accuracy {accuracy:.4g}"
    )


def _features(
    trainer: L.Trainer, classifier: MoveClassifier, data: PhotoDataModule, photos: list[Photo], size: int, mirror: bool
) -> Features:
    """Return features of photos; on a large set mirror images cost half of the time and change nothing.

    Raises:
        ConfigError: if a feature is not a finite number.
    """
    classifier.to(trainer.strategy.root_device)
    was_training = classifier.training
    network = folded(classifier.eval().network, size)
    classifier.train(was_training)

    def seen(images: Tensor) -> Tensor:
        features = network.features(images)
        return torch.cat([features, network.features(images.flip(3))], 1) if mirror else features

    # Minutes for a large set; the progress bar of the training comes after it.
    with progress(log if trainer.is_global_zero else None) as bar:
        task = bar.add_task(f"features at {size} px", total=len(photos))

        def advancing(images: Tensor) -> Tensor:
            found = seen(images)
            bar.advance(task, len(images) * trainer.world_size)
            return found

        found = answers(trainer, classifier, data, photos, size, advancing).logits
    if lost := int((~found.isfinite().all(1)).sum()):
        raise ConfigError(
            f"the features of {lost} of {len(photos)} photos at {size} px are no finite numbers: the weights are "
            "damaged, or values leave the range of 16 bits; pass other --model.weights, or --trainer.precision 32-true"
        )
    if not mirror:
        return Features(found, found)
    plain, mirrored = found.chunk(2, 1)
    return Features((plain + mirrored) / 2, plain.clone())


@torch.no_grad()
def answers(
    trainer: L.Trainer,
    classifier: MoveClassifier,
    data: PhotoDataModule,
    photos: list[Photo],
    size: int,
    answer: Callable[[Tensor], Tensor],
) -> Outcomes:
    """Answer photos at a size in pixels by the network or a part of it; the processes of a run share the photos."""
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
    name = head_name(classifier)
    return {f"{name}.weight": probe.weight, f"{name}.bias": probe.bias}


def head_name(classifier: MoveClassifier) -> str:
    """Return the name of the last layer in the classifier's state."""
    names: list[str] = [name for name, module in classifier.named_modules() if module is classifier.network.head]
    return names[0]
