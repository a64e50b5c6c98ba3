"""The NeuralNetwork layers that move numbers to other places and change none."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bball_pl.export.verify.neuralnetwork_parameters import Parameters
from bball_pl.export.verify.neuralnetwork_spatial import Layer, single


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
    places = p.numbers("axis", 4, (0, 1, 2, 3))
    p.need(sorted(places) == [0, 1, 2, 3], f"axis is {places}; expected a permutation of 0, 1, 2, 3")
    # Sequence, channel, height and width change places; the batch, which is the second dimension, does not.
    order = [(0, 2, 3, 4)[place] for place in places]

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

    def run(x: Tensor) -> Tensor:
        # Axes are those of the result.
        rank = x.dim() + len(axes)
        for axis in sorted(axis % rank for axis in axes):
            x = x.unsqueeze(axis)
        return x

    return single(run)


def _reshape_static(p: Parameters) -> Layer:
    shape = p.numbers("targetShape")
    p.need(all(side > 0 or side == -1 for side in shape), f"targetShape {shape}; expected positive numbers and one -1")
    return single(lambda x: x.reshape(shape))


def _rank_preserving_reshape(p: Parameters) -> Layer:
    shape = p.numbers("targetShape")

    def run(x: Tensor) -> Tensor:
        p.need(x.dim() == len(shape), f"an input of shape {list(x.shape)}; expected {len(shape)} dimensions")
        return x.reshape([side or own for side, own in zip(shape, x.shape, strict=True)])

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
        data, places = blobs
        p.need(bool((places == places.round()).all()), "indices that are no whole numbers")
        size = data.shape[axis]
        p.need(bool(((places >= -size) & (places < size)).all()), f"indices beyond the {size} values")
        picked = data.index_select(axis, (places.long() % size).flatten())
        return [picked.unflatten(axis, places.shape)]

    return run


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
    "transpose": _transpose,
}
