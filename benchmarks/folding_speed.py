"""What a training step gains when convolutions do the work of frozen batch norm.

    python benchmarks/folding_speed.py
    python benchmarks/folding_speed.py --networks [resnet50] --size 224 --frozen 0 --threads 1

Forward, loss and backward of two copies of a network, one folded, on the same tensors in turns, so that whatever else
the machine does hits both. The output is Markdown: processor seconds of a step, the best of the rounds, their ratio.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence

import torch
from joblib import cpu_count
from jsonargparse import auto_cli
from torch import Tensor
from torch.nn.functional import cross_entropy

from bball_pl.errors import exit_on_error
from bball_pl.model.folding import fold_frozen_batch_norm
from bball_pl.model.network import MoveNet
from bball_pl.model.recipe import apply_policy, freeze_lowest


def folding_speed(
    networks: Sequence[str] = ("tf_efficientnet_lite0", "mobilenetv3_large_100", "resnet18", "inception_v3"),
    size: int = 224,
    batch: int = 16,
    frozen: float = 0.0,
    rounds: int = 5,
    threads: int | None = None,
) -> None:
    """Print a Markdown table.

    Args:
        networks: timm names; the weights are random.
        size: side of the photos in pixels.
        batch: photos in a step.
        frozen: share of the layers that is not trained.
        rounds: timed steps of each.
        threads: of torch; one per core unless given.
    """
    torch.set_num_threads(cpu_count() if threads is None else threads)
    print(f"| {size} px, batch {batch}, {frozen:.0%} frozen | as it is, s | folded, s | ratio |\n|---|---:|---:|---:|")
    for name in networks:
        torch.manual_seed(0)
        plain = MoveNet(name, 3, size)
        freeze_lowest(plain.net, frozen)
        folded = copy.deepcopy(plain)
        fold_frozen_batch_norm(folded, size)
        images = torch.randn(batch, 3, size, size).to(
            memory_format=torch.channels_last if plain.channels_last else torch.contiguous_format
        )
        for network in (plain, folded):
            apply_policy(network.train(), "frozen")
            _step(network, images)
        seconds = [[_step(network, images) for network in (plain, folded)] for _ in range(rounds)]
        before, after = (min(row[position] for row in seconds) for position in (0, 1))
        print(f"| {name} | {before:.3f} | {after:.3f} | {after / before:.2f} |", flush=True)


def _step(network: MoveNet, images: Tensor) -> float:
    """Return the processor seconds of one step."""
    started = time.process_time()
    cross_entropy(network(images), torch.zeros(len(images), dtype=torch.long)).backward()
    for parameter in network.parameters():
        parameter.grad = None
    return time.process_time() - started


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(folding_speed, as_positional=False)
