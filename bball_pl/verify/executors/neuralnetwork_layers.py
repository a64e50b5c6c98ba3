"""NeuralNetwork layers that work on height and width (convolution, pooling, padding, norms) or change shapes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bball_pl.verify.executors import kernels
from bball_pl.verify.model_file import Parameters

#: A layer, ready to run: blobs in, blobs out.
Layer = Callable[[list[Tensor]], list[Tensor]]
#: Pixels before and after height, and before and after width.
_Border = list[tuple[int, int]]


def single(function: Callable[[Tensor], Tensor]) -> Layer:
    """Wrap a function of one blob to one blob."""
    return lambda blobs: [function(blobs[0])]


def _by_picture(p: Parameters, function: Callable[[Tensor], Tensor]) -> Layer:
    """Wrap a function of `[B, C, H, W]` for blobs of four and five dimensions."""

    def run(x: Tensor) -> Tensor:
        _need_rank(p, x, 4)
        if x.dim() == 4:
            # Reshaping would hide from torch that the memory format is channels_last, the fastest one on CPUs.
            return function(x)
        y = function(x.reshape(-1, *x.shape[-3:]))
        return y.reshape(*x.shape[:-3], *y.shape[1:])

    return single(run)


def _convolution(p: Parameters) -> Layer:
    out, within = int(p.get("outputChannels")), int(p.get("kernelChannels"))
    groups = int(p.get("nGroups")) or 1
    kernel = p.numbers("kernelSize", 2, (3, 3))
    stride, dilation = p.numbers("stride", 2, (1, 1)), p.numbers("dilationFactor", 2, (1, 1))
    p.need(min(kernel) > 0 and min(stride) > 0 and min(dilation) > 0, f"kernel {kernel}, stride {stride}")
    weight = p.weights("weights", (out, within, *kernel)).contiguous(memory_format=torch.channels_last)
    bias = p.weights("bias", (out,)) if p.get("hasBias") else None
    p.skip("bias")
    border = _border(p, "ConvolutionPaddingType", kernels.reach(kernel, dilation), stride)

    def run(x: Tensor) -> Tensor:
        p.need(x.shape[-3] == within * groups, f"{x.shape[-3]} channels; expected {within * groups}")
        return kernels.convolve(x, weight, bias, stride, border(x), dilation, groups)

    return _by_picture(p, run)


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
    amounts: list[int] | None = None
    if p.choice("PoolingPaddingType") == "includeLastPixel":
        amounts = p.child("includeLastPixel").numbers("paddingAmounts", 2, (0, 0))
        border = _last_pixel_border(kernel, stride, amounts)
    else:
        border = _border(p, "PoolingPaddingType", kernel, stride)

    def run(x: Tensor) -> Tensor:
        padding = border(x)
        if kind == "MAX":
            return kernels.max_pool(x, kernel, stride, padding)
        counted = [(0, 0), (0, 0)] if exclude else padding
        if amounts is not None and not exclude:
            # Beyond the padding, which the last window may reach, nothing is counted.
            counted = [(first, min(last, most)) for (first, last), most in zip(padding, amounts, strict=True)]
        return kernels.average_pool(x, kernel, stride, padding, counted)

    return _by_picture(p, run)


def _padding(p: Parameters) -> Layer:
    kind = p.choice("PaddingType")
    value = float(p.child(kind).get("value")) if kind == "constant" else 0.0
    p.skip(kind)
    border = _amounts(p.child("paddingAmounts"))
    mode = {"constant": "constant", "reflection": "reflect", "replication": "replicate"}[kind]

    def run(x: Tensor) -> Tensor:
        _need_rank(p, x, 3)
        return kernels.pad(x, border, mode, value)

    return single(run)


def _constant_pad(p: Parameters) -> Layer:
    amounts, value = p.numbers("padAmounts"), float(p.get("value"))
    p.need(
        bool(amounts) and len(amounts) % 2 == 0, f"padAmounts has {len(amounts)} numbers; expected two for each axis"
    )
    border = list(zip(amounts[::2], amounts[1::2], strict=True))

    def run(x: Tensor) -> Tensor:
        p.need(x.dim() == len(border), f"an input of shape {list(x.shape)}; expected {len(border)} dimensions")
        return kernels.pad(x, border, "constant", value)

    return single(run)


def _upsample(p: Parameters) -> Layer:
    mode, linear = p.enum("mode"), p.enum("linearUpsampleMode")
    fractional = [float(factor) for factor in p.get("fractionalScalingFactor")]
    factors = fractional or [float(factor) for factor in p.numbers("scalingFactor", 2, (1, 1))]
    p.need(len(factors) == 2, f"fractionalScalingFactor has {len(factors)} numbers; expected 2")
    if mode == "NN":
        p.need(not fractional, "nearest neighbours by a fractional factor cannot be checked here")
        rows, columns = (int(factor) for factor in factors)
        return single(lambda x: x.repeat_interleave(rows, -2).repeat_interleave(columns, -1))
    # The default of old files takes steps of its own between the pixels.
    p.need(linear.startswith("ALIGN_CORNERS"), f"linearUpsampleMode {linear} cannot be checked here")
    corners = linear == "ALIGN_CORNERS_TRUE"
    return _by_picture(p, lambda x: kernels.upsample_bilinear(x, factors, corners))


def _batchnorm(p: Parameters) -> Layer:
    shape = (int(p.get("channels")), 1, 1)
    epsilon = p.nonzero("epsilon", 1e-5)
    scale, shift = (p.weights(name, shape, exact=True).double() for name in ("gamma", "beta"))
    of_the_photo = bool(p.get("computeMeanVar") and p.get("instanceNormalization"))
    p.need(
        of_the_photo or not p.get("computeMeanVar"),
        "computeMeanVar without instanceNormalization cannot be checked here",
    )
    if of_the_photo:
        p.skip("mean", "variance")
    else:
        mean, variance = (p.weights(name, shape, exact=True).double() for name in ("mean", "variance"))
        scale = scale / (variance + epsilon).sqrt()
        shift = shift - mean * scale
    scale, shift = scale.float(), shift.float()
    if p.rounded and not of_the_photo:
        scale, shift = scale.half().float(), shift.half().float()

    def run(x: Tensor) -> Tensor:
        _need_rank(p, x, 3)
        p.need(x.shape[-3] == shape[0], f"{x.shape[-3]} channels; expected {shape[0]}")
        return (_normalised(x, (-2, -1), epsilon) if of_the_photo else x) * scale + shift

    return single(run)


def _normalised(x: Tensor, dims: tuple[int, ...], epsilon: float) -> Tensor:
    centred = x - x.mean(dims, keepdim=True)
    return centred / (centred.square().mean(dims, keepdim=True) + epsilon).sqrt()


def _mvn(p: Parameters) -> Layer:
    dims = (-3, -2, -1) if p.get("acrossChannels") else (-2, -1)
    by_variance, epsilon = bool(p.get("normalizeVariance")), p.nonzero("epsilon", 1e-6)

    def run(x: Tensor) -> Tensor:
        _need_rank(p, x, 3)
        return _normalised(x, dims, epsilon) if by_variance else x - x.mean(dims, keepdim=True)

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
    """Read numbers for all values, for each channel, or for each position, in a shape that torch broadcasts."""
    shape = p.numbers(shape_field)
    p.need(len(shape) in (1, 3), f"{shape_field} is {shape}; expected [1], [C], [1, H, W] or [C, H, W]")
    # Quantised, these are one row.
    values = p.weights(field, (1, torch.Size(shape).numel())).reshape(shape)
    return values if values.numel() == 1 or len(shape) == 3 else values.reshape(-1, 1, 1)


def _fitting(p: Parameters, values: Tensor, x: Tensor) -> Tensor:
    shape = list(values.shape)
    if values.numel() > 1:
        _need_rank(p, x, 3)
        sides = list(x.shape[-3:])
        fits = shape in (sides, [1, *sides[1:]], [sides[0], 1, 1])
        p.need(fits, f"numbers of shape {shape} for a blob of shape {list(x.shape)}")
    return values


def _amounts(p: Parameters) -> _Border:
    edges = list(p.get("borderAmounts"))
    p.need(len(edges) in (0, 2), f"borderAmounts has {len(edges)} entries; expected height and width")
    if not edges:
        return [(0, 0), (0, 0)]
    return [(edge.startEdgeSize, edge.endEdgeSize) for edge in edges]


def _border(p: Parameters, oneof: str, kernel: list[int], stride: list[int]) -> Callable[[Tensor], _Border]:
    kind = p.choice(oneof)
    if kind == "valid":
        fixed = _amounts(p.child("valid").child("paddingAmounts"))
        return lambda x: fixed
    p.need(kind == "same", f"padding {kind} cannot be checked here")
    heavy_end = p.child("same").enum("asymmetryMode") == "BOTTOM_RIGHT_HEAVY"

    return lambda x: kernels.same_padding(x.shape[-2:], kernel, stride, heavy_end)


def _last_pixel_border(kernel: list[int], stride: list[int], amounts: list[int]) -> Callable[[Tensor], _Border]:
    """Return padding with which the last window reaches the last pixel: beyond the padding, or short of its end."""

    def border(x: Tensor) -> _Border:
        pairs = []
        for side, k, s, amount in zip(x.shape[-2:], kernel, stride, amounts, strict=True):
            windows = -(-(side + 2 * amount - k) // s) + 1
            if max(amounts) > 0 and (windows - 1) * s >= side + amount:
                windows -= 1
            pairs.append((amount, (windows - 1) * s + k - side - amount))
        return pairs

    return border


SPATIAL_LAYERS: dict[str, Callable[[Parameters], Layer]] = {
    "batchnorm": _batchnorm,
    "bias": _bias,
    "constantPad": _constant_pad,
    "convolution": _convolution,
    "mvn": _mvn,
    "padding": _padding,
    "pooling": _pooling,
    "scale": _scale,
    "upsample": _upsample,
}


def _concat(p: Parameters) -> Layer:
    axis = -5 if p.get("sequenceConcat") else -3
    return lambda blobs: [torch.cat(blobs, axis)]


def _concat_nd(p: Parameters) -> Layer:
    axis = int(p.get("axis"))
    return lambda blobs: [torch.cat(blobs, axis)]


def _stack(p: Parameters) -> Layer:
    axis = int(p.get("axis"))
    return lambda blobs: [torch.stack(blobs, axis)]


def _split(p: Parameters) -> Layer:
    parts = int(p.get("nOutputs"))
    return lambda blobs: _even_parts(p, blobs[0], parts, -3)


def _split_nd(p: Parameters) -> Layer:
    axis, parts, sizes = int(p.get("axis")), int(p.get("numSplits")), p.numbers("splitSizes")
    p.need(not sizes or not parts or len(sizes) == parts, f"numSplits is {parts} and splitSizes {sizes}")

    def run(blobs: list[Tensor]) -> list[Tensor]:
        return list(blobs[0].split(sizes, axis)) if sizes else _even_parts(p, blobs[0], parts, axis)

    return run


def _even_parts(p: Parameters, x: Tensor, parts: int, axis: int) -> list[Tensor]:
    p.need(parts > 0 and x.shape[axis] % parts == 0, f"{parts} parts of {x.shape[axis]} values; expected equal ones")
    return list(x.split(x.shape[axis] // parts, axis))


def _slice(p: Parameters) -> Layer:
    axis = {"CHANNEL_AXIS": -3, "HEIGHT_AXIS": -2, "WIDTH_AXIS": -1}[p.enum("axis")]
    start, end, stride = int(p.get("startIndex")), int(p.get("endIndex")), int(p.get("stride")) or 1

    # As in Python: the end is left out, and a negative number counts from the end.
    return single(lambda x: x.movedim(axis, 0)[slice(start, end, stride)].movedim(0, axis))


def _slice_static(p: Parameters) -> Layer:
    begins, ends, strides = p.numbers("beginIds"), p.numbers("endIds"), p.numbers("strides")
    from_start, to_end = p.numbers("beginMasks", len(begins)), p.numbers("endMasks", len(begins))
    squeezed = p.numbers("squeezeMasks", len(begins), [0] * len(begins))
    p.need(len(ends) == len(strides) == len(begins), "beginIds, endIds and strides differ in length")
    p.need(all(stride > 0 for stride in strides), f"strides {strides}; expected positive ones")
    where: list[slice | int] = [
        begin if alone else slice(None if start else begin, None if stop else end, stride)
        for begin, end, stride, start, stop, alone in zip(
            begins, ends, strides, from_start, to_end, squeezed, strict=True
        )
    ]

    def run(x: Tensor) -> Tensor:
        p.need(x.dim() == len(where), f"an input of shape {list(x.shape)}; expected {len(where)} dimensions")
        return x[tuple(where)]

    return single(run)


def _transpose(p: Parameters) -> Layer:
    axes = p.numbers("axes")
    return single(lambda x: x.permute(axes))


def _permute(p: Parameters) -> Layer:
    axes = p.numbers("axis", 4, (0, 1, 2, 3))
    p.need(sorted(axes) == [0, 1, 2, 3], f"axis is {axes}; expected a permutation of 0, 1, 2, 3")
    # Sequence, channel, height and width are permuted; the batch, which is the second dimension, is not.
    order = [(0, 2, 3, 4)[axis] for axis in axes]

    def run(x: Tensor) -> Tensor:
        p.need(x.dim() == 5, f"an input of shape {list(x.shape)}; expected 5 dimensions")
        return x.permute(order[0], 1, *order[1:])

    return single(run)


def _squeeze(p: Parameters) -> Layer:
    axes, everything = p.numbers("axes"), bool(p.get("squeezeAll"))

    def run(x: Tensor) -> Tensor:
        p.need(everything or all(x.shape[axis] == 1 for axis in axes), f"axes {axes} of shape {list(x.shape)}")
        y = x.squeeze() if everything else x.squeeze(tuple(axes))
        return y.reshape(1) if y.dim() == 0 else y

    return single(run)


def _expand_dims(p: Parameters) -> Layer:
    axes = p.numbers("axes")

    return single(lambda x: kernels.expand_dims(x, axes))


def _reshape_static(p: Parameters) -> Layer:
    shape = p.numbers("targetShape")
    p.need(all(side > 0 or side == -1 for side in shape), f"targetShape {shape}; expected positive numbers and one -1")
    return single(lambda x: x.reshape(shape))


def _rank_preserving_reshape(p: Parameters) -> Layer:
    shape = p.numbers("targetShape")

    def run(x: Tensor) -> Tensor:
        p.need(x.dim() == len(shape), f"an input of shape {list(x.shape)}; expected {len(shape)} dimensions")
        return x.reshape([wanted or side for wanted, side in zip(shape, x.shape, strict=True)])

    return single(run)


def _reshape(p: Parameters) -> Layer:
    shape = p.numbers("targetShape")
    p.need(len(shape) in (3, 4), f"targetShape {shape}; expected three or four numbers")
    p.need(p.enum("mode") == "CHANNEL_FIRST", "channels last; expected channels first")

    def run(x: Tensor) -> Tensor:
        p.need(x.dim() == 5 and x.shape[1] == 1, f"an input of shape {list(x.shape)}; expected [S, 1, C, H, W]")
        sequence = x.shape[0] if len(shape) == 3 else shape[0]
        return x.reshape(sequence, 1, *shape[-3:])

    return single(run)


def _flatten(p: Parameters) -> Layer:
    last = p.enum("mode") == "CHANNEL_LAST"

    def run(x: Tensor) -> Tensor:
        p.need(x.dim() >= 3, f"an input of shape {list(x.shape)}; expected at least 3 dimensions")
        return (x.movedim(-3, -1) if last else x).flatten(-3)[..., None, None]

    return single(run)


def _flatten_to_2d(p: Parameters) -> Layer:
    axis = int(p.get("axis"))
    return single(lambda x: x.reshape(math.prod(x.shape[:axis]), -1))


def _gather(p: Parameters) -> Layer:
    axis = int(p.get("axis"))

    def run(blobs: list[Tensor]) -> list[Tensor]:
        data, indices = blobs
        p.need(bool((indices == indices.round()).all()), "indices that are no whole numbers")
        size = data.shape[axis]
        p.need(bool(((indices >= -size) & (indices < size)).all()), f"indices beyond the {size} values")
        picked = data.index_select(axis, (indices.long() % size).flatten())
        return [picked.unflatten(axis, indices.shape)]

    return run


def _tile(p: Parameters) -> Layer:
    repetitions = p.numbers("reps")
    p.need(bool(repetitions) and min(repetitions) > 0, f"reps {repetitions}; expected positive numbers")

    def run(x: Tensor) -> Tensor:
        p.need(
            x.dim() == len(repetitions), f"an input of shape {list(x.shape)}; expected {len(repetitions)} dimensions"
        )
        return x.tile(repetitions)

    return single(run)


SHAPE_LAYERS: dict[str, Callable[[Parameters], Layer]] = {
    "concat": _concat,
    "concatND": _concat_nd,
    "expandDims": _expand_dims,
    "flatten": _flatten,
    "flattenTo2D": _flatten_to_2d,
    "gather": _gather,
    "permute": _permute,
    "rankPreservingReshape": _rank_preserving_reshape,
    "reshape": _reshape,
    "reshapeStatic": _reshape_static,
    "slice": _slice,
    "sliceStatic": _slice_static,
    "split": _split,
    "splitND": _split_nd,
    "squeeze": _squeeze,
    "stack": _stack,
    "tile": _tile,
    "transpose": _transpose,
}
