"""Layers of NeuralNetwork files: each against its definition, where two readings of the format give other numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bball_pl.errors import VerificationError
from bball_pl.verify.executors.neuralnetwork import NeuralNetwork

from helpers.neural_networks import HEIGHT, WIDTH, Build, convolved, photo, pooled, result, same, save, scaled, windows

RNG = np.random.default_rng(5)
X = scaled(photo())

Function = Callable[[np.ndarray], np.ndarray]


def close(got: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(got, wanted, atol=2e-5, rtol=1e-5)


def copy(builder: Any) -> None:
    builder.add_activation("copy", "LINEAR", "image", "result", params=[1.0, 0.0])


# --- the photo -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [4, 5])
def test_scale_comes_before_the_biases_and_each_channel_has_its_own(tmp_path: Path, rank: Any) -> None:
    wanted = photo().transpose(2, 0, 1)[None] * 0.5 + np.array([1, 10, 100]).reshape(1, 3, 1, 1)
    close(result(tmp_path, copy, wanted, scale=0.5, biases=(1, 10, 100), rank=rank), wanted)


def test_bgr_turns_the_channels_and_the_biases_stay_with_their_colours(tmp_path: Path) -> None:
    rgb = photo().transpose(2, 0, 1)[None] * 0.5 + np.array([1, 10, 100]).reshape(1, 3, 1, 1)
    close(result(tmp_path, copy, rgb, colour="BGR", scale=0.5, biases=(1, 10, 100)), rgb[:, ::-1])


def test_no_preprocessing_is_none(tmp_path: Path) -> None:
    wanted = photo().transpose(2, 0, 1)[None].astype(float)

    def bare(spec: Any) -> None:
        del spec.neuralNetworkClassifier.preprocessing[:]

    close(result(tmp_path, copy, wanted, change=bare), wanted)


# --- pooling and convolution ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["MAX", "AVERAGE"])
@pytest.mark.parametrize("exclude", [True, False])
@pytest.mark.parametrize("padding", ["VALID", "SAME", "SAME top", "LAST", "LAST beyond", "GLOBAL"])
def test_pooling(tmp_path: Path, kind: str, exclude: bool, padding: str) -> None:
    kernel, stride, pads, settings = (3, 2), (2, 3), ((1, 0), (1, 1)), dict[str, Any](padding_type="VALID")
    if padding == "VALID":
        settings |= {"padding_top": 1, "padding_bottom": 0, "padding_left": 1, "padding_right": 1}
    elif padding.startswith("SAME"):
        mode = "TOP_LEFT_HEAVY" if padding.endswith("top") else "BOTTOM_RIGHT_HEAVY"
        settings = {"padding_type": "SAME", "same_padding_asymmetry_mode": mode}
        kernel = (4, 4)
        pads = (same(HEIGHT, 4, 2, mode[0] == "B"), same(WIDTH, 4, 3, mode[0] == "B"))
    elif padding.startswith("LAST"):
        kernel, stride = ((4, 3), (2, 2)) if padding == "LAST" else ((2, 3), (2, 2))
        border = 1
        settings = {f"padding_{edge}": border for edge in ("top", "bottom", "left", "right")}
        settings["padding_type"] = "INCLUDE_LAST_PIXEL"
        # As the format says: round up, and drop a window that would begin in the padding at the end.
        ends = []
        for side, k, s in zip((HEIGHT, WIDTH), kernel, stride, strict=True):
            number = math.ceil((side + 2 * border - k) / s) + 1
            number -= (number - 1) * s >= side + border
            ends.append((number - 1) * s + k - side - border)
        pads = ((border, ends[0]), (border, ends[1]))
    else:
        kernel, stride, pads = (HEIGHT, WIDTH), (1, 1), ((0, 0), (0, 0))
    rows, columns = (windows(s, k, t, *p) for s, k, t, p in zip((HEIGHT, WIDTH), kernel, stride, pads, strict=True))
    limits = (HEIGHT + 1, WIDTH + 1) if padding.startswith("LAST") else (1000, 1000)
    # Padding counts unless excluded; what lies beyond it never does.
    wanted = pooled(X, rows, columns, kind, lambda a, b: not exclude and a < limits[0] and b < limits[1])

    def build(builder: Any) -> None:
        builder.add_pooling(
            "pool", *kernel, *stride, kind, input_name="image", output_name="result", exclude_pad_area=exclude,
            is_global=padding == "GLOBAL", **settings,
        )  # fmt: skip

    close(result(tmp_path, build, wanted), wanted)


@pytest.mark.parametrize("rank", [4, 5])
@pytest.mark.parametrize("padding", ["valid", "same", "same top"])
@pytest.mark.parametrize(("groups", "dilation"), [(1, 1), (3, 1), (1, 2)])
def test_convolution(tmp_path: Path, padding: str, groups: int, dilation: int, rank: Any) -> None:
    weight, bias = RNG.standard_normal((6, 3 // groups, 3, 2)), RNG.standard_normal(6)
    stride = (2, 3)
    reach = [(side - 1) * dilation + 1 for side in (3, 2)]
    heavy = not padding.endswith("top")
    pads = [same(side, k, s, heavy) for side, k, s in zip((HEIGHT, WIDTH), reach, stride, strict=True)]
    pads = [(2, 0), (0, 1)] if padding == "valid" else pads
    rows, columns = (windows(s, k, t, *p) for s, k, t, p in zip((HEIGHT, WIDTH), reach, stride, pads, strict=True))
    wanted = convolved(X, weight, bias, rows, columns, dilation, groups)

    def build(builder: Any) -> None:
        builder.add_convolution(
            "conv", 3 // groups, 6, 3, 2, *stride, padding[:5].strip(), groups, weight.transpose(2, 3, 1, 0), bias,
            has_bias=True, input_name="image", output_name="result", dilation_factors=[dilation, dilation],
            padding_top=2, padding_bottom=0, padding_left=0, padding_right=1,
            same_padding_asymmetry_mode="BOTTOM_RIGHT_HEAVY" if heavy else "TOP_LEFT_HEAVY",
        )  # fmt: skip

    close(result(tmp_path, build, wanted, rank=rank), wanted)


@pytest.mark.parametrize(
    ("kind", "mode"), [("constant", "constant"), ("reflection", "reflect"), ("replication", "edge")]
)
def test_padding(tmp_path: Path, kind: str, mode: Any) -> None:
    settings = {"constant_values": 0.75} if kind == "constant" else {}
    wanted = np.pad(X, ((0, 0), (0, 0), (1, 2), (3, 0)), mode, **settings)

    def build(builder: Any) -> None:
        builder.add_padding("pad", 3, 0, 1, 2, 0.75, "image", "result", kind)

    close(result(tmp_path, build, wanted), wanted)


def test_padding_by_axis(tmp_path: Path) -> None:
    wanted = np.pad(X, ((0, 0), (2, 1), (1, 2), (3, 0)), constant_values=-1.5)

    def build(builder: Any) -> None:
        builder.add_constant_pad("pad", ["image"], "result", -1.5, pad_amounts=[0, 0, 2, 1, 1, 2, 3, 0])

    close(result(tmp_path, build, wanted), wanted)


def positions(side: int, size: int, corners: bool) -> np.ndarray:
    """Return where each pixel of an enlarged side lies in the original, as the format says."""
    place = np.arange(size)
    at = place * (side - 1) / (size - 1) if corners else (place + 0.5) * side / size - 0.5
    return at.clip(0, side - 1)


@pytest.mark.parametrize("mode", ["ALIGN_CORNERS_TRUE", "ALIGN_CORNERS_FALSE"])
@pytest.mark.parametrize("factors", [(2, 3), (3, 1.5)])
def test_bilinear_upsampling(tmp_path: Path, mode: str, factors: tuple[float, float]) -> None:
    wanted = X
    for axis, factor in zip((2, 3), factors, strict=True):
        side = wanted.shape[axis]
        at = positions(side, int(side * factor), mode.endswith("TRUE"))
        before, part = np.floor(at).astype(int), at % 1
        after = np.minimum(before + 1, side - 1)
        weights = part.reshape([-1 if place == axis else 1 for place in range(4)])
        wanted = wanted.take(before, axis) * (1 - weights) + wanted.take(after, axis) * weights

    def build(builder: Any) -> None:
        builder.add_upsample("up", *factors, "image", "result", "BILINEAR", mode)

    close(result(tmp_path, build, wanted), wanted)


def test_a_copy_is_the_same_blob(tmp_path: Path) -> None:
    def build(builder: Any) -> None:
        builder.add_copy("twin", "image", "result")

    close(result(tmp_path, build, X), X)


def test_upsampling_by_nearest_neighbours_and_what_is_refused(tmp_path: Path) -> None:
    wanted = X.repeat(2, 2).repeat(3, 3)
    close(result(tmp_path, lambda builder: builder.add_upsample("up", 2, 3, "image", "result"), wanted), wanted)
    with pytest.raises(VerificationError, match="up \\(upsample\\): linearUpsampleMode DEFAULT cannot be checked here"):
        result(tmp_path, lambda builder: builder.add_upsample("up", 2, 3, "image", "result", "BILINEAR"), wanted)


# --- number by number ----------------------------------------------------------------------------------------------

ALPHA = np.array([0.5, -1.5, 0.25], np.float32)
BETA = np.array([1.0, 2.0, -0.5], np.float32)
PER_CHANNEL = ALPHA.reshape(3, 1, 1), BETA.reshape(3, 1, 1)


@pytest.mark.parametrize(
    ("kind", "params", "wanted"),
    [
        ("LINEAR", [2.0, -3.0], lambda x: 2 * x - 3),
        ("RELU", None, lambda x: np.maximum(x, 0)),
        ("LEAKYRELU", [0.25], lambda x: np.where(x < 0, 0.25 * x, x)),
        ("THRESHOLDEDRELU", -0.5, lambda x: np.where(x < -0.5, 0, x)),
        ("PRELU", ALPHA, lambda x: np.where(x < 0, PER_CHANNEL[0] * x, x)),
        ("TANH", None, np.tanh),
        ("SCALED_TANH", [1.5, 0.5], lambda x: 1.5 * np.tanh(0.5 * x)),
        ("SIGMOID", None, lambda x: 1 / (1 + np.exp(-x))),
        ("SIGMOID_HARD", [0.4, 0.3], lambda x: np.minimum(np.maximum(0.4 * x + 0.3, 0), 1)),
        ("ELU", 0.7, lambda x: np.where(x < 0, 0.7 * (np.exp(x) - 1), x)),
        ("SOFTSIGN", None, lambda x: x / (1 + abs(x))),
        ("SOFTPLUS", None, lambda x: np.log(1 + np.exp(x))),
        ("PARAMETRICSOFTPLUS", [ALPHA, BETA], lambda x: PER_CHANNEL[0] * np.log(1 + np.exp(PER_CHANNEL[1] * x))),
    ],
)
def test_activations(tmp_path: Path, kind: str, params: Any, wanted: Function) -> None:
    def build(builder: Any) -> None:
        builder.add_activation("act", kind, "image", "result", params=params)

    close(result(tmp_path, build, wanted(X)), wanted(X))


def inverse(x: np.ndarray) -> np.ndarray:
    return 1 / (x + 0.01)


@pytest.mark.parametrize(
    ("mode", "settings", "wanted"),
    [
        ("sqrt", {"shift": 3.0}, lambda x: np.sqrt(x + 3)),
        ("rsqrt", {"shift": 3.0, "epsilon": 0.01}, lambda x: 1 / np.sqrt(x + 3 + 0.01)),
        ("inverse", {"shift": 3.0, "epsilon": 0.01}, lambda x: inverse(x + 3)),
        ("power", {"alpha": 2.0, "scale": 0.5, "shift": 1.0}, lambda x: (0.5 * x + 1) ** 2),
        ("exp", {"scale": 0.0}, np.exp),  # a scale of 0 stands for 1
        ("log", {"shift": 3.0}, lambda x: np.log(x + 3)),
        ("abs", {}, abs),
        ("threshold", {"alpha": 0.5}, lambda x: np.maximum(x, 0.5)),
    ],
)
def test_unary(tmp_path: Path, mode: str, settings: dict[str, float], wanted: Function) -> None:
    def build(builder: Any) -> None:
        builder.add_unary("unary", "image", "result", mode, **settings)

    close(result(tmp_path, build, wanted(X)), wanted(X))


def erf(x: np.ndarray) -> np.ndarray:
    values: np.ndarray = np.vectorize(math.erf)(x)
    return values


@pytest.mark.parametrize(
    ("build", "wanted"),
    [
        (lambda b: b.add_clip("c", "image", "result", -0.5, 1.25), lambda x: np.minimum(np.maximum(x, -0.5), 1.25)),
        (lambda b: b.add_erf("e", "image", "result"), erf),
        (lambda b: b.add_tanh("t", "image", "result"), np.tanh),
        (lambda b: b.add_gelu("g", "image", "result", "EXACT"), lambda x: x / 2 * (1 + erf(x / math.sqrt(2)))),
        (
            lambda b: b.add_gelu("g", "image", "result", "TANH_APPROXIMATION"),
            lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        ),
        (
            lambda b: b.add_gelu("g", "image", "result", "SIGMOID_APPROXIMATION"),
            lambda x: x / (1 + np.exp(-1.702 * x)),
        ),
    ],
)
def test_functions(tmp_path: Path, build: Build, wanted: Function) -> None:
    close(result(tmp_path, build, wanted(X)), wanted(X))


# --- several blobs -------------------------------------------------------------------------------------------------

NUMBERS = RNG.standard_normal((1, 3, 1, 1)) + 3


@pytest.mark.parametrize(
    ("add", "wanted"),
    [
        ("ADD", lambda x: x + NUMBERS),
        ("MULTIPLY", lambda x: x * NUMBERS),
        ("AVE", lambda x: (x + NUMBERS) / 2),
        ("MAX", lambda x: np.maximum(x, NUMBERS)),
        ("MIN", lambda x: np.minimum(x, NUMBERS)),
        ("add_add_broadcastable", lambda x: x + NUMBERS),
        ("add_multiply_broadcastable", lambda x: x * NUMBERS),
        ("add_subtract_broadcastable", lambda x: x - NUMBERS),
        ("add_divide_broadcastable", lambda x: x / NUMBERS),
        ("add_max_broadcastable", lambda x: np.maximum(x, NUMBERS)),
        ("add_min_broadcastable", lambda x: np.minimum(x, NUMBERS)),
    ],
)
def test_two_blobs(tmp_path: Path, add: str, wanted: Function) -> None:
    def build(builder: Any) -> None:
        builder.add_load_constant_nd("n", "numbers", NUMBERS, NUMBERS.shape)
        if add.isupper():
            builder.add_elementwise("both", ["image", "numbers"], "result", add)
        else:
            getattr(builder, add)("both", ["image", "numbers"], "result")

    close(result(tmp_path, build, wanted(X)), wanted(X))


@pytest.mark.parametrize(("mode", "wanted"), [("ADD", X - 3), ("MULTIPLY", X * -3)])
def test_one_blob_and_a_number(tmp_path: Path, mode: str, wanted: np.ndarray) -> None:
    close(result(tmp_path, lambda b: b.add_elementwise("n", ["image"], "result", mode, alpha=-3.0), wanted), wanted)


def test_the_first_generation_broadcasts_to_one_of_its_blobs_only(tmp_path: Path) -> None:
    def build(builder: Any) -> None:
        for name, shape in (("column", (1, 3, HEIGHT, 1)), ("row", (1, 3, 1, WIDTH))):
            builder.add_load_constant_nd(name, name, np.ones(shape), shape)
        builder.add_elementwise("both", ["column", "row"], "grid", "ADD")
        builder.add_elementwise("all", ["grid", "image"], "result", "ADD")

    with pytest.raises(VerificationError, match=r"both \(add\): inputs of shapes"):
        NeuralNetwork(save(tmp_path, build, X.size))


def test_inner_product_by_rank(tmp_path: Path) -> None:
    weight, bias = RNG.standard_normal((4, X.size)), RNG.standard_normal(4)
    wanted = weight @ X.ravel() + bias

    def spatial(builder: Any) -> None:
        builder.add_inner_product("dense", weight, bias, X.size, 4, True, "image", "result")

    close(result(tmp_path, spatial, wanted), wanted)
    close(result(tmp_path, spatial, wanted, rank=5), wanted)
    rows, row_bias = RNG.standard_normal((4, WIDTH)), RNG.standard_normal(4)
    per_row = X[0] @ rows.T + row_bias

    def by_row(builder: Any) -> None:
        builder.add_squeeze("three", "image", "three", [0])
        builder.add_inner_product("dense", rows, row_bias, WIDTH, 4, True, "three", "result")

    close(result(tmp_path, by_row, per_row), per_row)


@pytest.mark.parametrize(("flip_a", "flip_b"), [(False, False), (True, False), (False, True), (True, True)])
def test_products_of_two_blobs(tmp_path: Path, flip_a: bool, flip_b: bool) -> None:
    inner = HEIGHT if flip_a else WIDTH
    b = RNG.standard_normal((1, 3, 4, inner) if flip_b else (1, 3, inner, 4))
    wanted = np.matmul(X.swapaxes(2, 3) if flip_a else X, b.swapaxes(2, 3) if flip_b else b)

    def build(builder: Any) -> None:
        builder.add_load_constant_nd("b", "b", b, b.shape)
        builder.add_batched_mat_mul("product", ["image", "b"], "result", flip_a, flip_b)

    close(result(tmp_path, build, wanted), wanted)


def test_a_matrix_in_the_layer_lies_column_by_column(tmp_path: Path) -> None:
    matrix, bias = RNG.standard_normal((WIDTH, 4)), RNG.standard_normal(4)
    wanted = X @ matrix + bias

    def build(builder: Any) -> None:
        builder.add_batched_mat_mul("product", ["image"], "result", False, False, WIDTH, 4, matrix, bias)

    close(result(tmp_path, build, wanted), wanted)


# --- norms and softmax ---------------------------------------------------------------------------------------------


def exponentials(x: np.ndarray, axis: int) -> np.ndarray:
    shares: np.ndarray = np.exp(x) / np.exp(x).sum(axis, keepdims=True)
    return shares


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_softmax_along_an_axis(tmp_path: Path, axis: int) -> None:
    wanted = exponentials(X, axis)
    close(result(tmp_path, lambda b: b.add_softmax_nd("s", "image", "result", axis), wanted), wanted)


@pytest.mark.parametrize("rank", [4, 5])
def test_softmax_of_the_first_generation_is_over_channels(tmp_path: Path, rank: Any) -> None:
    wanted = exponentials(X, 1)
    close(result(tmp_path, lambda b: b.add_softmax("s", "image", "result"), wanted, rank=rank), wanted)


def test_batch_norm_with_and_without_epsilon(tmp_path: Path) -> None:
    gamma, beta, mean = RNG.standard_normal((3, 3))
    variance = np.array([1e-5, 0.5, 2])
    for stored, meant in ((0.0, 1e-5), (1e-3, 1e-3)):  # 0 stands for 1e-5
        scale = (gamma / np.sqrt(variance + meant)).reshape(1, 3, 1, 1)
        wanted = (X - mean.reshape(1, 3, 1, 1)) * scale + beta.reshape(1, 3, 1, 1)

        def build(builder: Any, stored: float = stored) -> None:
            builder.add_batchnorm("bn", 3, gamma, beta, mean, variance, "image", "result", epsilon=stored)

        np.testing.assert_allclose(result(tmp_path, build, wanted), wanted, rtol=1e-4, atol=1e-3)


def test_instance_norm_takes_the_mean_and_variance_of_the_photo(tmp_path: Path) -> None:
    gamma, beta = RNG.standard_normal((2, 3))
    sides = (2, 3)
    wanted = (X - X.mean(sides, keepdims=True)) / np.sqrt(X.var(sides, keepdims=True) + 0.25)
    wanted = wanted * gamma.reshape(3, 1, 1) + beta.reshape(3, 1, 1)

    def build(builder: Any) -> None:
        builder.add_batchnorm(
            "norm", 3, gamma, beta, None, None, "image", "result",
            compute_mean_var=True, instance_normalization=True, epsilon=0.25,
        )  # fmt: skip

    close(result(tmp_path, build, wanted), wanted)


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("variance", [True, False])
def test_mean_and_variance(tmp_path: Path, across: bool, variance: bool) -> None:
    axes = (1, 2, 3) if across else (2, 3)
    wanted = X - X.mean(axes, keepdims=True)
    wanted = wanted / np.sqrt(wanted.var(axes, keepdims=True) + 0.1) if variance else wanted
    close(result(tmp_path, lambda b: b.add_mvn("m", "image", "result", across, variance, 0.1), wanted), wanted)


def test_layer_norm(tmp_path: Path) -> None:
    gamma, beta = RNG.standard_normal((2, WIDTH))
    centred = X - X.mean(-1, keepdims=True)
    wanted = centred / np.sqrt(centred.var(-1, keepdims=True) + 0.1) * gamma + beta

    def build(builder: Any) -> None:
        builder.add_layer_normalization("ln", "image", "result", [WIDTH], gamma, beta, eps=0.1)

    close(result(tmp_path, build, wanted), wanted)


@pytest.mark.parametrize("shape", [(1,), (3,), (1, HEIGHT, WIDTH), (3, HEIGHT, WIDTH)])
def test_scale_and_bias(tmp_path: Path, shape: tuple[int, ...]) -> None:
    scale, bias = RNG.standard_normal((2, *shape))
    spread = [np.reshape(numbers, (-1, 1, 1) if len(shape) == 1 else shape) for numbers in (scale, bias)]
    wanted = X * spread[0] + spread[1]

    def build(builder: Any) -> None:
        builder.add_scale("s", scale, bias, True, "image", "result", shape, shape)

    close(result(tmp_path, build, wanted), wanted)
    wanted = X + spread[1]
    close(result(tmp_path, lambda b: b.add_bias("b", bias, "image", "result", shape), wanted), wanted)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mean", lambda x, axes: x.mean(axes, keepdims=True)),
        ("sum", lambda x, axes: x.sum(axes, keepdims=True)),
        ("max", lambda x, axes: x.max(axes, keepdims=True)),
        ("min", lambda x, axes: x.min(axes, keepdims=True)),
        ("l1", lambda x, axes: abs(x).sum(axes, keepdims=True)),
        ("l2", lambda x, axes: np.sqrt((x**2).sum(axes, keepdims=True))),
        ("sumsquare", lambda x, axes: (x**2).sum(axes, keepdims=True)),
        ("logsumexp", lambda x, axes: np.log(np.exp(x).sum(axes, keepdims=True))),
    ],
)
def test_reductions(tmp_path: Path, name: str, wanted: Any) -> None:
    for axes in ((-1,), (1, 3), (0, 1, 2, 3)):

        def build(builder: Any, axes: tuple[int, ...] = axes) -> None:
            add = getattr(builder, f"add_reduce_{name}")
            add("r", "image", "result", list(axes), keepdims=len(axes) < 4, reduce_all=len(axes) == 4)

        close(result(tmp_path, build, wanted(X, axes)), wanted(X, axes))


# --- shapes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "wanted"),
    [
        (lambda b: b.add_transpose("t", [2, 0, 3, 1], "image", "result"), X.transpose(2, 0, 3, 1)),
        (lambda b: b.add_concat_nd("c", ["image", "image"], "result", 3), np.concatenate([X, X], 3)),
        (lambda b: b.add_elementwise("c", ["image", "image"], "result", "CONCAT"), np.concatenate([X, X], 1)),
        (lambda b: b.add_stack("s", ["image", "image"], "result", -1), np.stack([X, X], -1)),
        (lambda b: b.add_slice("s", "image", "result", "height", 1, -1, 2), X[:, :, 1:-1:2]),
        (
            lambda b: b.add_slice_static(
                "s",
                "image",
                "result",
                [0, 1, -5, 2],
                [1, 9, -1, 0],
                [1, 1, 2, 1],
                begin_masks=[True, False, False, False],
                end_masks=[False, False, False, True],
            ),
            X[:1, 1:9, -5:-1:2, 2:],
        ),
        (lambda b: b.add_reshape_static("r", "image", "result", [WIDTH, -1, 3]), X.reshape(WIDTH, -1, 3)),
        (
            lambda b: b.add_rank_preserving_reshape("r", "image", "result", [3, 0, -1, 1]),
            X.reshape(1, 3, -1, 1),
        ),
        (lambda b: b.add_flatten_to_2d("f", "image", "result", 2), X.reshape(3, -1)),
        (lambda b: b.add_flatten("f", 0, "image", "result"), X.reshape(1, -1, 1, 1)),
        (lambda b: b.add_flatten("f", 1, "image", "result"), X.transpose(0, 2, 3, 1).reshape(1, -1, 1, 1)),
    ],
    ids=lambda value: "" if isinstance(value, np.ndarray) else None,
)
def test_shapes(tmp_path: Path, build: Build, wanted: np.ndarray) -> None:
    close(result(tmp_path, build, wanted), wanted)


@pytest.mark.parametrize(
    ("build", "wanted"),
    [
        (lambda b: b.add_permute("p", (3, 1, 2, 0), "image", "result"), X[None].transpose(4, 1, 2, 3, 0)),
        (lambda b: b.add_permute("p", (0, 3, 1, 2), "image", "result"), X[None].transpose(0, 1, 4, 2, 3)),
        (lambda b: b.add_reshape("r", "image", "result", (WIDTH, 3, HEIGHT), 0), X.reshape(1, 1, WIDTH, 3, HEIGHT)),
        (lambda b: b.add_softmax("s", "image", "result"), exponentials(X, 1)),
    ],
    ids=["permute", "permute back", "reshape", "softmax"],
)
def test_shapes_of_the_first_generation(tmp_path: Path, build: Build, wanted: np.ndarray) -> None:
    close(result(tmp_path, build, wanted, rank=5), wanted)


def test_permuting_leaves_the_batch_where_it_is(tmp_path: Path) -> None:
    def build(builder: Any) -> None:
        builder.add_permute("p", (3, 1, 2, 0), "image", "turned")  # [W, 1, C, H, 1]
        builder.add_softmax_nd("s", "turned", "result", 0)

    wanted = exponentials(X[None].transpose(4, 1, 2, 3, 0), 0)
    close(result(tmp_path, build, wanted, rank=5), wanted)


def test_axes_of_expand_and_squeeze_are_those_of_the_larger_blob(tmp_path: Path) -> None:
    def build(builder: Any) -> None:
        builder.add_expand_dims("e", "image", "seven", [2, 0, -3])  # [1, 1, 1, 3, 1, H, W]
        builder.add_softmax_nd("s", "seven", "soft", 3)
        builder.add_squeeze("q", "soft", "result", [0, 2, -3])

    close(result(tmp_path, build, exponentials(X, 1)), exponentials(X, 1))


def test_tiles_repeat_the_whole_and_not_each_number(tmp_path: Path) -> None:
    def build(builder: Any) -> None:
        builder.add_tile("t", "image", "result", [1, 1, 2, 3])

    wanted = np.tile(X, (1, 1, 2, 3))
    close(result(tmp_path, build, wanted), wanted)


def test_split_gives_its_parts_in_order(tmp_path: Path) -> None:
    def build(builder: Any) -> None:
        builder.add_split_nd("s", "image", ["a", "b"], -1, split_sizes=[1, WIDTH - 1])
        builder.add_concat_nd("c", ["b", "a"], "turned", 3)
        builder.add_split("t", "turned", ["red", "green", "blue"])
        builder.add_elementwise("u", ["blue", "red", "green"], "result", "CONCAT")

    wanted = np.roll(X, -1, axis=3)[:, [2, 0, 1]]
    close(result(tmp_path, build, wanted), wanted)


def test_gather_keeps_the_shape_of_the_places(tmp_path: Path) -> None:
    places = np.array([[2.0, 0.0], [-1.0, 1.0]])

    def build(builder: Any) -> None:
        builder.add_load_constant_nd("p", "places", places, places.shape)
        builder.add_gather("g", ["image", "places"], "result", axis=1)

    wanted = X[:, places.astype(int)]
    close(result(tmp_path, build, wanted), wanted)


def test_squeezing_masks_of_a_slice(tmp_path: Path) -> None:
    def build(builder: Any) -> None:
        builder.add_slice_static(
            "s", "image", "result", [0, 1, 0, 0], [0, 2, 0, 0], [1, 1, 1, 1],
            begin_masks=[True, False, True, True], end_masks=[True, False, True, True],
            squeeze_masks=[False, True, False, False],
        )  # fmt: skip

    close(result(tmp_path, build, X[:, 1]), X[:, 1])
