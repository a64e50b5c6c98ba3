"""Measure how many photos of the demo court one core renders in a second, JPEG files included.

python benchmarks/demo_speed.py
python benchmarks/demo_speed.py --photos 600 --seed 1
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

# One core means one: NumPy's matrix products would take all of them. It must be set before NumPy is imported.
os.environ.update({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jsonargparse import auto_cli

from bball_pl.court.demo_dataset import write_demo
from bball_pl.errors import exit_on_error


def demo_speed(photos: int = 300, seed: int = 7) -> None:
    """Render a demo court in this process alone and print photos a second.

    Args:
        photos: number of photos; two thirds are for training.
        seed: of the demo.
    """
    with tempfile.TemporaryDirectory() as folder:
        wall, processor = time.perf_counter(), time.process_time()
        test = photos // 3
        write_demo(Path(folder) / "demo", photos - test, test, seed, workers=1, show_progress=False)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{photos} photos: {photos / wall:.1f} a second on the clock, {photos / processor:.1f} a second per core")


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(demo_speed, as_positional=False)
