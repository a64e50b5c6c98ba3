"""Batch norm folded into the convolution before it: for good where a network only answers, step by step in training."""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.layers import BatchNormAct2d, Conv2dSame, pad_same
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bball_pl.model.network import MoveNet

#: Largest difference of a logit that rounding explains, as a share of the largest logit.
_ROUNDING = 1e-3


def folded(network: MoveNet, size: int) -> MoveNet:
    """Return a copy of a network that answers the same in less time; the network itself where that cannot be had.

    Whether the copy answers the same is tried: a backbone may run its modules in another order than it holds them.

    Args:
        network: in evaluation mode.
        size: side of a photo that it takes, in pixels.
    """
    short = copy.deepcopy(network)
    noise = _noise(network, size)
    try:
        fold_batch_norm(short)
        short.to(memory_format=torch.channels_last if network.channels_last else torch.contiguous_format)
        with torch.inference_mode():
            expected, found = network(noise), short(noise)
    except RuntimeError:  # a batch norm of other channels than the convolution before it has
        return network
    return short if _is_same(found, expected) else network


def fold_frozen_batch_norm(network: MoveNet, size: int) -> None:
    """Let convolutions do the work of batch norm with frozen statistics, in place, for training.

    The function and its gradients stay, rounding aside, and so do parameters, buffers and their names. A
    multiplication of each map becomes one of the weights, which are far smaller: 0.7 to 0.9 times the time of a
    training step of tf_efficientnet_lite0 at 224 px on a CPU (benchmarks/README.md), and less memory. Whether the
    network answers the same is tried, as in `folded`; where it does not, nothing is changed.

    Args:
        network: what is trained; its batch norm must keep its statistics from now on.
        size: side of a photo that it takes, in pixels.
    """
    was_training = network.training
    network.eval()
    noise = _noise(network, size)
    changed: list[tuple[nn.Module, type[nn.Module]]] = []
    try:
        with torch.no_grad():
            expected = network(noise)
            _fold_frozen(network, changed)
            is_same = _is_same(network(noise), expected)
    except RuntimeError:
        is_same = False
    if not is_same:
        for module, kind in changed:
            module.__class__ = kind
    network.train(was_training)


def _fold_frozen(network: nn.Module, changed: list[tuple[nn.Module, type[nn.Module]]]) -> None:
    before: nn.Module | None = None
    for child in network.children():
        # Other kinds, and those of the libraries' users, compute something else.
        is_pair = type(child) in (nn.BatchNorm2d, BatchNormAct2d) and type(before) in (nn.Conv2d, Conv2dSame)
        # Without running statistics a batch norm takes those of the batch in every mode.
        if is_pair and before is not None and getattr(child, "running_var", None) is not None:
            changed += [(before, type(before)), (child, type(child))]
            before.__dict__["norm"], before.__dict__["same"] = child, type(before) is Conv2dSame
            before.__class__, child.__class__ = _ScaledConv2d, _ActivationOfNorm
        else:
            _fold_frozen(child, changed)
        before = child


class _ScaledConv2d(nn.Conv2d):
    """A convolution that does the work of the batch norm after it.

    Attributes:
        norm: the batch norm; not a child, which it is elsewhere.
        same: whether the photo is padded as TensorFlow does.
    """

    norm: Any
    same: bool

    def forward(self, input: Tensor) -> Tensor:
        """Return float `[B, C, H, W]`, normalised."""
        norm = self.norm
        scale = torch.rsqrt(norm.running_var + norm.eps)
        if norm.weight is not None:
            scale = scale * norm.weight
        shift = -norm.running_mean if self.bias is None else self.bias - norm.running_mean
        shift = shift * scale
        if norm.bias is not None:
            shift = shift + norm.bias
        if self.same:
            input = pad_same(input, list(self.kernel_size), list(self.stride), list(self.dilation))
        output: Tensor = self._conv_forward(input, self.weight * scale.view(-1, 1, 1, 1), shift)
        return output


class _ActivationOfNorm(nn.Module):
    """What is left of a batch norm when the convolution before it does its work; parameters and buffers stay here."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor) -> Tensor:
        """Return the activation of timm's batch norm, or the input."""
        if "act" not in self._modules:
            return input
        output: Tensor = self.act(self.drop(input))
        return output


def _noise(network: nn.Module, size: int) -> Tensor:
    """Return one picture of noise, float `[1, 3, size, size]`, as large as photos that were normalised."""
    noise = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    return noise.to(next(network.parameters()).device)


def _is_same(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= _ROUNDING * float(expected.abs().max()))


def fold_batch_norm(network: nn.Module) -> None:
    """Fold batch norm into convolutions, in place: the same function, rounding aside, without a pass over each map.

    Measured on the late features of tf_efficientnet_lite0 at 320 px, one thread: 0.6 times the time.

    Args:
        network: in evaluation mode, of a family whose modules run their children in the order in which they hold them,
            as timm's EfficientNets do.
    """
    before: tuple[str, nn.Module | None] = ("", None)
    for name, child in list(network.named_children()):
        convolution = before[1]
        if isinstance(child, nn.BatchNorm2d) and isinstance(convolution, nn.Conv2d):
            setattr(network, before[0], fuse_conv_bn_eval(convolution, child))
            rest = child.act if isinstance(child, BatchNormAct2d) else nn.Identity()
            setattr(network, name, rest)
        else:
            fold_batch_norm(child)
        before = (name, child)
