"""Photos per second of a training step: this project against its own limits, a plain torch loop and Keras.

    make bench                                              # sets up Keras's own environment first; 10 minutes
    python benchmarks/train_speed.py --keras false --size 160 --rounds 2

Five parts, measured in turns in one run, so that whatever else the machine does hits them all:

a  the bare step on ready tensors            b  the whole Trainer with data loading, as scripts/fit.py builds it
c  a plain torch loop, all by default        d  Keras InceptionV3 on tensorflow-cpu, fp32 and mixed_bfloat16
e  the arithmetic limit: the rate of one large matrix product over the work of a photo

The output is Markdown, made to be pasted into benchmarks/README.md. A ratio is the median of the rounds' ratios.
Everything here runs on the CPU; benchmarks/speed_gpu.py follows where there is a GPU.
"""

from __future__ import annotations

import datetime
import math
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from joblib import cpu_count
from jsonargparse import auto_cli
from speed_gpu import gpu_speed
from speed_parts import TRAINER_WARM_UP, ArithmeticLimit, BareStep, OwnProcess, WholeTrainer, plain_torch
from speed_parts import keras as keras_part

from bball_pl.court.demo_dataset import write_demo
from bball_pl.errors import ConfigError, exit_on_error
from bball_pl.model.network import best_precision

ROOT = Path(__file__).resolve().parents[1]

#: Photos per step at each side of the input, in pixels: about what a league's own machine takes at a time.
SETTINGS = {299: 16, 160: 32}

#: Ratios of parts and the least that is wanted.
WANTED = (("b", "a", 0.95), ("b", "c", 2.0), ("b", "d fp32", 1.7), ("b", "d mixed", 1.2), ("b", "e", 0.7))

_TITLES = {
    "a": "(a) bare step on ready tensors, {precision}",
    "b": "(b) whole Trainer with data loading, {precision}",
    "c": "(c) plain torch loop, library defaults, fp32",
    "d fp32": "(d) Keras, fp32",
    "d mixed": "(d) Keras, mixed_bfloat16",
    "e": "(e) arithmetic limit: {rate:.0f} GFLOP/s over {work:.1f} GFLOP a photo",
}


def train_speed(
    size: int | None = None,
    batch: int | None = None,
    rounds: int = 4,
    steps: int = 6,
    keras: bool = True,
    keras_python: Path = ROOT / ".venv-keras" / "bin" / "python",
) -> None:
    """Measure all parts in turns and print Markdown tables.

    Args:
        size: side of the input in pixels; None measures 299 and 160.
        batch: photos per step; None takes 16 at 299 px and 32 at 160 px.
        rounds: times that every part has its turn; the median counts.
        steps: timed training steps of a turn.
        keras: measure Keras as well.
        keras_python: interpreter of the environment with keras and tensorflow-cpu.

    Raises:
        ConfigError: if a number is out of range, or Keras is wanted and its environment is missing.
    """
    if min(rounds, steps) < 1 or (batch or 2) < 2 or (size or 96) < 96:
        raise ConfigError("--rounds and --steps must be 1 or more, --batch 2 or more, --size 96 or more")
    if keras and not keras_python.exists():
        raise ConfigError(f"{keras_python} is missing. Run `make bench`, which sets it up, or pass --keras false.")
    sizes = [size] if size is not None else list(SETTINGS)
    settings = {side: batch or SETTINGS.get(side, 16) for side in sizes}
    print("\n".join(_machine()), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder) / "demo"
        write_demo(demo, _photos_needed(settings, steps), 3, seed=7, show_progress=False)
        for side, photos in settings.items():
            _measure(demo, Path(folder), side, photos, rounds, steps, keras_python if keras else None)
    gpu_speed()


