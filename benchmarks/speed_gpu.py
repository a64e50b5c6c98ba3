"""Photos per second and memory of training on a GPU: the step with the data on the card, the loader, the whole Trainer.

    python benchmarks/speed_gpu.py
    python benchmarks/speed_gpu.py --backbones "[tf_efficientnet_lite0]" --batches "[128]" --workers "[8]" --size 160

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
from bball_pl.model.network import MoveNet
from bball_pl.moves import MOVES

#: Untimed batches: a GPU is fast enough to empty the loader's queues, and they must be empty before the clock starts.
_WARM_UP = 20


def gpu_speed(
    size: int = 299,
    backbones: tuple[str, ...] = ("inception_v3", "tf_efficientnet_lite0"),
    batches: tuple[int, ...] = (64, 128, 256),
    workers: tuple[int, ...] = (1, 2, 4, 8, 16),
    steps: int = 40,
    compile: bool = False,
    fp32: bool = True,
) -> None:
    """Measure the bare step for each batch, then loader and whole Trainer with each number of loading processes.

    The recipe is the default one: frozen batch norm, heavy augmentation, average of the weights, bfloat16.

    Args:
        size: side of the input in pixels.
        backbones: timm names.
        batches: photos per step; loader and Trainer are measured with the middle one.
        workers: numbers of loading processes; those above the number of cores are left out.
        steps: timed training steps of each row.
        compile: measures torch.compile as well, with `--trainer.benchmark true`; its start takes minutes.
        fp32: measures 32 bits as well.
    """
    if not torch.cuda.is_available():
        print("\nNo GPU here: memory and photos/s on one are not measured.")
        return
    cores = cpu_count()
    day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    print(f"\n### {torch.cuda.get_device_name()}, {cores} cores, {size} px, torch {torch.__version__} ({day})\n")
    print("| network | | precision | batch | loading processes | photos/s | of the bare step | peak memory, GiB |")
    print("|---|---|---|---:|---:|---:|---:|---:|", flush=True)
    middle = batches[len(batches) // 2]
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder) / "demo"
        # Validation takes 15 %, and the workers prefetch.
        write_demo(demo, math.ceil((_WARM_UP + steps + 40) * middle / 0.8), 3, seed=7, show_progress=False)
        for backbone in backbones:
            # Frozen statistics need weights; which ones says nothing about speed.
            weights = Path(folder) / f"{backbone}.pth"
            torch.save(MoveNet(backbone, len(MOVES), size).net.state_dict(), weights)
            variants = [("", batch, "bf16-mixed") for batch in batches]
            variants += [("", middle, "32-true")] * fp32 + [(", compiled", middle, "bf16-mixed")] * compile
            rates = {}
            for title, batch, precision in variants:
                is_compiled = title == ", compiled"
                torch.backends.cudnn.benchmark = is_compiled
                part = BareStep(size, batch, precision, "cuda", is_compiled, backbone, str(weights))
                titles = (backbone, f"bare step{title}", precision, str(batch), "–")
                rates[title, batch, precision] = _row(titles, part, steps)
                del part
            counts = [number for number in workers if number <= cores]
            for number in counts:
                for title in ("", ", compiled") if compile and number == counts[-1] else ("",):
                    is_compiled = title == ", compiled"
                    options: dict[str, object] = {
                        "data.num_workers": number, "model.backbone": backbone, "model.weights": weights,
                        "model.batch_norm": "frozen", "model.compile": is_compiled, "trainer.benchmark": is_compiled,
                        "trainer.accelerator": "gpu", "trainer.devices": 1, "trainer.precision": "bf16-mixed",
                    }  # fmt: skip
                    bare = rates[title, middle, "bf16-mixed"]
                    trainer = WholeTrainer(demo, Path(folder), size, middle, options)
                    if not is_compiled:
                        _row((backbone, "loader alone", "–", str(middle), str(number)), trainer.loading, steps, bare)
                    titles = (backbone, f"whole Trainer{title}", "bf16-mixed", str(middle), str(number))
                    _row(titles, trainer, steps, bare)


def _row(titles: tuple[str, ...], part: Callable[[int, int], float], steps: int, bare: float = 0.0) -> float:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    rate = part(steps, _WARM_UP)
    memory = torch.cuda.max_memory_allocated() / 2**30
    share = f"{rate / bare:.2f}" if bare else "–"
    print("| " + " | ".join((*titles, f"{rate:.0f}", share, f"{memory:.1f}")) + " |", flush=True)
    return rate


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(gpu_speed, as_positional=False)
