"""Single ops of ML Programs, against definitions that share nothing with torch's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb  # noqa: N813

from helpers.mil_programs import Body, answer, photo, save_program, scaled

RNG = np.random.default_rng(5)
WEIGHT = RNG.standard_normal((6, 1, 3, 3)).astype(np.float32)
EVEN_WEIGHT = RNG.standard_normal((4, 3, 2, 2)).astype(np.float32)
BIAS = RNG.standard_normal(6).astype(np.float32)
MEAN, VARIANCE, GAMMA, BETA = (RNG.uniform(0.5, 2, 3).astype(np.float32) for _ in range(4))
MATRIX = RNG.standard_normal((5, 8)).astype(np.float32)

Expected = Callable[[np.ndarray], np.ndarray]


def windows(
    x: np.ndarray, kernel: int, stride: int, pads: tuple[int, int, int, int], dilation: int = 1, ceil: bool = False
) -> Iterator[tuple[int, int, list[tuple[int, int, int, int]], int]]:
    """Yield each window: its place, the (row, column) in it and in x of what lies in x, and its part of the padding."""
    top, bottom, left, right = pads
    span = (kernel - 1) * dilation + 1
    counts = []
    for side, before, after in ((x.shape[2], top, bottom), (x.shape[3], left, right)):
        steps = (side + before + after - span) / stride
        count = (math.ceil(steps) if ceil else math.floor(steps)) + 1
        counts.append(count - (ceil and (count - 1) * stride >= side + before))
    for i in range(counts[0]):
        for j in range(counts[1]):
            found, padded = [], 0
            for r in range(kernel):
                for c in range(kernel):
                    row, column = i * stride - top + r * dilation, j * stride - left + c * dilation
                    padded += row < x.shape[2] + bottom and column < x.shape[3] + right
                    if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                        found.append((r, c, row, column))
            yield i, j, found, padded


def pooled(kind: str, kernel: int, stride: int, pads: tuple[int, int, int, int], ceil: bool = False) -> Expected:
    def pool(x: np.ndarray) -> np.ndarray:
        cells = {}
        for i, j, found, padded in windows(x, kernel, stride, pads, ceil=ceil):
            values = np.stack([x[0, :, row, column] for _, _, row, column in found])
            divisor = padded if kind == "include" else len(found)
            cells[i, j] = values.max(0) if kind == "max" else values.sum(0) / divisor
        return gathered(cells)

    return pool


def convolved(
    weight: np.ndarray,
    stride: int,
    pads: tuple[int, int, int, int],
    dilation: int,
    groups: int,
    bias: np.ndarray | float,
) -> Expected:
    def convolve(x: np.ndarray) -> np.ndarray:
        filters, depth, kernel, _ = weight.shape
        cells = {}
        for i, j, found, _ in windows(x, kernel, stride, pads, dilation):
            cell = np.zeros(filters) + bias
            for number in range(filters):
                first = number // (filters // groups) * depth
                for r, c, row, column in found:
                    cell[number] += weight[number, :, r, c] @ x[0, first : first + depth, row, column]
            cells[i, j] = cell
        return gathered(cells)

    return convolve


def gathered(cells: dict[tuple[int, int], np.ndarray]) -> np.ndarray:
    height, width = (1 + max(place[axis] for place in cells) for axis in (0, 1))
    return np.stack([[cells[i, j] for j in range(width)] for i in range(height)]).transpose(2, 0, 1)[None]


def normalised(axes: tuple[int, ...], epsilon: float) -> Expected:
    return lambda x: (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def channels(values: np.ndarray) -> np.ndarray:
    return values.reshape(1, -1, 1, 1)


def elementwise(function: Callable[[float], float]) -> Expected:
    return np.vectorize(function, otypes=[float])


def attended(x: np.ndarray) -> np.ndarray:
    scores = np.exp(x @ x.transpose(0, 1, 3, 2) / math.sqrt(8))
    mixed: np.ndarray = scores / scores.sum(-1, keepdims=True) @ x
    return mixed


def enlarged(height: int, width: int, corners: bool) -> Expected:
    """Bilinear interpolation: the corners of both grids coincide, or the edges of their outermost cells do."""

    def weights(side: int, factor: int) -> np.ndarray:
        table = np.zeros((side * factor, side))
        for row in range(side * factor):
            at = row * (side - 1) / (side * factor - 1) if corners else (row + 0.5) / factor - 0.5
            at = min(max(at, 0), side - 1)
            low = min(int(at), side - 2)
            table[row, low], table[row, low + 1] = 1 - (at - low), at - low
        return table

    return lambda x: weights(x.shape[2], height) @ x @ weights(x.shape[3], width).T


CASES: dict[str, tuple[Body, Expected]] = {
    "upsample_bilinear, corners": (
        lambda x: mb.upsample_bilinear(x=x, scale_factor_height=2, scale_factor_width=3, align_corners=True),
        enlarged(2, 3, corners=True),
    ),
    "upsample_bilinear, edges": (
        lambda x: mb.upsample_bilinear(x=x, scale_factor_height=2.0, scale_factor_width=3.0, align_corners=False),
        enlarged(2, 3, corners=False),
    ),
    "upsample_nearest_neighbor": (
        lambda x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=2, scale_factor_width=3),
        lambda x: x.repeat(2, 2).repeat(3, 3),
    ),
    # pooling
    "avg_pool, padding counts": (
        lambda x: mb.avg_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1]),
        pooled("include", 3, 2, (1, 1, 1, 1)),
    ),
    "avg_pool, padding does not count": (
        lambda x: mb.avg_pool(
            x=x, kernel_sizes=[3, 3], pad_type="custom", pad=[1, 1, 1, 1], exclude_padding_from_average=True
        ),
        pooled("exclude", 3, 1, (1, 1, 1, 1)),
    ),
    "avg_pool, one-sided padding": (
        lambda x: mb.avg_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=[0, 2, 1, 0]),
        pooled("include", 3, 2, (0, 2, 1, 0)),
    ),
    "avg_pool, one-sided padding does not count": (
        lambda x: mb.avg_pool(
            x=x, kernel_sizes=[2, 2], pad_type="same", strides=[1, 1], exclude_padding_from_average=True
        ),
        pooled("exclude", 2, 1, (0, 1, 0, 1)),
    ),
    "avg_pool, ceil_mode": (
        lambda x: mb.avg_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="valid", ceil_mode=True),
        pooled("include", 3, 2, (0, 0, 0, 0), ceil=True),
    ),
    "avg_pool, ceil_mode and padding": (
        lambda x: mb.avg_pool(
            x=x, kernel_sizes=[3, 3], strides=[3, 3], pad_type="custom", pad=[1, 1, 1, 1], ceil_mode=True
        ),
        pooled("include", 3, 3, (1, 1, 1, 1), ceil=True),
    ),
    "max_pool, ceil_mode": (
        lambda x: mb.max_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="valid", ceil_mode=True),
        pooled("max", 3, 2, (0, 0, 0, 0), ceil=True),
    ),
    "max_pool, padding is never the largest": (
        lambda x: mb.max_pool(
            x=mb.sub(x=x, y=np.float32(9)), kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=[0, 1, 2, 1]
        ),
        lambda x: pooled("max", 3, 2, (0, 1, 2, 1))(x - 9),
    ),
    "max_pool, same": (
        lambda x: mb.max_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="same"),
        pooled("max", 3, 2, (0, 1, 0, 1)),
    ),
    "max_pool, same_lower": (
        lambda x: mb.max_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="same_lower"),
        pooled("max", 3, 2, (1, 0, 1, 0)),
    ),
    # convolution
    "conv, groups and one-sided padding": (
        lambda x: mb.conv(x=x, weight=WEIGHT, bias=BIAS, groups=3, pad_type="custom", pad=[2, 0, 0, 1], strides=[2, 2]),
        convolved(WEIGHT, 2, (2, 0, 0, 1), 1, 3, BIAS),
    ),
    "conv, dilations": (
        lambda x: mb.conv(x=x, weight=WEIGHT, groups=3, pad_type="same", dilations=[2, 2]),
        convolved(WEIGHT, 1, (2, 2, 2, 2), 2, 3, 0.0),
    ),
    "conv, same": (
        lambda x: mb.conv(x=x, weight=EVEN_WEIGHT, pad_type="same"),
        convolved(EVEN_WEIGHT, 1, (0, 1, 0, 1), 1, 1, 0.0),
    ),
    "conv, same_lower": (
        lambda x: mb.conv(x=x, weight=EVEN_WEIGHT, pad_type="same_lower"),
        convolved(EVEN_WEIGHT, 1, (1, 0, 1, 0), 1, 1, 0.0),
    ),
    # padding
    "pad, outermost dimension first": (
        lambda x: mb.pad(x=x, pad=[1, 2, 3, 0], constant_val=np.float32(7)),
        lambda x: np.pad(x, [(0, 0), (0, 0), (1, 2), (3, 0)], constant_values=7),
    ),
    "pad, all dimensions": (
        lambda x: mb.pad(x=x, pad=[0, 0, 1, 0, 0, 2, 3, 1]),
        lambda x: np.pad(x, [(0, 0), (1, 0), (0, 2), (3, 1)]),
    ),
    "pad, reflect": (
        lambda x: mb.pad(x=x, pad=[0, 2, 3, 1], mode="reflect"),
        lambda x: np.pad(x, [(0, 0), (0, 0), (0, 2), (3, 1)], "reflect"),
    ),
    "pad, replicate": (
        lambda x: mb.pad(x=x, pad=[1, 0, 0, 2, 3, 1], mode="replicate"),
        lambda x: np.pad(x, [(0, 0), (1, 0), (0, 2), (3, 1)], "edge"),
    ),
    # places
    "reshape, 0 and -1": (
        lambda x: mb.transpose(x=mb.reshape(x=x, shape=[0, 0, 4, -1]), perm=[0, 3, 1, 2]),
        lambda x: x.reshape(1, 3, 4, 16).transpose(0, 3, 1, 2),
    ),
    "slice_by_index, masks and squeeze": (
        lambda x: mb.slice_by_index(
            x=x,
            begin=[0, 1, -6, 5],
            end=[0, 0, -1, 2],
            stride=[1, 1, 2, 3],
            begin_mask=[False, False, False, True],
            end_mask=[True, False, False, True],
            squeeze_mask=[False, True, False, False],
        ),
        lambda x: x[:, 1, -6:-1:2, ::3],
    ),
    "slice_by_size": (
        lambda x: mb.slice_by_size(x=x, begin=[0, 1, 2, 3], size=[1, 2, -1, 4]),
        lambda x: x[:, 1:3, 2:, 3:7],
    ),
    "gather": (
        lambda x: mb.gather(x=x, indices=[[7, 0], [3, 3]], axis=2),
        lambda x: x[:, :, [[7, 0], [3, 3]]],
    ),
    "concat, interleave": (
        lambda x: mb.concat(values=[x, mb.abs(x=x)], axis=-3, interleave=True),
        lambda x: np.stack([x, np.abs(x)], 2).reshape(1, 6, 8, 8),
    ),
    "split, unequal": (
        lambda x: mb.concat(values=list(mb.split(x=x, split_sizes=[1, 5, 2], axis=3))[::-1], axis=3),
        lambda x: np.concatenate([x[..., 6:], x[..., 1:6], x[..., :1]], 3),
    ),
    "split, equal": (
        lambda x: mb.stack(values=list(mb.split(x=x, num_splits=3, axis=1))[::-1], axis=0),
        lambda x: x[:, ::-1].transpose(1, 0, 2, 3),
    ),
    "squeeze, expand_dims and tile": (
        lambda x: mb.tile(x=mb.expand_dims(x=mb.squeeze(x=x, axes=[0]), axes=[3, 1]), reps=[1, 2, 1, 1, 1]),
        lambda x: np.repeat(x[0][:, None, :, None], 2, 1),
    ),
    "reverse": (lambda x: mb.reverse(x=x, axes=[-1, 1]), lambda x: x[:, ::-1, :, ::-1]),
    # norms
    "batch_norm": (
        lambda x: mb.batch_norm(x=x, mean=MEAN, variance=VARIANCE, gamma=GAMMA, beta=BETA, epsilon=np.float32(0.25)),
        lambda x: (x - channels(MEAN)) / np.sqrt(channels(VARIANCE) + 0.25) * channels(GAMMA) + channels(BETA),
    ),
    "layer_norm, last axis": (
        lambda x: mb.layer_norm(x=x, axes=[-1], gamma=MATRIX[0], beta=MATRIX[1], epsilon=np.float32(0.5)),
        lambda x: normalised((3,), 0.5)(x) * MATRIX[0] + MATRIX[1],
    ),
    "layer_norm, channels": (
        lambda x: mb.layer_norm(x=x, axes=[1], gamma=GAMMA, beta=BETA, epsilon=np.float32(0.5)),
        lambda x: normalised((1,), 0.5)(x) * channels(GAMMA) + channels(BETA),
    ),
    "instance_norm": (
        lambda x: mb.instance_norm(x=x, gamma=GAMMA, beta=BETA, epsilon=np.float32(0.5)),
        lambda x: normalised((2, 3), 0.5)(x) * channels(GAMMA) + channels(BETA),
    ),
    "l2_norm": (
        lambda x: mb.l2_norm(x=x, epsilon=np.float32(0.5)),
        lambda x: x / np.sqrt((x**2).sum() + 0.5),
    ),
    # products
    "linear without bias": (
        lambda x: mb.linear(x=mb.squeeze(x=x, axes=[0]), weight=MATRIX),
        lambda x: x[0] @ MATRIX.T,
    ),
    "matmul, transposed": (
        lambda x: mb.matmul(x=x, y=MATRIX.T.copy(), transpose_x=True),
        lambda x: x.transpose(0, 1, 3, 2) @ MATRIX.T,
    ),
    "matmul, both transposed": (
        lambda x: mb.matmul(x=x, y=MATRIX, transpose_x=True, transpose_y=True),
        lambda x: x.transpose(0, 1, 3, 2) @ MATRIX.T,
    ),
    # reductions
    "reduce_mean, kept": (
        lambda x: mb.reduce_mean(x=x, axes=[-2, 1], keep_dims=True),
        lambda x: x.mean((2, 1), keepdims=True),
    ),
    "reduce_sum of everything": (lambda x: mb.reduce_sum(x=x), lambda x: x.sum()),
    "reduce_max": (lambda x: mb.reduce_max(x=x, axes=[3]), lambda x: x.max(3)),
    "reduce_l2_norm": (lambda x: mb.reduce_l2_norm(x=x, axes=[1]), lambda x: np.sqrt((x**2).sum(1))),
    "reduce_log_sum_exp": (lambda x: mb.reduce_log_sum_exp(x=x, axes=[3]), lambda x: np.log(np.exp(x).sum(3))),
    "reduce_argmax": (lambda x: mb.reduce_argmax(x=x, axis=1), lambda x: x.argmax(1)),
    # one value at a time
    "softmax": (
        lambda x: mb.softmax(x=x, axis=1),
        lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
    ),
    "gelu, exact": (
        lambda x: mb.gelu(x=x, mode="EXACT"),
        elementwise(lambda v: v * 0.5 * math.erfc(-v / math.sqrt(2))),
    ),
    "gelu, tanh": (
        lambda x: mb.gelu(x=x, mode="TANH_APPROXIMATION"),
        elementwise(lambda v: 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))),
    ),
    "gelu, sigmoid": (
        lambda x: mb.gelu(x=x, mode="SIGMOID_APPROXIMATION"),
        elementwise(lambda v: v / (1 + math.exp(-1.702 * v))),
    ),
    "thresholded_relu": (
        lambda x: mb.thresholded_relu(x=x, alpha=np.float32(-0.5)),
        elementwise(lambda v: v if v >= -0.5 else 0),
    ),
    "sigmoid_hard": (
        lambda x: mb.sigmoid_hard(x=x, alpha=np.float32(0.4), beta=np.float32(0.5)),
        elementwise(lambda v: min(1, max(0, 0.4 * v + 0.5))),
    ),
    "clamped_relu": (
        lambda x: mb.clamped_relu(x=x, alpha=np.float32(0.3), beta=np.float32(0.5)),
        elementwise(lambda v: min(0.5, v if v >= 0 else 0.3 * v)),
    ),
    "prelu": (
        lambda x: mb.prelu(x=x, alpha=GAMMA),
        lambda x: np.where(x > 0, x, x * channels(GAMMA)),
    ),
    "elu": (
        lambda x: mb.elu(x=x, alpha=np.float32(0.7)),
        elementwise(lambda v: v if v > 0 else 0.7 * (math.exp(v) - 1)),
    ),
    "rsqrt": (
        lambda x: mb.rsqrt(x=mb.square(x=x), epsilon=np.float32(0.5)),
        lambda x: 1 / np.sqrt(x**2 + 0.5),
    ),
    "inverse": (
        lambda x: mb.inverse(x=mb.square(x=x), epsilon=np.float32(0.5)),
        lambda x: 1 / (x**2 + 0.5),
    ),
    "log": (lambda x: mb.log(x=mb.exp(x=x), epsilon=np.float32(0.5)), lambda x: np.log(np.exp(x) + 0.5)),
    "cast to int32 cuts off": (lambda x: mb.cast(x=x, dtype="int32"), np.trunc),
    "cast to bool": (
        lambda x: mb.cast(x=mb.relu(x=x), dtype="bool"),
        lambda x: (x > 0).astype(float),
    ),
    "select": (
        lambda x: mb.select(cond=mb.greater(x=x, y=np.float32(0.5)), a=x, b=mb.real_div(x=x, y=np.float32(4))),
        lambda x: np.where(x > 0.5, x, x / 4),
    ),
    "mod": (lambda x: mb.mod(x=x, y=np.float32(0.75)), lambda x: x - 0.75 * np.floor(x / 0.75)),
}

#: Ops that behave otherwise from this system on.
NEWER: dict[str, tuple[str, Body, Expected]] = {
    "reshape, zeros from the right": (
        "iOS17",
        lambda x: mb.transpose(x=mb.reshape(x=mb.squeeze(x=x), shape=[1, 0, -1, 0]), perm=[1, 3, 0, 2]),
        lambda x: x[0].reshape(1, 3, 8, 8).transpose(1, 3, 0, 2),
    ),
    "reshape, zeros without a partner": (
        "iOS17",
        lambda x: mb.transpose(x=mb.reshape(x=mb.squeeze(x=x), shape=[0, -1, 0, 0]), perm=[1, 3, 0, 2]),
        lambda x: x[0].reshape(1, 3, 8, 8).transpose(1, 3, 0, 2),
    ),
    "attention": ("iOS18", lambda x: mb.scaled_dot_product_attention(query=x, key=x, value=x), attended),
}


@pytest.mark.parametrize("name", CASES)
def test_an_op_is_what_its_definition_says(tmp_path: Path, name: str) -> None:
    body, expected = CASES[name]
    check(save_program(tmp_path, body), expected)


@pytest.mark.parametrize("name", NEWER)
def test_a_newer_op_is_what_its_definition_says(tmp_path: Path, name: str) -> None:
    target, body, expected = NEWER[name]
    check(save_program(tmp_path, body, target=target), expected)


def check(path: Path, expected: Expected) -> None:
    pixels = photo()
    wanted = np.asarray(expected(scaled(pixels)), float)
    np.testing.assert_allclose(answer(path, pixels), wanted.ravel(), atol=2e-6 * max(1, np.abs(wanted).max()))


def test_bounds_of_fp16_are_as_the_file_holds_them(tmp_path: Path) -> None:
    def clip(x: Any) -> Any:
        return mb.clip(x=x, alpha=np.float16(-0.1), beta=np.float16(0.7))

    path = save_program(tmp_path, clip, precision="fp16")
    wanted = np.clip(scaled(photo()), float(np.float16(-0.1)), float(np.float16(0.7))).ravel()
    for mode in ("fp32", "fp16"):
        np.testing.assert_array_equal(answer(path, photo(), mode), wanted.astype(np.float32))


def test_only_fp16_mode_rounds(tmp_path: Path) -> None:
    path = save_program(tmp_path, lambda x: mb.exp(x=x), precision="fp16")
    wanted = np.exp(scaled(photo())).ravel()
    np.testing.assert_allclose(answer(path, photo()), wanted, rtol=1e-6)
    rounded = answer(path, photo(), "fp16")
    np.testing.assert_array_equal(rounded, rounded.astype(np.float16))
    assert 1e-4 < np.abs(rounded / wanted - 1).max() < 2**-10


def test_a_cast_to_fp16_counts_only_in_fp16_mode(tmp_path: Path) -> None:
    def there_and_back(x: Any) -> Any:
        return mb.cast(x=mb.cast(x=mb.mul(x=x, y=np.float32(1 / 3)), dtype="fp16"), dtype="fp32")

    path = save_program(tmp_path, there_and_back)
    wanted = (scaled(photo()) / 3).ravel()
    np.testing.assert_allclose(answer(path, photo()), wanted, rtol=1e-6)
    np.testing.assert_array_equal(answer(path, photo(), "fp16"), wanted.astype(np.float16))
