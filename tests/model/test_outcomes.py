"""Answers gathered over batches and processes."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from bball_pl.model.outcomes import OutcomeCollector, Outcomes

PHOTOS, CLASSES = 11, 3
LOGITS = torch.randn(PHOTOS, CLASSES, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(PHOTOS) % CLASSES


def collect(indices: list[int]) -> OutcomeCollector:
    """Answer photos in batches of three; -1 is padding, whose answer is nonsense."""
    collector = OutcomeCollector()
    for part in torch.tensor(indices).split(3):
        padding = part < 0
        logits: Tensor = torch.where(padding[:, None], 99.0, LOGITS[part])
        collector.add(part, torch.where(padding, 0, TARGETS[part]), logits)
    return collector


def assert_whole(outcomes: Outcomes) -> None:
    assert outcomes.indices.tolist() == list(range(PHOTOS))
    assert torch.equal(outcomes.targets, TARGETS)
    assert torch.equal(outcomes.logits, LOGITS)


def _one_of_two(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    outcomes = collect([[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, -1]][rank]).gather()
    torch.save([outcomes.indices, outcomes.targets, outcomes.logits], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_every_process_gets_each_photo_once_in_order(tmp_path: Path) -> None:
    spawn(_one_of_two, (str(tmp_path),), nprocs=2)
    for rank in (0, 1):
        assert_whole(Outcomes(*torch.load(tmp_path / f"{rank}.pt", weights_only=True)))


def test_one_process_sorts_drops_padding_and_starts_anew() -> None:
    collector = collect([3, 1, 2, -1, 0, 10, 9, 8, 7, 6, 5, 4, -1])
    assert_whole(collector.gather())
    collector.add(torch.tensor([0]), TARGETS[:1], LOGITS[:1])
    assert collector.gather().indices.tolist() == [0]


def test_figures_of_each_photo() -> None:
    outcomes = Outcomes(torch.arange(2), torch.tensor([0, 1]), torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    torch.testing.assert_close(outcomes.probabilities.sum(1), torch.ones(2))
    torch.testing.assert_close(outcomes.losses, -outcomes.probabilities[torch.arange(2), outcomes.targets].log())
    assert outcomes.correct.tolist() == [True, False]


def test_answers_in_bfloat16_are_kept_in_32_bits() -> None:
    collector = OutcomeCollector()
    collector.add(torch.tensor([0]), torch.tensor([1]), torch.tensor([[0.5, 1.5]], dtype=torch.bfloat16))
    assert collector.gather().logits.dtype == torch.float32
