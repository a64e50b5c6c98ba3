"""Parts of the recipe: setting ranges, mixing, weight average, layer-wise AdamW, schedule and batch norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.plugins import LayerSync
from timm.layers import BatchNormAct2d
from timm.models import group_parameters
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import LambdaLR

from bball_pl.errors import ConfigError

BatchNormPolicy = Literal["train", "slow", "frozen"]

#: Steps of training between two updates of the average of the weights.
_STEPS_OF_AN_UPDATE = 4
#: Momentum of the running statistics under the policy `slow`.
_SLOW_MOMENTUM = 0.01


def check_ranges(values: dict[str, Any]) -> None:
    """Reject arguments of the classifier that are out of range.

    Args:
        values: values by argument name.

    Raises:
        ConfigError: if there are fewer than two classes, or a number is out of its range or not finite.
    """
    if len(values["class_names"]) < 2:
        raise ConfigError(f"a classifier needs two classes or more, found {len(values['class_names'])}")
    for name in (
        "layer_decay", "frozen", "warmup", "label_smoothing", "mix_probability", "dropout", "ema_decay",
    ):  # fmt: skip
        if not 0 <= values[name] <= 1:
            raise ConfigError(f"--model.{name} is {values[name]}; expected a number from 0 to 1")
    for name in ("weight_decay", "mixup", "cutmix", "head_epochs", "patience"):
        if not 0 <= values[name] < math.inf:
            raise ConfigError(f"--model.{name} is {values[name]}; expected 0 or more")
    if not 0 < values["lr"] < math.inf:
        raise ConfigError(f"--model.lr is {values['lr']}; expected a positive number")
    if values["compile"] and values["auxiliary"]:
        raise ConfigError("--model.compile does not reach the auxiliary head; pass one of compile and auxiliary only")
    if values["ema_decay"] == 1 or values["dropout"] == 1 or values["layer_decay"] == 0:
        raise ConfigError("ema_decay 1, dropout 1 or layer_decay 0 would keep the network from learning")


def mix(
    images: Tensor, targets: Tensor, mixup: float, cutmix: float, probability: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Blend each photo of a batch with another one, by mixup or CutMix, chosen at random once per batch.

    Sources: mixup, arXiv:1710.09412; CutMix, arXiv:1905.04899, with the weight corrected to the pasted area.

    Args:
        images: float `[B, 3, S, S]`.
        targets: float `[B, classes]`, one row per photo that sums to 1.
        mixup: alpha of the beta distribution for mixup, 0 or more; 0 switches it off.
        cutmix: alpha for CutMix. With both on, each batch uses one of them with equal probability.
        probability: share of the batches that are mixed, 0–1.
        generator: CPU generator, the only source of randomness.

    Returns:
        Images and targets of the same shapes; the given tensors if nothing is mixed.
    """
    draws = torch.rand(2, generator=generator)
    if (mixup <= 0 and cutmix <= 0) or len(images) < 2 or float(draws[0]) >= probability:
        return images, targets
    use_cutmix = cutmix > 0 and (mixup <= 0 or float(draws[1]) < 0.5)
    share = _beta(cutmix if use_cutmix else mixup, generator)
    # The batch is in random order already, so neighbours serve as partners.
    other_images, other_targets = images.roll(1, 0), targets.roll(1, 0)
    if use_cutmix:
        side = images.shape[-1]
        cut = (1 - share) ** 0.5 * side / 2
        middle = torch.rand(2, generator=generator) * side
        low = (middle - cut).round().clamp(0, side).int().tolist()
        high = (middle + cut).round().clamp(0, side).int().tolist()
        images = images.clone()
        images[:, :, low[0] : high[0], low[1] : high[1]] = other_images[:, :, low[0] : high[0], low[1] : high[1]]
        share = 1 - (high[0] - low[0]) * (high[1] - low[1]) / side**2
    else:
        images = torch.lerp(other_images, images, share)
    return images, torch.lerp(other_targets, targets, share)


def _beta(alpha: float, generator: torch.Generator) -> float:
    # torch.distributions.Beta takes no generator. X / (X + Y) of two gamma variates is beta distributed.
    gammas = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=generator)
    total = float(gammas.sum())
    return float(gammas[0]) / total if total > 0 else 0.5


