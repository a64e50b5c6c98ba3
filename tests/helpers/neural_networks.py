"""Small NeuralNetwork files, and what their layers should answer, by definitions that share nothing with torch."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bball_pl.export.conversion import mend_coremltools
from bball_pl.export.onnx import DeployModel
from bball_pl.verify.executors.neuralnetwork import NeuralNetwork
from bball_pl.verify.runners import quietly

logging.getLogger("coremltools").setLevel(logging.CRITICAL)

import coremltools as ct  # noqa: E402
import torch  # noqa: E402
from coremltools.models import datatypes  # noqa: E402
from coremltools.models.neural_network import NeuralNetworkBuilder  # noqa: E402

mend_coremltools()

NAMES = ["shoot", "dribble", "layup"]
#: Height and width: different, and neither a multiple of the strides in the tests.
HEIGHT, WIDTH = 7, 6

Build = Callable[[Any], None]
Change = Callable[[Any], object]


def photo(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Noise, RGB uint8 `[height, width, 3]`."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def scaled(pixels: np.ndarray) -> np.ndarray:
    """What the first layer of `save` is given: float64 `[1, 3, height, width]`, -2 to 2."""
    return pixels.transpose(2, 0, 1)[None] / 64 - 2


def save(
    folder: Path,
    build: Build,
    count: int,
    colour: Literal["RGB", "BGR"] = "RGB",
    scale: float = 1 / 64,
    biases: tuple[float, float, float] = (-2, -2, -2),
    rank: Literal[4, 5] = 4,
    change: Change = lambda spec: None,
) -> Path:
    """Save a classifier of `count` labels whose "probabilities" are the blob `result` that `build` adds.

    Args:
        folder: where.
        build: adds layers to a coremltools builder, from the blob `image` to the blob `result`.
        count: of the labels 0, 1, 2, …
        colour: order of the channels.
        scale: of the preprocessing.
        biases: of the preprocessing, for red, green and blue.
        rank: of the first blob: 5 is the mapping of the first generation of files.
        change: is given the message before it is saved.
    """
    builder = NeuralNetworkBuilder(
        [("image", datatypes.Array(3, HEIGHT, WIDTH))],
        [("result", None)],
        mode="classifier",
        disable_rank5_shape_mapping=rank == 4,
    )
    build(builder)
    builder.set_class_labels([str(place) for place in range(count)], "classLabel", "result")
    builder.set_pre_processing_parameters(
        image_input_names=["image"],
        is_bgr=colour == "BGR",
        red_bias=biases[0],
        green_bias=biases[1],
        blue_bias=biases[2],
        image_scale=scale,
    )
    change(builder.spec)
    path = folder / f"{len(list(folder.iterdir()))}.mlmodel"
    path.write_bytes(builder.spec.SerializeToString())
    return path


def result(folder: Path, build: Build, wanted: np.ndarray, **options: Any) -> np.ndarray:
    """Save a network, read it back, and show it `photo()`; in the shape of what is wanted."""
    path = save(folder, build, wanted.size, **options)
    return NeuralNetwork(path).probabilities(photo()).reshape(wanted.shape)


def convert(model: DeployModel, path: Path, target: str = "iOS14") -> Path:
    """Convert a network as an export does."""
    with quietly(), torch.no_grad():
        ct.convert(
            torch.jit.trace(model, model.example, check_trace=False),
            inputs=[ct.ImageType("image", shape=model.example.shape, color_layout=ct.colorlayout.RGB)],
            classifier_config=ct.ClassifierConfig(list(NAMES)),
            convert_to="neuralnetwork",
            minimum_deployment_target=getattr(ct.target, target),
            skip_model_load=True,
        ).save(str(path))
    return path


# --- definitions, as loops -----------------------------------------------------------------------------------------


def windows(side: int, kernel: int, stride: int, before: int, after: int) -> list[range]:
    """Return the places that each window covers along one axis; those in the padding are negative or beyond `side`."""
    count = (side + before + after - kernel) // stride + 1
    return [range(place * stride - before, place * stride - before + kernel) for place in range(count)]


def same(side: int, kernel: int, stride: int, heavy_end: bool = True) -> tuple[int, int]:
    """Return the padding before and after that gives ceil(side / stride) windows."""
    total = max((int(np.ceil(side / stride)) - 1) * stride + kernel - side, 0)
    return (total // 2, total - total // 2) if heavy_end else (total - total // 2, total // 2)


def pooled(
    x: np.ndarray, rows: Sequence[range], columns: Sequence[range], kind: str, counted: Callable[[int, int], bool]
) -> np.ndarray:
    """Pool `[1, C, H, W]`; `counted` says which places of the padding count for an average, as zeros."""
    y = np.zeros((*x.shape[:2], len(rows), len(columns)))
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        places = list(itertools.product(row, column))
        inside = [(a, b) for a, b in places if 0 <= a < x.shape[2] and 0 <= b < x.shape[3]]
        values = np.stack([x[:, :, a, b] for a, b in inside])
        number = len(inside) + sum((a, b) not in inside and counted(a, b) for a, b in places)
        y[:, :, i, j] = values.max(0) if kind == "MAX" else values.sum(0) / number
    return y


def convolved(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    rows: Sequence[range],
    columns: Sequence[range],
    dilation: int = 1,
    groups: int = 1,
) -> np.ndarray:
    """Convolve `[1, C, H, W]`; `rows` and `columns` are the windows of the dilated kernel."""
    y = np.zeros((1, len(weight), len(rows), len(columns)))
    within, per_group = weight.shape[1], len(weight) // groups
    for o, i, j in np.ndindex(*y.shape[1:]):
        y[0, o, i, j] = bias[o]
        for c, k, m in np.ndindex(*weight.shape[1:]):
            a, b = rows[i][k * dilation], columns[j][m * dilation]
            if 0 <= a < x.shape[2] and 0 <= b < x.shape[3]:
                y[0, o, i, j] += weight[o, c, k, m] * x[0, o // per_group * within + c, a, b]
    return y
