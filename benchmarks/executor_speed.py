"""Seconds per photo of a saved ML Program run op by op on torch, against the network itself.

python benchmarks/executor_speed.py
python benchmarks/executor_speed.py --backbone resnet18 --size 224 --threads 1

The network, and its ML Program read back from disk, answer the same photo in turns in one process, so that whatever
else the machine does hits them all. The output is Markdown; a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from joblib import cpu_count
from jsonargparse import auto_cli
from torch.nn.modules.batchnorm import _BatchNorm

from bball_pl.errors import ConfigError, exit_on_error
from bball_pl.export.coreml import write_coreml
from bball_pl.export.metadata import About, interface_for
from bball_pl.export.onnx import DeployModel
from bball_pl.model.classifier import MoveClassifier
from bball_pl.moves import MOVES
from bball_pl.verify.executors.mil_program import MilProgram

#: Wanted: a check of a program takes at most this many times what the network takes.
WANTED = 2.0

_MODES: tuple[Literal["fp32", "fp16"], ...] = ("fp32", "fp16")


def executor_speed(
    backbone: str = "inception_v3", size: int = 299, rounds: int = 10, threads: int | None = None
) -> None:
    """Convert an untrained network, run it in every mode, and print a Markdown table.

    Args:
        backbone: timm name.
        size: side of the photo in pixels.
        rounds: timed photos of each.
        threads: of torch; one per core unless given.

    Raises:
        ConfigError: if a number is out of range.
    """
    threads = cpu_count() if threads is None else threads
    if rounds < 1 or threads < 1:
        raise ConfigError("--rounds and --threads must be 1 or more")
    torch.set_num_threads(threads)
    model = _network(backbone, size)
    photo = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    image = torch.tensor(photo).permute(2, 0, 1)[None].float()
    parts: dict[str, Callable[[], object]] = {"torch, the network, fp32": lambda: model(image)}
    with tempfile.TemporaryDirectory() as folder:
        for compute in _MODES:
            path = _written(model, Path(folder) / f"{compute}.mlpackage", compute)
            # In a program of fp32 there is nothing to round.
            for mode in _MODES if compute == "fp16" else _MODES[:1]:
                program = MilProgram(path, mode)
                parts[f"{compute} program, mode {mode}"] = partial(program.probabilities, photo)
    times = _times(parts, rounds)
    first = next(iter(times.values()))
    print(
        f"{backbone}, {size} px, one photo at a time, {rounds} rounds, {threads} threads, torch {torch.__version__}\n"
    )
    print("| | s per photo | of the network's | wanted |", "|---|---:|---:|---:|", sep="\n")
    for name, seconds in times.items():
        ratio = statistics.median(own / network for own, network in zip(seconds, first, strict=True))
        print(f"| {name} | {statistics.median(seconds):.3f} | {ratio:.2f} | ≤ {WANTED:g} |")


def _times(parts: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in parts}
    with torch.inference_mode():
        for part in parts.values():
            part()  # untimed: torch sets up its kernels
        for _ in range(rounds):
            for name, part in parts.items():
                start = time.perf_counter()
                part()
                times[name].append(time.perf_counter() - start)
    return times


@torch.no_grad()
def _network(backbone: str, size: int) -> DeployModel:
    torch.manual_seed(0)
    classifier = MoveClassifier([move.name for move in MOVES], backbone, weights="none", image_size=size)
    for module in classifier.network.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = None
    # Without statistics of its own an untrained network's values leave the range of fp16.
    classifier.network.train()(torch.rand(4, 3, size, size))
    return DeployModel(classifier).eval()


def _written(model: DeployModel, path: Path, compute: Literal["fp32", "fp16"]) -> Path:
    about = About("", "", "", model.class_names, model.spec, path.stem, 1.0, None, "", "", None, "")
    return write_coreml(model, path, interface_for(model.class_names), about, compute=compute)


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(executor_speed, as_positional=False)