class WeightEma(WeightAveraging):
    """Moving average of weights and buffers, used in validation, in checkpoints and as the final model.

    With 2,000 photos a whole run has a few hundred steps, and an average over 500 steps would still remember the
    start. So the decay warms up, as in TensorFlow's `ExponentialMovingAverage`: `min(decay, s / (9 + s))` at step s.

    The weights are taken every fourth step and at the end of an epoch, with the decays of the steps between multiplied:
    four neighbours differ less than the average could show, and an update passes over all weights of the network.

    Args:
        decay: share of the old average that stays in one step, 0–1; 0.998 averages over about 500 steps.
    """

    def __init__(self, decay: float = 0.998) -> None:
        super().__init__(use_buffers=True, multi_avg_fn=self._average)
        self._decay = decay
        self._steps = range(0)
        self._is_due = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Create the average on the training device, to which the network is moved only later."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average if it is time to."""
        self._steps = range(self.state_dict()["latest_update_step"] + 1, trainer.global_step + 1)
        self._is_due = len(self._steps) >= _STEPS_OF_AN_UPDATE or trainer.is_last_batch
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return whether enough steps were taken since the last update."""
        return step_idx is not None and self._is_due

    @torch.no_grad()
    def _average(self, averages: list[Tensor], currents: list[Tensor], updates: Tensor | int) -> None:
        if averages[0].is_floating_point():
            kept = math.prod(min(self._decay, step / (9 + step)) for step in self._steps)
            torch._foreach_lerp_(averages, currents, 1 - kept)
        else:
            # Counters of batch norm: the latest value counts, not an average.
            for average, current in zip(averages, currents, strict=True):
                average.copy_(current)


def freeze_lowest(network: Any, share: float) -> None:
    """Freeze the layers nearest to the input.

    Edge and texture filters learnt from a million photos fit rendered scenes unchanged; trained on drawn surfaces they
    would forget real ones. Freezing a third also halves the time of a training step at 224 px.

    Args:
        network: a timm network, changed in place.
        share: share of the layers, counted from the input, 0–1; the layers are those of timm's `group_matcher`.
    """
    if share == 0:
        return
    layers: dict[str, int] = group_parameters(network, network.group_matcher(), reverse=True)
    least = share * max(layers.values())
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(layers[name] >= least)


def parameter_groups(network: Any, lr: float, layer_decay: float, weight_decay: float) -> list[dict[str, Any]]:
    """Divide a timm network's parameters by depth and by whether they decay.

    The deeper a layer lies below the head, the more general its features are and the less they should change: its
    learning rate is `lr * layer_decay ** depth` (discriminative fine-tuning, arXiv:1801.06146; the layers are those
    of timm's `group_matcher`). Norm weights and biases are not decayed: there are few of them, and shrinking a norm's
    scale changes the function instead of simplifying it (arXiv:1812.01187, section 3.1).

    Args:
        network: a timm network.
        lr: learning rate of the head.
        layer_decay: factor per layer, 0–1; 1 gives every layer the same rate.
        weight_decay: decoupled weight decay of AdamW for weights of two and more dimensions.

    Returns:
        Groups for a torch optimiser with `params`, `lr`, `weight_decay` and `name` (`depth03`, `depth03_no_decay`).
    """
    groups = param_groups_layer_decay(
        network,
        # A placeholder: with the real value, a decay of 0 would give two groups of each depth the same name.
        weight_decay=1.0,
        no_weight_decay_list=network.no_weight_decay() if hasattr(network, "no_weight_decay") else (),
        # timm returns only factors: a factor of exactly 1 would hide the depth of a group.
        layer_decay=min(layer_decay, 0.999999),
    )
    factor = math.log(min(layer_decay, 0.999999))
    named = []
    for group in groups:
        depth = round(math.log(group["lr_scale"]) / factor)
        decays = group["weight_decay"] > 0
        named.append(
            {
                "params": group["params"],
                "lr": lr * layer_decay**depth,
                "weight_decay": weight_decay if decays else 0.0,
                "name": f"depth{depth:02d}" + ("" if decays else "_no_decay"),
            }
        )
    return sorted(named, key=lambda group: str(group["name"]))


def learning_rate_schedule(
    optimiser: torch.optim.Optimizer,
    total_steps: int,
    warmup_steps: int,
    head_steps: int,
    schedule: Literal["cosine", "constant"],
) -> LambdaLR:
    """Return the schedule: a linear warm-up of every group's learning rate, then constant or half a cosine to zero.

    The second moments of AdamW's first steps come from a handful of batches; the warm-up keeps these steps from
    destroying trained features. The cosine (arXiv:1608.03983) ends with small steps, so that the last weights are
    stable.

    Args:
        optimiser: optimiser with the groups of `parameter_groups`.
        total_steps: optimiser steps of the whole run.
        warmup_steps: steps of the warm-up.
        head_steps: steps at the start in which only the head is trained, so that a random head's gradients do not
            reach trained layers; every other group's rate is zero, and its warm-up begins afterwards.
        schedule: shape after the warm-up.
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        if schedule == "constant":
            return 1.0
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def body_factor(step: int) -> float:
        if step < head_steps:
            return 0.0
        return min(1.0, (step - head_steps + 1) / (warmup_steps + 1)) * factor(max(step, warmup_steps))

    factors: list[Callable[[int], float]] = [
        factor if group["name"].startswith("depth00") else body_factor for group in optimiser.param_groups
    ]
    return LambdaLR(optimiser, factors)


def batch_norm_layers(module: nn.Module) -> list[_BatchNorm]:
    """Return every batch norm layer below a module, timm's with a built-in activation included."""
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]


