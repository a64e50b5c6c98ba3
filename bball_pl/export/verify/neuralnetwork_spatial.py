"""The NeuralNetwork layers that look at height and width: convolution, pooling, padding, and norms per channel."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from bball_pl.export.verify.neuralnetwork_parameters import Parameters

#: A layer, ready to run: blobs in, blobs out.
Layer = Callable[[list[Tensor]], list[Tensor]]
#: Top, bottom, left, right, in pixels.
_Border = tuple[int, int, int, int]


def single(function: Callable[[Tensor], Tensor]) -> Layer:
    """Wrap a function of one blob to one blob."""
    return lambda blobs: [function(blobs[0])]


def _convolution(p: Parameters) -> Layer:
    out, within = int(p.get("outputChannels")), int(p.get("kernelChannels"))
    groups = int(p.get("nGroups")) or 1
    kernel = p.numbers("kernelSize", 2, (3, 3))
    stride, dilation = p.numbers("stride", 2, (1, 1)), p.numbers("dilationFactor", 2, (1, 1))
    p.need(min(kernel) > 0 and min(stride) > 0 and min(dilation) > 0, f"kernel {kernel}, stride {stride}")
    weight = p.weights("weights", (out, within, *kernel))
    bias = p.weights("bias", (out,)) if p.get("hasBias") else None
    p.skip("bias")
    reach = [(side - 1) * step + 1 for side, step in zip(kernel, dilation, strict=True)]
    border = _border(p, "ConvolutionPaddingType", reach, stride)

    def run(x: Tensor) -> Tensor:
        _need_rank(p, x, 4)
        p.need(x.shape[-3] == within * groups, f"{x.shape[-3]} channels; expected {within * groups}")
        y = x.reshape(-1, *x.shape[-3:])
        top, bottom, left, right = border(x)
        if (top, left) == (bottom, right):
            y = F.conv2d(y, weight, bias, stride, (top, left), dilation, groups)
        else:
            y = F.conv2d(F.pad(y, (left, right, top, bottom)), weight, bias, stride, 0, dilation, groups)
        return y.reshape(*x.shape[:-3], *y.shape[1:])

    return single(run)


def _pooling(p: Parameters) -> Layer:
    kind = p.enum("type")
    p.need(kind in ("MAX", "AVERAGE"), f"pooling of type {kind}; expected MAX or AVERAGE")
    exclude = bool(p.get("avgPoolExcludePadding"))
    kernel, stride = p.numbers("kernelSize", 2, (3, 3)), p.numbers("stride", 2, (1, 1))
    if p.get("globalPooling"):
        p.skip(p.choice("PoolingPaddingType"))
        dims = (-2, -1)
        return single(lambda x: x.mean(dims, keepdim=True) if kind == "AVERAGE" else x.amax(dims, keepdim=True))
    p.need(min(kernel) > 0 and min(stride) > 0, f"kernel {kernel}, stride {stride}")
    last_pixel = p.choice("PoolingPaddingType") == "includeLastPixel"
    if last_pixel:
        amounts = p.child("includeLastPixel").numbers("paddingAmounts", 2, (0, 0))
        border = _last_pixel_border(kernel, stride, amounts)
    else:
        amounts = []
        border = _border(p, "PoolingPaddingType", kernel, stride)

    def run(x: Tensor) -> Tensor:
        _need_rank(p, x, 4)
        y = x.reshape(-1, *x.shape[-3:])
        top, bottom, left, right = border(x)
        if kind == "MAX":
            y = F.max_pool2d(F.pad(y, (left, right, top, bottom), value=-torch.inf), kernel, stride)
        else:
            total = F.avg_pool2d(F.pad(y, (left, right, top, bottom)), kernel, stride, divisor_override=1)
            # Beyond the padding, where the last window may reach, nothing is counted; the padding is, unless excluded.
            ends = (min(bottom, amounts[0]), min(right, amounts[1])) if last_pixel else (bottom, right)
            counted = torch.ones(1, 1, *y.shape[-2:])
            counted = F.pad(counted, (left, ends[1], top, ends[0]), value=0.0 if exclude else 1.0)
            counted = F.pad(counted, (0, right - ends[1], 0, bottom - ends[0]))
            y = total / F.avg_pool2d(counted, kernel, stride, divisor_override=1)
        return y.reshape(*x.shape[:-3], *y.shape[1:])

    return single(run)


def _padding(p: Parameters) -> Layer:
    kind = p.choice("PaddingType")
    value = float(p.child(kind).get("value")) if kind == "constant" else 0.0
    p.skip(kind)
    top, bottom, left, right = _amounts(p.child("paddingAmounts"))
    mode = {"constant": "constant", "reflection": "reflect", "replication": "replicate"}[kind]

    def run(x: Tensor) -> Tensor:
        _need_rank(p, x, 3)
        y = x.reshape(-1, *x.shape[-3:])
        y = F.pad(y, (left, right, top, bottom), mode, value)
        return y.reshape(*x.shape[:-3], *y.shape[1:])

    return single(run)


def _batchnorm(p: Parameters) -> Layer:
    shape = (int(p.get("channels")), 1, 1)
    gamma, beta, mean, variance = (
        p.weights(name, shape, exact=True).double() for name in ("gamma", "beta", "mean", "variance")
    )
    # computeMeanVar and instanceNormalization are left unread: a batch norm that uses the photo's own is refused.
    scale = gamma / (variance + p.nonzero("epsilon", 1e-5)).sqrt()
    shift = (beta - mean * scale).float()
    scale = scale.float()
    if p.rounded:
        scale, shift = scale.half().float(), shift.half().float()

    def run(x: Tensor) -> Tensor:
        _need_rank(p, x, 3)
        p.need(x.shape[-3] == shape[0], f"{x.shape[-3]} channels; expected {shape[0]}")
        return x * scale + shift

    return single(run)


def _mvn(p: Parameters) -> Layer:
    dims = (-3, -2, -1) if p.get("acrossChannels") else (-2, -1)
    by_variance, epsilon = bool(p.get("normalizeVariance")), p.nonzero("epsilon", 1e-6)

    def run(x: Tensor) -> Tensor:
        _need_rank(p, x, 3)
        centred = x - x.mean(dims, keepdim=True)
        if not by_variance:
            return centred
        return centred / (centred.square().mean(dims, keepdim=True) + epsilon).sqrt()

    return single(run)


def _scale(p: Parameters) -> Layer:
    scale = _spread(p, "shapeScale", "scale")
    bias = _spread(p, "shapeBias", "bias") if p.get("hasBias") else None
    p.skip("shapeBias", "bias")

    def run(x: Tensor) -> Tensor:
        y = x * _fitting(p, scale, x)
        return y if bias is None else y + _fitting(p, bias, x)

    return single(run)


def _bias(p: Parameters) -> Layer:
    bias = _spread(p, "shape", "bias")
    return single(lambda x: x + _fitting(p, bias, x))


def _need_rank(p: Parameters, x: Tensor, least: int) -> None:
    p.need(x.dim() >= least, f"an input of shape {list(x.shape)}; expected at least {least} dimensions")


def _spread(p: Parameters, shape_field: str, field: str) -> Tensor:
    """Read numbers for all values, for each channel, or for each place, in a shape that torch broadcasts."""
    shape = p.numbers(shape_field)
    p.need(len(shape) in (1, 3), f"{shape_field} is {shape}; expected [1], [C], [1, H, W] or [C, H, W]")
    # Quantised, these are one row.
    values = p.weights(field, (1, torch.Size(shape).numel())).reshape(shape)
    return values if values.numel() == 1 or len(shape) == 3 else values.reshape(-1, 1, 1)


def _fitting(p: Parameters, values: Tensor, x: Tensor) -> Tensor:
    shape = list(values.shape)
    if values.numel() > 1:
        _need_rank(p, x, 3)
        place = list(x.shape[-3:])
        fits = shape in (place, [1, *place[1:]], [place[0], 1, 1])
        p.need(fits, f"numbers of shape {shape} for a blob of shape {list(x.shape)}")
    return values


def _amounts(p: Parameters) -> _Border:
    edges = list(p.get("borderAmounts"))
    p.need(len(edges) in (0, 2), f"borderAmounts has {len(edges)} entries; expected height and width")
    if not edges:
        return 0, 0, 0, 0
    height, width = edges
    return height.startEdgeSize, height.endEdgeSize, width.startEdgeSize, width.endEdgeSize


def _border(p: Parameters, oneof: str, kernel: list[int], stride: list[int]) -> Callable[[Tensor], _Border]:
    kind = p.choice(oneof)
    if kind == "valid":
        fixed = _amounts(p.child("valid").child("paddingAmounts"))
        return lambda x: fixed
    p.need(kind == "same", f"padding {kind} cannot be checked here")
    heavy_end = p.child("same").enum("asymmetryMode") == "BOTTOM_RIGHT_HEAVY"

    def border(x: Tensor) -> _Border:
        sides: list[int] = []
        for side, k, s in zip(x.shape[-2:], kernel, stride, strict=True):
            total = max(0, (-(-side // s) - 1) * s + k - side)
            less, more = total // 2, total - total // 2
            sides += [less, more] if heavy_end else [more, less]
        return sides[0], sides[1], sides[2], sides[3]

    return border


def _last_pixel_border(kernel: list[int], stride: list[int], amounts: list[int]) -> Callable[[Tensor], _Border]:
    """Let the last window reach the last pixel: its far side may lie beyond the padding, or short of its end."""

    def border(x: Tensor) -> _Border:
        sides: list[int] = []
        for side, k, s, amount in zip(x.shape[-2:], kernel, stride, amounts, strict=True):
            windows = -(-(side + 2 * amount - k) // s) + 1
            if max(amounts) > 0 and (windows - 1) * s >= side + amount:
                windows -= 1
            sides += [amount, (windows - 1) * s + k - side - amount]
        return sides[0], sides[1], sides[2], sides[3]

    return border


SPATIAL_LAYERS: dict[str, Callable[[Parameters], Layer]] = {
    "batchnorm": _batchnorm,
    "bias": _bias,
    "convolution": _convolution,
    "mvn": _mvn,
    "padding": _padding,
    "pooling": _pooling,
    "scale": _scale,
}
