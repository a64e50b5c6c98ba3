"""Photos per second from file to answer, beside the bare network: what does reading cost scripts/predict.py?

    python benchmarks/predict_speed.py
    python benchmarks/predict_speed.py --root data/photos --threads 1 --rounds 3

Both sides take turns in this one process, with the same network, batches and threads. The bare side runs the network on
normalised tensors that are ready; the whole side reads, decodes, resizes and normalises the same photos as well. The
ratio is the median of the rounds' ratios, once by the clock and once by the processor's time, which does not count
what else the machine does. Wanted: 0.85 or more by the clock.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jsonargparse import auto_cli
from rich.console import Console
from rich.table import Table

from bball_pl.errors import DatasetError, PhotoError, exit_on_error
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.model.classifier import MoveClassifier
from bball_pl.photos.decode import decode
from bball_pl.photos.tree import IMAGE_SUFFIXES
from bball_pl.project import ROOT

Given = TypeVar("Given")
Made = TypeVar("Made")

_NETWORKS = (("tf_efficientnet_lite0", 160), ("inception_v3", 299))


def predict_speed(
    root: Path = ROOT / "data" / "demo",
    photos: int = 300,
    rounds: int = 3,
    batch_size: int = 32,
    threads: int | None = None,
    device: str = "cpu",
) -> None:
    """Print the rate of the bare network, of the whole way from file to answer, and their ratio.

    Args:
        root: folder with photos; those in `test` are taken, if there is such a folder.
        photos: number of photos.
        rounds: measurements of each side, in turns, after one that does not count.
        batch_size: photos in one pass of the network.
        threads: of the network; torch's own choice unless given.
        device: where the network runs.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    paths = _photos(root, photos)
    table = Table("network", "px", "bare, photos/s", "whole, photos/s", "ratio", "by CPU time", "decode", "resize")
    for name, size in _NETWORKS:
        # Weights change no time: a random network is as fast as a trained one.
        classifier = MoveClassifier(["a", "b", "c"], backbone=name, weights="none", image_size=size)
        model = TrainedModel(classifier, batch_size=batch_size, device=device)
        decoded, decode_ms = _timed_each(decode, paths[:50])
        _, resize_ms = _timed_each(model.spec.resize, decoded)
        bare, whole = partial(_bare, model, _batches(model, paths)), partial(_whole, model, paths)
        measured = [(_timed(bare), _timed(whole)) for _ in range(rounds + 1)][1:]
        clock, processor = (statistics.median(one[kind] / other[kind] for one, other in measured) for kind in (0, 1))
        rates = [statistics.median(len(paths) / side[0] for side in sides) for sides in zip(*measured, strict=True)]
        cells = [*(f"{rate:.1f}" for rate in rates), f"{clock:.2f}", f"{processor:.2f}"]
        table.add_row(name, str(size), *cells, f"{decode_ms:.1f} ms", f"{resize_ms:.1f} ms")
    setting = f"batches of {batch_size}, {torch.get_num_threads()} threads, {device}, torch {torch.__version__}"
    print(f"{len(paths)} photos, {setting}")
    Console(width=110).print(table)


def _photos(root: Path, number: int) -> list[Path]:
    folder = root / "test" if (root / "test").is_dir() else root
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)[:number]
    if len(paths) < number:
        raise DatasetError(f"{folder} has {len(paths)} photos, {number} are wanted. Make them with scripts/demo.py")
    return paths


def _batches(model: TrainedModel, paths: list[Path]) -> list[torch.Tensor]:
    pixels = torch.from_numpy(np.stack([model.spec.resize(decode(path)) for path in paths]))
    return [model.spec.normalise(part.permute(0, 3, 1, 2).to(model.device)) for part in pixels.split(model.batch_size)]


@torch.inference_mode()
def _bare(model: TrainedModel, batches: list[torch.Tensor]) -> None:
    for batch in batches:
        model.classifier(batch).cpu()


def _whole(model: TrainedModel, paths: list[Path]) -> None:
    for path, answer in model.logits(paths, decode):
        if isinstance(answer, PhotoError):
            raise DatasetError(f"{path}: {answer}")


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def _timed_each(work: Callable[[Given], Made], given: list[Given]) -> tuple[list[Made], float]:
    start = time.thread_time()
    made = [work(one) for one in given]
    return made, 1000 * (time.thread_time() - start) / len(given)


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(predict_speed, as_positional=False)
