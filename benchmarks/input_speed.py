"""Photos per second per core: this project's input against torchvision's ImageFolder with the same augmentation.

    python benchmarks/input_speed.py
    python benchmarks/input_speed.py --photos 400 --rounds 7

Both sides read 500 × 357 JPEG photos and give 299 px tensors under the `heavy` augmentation, in this one process. The
rounds alternate, so that whatever else the machine does hits both. Wanted: a ratio of 2 or more with a warm cache.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from jsonargparse import auto_cli
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from bball_pl.data.augmentation import build_augment
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.photos.preprocess import PreprocessSpec


def main(photos: int = 200, rounds: int = 5, size: int = 299, batch_size: int = 32) -> None:
    """Measure both inputs and print a table.

    Args:
        photos: number of photos that are painted.
        rounds: epochs of each side; the median counts.
        size: side of the network's input, in pixels.
        batch_size: photos per batch.
    """
    # One core for both: threads of OpenCV and torch would make "per core" meaningless.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "dataset"
        _paint(root, photos)
        data = PhotoDataModule(
            root, PreprocessSpec(size), batch_size=batch_size, num_workers=0, cache_dir=Path(folder) / "cache"
        )
        data.prepare_data()
        ours = data.train_dataloader()
        theirs = _image_folder(root / "train", size, batch_size)
        rates: dict[str, list[float]] = {"torchvision ImageFolder": [], "bball_pl, warm cache": []}
        for _ in range(rounds):
            for loader, measured in zip((theirs, ours), rates.values(), strict=True):
                measured.append(_photos_per_second(loader))
    table = Table("input", "photos/s/core (median)", "lowest", "highest")
    for name, measured in rates.items():
        row = (statistics.median(measured), min(measured), max(measured))
        table.add_row(name, *(f"{rate:.0f}" for rate in row))
    Console().print(table)
    slow, fast = (statistics.median(measured) for measured in rates.values())
    print(f"ratio: {fast / slow:.2f} (wanted: 2 or more)")


def _image_folder(folder: Path, size: int, batch_size: int) -> DataLoader:
    augment = build_augment("heavy", size)
    if augment is None:
        raise RuntimeError("heavy augmentation has no pipeline")
    seeds = iter(range(10**9))

    def transform(image: Image.Image) -> torch.Tensor:
        # What torchvision users write: the crop takes its part of the full photo, so nothing is resized beforehand.
        return torch.from_numpy(augment(np.array(image), next(seeds))).permute(2, 0, 1)

    return DataLoader(ImageFolder(str(folder), transform), batch_size, shuffle=True)


def _photos_per_second(loader: Iterable) -> float:
    # Time of this process, not of the clock: on a shared machine the clock also runs while others compute.
    start, count = time.process_time(), 0
    for batch in loader:
        count += len(batch[0])
    return count / (time.process_time() - start)


def _paint(root: Path, photos: int) -> None:
    # Softened noise over a gradient: saved with quality 90 such a file has 55 kB, as photos of this size on the web
    # have, and takes as long to decode.
    generator = np.random.default_rng(0)
    for number in range(photos):
        noise = cv2.GaussianBlur(generator.normal(0, 90, (357, 500, 3)), (0, 0), 1.5)
        ramp = np.linspace(60, 190, 500)[None, :, None]
        pixels = np.clip(ramp + noise, 0, 255).astype(np.uint8)
        for split in ("train", "val") if number < 4 else ("train",):
            path = root / split / ("shoot", "dribble")[number % 2] / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            # The validation photos are others, byte for byte, than the training ones.
            Image.fromarray(pixels if split == "train" else 255 - pixels).save(path, quality=90)


if __name__ == "__main__":
    auto_cli(main)
