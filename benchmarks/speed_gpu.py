"""Photos per second and memory of a training step on a GPU: precision, torch.compile, number of loading processes.

    python benchmarks/speed_gpu.py
    python benchmarks/speed_gpu.py --batch 128 --size 160 --compile false

It prints Markdown for benchmarks/README.md, or one line where there is no GPU.
"""

from __future__ import annotations

import datetime
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from joblib import cpu_count
from jsonargparse import auto_cli
from speed_parts import BareStep, WholeTrainer

from bball_pl.court.demo_dataset import write_demo
from bball_pl.errors import exit_on_error

#: Untimed batches: a GPU is fast enough to empty the loader's queues, and they must be empty before the clock starts.
_WARM_UP = 20


def gpu_speed(size: int = 299, batch: int = 64, steps: int = 40, compile: bool = True) -> None:
    """Measure the bare step in each precision, then the whole Trainer with 1, 2, 4 … loading processes.

    Args:
        size: side of the input in pixels.
        batch: photos per step.
        steps: timed training steps of each row.
        compile: measure torch.compile as well, which takes minutes to start.
    """
    if not torch.cuda.is_available():
        print("\nNo GPU here: memory and photos/s on one are not measured.")
        return
    cores = cpu_count()
    day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    print(f"\n### {torch.cuda.get_device_name()}, {cores} cores, {size} px, batch {batch} ({day})\n")
    print(
        "| | precision | compiled | loading processes | photos/s | peak memory, GiB |", "|---|---|---|---:|---:|---:|"
    )
    for precision in ("32-true", "bf16-mixed"):
        for compiled in (False, True) if compile else (False,):
            part = BareStep(size, batch, precision, "cuda", compiled)
            _row(("bare step", precision, "yes" if compiled else "no", "none"), part, steps)
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder) / "demo"
        # Validation takes 15 %, and the workers prefetch.
        write_demo(demo, math.ceil((_WARM_UP + steps + 20) * batch / 0.8), 3, seed=7, show_progress=False)
        for workers in (number for number in (1, 2, 4, 8, 16) if number <= cores):
            options: dict[str, object] = {
                "data.num_workers": workers,
                "trainer.accelerator": "gpu",
                "trainer.devices": 1,
                "trainer.precision": "bf16-mixed",
            }
            trainer = WholeTrainer(demo, Path(folder), size, batch, options)
            _row(("whole Trainer", "bf16-mixed", "no", str(workers)), trainer, steps)


def _row(titles: tuple[str, ...], part: Callable[[int, int], float], steps: int) -> None:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    rate = part(steps, _WARM_UP)
    memory = torch.cuda.max_memory_allocated() / 2**30
    print("| " + " | ".join((*titles, f"{rate:.0f}", f"{memory:.1f}")) + " |", flush=True)


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(gpu_speed, as_positional=False)
