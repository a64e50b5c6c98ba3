"""Ops of ML Programs on torch: arithmetic, activations, products, norms and reductions, and the table of all ops.

An op is a function with the parameters of the program's op under the same names, and its signature says what they are:
what is annotated with `Tensor` may be computed by the program, everything else is a constant of it. A parameter that a
function does not have is refused where the program is bound to it; a value that it does not know is a `ValueError`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bball_pl.verify.mil_layout import SHAPE_OPS, SPATIAL_OPS

Op = Callable[..., Tensor | tuple[Tensor, ...]]

#: A program's types, and what their values are on torch; fp16 is kept wide, and rounded by the executor.
TYPES = {"fp16": torch.float32, "fp32": torch.float32, "int32": torch.int32, "bool": torch.bool}


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


def _gelu(x: Tensor, mode: str) -> Tensor:
    if mode == "EXACT":
        return F.gelu(x)
    if mode == "TANH_APPROXIMATION":
        return F.gelu(x, approximate="tanh")
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    raise ValueError(f"mode is {mode!r}; expected EXACT, TANH_APPROXIMATION or SIGMOID_APPROXIMATION")


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


# --- the table -----------------------------------------------------------------------------------------------------

#: What each op of a program is, by its name there; classify is the executor's own.
OPS: dict[str, Op] = {
    **SPATIAL_OPS,
    **SHAPE_OPS,
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
    "gelu": _gelu,
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
    "reduce_mean": _reduction(torch.mean),
    "reduce_sum": _reduction(torch.sum),
    "reduce_max": _reduction(torch.amax),
    "reduce_min": _reduction(torch.amin),
    "reduce_log_sum_exp": _reduction(torch.logsumexp),
    "reduce_log_sum": _reduction(lambda x, axes, keep: x.sum(axes, keep).log()),
    "reduce_l1_norm": _reduction(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "reduce_l2_norm": _reduction(lambda x, axes, keep: x.square().sum(axes, keep).sqrt()),
    "reduce_sum_square": _reduction(lambda x, axes, keep: x.square().sum(axes, keep)),
    "reduce_argmax": _position(torch.argmax),
    "reduce_argmin": _position(torch.argmin),
}

#: Ops whose results are among the numbers that go in: nothing is rounded by them, and nothing grows.
EXACT_OPS = frozenset({*SHAPE_OPS, "relu", "max_pool"})
