"""Mixup and CutMix: batches of blended photos with blended targets."""

from __future__ import annotations

import torch
from torch import Tensor


def mix(
    images: Tensor, targets: Tensor, mixup: float, cutmix: float, probability: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Blend each photo of a batch with another one, by mixup or CutMix, drawn once per batch.

    Sources: mixup, arXiv:1710.09412; CutMix, arXiv:1905.04899, with the weight corrected to the area that was pasted.

    Args:
        images: float `[B, 3, S, S]`.
        targets: float `[B, classes]`, one row per photo that sums to 1.
        mixup: alpha of the beta distribution for mixup, 0 or more; 0 switches it off.
        cutmix: the same for CutMix. With both on, each batch takes one of them with equal chance.
        probability: share of the batches that are mixed at all, 0–1.
        generator: a CPU generator, the only source of chance.

    Returns:
        Images and targets of the same shapes; the given tensors themselves when nothing is mixed.
    """
    draws = torch.rand(2, generator=generator)
    if (mixup <= 0 and cutmix <= 0) or len(images) < 2 or float(draws[0]) >= probability:
        return images, targets
    use_cutmix = cutmix > 0 and (mixup <= 0 or float(draws[1]) < 0.5)
    share = _beta(cutmix if use_cutmix else mixup, generator)
    # The neighbour in the batch is as random as the batch: no second permutation is needed.
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
