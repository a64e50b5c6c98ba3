"""AdamW with layer-wise learning rates, and the learning rate's course over a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from timm.models import group_parameters
from timm.optim import param_groups_layer_decay
from torch.optim.lr_scheduler import LambdaLR


def freeze_lowest(network: Any, share: float) -> None:
    """Keep the layers nearest to the photo as they are: they get no gradient, and no time goes into one.

    Edges and textures learnt from a million photos serve rendered scenes as they are; trained on drawn surfaces they
    would only forget real ones. At 224 px half the time of a step goes into these layers.

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

    The deeper a layer lies below the head, the more general its features are and the less they should move: its
    learning rate is `lr * layer_decay ** depth` (discriminative fine-tuning, arXiv:1801.06146; the layers are those
    of timm's `group_matcher`). Norm weights and biases are not decayed: there are few of them, and pulling a norm's
    scale to zero changes the function instead of making it simpler (arXiv:1812.01187, section 3.1).

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
        # A mark for now: with the decay itself, a decay of 0 would give two groups of each depth the same name.
        weight_decay=1.0,
        no_weight_decay_list=network.no_weight_decay() if hasattr(network, "no_weight_decay") else (),
        # timm gives back the factors only: a factor of exactly 1 for all would hide which layer a group is.
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


def learning_rate_course(
    optimiser: torch.optim.Optimizer,
    total_steps: int,
    warmup_steps: int,
    head_steps: int,
    schedule: Literal["cosine", "constant"],
) -> LambdaLR:
    """Let every group's learning rate rise linearly from zero, then keep it or let it fall along half a cosine.

    The warm-up keeps AdamW's first steps, whose second moments rest on a handful of batches, from throwing trained
    features away; the cosine (arXiv:1608.03983) ends with steps so small that the last weights can be trusted.

    Args:
        optimiser: with groups named by `parameter_groups`.
        total_steps: optimiser steps of the whole run.
        warmup_steps: steps of the rise.
        head_steps: steps at the start in which only the head moves, so that a random head's gradients do not reach
            trained layers; every other group's rate is zero, and its warm-up begins afterwards.
        schedule: what follows the warm-up.
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

    courses: list[Callable[[int], float]] = [
        factor if group["name"].startswith("depth00") else body_factor for group in optimiser.param_groups
    ]
    return LambdaLR(optimiser, courses)
