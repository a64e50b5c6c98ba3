"""Ops of ML Programs on torch that move numbers, slide a window over a picture, or pad."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def _reshape(x: Tensor, shape: list[int]) -> Tensor:
    # A 0 stands for the dimension of x in the same place counted from the right, or for 1 where x has none.
    given = [1] * len(shape) + list(x.shape)
    return x.reshape([size or given[place - len(shape)] for place, size in enumerate(shape)])


def _flatten2d(x: Tensor, axis: int) -> Tensor:
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _transpose(x: Tensor, perm: list[int]) -> Tensor:
    return x.permute(perm)


def _squeeze(x: Tensor, axes: list[int] | None = None) -> Tensor:
    # As in torch, and not as in numpy, an axis that is longer than 1 stays.
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _expand_dims(x: Tensor, axes: list[int]) -> Tensor:
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _concat(values: list[Tensor], axis: int, interleave: bool) -> Tensor:
    if not interleave:
        return torch.cat(values, axis)
    axis %= values[0].dim()
    return torch.stack(values, axis + 1).flatten(axis, axis + 1)


def _stack(values: list[Tensor], axis: int) -> Tensor:
    return torch.stack(values, axis)


def _split(
    x: Tensor, axis: int, num_splits: int | None = None, split_sizes: list[int] | None = None
) -> tuple[Tensor, ...]:
    if split_sizes is None:
        if not num_splits or x.shape[axis] % num_splits:
            raise ValueError(f"num_splits is {num_splits} for {x.shape[axis]} values; expected equal parts")
        split_sizes = [x.shape[axis] // num_splits] * num_splits
    return torch.split_with_sizes(x, split_sizes, axis)


def _slice_by_index(
    x: Tensor,
    begin: list[int],
    end: list[int],
    stride: list[int] | None = None,
    begin_mask: list[bool] | None = None,
    end_mask: list[bool] | None = None,
    squeeze_mask: list[bool] | None = None,
) -> Tensor:
    none = [False] * x.dim()
    stride, begin_mask = stride or [1] * x.dim(), begin_mask or none
    end_mask, squeeze_mask = end_mask or none, squeeze_mask or none
    if min(stride) < 1:
        # The documentation and coremltools differ in where a masked slice starts that runs backwards.
        raise ValueError(f"stride is {stride}; expected 1 or more")
    index: list[int | slice] = []
    for place in range(x.dim()):
        first = 0 if begin_mask[place] else begin[place]
        if squeeze_mask[place]:
            index.append(first)
        else:
            index.append(slice(first, None if end_mask[place] else end[place], stride[place]))
    return x[tuple(index)]


def _slice_by_size(x: Tensor, begin: list[int], size: list[int]) -> Tensor:
    for axis, (first, length) in enumerate(zip(begin, size, strict=True)):
        start = first % x.shape[axis]
        x = x.narrow(axis, start, x.shape[axis] - start if length == -1 else length)
    return x


def _gather(x: Tensor, indices: Tensor, axis: int, batch_dims: int = 0, validate_indices: bool = False) -> Tensor:
    if batch_dims:
        raise ValueError(f"batch_dims is {batch_dims}; expected 0")
    if indices.min() < 0 or indices.max() >= x.shape[axis]:
        # Some targets count a negative place from the end, others say nothing of it.
        raise ValueError(f"indices are {indices.tolist()}; expected 0 to {x.shape[axis] - 1}")
    axis %= x.dim()
    return x.index_select(axis, indices.flatten()).reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _tile(x: Tensor, reps: list[int]) -> Tensor:
    return torch.tile(x, tuple(reps))


def _reverse(x: Tensor, axes: list[int] | None = None) -> Tensor:
    return x.flip(list(range(x.dim())) if axes is None else axes)


def _identity(x: Tensor) -> Tensor:
    return x


SHAPE_OPS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "reshape": _reshape,
    "flatten2d": _flatten2d,
    "transpose": _transpose,
    "squeeze": _squeeze,
    "expand_dims": _expand_dims,
    "concat": _concat,
    "stack": _stack,
    "split": _split,
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "gather": _gather,
    "tile": _tile,
    "reverse": _reverse,
    "identity": _identity,
}


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