def apply_policy(module: nn.Module, policy: BatchNormPolicy) -> None:
    """Set the behaviour of batch norm layers in training; call it after every `module.train()` and policy change.

    Args:
        module: the network, changed in place.
        policy: `train` normalises with the batch and updates the running statistics with the backbone's momentum;
            `slow` does the same with momentum 0.01, so that a few odd batches do not erase statistics of a million
            photos; `frozen` normalises with the running statistics in training as in evaluation, so that both compute
            the same function and small batches do no harm. Weight and bias are trained under each policy.
    """
    for layer in batch_norm_layers(module):
        # Set for every policy: Lightning restores the mode a layer had before validation, so that a layer frozen in the
        # head's epochs would stay frozen.
        layer.train(policy != "frozen")
        if policy == "slow":
            layer.momentum = _SLOW_MOMENTUM


class SyncBatchNorm(nn.BatchNorm2d):
    """Batch norm over the photos of all processes, on any device that can all-reduce.

    torch's layer does not run on CPUs, and its conversion drops the activation inside timm's `BatchNormAct2d`. This
    one shares sums and sums of squares with one differentiable all-reduce, and keeps drop and activation.
    In evaluation, in one process and before the process group exists it is plain batch norm.
    """

    def __init__(self, layer: _BatchNorm):
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked
        self.drop: nn.Module = layer.drop if isinstance(layer, BatchNormAct2d) else nn.Identity()
        self.act: nn.Module = layer.act if isinstance(layer, BatchNormAct2d) else nn.Identity()
        self.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise float `[B, C, H, W]` by the mean and variance of all processes' batches."""
        shared = self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        normalised = self._forward_shared(input) if shared else super().forward(input)
        output: Tensor = self.act(self.drop(normalised))
        return output

    def _forward_shared(self, images: Tensor) -> Tensor:
        # Sums of squares lose too much precision in 16 bits, and autocast does not promote them.
        floats = images.float()
        count = torch.full((1,), floats.numel() / floats.shape[1], device=floats.device)
        sums = torch.cat([floats.sum((0, 2, 3)), floats.square().sum((0, 2, 3)), count])
        total: Tensor = all_reduce(sums)
        channels = floats.shape[1]
        number = total[-1]
        mean = total[:channels] / number
        variance = (total[channels:-1] / number - mean.square()).clamp_min(0)  # rounding can make it negative
        self._update_statistics(mean.detach(), variance.detach(), number.detach())
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        shift = -mean * scale + (self.bias if self.affine else 0)
        return torch.addcmul(shift.view(1, -1, 1, 1), floats, scale.view(1, -1, 1, 1)).to(images.dtype)

    @torch.no_grad()
    def _update_statistics(self, mean: Tensor, variance: Tensor, number: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        # The running variance is the unbiased one, as in torch.
        self.running_var.lerp_(variance * (number / (number - 1)), momentum)


class SyncBatchNormPlugin(LayerSync):
    """Lightning's `sync_batchnorm` with a layer that keeps timm's activations and runs on CPUs too."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Replace every batch norm layer below `model` by a `SyncBatchNorm` with the same parameters."""
        for name, child in model.named_children():
            if isinstance(child, _BatchNorm) and not isinstance(child, SyncBatchNorm):
                setattr(model, name, SyncBatchNorm(child))
            else:
                self.apply(child)
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Keep the layers: outside a process group they are plain batch norm, under the same names."""
        return model

    def __reduce__(self) -> tuple[Any, ...]:
        return (SyncBatchNormPlugin, ())
