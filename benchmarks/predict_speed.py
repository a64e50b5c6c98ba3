"""Photos per second from file to answer, beside the bare network: what does reading cost scripts/predict.py?

    python benchmarks/predict_speed.py
    python benchmarks/predict_speed.py --root data/photos --threads 1 --rounds 3

The sides take turns in this one process, with the same batches and threads. The bare sides run the network on
normalised tensors that are ready, once as it was trained and once with folded batch norm, as `TrainedModel` answers;
the whole side reads, decodes, resizes and normalises the same photos as well. The ratios are the medians of the rounds'
ratios, by the clock and by the processor's time, which does not count what else the machine does. Wanted: 0.9 or more
by the clock.
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
from bball_pl.model.checkpoint import Classifier
from bball_pl.model.folding import folded
from bball_pl.model.network import MoveNet, spec_for
from bball_pl.photos.decode import decode
from bball_pl.photos.tree import IMAGE_SUFFIXES
from bball_pl.processes import keep_freed_memory
from bball_pl.project import ROOT

Given = TypeVar("Given")
Made = TypeVar("Made")

_NETWORKS = (("tf_efficientnet_lite0", 160), ("inception_v3", 299))


def predict_speed(
    root: Path = ROOT / "data" / "demo",
    photos: int = 300,
    rounds: int = 3,
    batch_size: int | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> None:
    """Print the rate of the bare network, of the whole way from file to answer, and their ratio.

    Args:
        root: folder with photos; those in `test` are taken, if there is such a folder.
        photos: number of photos.
        rounds: measurements of each side, in turns, after one that does not count.
        batch_size: photos in one pass of the network. Default: that of `bball predict`.
        threads: of the network; torch's own choice unless given.
        device: where the network runs.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    keep_freed_memory()  # as the command does
    paths = _photos(root, photos)
    kinds = ("as trained", "folded", "whole")
    table = Table("network", "px", "time", *(f"{kind}, photos/s" for kind in kinds), "whole / as trained", "/ folded")
    parts: list[str] = []
    for name, size in _NETWORKS:
        # Weights change no time: a random network is as fast as a trained one.
        names = ["a", "b", "c"]
        classifier = Classifier(MoveNet(name, len(names), size), names, spec_for(name, size), name)
        model = TrainedModel(classifier, batch_size=batch_size, device=device)
        decoded, decode_ms = _timed_each(decode, paths[:50])
        _, resize_ms = _timed_each(model.spec.resize, decoded)
        short = folded(model.classifier.network, size)
        batches = _batches(model, paths)
        sides = [partial(_bare, network, batches) for network in (model.classifier.network, short)]
        sides.append(partial(_whole, model, paths))
        measured = [[_timed(side) for side in sides] for _ in range(rounds + 1)][1:]
        for kind, label in enumerate(("clock", "processor")):
            seconds = [[side[kind] for side in one] for one in measured]
            rates = [len(paths) / statistics.median(column) for column in zip(*seconds, strict=True)]
            ratios = [statistics.median(one[bare] / one[2] for one in seconds) for bare in (0, 1)]
            table.add_row(name, str(size), label, *(f"{rate:.1f}" for rate in rates), *(f"{one:.2f}" for one in ratios))
        parts.append(f"{name}: decode {decode_ms:.1f} ms, resize {resize_ms:.1f} ms of a processor a photo")
    setting = f"batches of {model.batch_size}, {torch.get_num_threads()} threads, {device}, torch {torch.__version__}"
    print(f"{len(paths)} photos, {setting}")
    Console(width=110).print(table)
    print(*parts, sep="\n")


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
def _bare(network: MoveNet, batches: list[torch.Tensor]) -> None:
    for batch in batches:
        network(batch).cpu()


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
