"""The recipe's parts: ranges of its settings, mixup and CutMix, weight averaging, layer-wise AdamW and its schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from timm.models import group_parameters
from timm.optim import param_groups_layer_decay
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from bball_pl.errors import ConfigError


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
    start. So the decay warms up, as in TensorFlow's `ExponentialMovingAverage`: `min(decay, (1 + n) / (10 + n))`
    after n updates.

    Args:
        decay: share of the old average that stays in one update, 0–1; 0.998 averages over about 500 steps.
    """

    def __init__(self, decay: float = 0.998) -> None:
        super().__init__(use_buffers=True, multi_avg_fn=_warmed_up_average(decay))

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Create the average on the training device, to which the network is moved only later."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)


def _warmed_up_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor | int], None]:
    @torch.no_grad()
    def update(averages: list[Tensor], currents: list[Tensor], updates: Tensor | int) -> None:
        number = int(updates)
        weight = 1 - min(decay, (1 + number) / (10 + number))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, currents, weight)
        else:
            # Counters of batch norm: the latest value counts, not an average.
            for average, current in zip(averages, currents, strict=True):
                average.copy_(current)

    return update


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
