"""Batch norm in fine-tuning: the policy of its statistics, and statistics shared between processes."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.distributed as dist
from lightning.pytorch.plugins import LayerSync
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

BatchNormPolicy = Literal["train", "slow", "frozen"]

_SLOW_MOMENTUM = 0.01


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
