"""Ops of ML Programs on torch.

An op is a function with the parameters of the program's op under the same names, and its signature says what they are:
what is annotated with `Tensor` may be computed by the program, everything else is a constant of it. A parameter that a
function does not have is refused where the program is bound to it; a value that it does not know is a `ValueError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bball_pl.verify import kernels
from bball_pl.verify.kernels import TYPES

Op = Callable[..., Tensor | tuple[Tensor, ...]]


def _unary(function: Callable[[Tensor], Tensor]) -> Op:
    def run(x: Tensor) -> Tensor:
        return function(x)

    return run


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Op:
    def run(x: Tensor, y: Tensor) -> Tensor:
        return function(x, y)

    return run


def _with_alpha(function: Callable[[Tensor, float], Tensor]) -> Op:
    def run(x: Tensor, alpha: float) -> Tensor:
        return function(x, alpha)

    return run


def _with_alpha_and_beta(function: Callable[[Tensor, float, float], Tensor]) -> Op:
    def run(x: Tensor, alpha: float, beta: float) -> Tensor:
        return function(x, alpha, beta)

    return run


def _with_epsilon(function: Callable[[Tensor], Tensor]) -> Op:
    def run(x: Tensor, epsilon: float) -> Tensor:
        return function(x + epsilon)

    return run


def _reduction(function: Callable[[Tensor, list[int], bool], Tensor]) -> Op:
    def run(x: Tensor, keep_dims: bool, axes: list[int] | None = None) -> Tensor:
        return function(x, list(range(x.dim())) if axes is None else axes, keep_dims)

    return run


def _position(function: Callable[[Tensor, int, bool], Tensor]) -> Op:
    def run(x: Tensor, axis: int, keep_dims: bool) -> Tensor:
        return function(x, axis, keep_dims).to(torch.int32)

    return run


# --- activations ---------------------------------------------------------------------------------------------------


def _prelu(x: Tensor, alpha: Tensor) -> Tensor:
    return F.prelu(x, alpha)


def _softmax(x: Tensor, axis: int) -> Tensor:
    return torch.softmax(x, axis)


def _cast(x: Tensor, dtype: str) -> Tensor:
    if dtype not in TYPES:
        raise ValueError(f"dtype is {dtype!r}; expected one of {', '.join(TYPES)}")
    return x.to(TYPES[dtype])


def _select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(cond, a, b)


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


def _pad(x: Tensor, pad: list[int], mode: str, constant_val: float) -> Tensor:
    return kernels.pad(x, _pairs(pad), mode, constant_val)


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


def _flatten2d(x: Tensor, axis: int) -> Tensor:
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _transpose(x: Tensor, perm: list[int]) -> Tensor:
    return x.permute(perm)


def _squeeze(x: Tensor, axes: list[int] | None = None) -> Tensor:
    # As in torch, and not as in numpy, an axis that is longer than 1 stays.
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _expand_dims(x: Tensor, axes: list[int]) -> Tensor:
    return kernels.expand_dims(x, axes)


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


def _tile(x: Tensor, reps: list[int]) -> Tensor:
    return torch.tile(x, tuple(reps))


def _reverse(x: Tensor, axes: list[int] | None = None) -> Tensor:
    return x.flip(list(range(x.dim())) if axes is None else axes)


def _identity(x: Tensor) -> Tensor:
    return x


# --- the table -----------------------------------------------------------------------------------------------------

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

_SAME_NAME = ("mean", "sum", "max", "min", "log_sum_exp", "log_sum", "sum_square")

#: Function of each op of a program, by its name there; classify is the executor's own.
OPS: dict[str, Op] = {
    **SHAPE_OPS,
    "conv": _conv,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "pad": _pad,
    "add": _binary(torch.add),
    "sub": _binary(torch.sub),
    "mul": _binary(torch.mul),
    "real_div": _binary(torch.true_divide),
    "floor_div": _binary(torch.floor_divide),
    "mod": _binary(torch.remainder),
    "pow": _binary(torch.pow),
    "maximum": _binary(torch.maximum),
    "minimum": _binary(torch.minimum),
    "equal": _binary(torch.eq),
    "not_equal": _binary(torch.ne),
    "greater": _binary(torch.gt),
    "greater_equal": _binary(torch.ge),
    "less": _binary(torch.lt),
    "less_equal": _binary(torch.le),
    "logical_and": _binary(torch.logical_and),
    "logical_or": _binary(torch.logical_or),
    "logical_xor": _binary(torch.logical_xor),
    "logical_not": _unary(torch.logical_not),
    "select": _select,
    "cast": _cast,
    "abs": _unary(torch.abs),
    "ceil": _unary(torch.ceil),
    "cos": _unary(torch.cos),
    "erf": _unary(torch.erf),
    "exp": _unary(torch.exp),
    "exp2": _unary(torch.exp2),
    "floor": _unary(torch.floor),
    "round": _unary(torch.round),
    "sign": _unary(torch.sign),
    "sin": _unary(torch.sin),
    "sqrt": _unary(torch.sqrt),
    "square": _unary(torch.square),
    "tanh": _unary(torch.tanh),
    "inverse": _with_epsilon(torch.reciprocal),
    "log": _with_epsilon(torch.log),
    "rsqrt": _with_epsilon(torch.rsqrt),
    "clip": _with_alpha_and_beta(torch.clamp),
    "threshold": _with_alpha(lambda x, alpha: x.clamp(min=alpha)),
    "relu": _unary(torch.relu),
    "relu6": _unary(F.relu6),
    "clamped_relu": _with_alpha_and_beta(lambda x, alpha, beta: F.leaky_relu(x, alpha).clamp(max=beta)),
    "elu": _with_alpha(F.elu),
    "gelu": kernels.gelu,
    "leaky_relu": _with_alpha(F.leaky_relu),
    "linear_activation": _with_alpha_and_beta(lambda x, alpha, beta: x * alpha + beta),
    "prelu": _prelu,
    "scaled_tanh": _with_alpha_and_beta(lambda x, alpha, beta: alpha * torch.tanh(beta * x)),
    "sigmoid": _unary(torch.sigmoid),
    "sigmoid_hard": _with_alpha_and_beta(lambda x, alpha, beta: (x * alpha + beta).clamp(0, 1)),
    "silu": _unary(F.silu),
    "softmax": _softmax,
    "softplus": _unary(F.softplus),
    "softsign": _unary(F.softsign),
    "thresholded_relu": _with_alpha(lambda x, alpha: torch.where(x >= alpha, x, 0.0)),
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
