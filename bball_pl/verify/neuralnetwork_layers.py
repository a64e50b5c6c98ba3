"""NeuralNetwork layers without height and width: arithmetic, products, norms, shapes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from bball_pl.verify import kernels
from bball_pl.verify.model_file import Parameters
from bball_pl.verify.neuralnetwork_layout import SHAPE_LAYERS, SPATIAL_LAYERS, Layer, single

# --- one blob, number by number ------------------------------------------------------------------------------------


def _activation(p: Parameters) -> Layer:
    kind = p.choice("NonlinearityType")
    q = p.child(kind)
    if kind in ("PReLU", "parametricSoftplus"):
        alpha, beta = (_per_channel(q, name) for name in ("alpha", "beta" if kind == "parametricSoftplus" else "alpha"))
        if kind == "PReLU":
            return single(lambda x: torch.where(x >= 0, x, _along_channels(p, alpha, x) * x))
        return single(lambda x: _along_channels(p, alpha, x) * _softplus(_along_channels(p, beta, x) * x))
    a = float(q.get("alpha")) if kind in _WITH_ALPHA else 0.0
    b = float(q.get("beta")) if kind in _WITH_BETA else 0.0
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "linear": lambda x: a * x + b,
        "ReLU": torch.relu,
        "leakyReLU": lambda x: torch.where(x >= 0, x, a * x),
        "thresholdedReLU": lambda x: torch.where(x >= a, x, 0.0),
        "tanh": torch.tanh,
        "scaledTanh": lambda x: a * torch.tanh(b * x),
        "sigmoid": torch.sigmoid,
        "sigmoidHard": lambda x: (a * x + b).clamp(0, 1),
        "ELU": lambda x: torch.where(x >= 0, x, a * torch.expm1(x)),
        "softsign": lambda x: x / (1 + x.abs()),
        "softplus": _softplus,
    }
    p.need(kind in functions, f"activation {kind} cannot be checked here")
    return single(functions[kind])


_WITH_ALPHA = ("linear", "leakyReLU", "thresholdedReLU", "scaledTanh", "sigmoidHard", "ELU")
_WITH_BETA = ("linear", "scaledTanh", "sigmoidHard")


def _softplus(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros(()))


def _per_channel(p: Parameters, field: str) -> Tensor:
    return p.weights(field, (p.count(field),))


def _along_channels(p: Parameters, values: Tensor, x: Tensor) -> Tensor:
    if values.numel() == 1:
        return values
    p.need(x.dim() >= 3 and x.shape[-3] == values.numel(), f"{values.numel()} numbers for shape {list(x.shape)}")
    return values.reshape(-1, 1, 1)


def _unary(p: Parameters) -> Layer:
    kind, alpha, epsilon = p.enum("type"), float(p.get("alpha")), p.nonzero("epsilon", 1e-6)
    shift, scale = float(p.get("shift")), p.nonzero("scale", 1.0)
    function: Callable[[Tensor], Tensor] = {
        "SQRT": torch.sqrt,
        "RSQRT": lambda x: (x + epsilon).rsqrt(),
        "INVERSE": lambda x: 1 / (x + epsilon),
        "POWER": lambda x: x**alpha,
        "EXP": torch.exp,
        "LOG": torch.log,
        "ABS": torch.abs,
        "THRESHOLD": lambda x: x.clamp(min=alpha),
    }[kind]
    return single(lambda x: function(scale * x + shift))


def _clip(p: Parameters) -> Layer:
    low, high = float(p.get("minVal")), float(p.get("maxVal"))
    return single(lambda x: x.clamp(low, high))


def _gelu(p: Parameters) -> Layer:
    mode = p.enum("mode")
    return single(lambda x: kernels.gelu(x, mode))


# --- several blobs -------------------------------------------------------------------------------------------------

_FOLDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "multiply": torch.mul,
    "max": torch.maximum,
    "min": torch.minimum,
    "subtract": torch.sub,
    "divide": torch.div,
    "pow": torch.pow,
}


def _elementwise(name: str) -> Callable[[Parameters], Layer]:
    """Build the layers of the first generation: one of the blobs has the shape of the result."""

    def build(p: Parameters) -> Layer:
        alpha = float(p.get("alpha")) if name in ("add", "multiply") else 0.0

        def run(blobs: list[Tensor]) -> list[Tensor]:
            if len(blobs) == 1:
                p.need(name in ("add", "multiply"), "one input; expected two or more")
                return [blobs[0] + alpha if name == "add" else blobs[0] * alpha]
            shapes = [blob.shape for blob in blobs]
            whole = torch.broadcast_shapes(*shapes)
            p.need(whole in shapes, f"inputs of shapes {', '.join(str(list(shape)) for shape in shapes)}")
            result = blobs[0]
            for blob in blobs[1:]:
                result = _FOLDS["add" if name == "average" else name](result, blob)
            return [result / len(blobs) if name == "average" else result]

        return run

    return build


def _broadcastable(name: str) -> Callable[[Parameters], Layer]:
    def build(p: Parameters) -> Layer:
        def run(blobs: list[Tensor]) -> list[Tensor]:
            several = name in ("add", "multiply", "max", "min")
            p.need(len(blobs) == 2 or (several and len(blobs) > 2), f"{len(blobs)} inputs; expected 2")
            result = blobs[0]
            for blob in blobs[1:]:
                result = _FOLDS[name](result, blob)
            return [result]

        return run

    return build


def _inner_product(p: Parameters) -> Layer:
    inside, outside = int(p.get("inputChannels")), int(p.get("outputChannels"))
    weight = p.weights("weights", (outside, inside))
    bias = p.weights("bias", (outside,)) if p.get("hasBias") else None
    p.skip("bias")

    def run(x: Tensor) -> Tensor:
        p.need(1 <= x.dim() <= 5, f"an input of shape {list(x.shape)}; expected 1 to 5 dimensions")
        # With four and five dimensions, channels, height and width are one vector; with fewer, the last dimension is.
        spatial = x.dim() >= 4
        vectors = x.flatten(-3) if spatial else x
        p.need(vectors.shape[-1] == inside, f"an input of shape {list(x.shape)}; expected {inside} values")
        y = F.linear(vectors, weight, bias)
        return y[..., None, None] if spatial else y

    return single(run)


def _batched_matmul(p: Parameters) -> Layer:
    flip_a, flip_b = bool(p.get("transposeA")), bool(p.get("transposeB"))
    first, second = int(p.get("weightMatrixFirstDimension")), int(p.get("weightMatrixSecondDimension"))
    # The matrix is stored column by column.
    weight = p.weights("weights", (second, first)) if first else None
    bias = p.weights("bias", (second,)) if first and p.get("hasBias") else None
    p.skip("bias", "hasBias", "weights")

    def run(blobs: list[Tensor]) -> list[Tensor]:
        if len(blobs) == 1 and weight is not None:
            p.need(blobs[0].shape[-1] == first, f"an input of shape {list(blobs[0].shape)}; expected [..., {first}]")
            return [F.linear(blobs[0], weight, bias)]
        p.need(len(blobs) == 2, f"{len(blobs)} inputs; expected 2, or 1 and a matrix")
        a, b = blobs
        a = a[None] if a.dim() == 1 else a
        b = b[:, None] if b.dim() == 1 else b
        return [torch.matmul(a.mT if flip_a else a, b.mT if flip_b else b)]

    return run


# --- along axes ----------------------------------------------------------------------------------------------------


def _softmax(p: Parameters) -> Layer:
    def run(x: Tensor) -> Tensor:
        p.need(x.dim() >= 3, f"an input of shape {list(x.shape)}; expected at least 3 dimensions")
        return x.softmax(-3)

    return single(run)


def _softmax_nd(p: Parameters) -> Layer:
    axis = int(p.get("axis"))
    return single(lambda x: x.softmax(axis))


def _layer_normalization(p: Parameters) -> Layer:
    shape = p.numbers("normalizedShape")
    gamma, beta = p.weights("gamma", shape), p.weights("beta", shape)
    epsilon = float(p.get("eps"))
    return single(lambda x: F.layer_norm(x, shape, gamma, beta, epsilon))


_REDUCTIONS = {
    "reduceMean": "mean",
    "reduceSum": "sum",
    "reduceMax": "max",
    "reduceMin": "min",
    "reduceL1": "l1",
    "reduceL2": "l2",
    "reduceSumSquare": "sum_square",
    "reduceLogSumExp": "log_sum_exp",
}


def _reduction(name: str) -> Callable[[Parameters], Layer]:
    def build(p: Parameters) -> Layer:
        axes, keep, everything = p.numbers("axes"), bool(p.get("keepDims")), bool(p.get("reduceAll"))
        p.need(everything or bool(axes), "no axes")

        def run(x: Tensor) -> Tensor:
            y = kernels.REDUCTIONS[_REDUCTIONS[name]](x, list(range(x.dim())) if everything else axes, keep)
            # A blob has at least one dimension.
            return y.reshape(1) if y.dim() == 0 else y

        return single(run)

    return build


def _load_constant(p: Parameters) -> Layer:
    shape = p.numbers("shape", 3)
    blob = p.weights("data", (1, math.prod(shape))).reshape(1, 1, *shape)
    return lambda blobs: [blob]


def _load_constant_nd(p: Parameters) -> Layer:
    shape = p.numbers("shape")
    blob = p.weights("data", (1, math.prod(shape))).reshape(shape)
    return lambda blobs: [blob]


#: Layers that give a constant.
CONSTANTS = ("loadConstant", "loadConstantND")

#: Every layer that is known here, by its name in the format; a function takes the parameters once and gives the layer.
LAYERS: dict[str, Callable[[Parameters], Layer]] = {
    **SPATIAL_LAYERS,
    **SHAPE_LAYERS,
    **{name: _elementwise(name) for name in ("add", "multiply", "average", "max", "min")},
    **{f"{name}Broadcastable": _broadcastable(name) for name in _FOLDS},
    **{name: _reduction(name) for name in _REDUCTIONS},
    "activation": _activation,
    "batchedMatmul": _batched_matmul,
    "clip": _clip,
    "erf": lambda p: single(torch.erf),
    "gelu": _gelu,
    "innerProduct": _inner_product,
    "layerNormalization": _layer_normalization,
    "loadConstant": _load_constant,
    "loadConstantND": _load_constant_nd,
    "softmax": _softmax,
    "softmaxND": _softmax_nd,
    "tanh": lambda p: single(torch.tanh),
    "unary": _unary,
}