def _measure(demo: Path, work: Path, size: int, batch: int, rounds: int, steps: int, keras: Path | None) -> None:
    precision = best_precision("cpu")
    limit = ArithmeticLimit(size, precision)
    parts: dict[str, Callable[[int], float]] = {
        "a": BareStep(size, batch, precision),
        "b": WholeTrainer(demo, work, size, batch, {"trainer.accelerator": "cpu"}),
    }
    processes: list[OwnProcess] = []
    try:
        parts["c"] = plain = plain_torch(demo / "train", size, batch)
        processes.append(plain)
        if keras is not None:
            for name, policy in (("d fp32", "float32"), ("d mixed", "mixed_bfloat16")):
                parts[name] = process = keras_part(keras, size, batch, policy)
                processes.append(process)
        parts["e"] = limit
        rates: dict[str, list[float]] = {name: [] for name in parts}
        for number in range(rounds):
            # There and back again: a machine that slows down steadily favours neither end of the list.
            for name in list(parts) if number % 2 == 0 else reversed(parts):
                rates[name].append(parts[name](steps))
                print(f"{size} px, round {number + 1}/{rounds}: {name} {rates[name][-1]:.2f}", file=sys.stderr)
    finally:
        for process in processes:
            process.close()
    titles = {
        name: title.format(
            precision=precision, rate=statistics.median(limit.gflop_per_second), work=limit.gflop_per_photo
        )
        for name, title in _TITLES.items()
    }
    libraries = processes[1].versions if len(processes) > 1 else "Keras not measured"
    print(f"\n### {size} px, batch {batch} ({rounds} rounds of {steps} steps; {libraries})\n")
    print("\n".join(_rates_table(rates, titles)), "", "\n".join(_ratios_table(rates)), sep="\n", flush=True)


def _rates_table(rates: dict[str, list[float]], titles: dict[str, str]) -> list[str]:
    lines = ["| part | photos/s, median | lowest | highest |", "|---|---:|---:|---:|"]
    for name, measured in rates.items():
        row = (statistics.median(measured), min(measured), max(measured))
        lines.append(f"| {titles[name]} | " + " | ".join(f"{rate:.1f}" for rate in row) + " |")
    return lines


def _ratios_table(rates: dict[str, list[float]]) -> list[str]:
    lines = ["| ratio | wanted | measured | |", "|---|---:|---:|---|"]
    for over, under, wanted in WANTED:
        if over in rates and under in rates:
            # Round by round: what slows the machine down for a minute slows both.
            found = statistics.median(one / other for one, other in zip(rates[over], rates[under], strict=True))
            lines.append(
                f"| {over} / {under} | ≥ {wanted:g} | {found:.2f} | {'met' if found >= wanted else 'missed'} |"
            )
    return lines


def _photos_needed(settings: dict[int, int], steps: int) -> int:
    # What the workers prefetch when the clock stops must exist as well, and validation takes 15 %.
    batches = math.ceil((TRAINER_WARM_UP + steps + 5) / 0.8)
    # A whole number of batches: a smaller last one would cost the plain loop new kernels.
    whole = math.lcm(*settings.values())
    return math.ceil(batches * max(settings.values()) / whole) * whole


def _machine() -> list[str]:
    load = os.getloadavg()[0]
    cores = cpu_count()
    if load > 0.3 * cores:
        print(f"the machine is busy (load {load:.1f}): every figure will be too low", file=sys.stderr)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "lightning", "timm", "torchvision"))
    return [
        f"- {datetime.datetime.now(tz=datetime.UTC).date().isoformat()}, load {load:.1f} at the start",
        f"- {_processor()}, {cores} cores, {torch.get_num_threads()} threads, {', '.join(_units())}",
        f"- {platform.system()}, Python {platform.python_version()}, {versions}",
    ]


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _units() -> list[str]:
    """Return which of the instructions that decide about matrix products the processor has."""
    found = torch.cpu.get_capabilities()
    names = [name for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "bf16") if found.get(name)]
    return names or ["no vector units known"]


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(train_speed, as_positional=False)
