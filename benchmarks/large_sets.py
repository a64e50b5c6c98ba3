"""How scan, cache and one epoch's loading grow with the number of photos: time linear, memory flat.

    python benchmarks/large_sets.py
    python benchmarks/large_sets.py --counts [10000,30000]

The photos are 320 × 240 JPEGs, each a crop of a scene of the demo court of its own, turned and lit in its own way, so
that no two are copies. Each step runs in a process of its own, without loading processes. CPU seconds (user + system)
hardly depend on what else the machine does. The audit is measured by audit_speed.py.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jsonargparse import auto_cli
from rich.console import Console
from rich.table import Table

from bball_pl.court.demo_dataset import write_demo
from bball_pl.photos.dataset_layout import scan_dataset

#: Scenes that the crops are taken from.
_SCENES = 60
_SIZE = (320, 240)
_STEPS = ("scan", "first epoch", "second epoch")


def main(counts: Sequence[int] = (1000, 3000), image_size: int = 160) -> None:
    """Measure datasets of so many photos and print a table.

    Args:
        counts: numbers of training photos.
        image_size: side of the network's input in pixels.
    """
    table = Table("photos", "step", "CPU s", "CPU ms/photo", "wall s", "memory MB", "cache MB")
    for column in table.columns:
        column.justify = "right"
    with tempfile.TemporaryDirectory() as folder:
        scenes = Path(folder) / "scenes"
        write_demo(scenes, _SCENES, 3, 12, workers=1, show_progress=False)
        for count in counts:
            root, cache = Path(folder) / f"photos-{count}", Path(folder) / f"cache-{count}"
            _crops(scenes, root, count)
            for step in _STEPS:
                words = [sys.executable, __file__, "--measure", step, str(root), str(cache), str(image_size)]
                done = subprocess.run(words, check=True, capture_output=True, text=True)
                cpu, wall, memory = json.loads(done.stdout.splitlines()[-1])
                size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) / 1e6
                figures = f"{cpu:.1f}", f"{1000 * cpu / count:.2f}", f"{wall:.1f}", f"{memory / 1e6:.0f}", f"{size:.0f}"
                table.add_row(f"{count:,}", step, *figures)
    Console().print(table)


def _crops(scenes: Path, root: Path, count: int) -> None:
    """Write `count` training photos and three validation and test photos of each class."""
    chance = np.random.default_rng(0)
    photos = scan_dataset(scenes).photos
    read = [(photo.class_name, cv2.imread(str(scenes / photo.relative))) for photo in photos]
    pixels = [(name, image) for name, image in read if image is not None]
    names = sorted({name for name, _ in pixels})
    for split, number in (("train", count), ("val", 3 * len(names)), ("test", 3 * len(names))):
        for index in range(number):
            name = names[index % len(names)]
            own = [image for label, image in pixels if label == name]
            image = own[int(chance.integers(len(own)))]
            height, width = image.shape[:2]
            share = chance.uniform(0.6, 0.95)
            top, left = (int(chance.uniform(0, (1 - share) * side)) for side in (height, width))
            part = image[top : top + int(share * height), left : left + int(share * width)]
            part = part[:, ::-1] if chance.random() < 0.5 else part
            part = cv2.convertScaleAbs(
                cv2.resize(part, _SIZE), alpha=chance.uniform(0.7, 1.2), beta=chance.uniform(-20, 20)
            )
            path = root / split / name / f"{index:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), part)


def _measure(step: str, root: Path, cache: Path, image_size: int) -> None:
    """Do one step in this process and print CPU seconds, wall seconds and the most memory in bytes."""
    from bball_pl.data.datamodule import PhotoDataModule
    from bball_pl.photos.preprocess import PreprocessSpec

    before, started = time.process_time(), time.perf_counter()
    if step == "scan":
        scan_dataset(root)
    else:
        data = PhotoDataModule(root, PreprocessSpec(image_size), cache_dir=cache, num_workers=0)
        data.prepare_data()
        data.setup("fit")
        for _ in data.train_dataloader():
            pass
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps([time.process_time() - before, time.perf_counter() - started, most]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        _measure(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5]))
    else:
        auto_cli(main, as_positional=False)
