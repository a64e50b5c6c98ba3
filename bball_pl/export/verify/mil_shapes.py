"""Ops of ML Programs that move numbers to other places and change none, on torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
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
