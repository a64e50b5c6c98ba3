"""Ops of ML Programs that slide a window over a picture, and padding, on torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_CONV: dict[int, Callable[..., Tensor]] = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}
_MAX_POOL: dict[int, Callable[..., Tensor]] = {3: F.max_pool1d, 4: F.max_pool2d, 5: F.max_pool3d}
_AVG_POOL: dict[int, Callable[..., Tensor]] = {3: F.avg_pool1d, 4: F.avg_pool2d, 5: F.avg_pool3d}


def _conv(
    x: Tensor,
    weight: Tensor,
    strides: list[int],
    pad_type: str,
    pad: list[int],
    dilations: list[int],
    groups: int,
    bias: Tensor | None = None,
) -> Tensor:
    kernel = [(size - 1) * dilation + 1 for size, dilation in zip(weight.shape[2:], dilations, strict=True)]
    pairs = _padding(pad_type, pad, x.shape[2:], kernel, strides)
    convolve = _CONV[x.dim()]
    if _symmetric(pairs):
        return convolve(x, weight, bias, strides, [before for before, _ in pairs], dilations, groups)
    return convolve(F.pad(x, _torch_order(pairs)), weight, bias, strides, 0, dilations, groups)


def _max_pool(
    x: Tensor, kernel_sizes: list[int], strides: list[int], pad_type: str, pad: list[int], ceil_mode: bool
) -> Tensor:
    pairs = _padding(pad_type, pad, x.shape[2:], kernel_sizes, strides)
    pool = _MAX_POOL[x.dim()]
    if _torch_can_pad(pairs, kernel_sizes):
        return pool(x, kernel_sizes, strides, [before for before, _ in pairs], ceil_mode=ceil_mode)
    _refuse_ceil(ceil_mode)
    return pool(F.pad(x, _torch_order(pairs), value=float("-inf")), kernel_sizes, strides)


def _avg_pool(
    x: Tensor,
    kernel_sizes: list[int],
    strides: list[int],
    pad_type: str,
    pad: list[int],
    ceil_mode: bool,
    exclude_padding_from_average: bool,
) -> Tensor:
    pairs = _padding(pad_type, pad, x.shape[2:], kernel_sizes, strides)
    pool = _AVG_POOL[x.dim()]
    if _torch_can_pad(pairs, kernel_sizes):
        # coremltools defines ceil_mode as torch's own, so torch also says what a window beyond the edge divides by.
        sides = [before for before, _ in pairs]
        return pool(x, kernel_sizes, strides, sides, ceil_mode, not exclude_padding_from_average)
    _refuse_ceil(ceil_mode)
    mean = pool(F.pad(x, _torch_order(pairs)), kernel_sizes, strides)
    if exclude_padding_from_average:
        mean = mean / pool(F.pad(torch.ones_like(x), _torch_order(pairs)), kernel_sizes, strides)
    return mean


def _pad(x: Tensor, pad: list[int], mode: str, constant_val: float) -> Tensor:
    # Pairs of before and after for the last dimensions of x, the outermost of them first.
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    if mode == "constant":
        return F.pad(x, _torch_order(pairs), value=constant_val)
    if mode not in ("reflect", "replicate"):
        raise ValueError(f"mode is {mode!r}; expected constant, reflect or replicate")
    for dimension, (before, after) in enumerate(pairs, start=x.dim() - len(pairs)):
        if before or after:
            size = x.shape[dimension]
            if max(before, after) > (size - 1 if mode == "reflect" else size):
                raise ValueError(f"padding {before}, {after} of {size} values is too much for mode {mode}")
            # numpy pads the positions instead of the values: the same for any number of dimensions.
            places = np.pad(np.arange(size), (before, after), "reflect" if mode == "reflect" else "edge")
            x = x.index_select(dimension, torch.from_numpy(places))
    return x


def _padding(
    pad_type: str, pad: Sequence[int], sides: Sequence[int], kernel: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    """Return what is added before and after each spatial dimension; `kernel` includes the dilation."""
    if pad_type == "valid":
        return [(0, 0)] * len(kernel)
    if pad_type == "custom":
        return list(zip(pad[::2], pad[1::2], strict=True))
    if pad_type not in ("same", "same_lower"):
        raise ValueError(f"pad_type is {pad_type!r}; expected valid, custom, same or same_lower")
    pairs = []
    for side, size, stride in zip(sides, kernel, strides, strict=True):
        total = max(0, (-(-side // stride) - 1) * stride + size - side)
        less, more = total // 2, total - total // 2
        pairs.append((less, more) if pad_type == "same" else (more, less))
    return pairs


def _symmetric(pairs: Sequence[tuple[int, int]]) -> bool:
    return all(before == after for before, after in pairs)


def _torch_can_pad(pairs: Sequence[tuple[int, int]], kernel: Sequence[int]) -> bool:
    return _symmetric(pairs) and all(2 * before <= size for (before, _), size in zip(pairs, kernel, strict=True))


def _torch_order(pairs: Sequence[tuple[int, int]]) -> list[int]:
    # torch names the last dimension first.
    return [side for pair in reversed(pairs) for side in pair]


def _refuse_ceil(ceil_mode: bool) -> None:
    if ceil_mode:
        raise ValueError("ceil_mode with this padding; expected equal sides of at most half a window")


SPATIAL_OPS: dict[str, Callable[..., Tensor]] = {
    "conv": _conv,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "pad": _pad,
}
