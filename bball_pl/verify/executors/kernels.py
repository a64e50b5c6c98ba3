"""Kernels on torch that both Core ML executors share: convolution, pooling, padding, upsampling, GELU, reductions.

Padding is a pair (before, after) for each of the last dimensions of a tensor, the outermost of them first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Padding = Sequence[tuple[int, int]]

#: Core ML's types, and what their values are on torch; fp16 is kept wide, and rounded by the executor.
TYPES = {"fp16": torch.float32, "fp32": torch.float32, "int32": torch.int32, "bool": torch.bool}

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_MAX_POOLS: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE_POOLS: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    strides: Sequence[int],
    padding: Padding,
    dilations: Sequence[int],
    groups: int,
) -> Tensor:
    """Convolve `[B, C, ...]` with `[out, C / groups, ...]` over one to three spatial dimensions, padded by zeros."""
    convolution = _CONVOLUTIONS[len(padding)]
    if _symmetric(padding):
        return convolution(x, weight, bias, strides, [before for before, _ in padding], dilations, groups)
    return convolution(F.pad(x, _torch_order(padding)), weight, bias, strides, 0, dilations, groups)


def max_pool(
    x: Tensor, kernel: Sequence[int], strides: Sequence[int], padding: Padding, ceil_mode: bool = False
) -> Tensor:
    """Take the maximum of each window of `[B, C, ...]`; padding never counts.

    Raises:
        ValueError: if `ceil_mode` comes with padding that torch's pooling does not take.
    """
    pool = _MAX_POOLS[len(padding)]
    if _torch_can_pad(padding, kernel):
        return pool(x, kernel, strides, [before for before, _ in padding], ceil_mode=ceil_mode)
    _refuse_ceil(ceil_mode)
    return pool(F.pad(x, _torch_order(padding), value=-torch.inf), kernel, strides)


def average_pool(
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    counted: Padding,
    ceil_mode: bool = False,
) -> Tensor:
    """Take the mean of each window of `[B, C, ...]`.

    Args:
        x: the values.
        kernel: side of the window in each spatial dimension.
        strides: distance of two windows in each spatial dimension.
        padding: zeros around `x`.
        counted: the part of the padding, nearest to `x`, whose zeros count in a mean; the rest does not.
        ceil_mode: a last window may reach beyond the padding, as in torch.

    Raises:
        ValueError: if `ceil_mode` comes with padding that torch's pooling does not take.
    """
    pool = _AVERAGE_POOLS[len(padding)]
    inside = all(pair == (0, 0) for pair in counted)
    if _torch_can_pad(padding, kernel) and (inside or list(counted) == list(padding)):
        return pool(x, kernel, strides, [before for before, _ in padding], ceil_mode, not inside)
    _refuse_ceil(ceil_mode)
    weights = F.pad(torch.ones(1, 1, *x.shape[2:]), _torch_order(counted), value=1.0)
    uncounted = [(a - c, b - d) for (a, b), (c, d) in zip(padding, counted, strict=True)]
    weights = F.pad(weights, _torch_order(uncounted))
    return pool(F.pad(x, _torch_order(padding)), kernel, strides) / pool(weights, kernel, strides)


def same_padding(
    sides: Sequence[int], kernel: Sequence[int], strides: Sequence[int], heavy_end: bool = True
) -> list[tuple[int, int]]:
    """Return the padding that gives side / stride windows, rounded up, in each dimension.

    Args:
        sides: of the input.
        kernel: sides of the window, dilation included.
        strides: distance of two windows.
        heavy_end: an odd pixel is added after the values, else before them.
    """
    pairs = []
    for side, size, stride in zip(sides, kernel, strides, strict=True):
        total = max(0, (-(-side // stride) - 1) * stride + size - side)
        less, more = total // 2, total - total // 2
        pairs.append((less, more) if heavy_end else (more, less))
    return pairs


def reach(kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """Return the sides of a dilated window."""
    return [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]


def pad(x: Tensor, padding: Padding, mode: str, value: float = 0.0) -> Tensor:
    """Pad the last dimensions; mode is constant, reflect or replicate.

    Raises:
        ValueError: if the mode is another one, or the padding is longer than what it repeats.
    """
    if mode == "constant":
        return F.pad(x, _torch_order(padding), value=value)
    if mode not in ("reflect", "replicate"):
        raise ValueError(f"mode is {mode!r}; expected constant, reflect or replicate")
    for dimension, (before, after) in enumerate(padding, start=x.dim() - len(padding)):
        if before or after:
            size = x.shape[dimension]
            if max(before, after) > (size - 1 if mode == "reflect" else size):
                raise ValueError(f"padding {before}, {after} of {size} values is too much for mode {mode}")
            # numpy pads the positions instead of the values: the same for any number of dimensions.
            positions = np.pad(np.arange(size), (before, after), "reflect" if mode == "reflect" else "edge")
            x = x.index_select(dimension, torch.from_numpy(positions))
    return x


def upsample_bilinear(x: Tensor, factors: Sequence[float], align_corners: bool) -> Tensor:
    """Enlarge the height and width of `[B, C, H, W]` by two factors, by bilinear interpolation.

    Raises:
        ValueError: if a result's side is not a whole number: runtimes differ in whether the coordinates follow from the
            factor or from the rounded size.
    """
    sides = [side * factor for side, factor in zip(x.shape[2:], factors, strict=True)]
    if any(side != int(side) for side in sides):
        raise ValueError(f"a result of {sides[0]} × {sides[1]}; expected whole numbers")
    return F.interpolate(x, [int(side) for side in sides], mode="bilinear", align_corners=align_corners)


def gelu(x: Tensor, mode: str) -> Tensor:
    """Apply GELU in one of Core ML's three forms.

    Raises:
        ValueError: if the mode is another one.
    """
    if mode == "EXACT":
        return F.gelu(x)
    if mode == "TANH_APPROXIMATION":
        return F.gelu(x, approximate="tanh")
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    raise ValueError(f"mode is {mode!r}; expected EXACT, TANH_APPROXIMATION or SIGMOID_APPROXIMATION")


def expand_dims(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Add dimensions of length 1; the axes are those of the result."""
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


#: Reductions of the axes given as second argument; the third says whether they stay, with length 1.
REDUCTIONS: dict[str, Callable[[Tensor, list[int], bool], Tensor]] = {
    "mean": torch.mean,
    "sum": torch.sum,
    "max": torch.amax,
    "min": torch.amin,
    "log_sum_exp": torch.logsumexp,
    "log_sum": lambda x, axes, keep: x.sum(axes, keep).log(),
    "l1": lambda x, axes, keep: x.abs().sum(axes, keep),
    "l2": lambda x, axes, keep: x.square().sum(axes, keep).sqrt(),
    "sum_square": lambda x, axes, keep: x.square().sum(axes, keep),
}


def _symmetric(padding: Padding) -> bool:
    return all(before == after for before, after in padding)


def _torch_can_pad(padding: Padding, kernel: Sequence[int]) -> bool:
    return _symmetric(padding) and all(2 * before <= size for (before, _), size in zip(padding, kernel, strict=True))


def _torch_order(padding: Padding) -> list[int]:
    # torch takes the last dimension first.
    return [side for pair in reversed(padding) for side in pair]


def _refuse_ceil(ceil_mode: bool) -> None:
    if ceil_mode:
        raise ValueError("ceil_mode with this padding; expected equal sides of at most half a window")
