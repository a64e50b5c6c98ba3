"""Small ML Programs, saved as packages, and the pictures to show them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate
from torch.nn.modules.batchnorm import _BatchNorm

from bball_pl.export.conversion import mend_coremltools
from bball_pl.export.onnx import DeployModel
from bball_pl.model.classifier import MoveClassifier
from bball_pl.verify.executors.mil_program import MilProgram
from bball_pl.verify.runners import quietly

logging.getLogger("coremltools").setLevel(logging.CRITICAL)

import coremltools as ct  # noqa: E402
from coremltools.converters.mil import Builder as mb  # noqa: E402, N813

mend_coremltools()

NAMES = ["shoot", "dribble", "layup"]

Body = Callable[[Any], Any]


def photo(size: int = 8, seed: int = 0) -> np.ndarray:
    """Noise, RGB uint8 `[size, size, 3]`."""
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def smooth_photos(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Pictures as smooth as photos, RGB uint8 `[count, size, size, 3]`: noise would say nothing about a network."""
    coarse = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    fine = interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    pixels: np.ndarray = fine.mul(255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    return pixels


def as_batch(photos: np.ndarray) -> torch.Tensor:
    """RGB uint8 `[count, size, size, 3]` → float32 `[count, 3, size, size]`, 0–255."""
    return torch.tensor(photos).permute(0, 3, 1, 2).float()


def scaled(pixels: np.ndarray) -> np.ndarray:
    """What `save_program` hands to its body: float64 `[1, 3, size, size]`, -2 to 2."""
    return pixels.transpose(2, 0, 1)[None] / 64 - 2


def save_program(
    folder: Path,
    body: Body,
    size: int = 8,
    target: str = "iOS16",
    colour: Literal["RGB", "BGR"] = "RGB",
    labels: Sequence[str | int] | None = None,
    precision: Literal["fp32", "fp16"] = "fp32",
) -> Path:
    """Save a program whose "probabilities" are all values that `body` gives for a scaled photo, with all of its ops."""

    def whole(image: Any) -> Any:
        x = mb.sub(x=mb.mul(x=image, y=np.float32(1 / 64)), y=np.float32(2))
        x = body(mb.cast(x=x, dtype="fp16") if precision == "fp16" else x)
        return mb.reshape(x=mb.cast(x=x, dtype="fp32"), shape=[1, -1])

    version = getattr(ct.target, target)
    program = mb.program(input_specs=[mb.TensorSpec(shape=(1, 3, size, size))], opset_version=version)(whole)
    count = program.functions["main"].outputs[0].shape[1]
    path = folder / f"{len(list(folder.iterdir()))}.mlpackage"
    with quietly():
        converted = ct.convert(
            program,
            inputs=[ct.ImageType("image", color_layout=getattr(ct.colorlayout, colour))],
            classifier_config=ct.ClassifierConfig(list(labels or map(str, range(count)))),
            convert_to="mlprogram",
            minimum_deployment_target=version,
            compute_precision=ct.precision.FLOAT32,
            pass_pipeline=ct.PassPipeline.EMPTY,
            skip_model_load=True,
        )
        converted.save(str(path))
    return path


def save_network(
    model: DeployModel,
    path: Path,
    compute: Literal["fp32", "fp16"],
    target: str = "iOS16",
    **image: Any,
) -> Path:
    """Convert a network as an export does; `image` goes to its ImageType."""
    with quietly():
        converted = ct.convert(
            _traced(model),
            inputs=[ct.ImageType("image", shape=model.example.shape, **image)],
            classifier_config=ct.ClassifierConfig(list(NAMES)),
            convert_to="mlprogram",
            minimum_deployment_target=getattr(ct.target, target),
            compute_precision=ct.precision.FLOAT16 if compute == "fp16" else ct.precision.FLOAT32,
            skip_model_load=True,
        )
        converted.save(str(path))
    return path


@lru_cache(maxsize=1)
def _traced(model: DeployModel) -> Any:
    with torch.no_grad():
        return torch.jit.trace(model, model.example, check_trace=False)


@torch.no_grad()
def sane_network(backbone: str, size: int) -> DeployModel:
    """An untrained network with batch norm statistics of real activations and answers that are neither 0 nor 1."""
    torch.manual_seed(0)
    classifier = MoveClassifier(NAMES, backbone, weights="none", image_size=size)
    network: nn.Module = classifier.network
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            module.momentum = None
    *batches, shown = (classifier.spec.normalise(as_batch(smooth_photos(24, size, seed)).byte()) for seed in range(4))
    network.train()
    for batch in batches:
        network(batch)
    network.eval()
    logits = network(shown)
    return DeployModel(classifier, float((logits - logits.mean(0)).std())).eval()


def answer(path: Path, pixels: np.ndarray, mode: Literal["fp32", "fp16"] = "fp32") -> np.ndarray:
    """Read a package back and show it one photo."""
    return MilProgram(path, mode).probabilities(pixels)
