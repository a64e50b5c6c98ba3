"""Ops of ML Programs on torch.

An op is a function with the parameters of the program's op under the same names. A parameter annotated with `Tensor`
may be computed by the program; every other one is a constant. A parameter that a function does not have is refused when
the program is read; a value that it does not know raises `ValueError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bball_pl.verify.executors import kernels
from bball_pl.verify.executors.kernels import TYPES

Op = Callable[..., Tensor | tuple[Tensor, ...]]


def _op(function: Callable[..., Tensor], tensors: str = "x", constants: str = "") -> Op:
    """Build an op from a function that takes the tensors and then the constants, in the order of their names."""
    names = [*tensors.split(), *constants.split()]

    def run(**parameters: Any) -> Tensor:
        return function(*(parameters[name] for name in names))

    run.__annotations__ = {name: Tensor if name in tensors.split() else Any for name in names}
    return run


def _reduction(function: Callable[[Tensor, list[int], bool], Tensor]) -> Op:
    def run(x: Tensor, keep_dims: bool, axes: list[int] | None = None) -> Tensor:
        return function(x, list(range(x.dim())) if axes is None else axes, keep_dims)

    return run


def _position(function: Callable[[Tensor, int, bool], Tensor]) -> Op:
    return _op(lambda x, axis, keep: function(x, axis, keep).to(torch.int32), "x", "axis keep_dims")


def _cast(x: Tensor, dtype: str) -> Tensor:
    if dtype not in TYPES:
        raise ValueError(f"dtype is {dtype!r}; expected one of {', '.join(TYPES)}")
    return x.to(TYPES[dtype])


# --- products ------------------------------------------------------------------------------------------------------


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight, bias)


def _matmul(x: Tensor, y: Tensor, transpose_x: bool, transpose_y: bool) -> Tensor:
    return torch.matmul(x.mT if transpose_x else x, y.mT if transpose_y else y)


def _einsum(values: list[Tensor], equation: str) -> Tensor:
    return torch.einsum(equation, *values)


def _attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, attn_mask)


# --- norms ---------------------------------------------------------------------------------------------------------


def _batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: float,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
) -> Tensor:
    return F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=epsilon)


def _instance_norm(x: Tensor, epsilon: float, gamma: Tensor | None = None, beta: Tensor | None = None) -> Tensor:
    return F.instance_norm(x, weight=gamma, bias=beta, eps=epsilon)


def _layer_norm(
    x: Tensor, axes: list[int], epsilon: float, gamma: Tensor | None = None, beta: Tensor | None = None
) -> Tensor:
    axes = sorted(axis % x.dim() for axis in axes)
    if axes == list(range(x.dim() - len(axes), x.dim())):
        return F.layer_norm(x, x.shape[axes[0] :], gamma, beta, epsilon)
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    normal = (x - mean) / torch.sqrt(variance + epsilon)
    sides = [side if axis in axes else 1 for axis, side in enumerate(x.shape)]
    scaled = normal if gamma is None else normal * gamma.reshape(sides)
    return scaled if beta is None else scaled + beta.reshape(sides)


def _l2_norm(x: Tensor, epsilon: float) -> Tensor:
    return x / torch.sqrt(x.square().sum((-3, -2, -1), keepdim=True) + epsilon)


# --- windows and padding -------------------------------------------------------------------------------------------


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
    window = kernels.reach(weight.shape[2:], dilations)
    return kernels.convolve(x, weight, bias, strides, _padding(x, pad_type, pad, window, strides), dilations, groups)


def _max_pool(
    x: Tensor, kernel_sizes: list[int], strides: list[int], pad_type: str, pad: list[int], ceil_mode: bool
) -> Tensor:
    return kernels.max_pool(
        x, kernel_sizes, strides, _padding(x, pad_type, pad, kernel_sizes, strides), ceil_mode=ceil_mode
    )


def _avg_pool(
    x: Tensor,
    kernel_sizes: list[int],
    strides: list[int],
    pad_type: str,
    pad: list[int],
    ceil_mode: bool,
    exclude_padding_from_average: bool,
) -> Tensor:
    padding = _padding(x, pad_type, pad, kernel_sizes, strides)
    counted = [(0, 0)] * len(padding) if exclude_padding_from_average else padding
    return kernels.average_pool(x, kernel_sizes, strides, padding, counted, ceil_mode)


def _upsample_bilinear(
    x: Tensor,
    scale_factor_height: float,
    scale_factor_width: float,
    align_corners: bool,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    if half_pixel_centers not in (None, not align_corners):
        raise ValueError(f"align_corners and half_pixel_centers are both {align_corners}; expected one of them")
    return kernels.upsample_bilinear(x, (scale_factor_height, scale_factor_width), align_corners)


def _upsample_nearest_neighbor(x: Tensor, scale_factor_height: float, scale_factor_width: float) -> Tensor:
    factors = scale_factor_height, scale_factor_width
    if any(factor != int(factor) for factor in factors):
        # Which pixel is the nearest to a place between two depends on the runtime.
        raise ValueError(f"factors are {factors[0]} and {factors[1]}; expected whole numbers")
    return x.repeat_interleave(int(factors[0]), -2).repeat_interleave(int(factors[1]), -1)


def _pairs(pad: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(pad[::2], pad[1::2], strict=True))


def _padding(
    x: Tensor, pad_type: str, pad: Sequence[int], window: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    if pad_type == "valid":
        return [(0, 0)] * len(window)
    if pad_type == "custom":
        return _pairs(pad)
    if pad_type not in ("same", "same_lower"):
        raise ValueError(f"pad_type is {pad_type!r}; expected valid, custom, same or same_lower")
    return kernels.same_padding(x.shape[2:], window, strides, heavy_end=pad_type == "same")


# --- shapes --------------------------------------------------------------------------------------------------------


def _reshape(x: Tensor, shape: list[int]) -> Tensor:
    # A 0 stands for the dimension of x with the same index counted from the right, or for 1 where x has none.
    sides = [1] * len(shape) + list(x.shape)
    return x.reshape([size or sides[index - len(shape)] for index, size in enumerate(shape)])


def _squeeze(x: Tensor, axes: list[int] | None = None) -> Tensor:
    # As in torch, and not as in numpy, an axis that is longer than 1 stays.
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


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
    for axis in range(x.dim()):
        first = 0 if begin_mask[axis] else begin[axis]
        if squeeze_mask[axis]:
            index.append(first)
        else:
            index.append(slice(first, None if end_mask[axis] else end[axis], stride[axis]))
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
        # Some targets count a negative index from the end; for others it is not defined.
        raise ValueError(f"indices are {indices.tolist()}; expected 0 to {x.shape[axis] - 1}")
    axis %= x.dim()
    return x.index_select(axis, indices.flatten()).reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _reverse(x: Tensor, axes: list[int] | None = None) -> Tensor:
    return x.flip(list(range(x.dim())) if axes is None else axes)


# --- the table -----------------------------------------------------------------------------------------------------

SHAPE_OPS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "reshape": _reshape,
    "flatten2d": _op(lambda x, axis: x.reshape(math.prod(x.shape[:axis]), -1), "x", "axis"),
    "transpose": _op(torch.permute, "x", "perm"),
    "squeeze": _squeeze,
    "expand_dims": _op(kernels.expand_dims, "x", "axes"),
    "concat": _concat,
    "stack": _stack,
    "split": _split,
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "gather": _gather,
    "tile": _op(torch.tile, "x", "reps"),
    "reverse": _reverse,
    "identity": _op(lambda x: x),
}

_SAME_NAME = ("mean", "sum", "max", "min", "log_sum_exp", "log_sum", "sum_square")

#: Function of each op of a program, by its name in the format; the executor itself does classify.
OPS: dict[str, Op] = {
    **SHAPE_OPS,
    "conv": _conv,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "upsample_bilinear": _upsample_bilinear,
    "upsample_nearest_neighbor": _upsample_nearest_neighbor,
    "pad": _op(lambda x, pad, mode, value: kernels.pad(x, _pairs(pad), mode, value), "x", "pad mode constant_val"),
    "add": _op(torch.add, "x y"),
    "sub": _op(torch.sub, "x y"),
    "mul": _op(torch.mul, "x y"),
    "real_div": _op(torch.true_divide, "x y"),
    "floor_div": _op(torch.floor_divide, "x y"),
    "mod": _op(torch.remainder, "x y"),
    "pow": _op(torch.pow, "x y"),
    "maximum": _op(torch.maximum, "x y"),
    "minimum": _op(torch.minimum, "x y"),
    "equal": _op(torch.eq, "x y"),
    "not_equal": _op(torch.ne, "x y"),
    "greater": _op(torch.gt, "x y"),
    "greater_equal": _op(torch.ge, "x y"),
    "less": _op(torch.lt, "x y"),
    "less_equal": _op(torch.le, "x y"),
    "logical_and": _op(torch.logical_and, "x y"),
    "logical_or": _op(torch.logical_or, "x y"),
    "logical_xor": _op(torch.logical_xor, "x y"),
    "logical_not": _op(torch.logical_not),
    "select": _op(torch.where, "cond a b"),
    "cast": _cast,
    "abs": _op(torch.abs),
    "ceil": _op(torch.ceil),
    "cos": _op(torch.cos),
    "erf": _op(torch.erf),
    "exp": _op(torch.exp),
    "exp2": _op(torch.exp2),
    "floor": _op(torch.floor),
    "round": _op(torch.round),
    "sign": _op(torch.sign),
    "sin": _op(torch.sin),
    "sqrt": _op(torch.sqrt),
    "square": _op(torch.square),
    "tanh": _op(torch.tanh),
    "inverse": _op(lambda x, epsilon: (x + epsilon).reciprocal(), "x", "epsilon"),
    "log": _op(lambda x, epsilon: (x + epsilon).log(), "x", "epsilon"),
    "rsqrt": _op(lambda x, epsilon: (x + epsilon).rsqrt(), "x", "epsilon"),
    "clip": _op(torch.clamp, "x", "alpha beta"),
    "threshold": _op(lambda x, alpha: x.clamp(min=alpha), "x", "alpha"),
    "relu": _op(torch.relu),
    "relu6": _op(F.relu6),
    "clamped_relu": _op(lambda x, alpha, beta: F.leaky_relu(x, alpha).clamp(max=beta), "x", "alpha beta"),
    "elu": _op(F.elu, "x", "alpha"),
    "gelu": kernels.gelu,
    "leaky_relu": _op(F.leaky_relu, "x", "alpha"),
    "linear_activation": _op(lambda x, alpha, beta: x * alpha + beta, "x", "alpha beta"),
    "prelu": _op(F.prelu, "x alpha"),
    "scaled_tanh": _op(lambda x, alpha, beta: alpha * torch.tanh(beta * x), "x", "alpha beta"),
    "sigmoid": _op(torch.sigmoid),
    "sigmoid_hard": _op(lambda x, alpha, beta: (x * alpha + beta).clamp(0, 1), "x", "alpha beta"),
    "silu": _op(F.silu),
    "softmax": _op(torch.softmax, "x", "axis"),
    "softplus": _op(F.softplus),
    "softsign": _op(F.softsign),
    "thresholded_relu": _op(lambda x, alpha: torch.where(x >= alpha, x, 0.0), "x", "alpha"),
    "linear": _linear,
    "matmul": _matmul,
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "l2_norm": _l2_norm,
    **{f"reduce_{name}": _reduction(kernels.REDUCTIONS[name]) for name in _SAME_NAME},
    "reduce_l1_norm": _reduction(kernels.REDUCTIONS["l1"]),
    "reduce_l2_norm": _reduction(kernels.REDUCTIONS["l2"]),
    "reduce_argmax": _position(torch.argmax),
    "reduce_argmin": _position(torch.argmin),
}

#: Ops whose results are among the numbers that go in: nothing is rounded by them, and nothing grows.
EXACT_OPS = frozenset({*SHAPE_OPS, "relu", "max_pool"})
