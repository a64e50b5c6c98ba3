"""The moving average of the weights."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bball_pl.model.recipe import WeightEma


class Counting(L.LightningModule):
    """A net whose weight is the number of steps done and whose validation shows what it validates with."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.norm = nn.BatchNorm1d(1)
        self.validated: list[float] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.norm(batch)
        return -self.weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.validated.append(self.weight.item())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.weight], lr=1.0)


def fit(folder: Path, decay: float, epochs: int, batches: int) -> tuple[Counting, dict[str, Any]]:
    photos: Any = DataLoader(torch.arange(5.0 * batches).view(-1, 1), batch_size=5)  # type: ignore[arg-type]
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[WeightEma(decay)],
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    net = Counting()
    trainer.fit(net, photos, photos)
    trainer.save_checkpoint(folder / "end.ckpt")
    return net, torch.load(folder / "end.ckpt", weights_only=True)


def average(updates: list[int], decay: float) -> float:
    """The definition: the first value, then `d·average + (1 − d)·weight`, d the product of the steps' rising decays."""
    value = float(updates[0])
    for last, step in itertools.pairwise(updates):
        share = math.prod(min(decay, one / (9 + one)) for one in range(last + 1, step + 1))
        value = share * value + (1 - share) * step
    return value


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("decay", "batches", "updates"),
    [(0.5, 4, [4, 8, 12]), (0.998, 4, [4, 8, 12]), (0.998, 6, [4, 6, 10, 12, 16, 18]), (0.998, 1, [1, 2, 3])],
)
def test_the_average_warms_up_is_validated_is_saved_and_is_what_remains(
    tmp_path: Path, decay: float, batches: int, updates: list[int]
) -> None:
    net, checkpoint = fit(tmp_path, decay, 3, batches)
    ends = [updates.index(batches * epoch) + 1 for epoch in (1, 2, 3)]
    wanted = [average(updates[:end], decay) for end in ends]
    assert net.validated[::batches] == pytest.approx(wanted)
    assert checkpoint["state_dict"]["weight"].item() == pytest.approx(wanted[-1])
    assert net.weight.item() == pytest.approx(wanted[-1])
    assert wanted[-1] > 0.7 * updates[-1], "a short run's average has left its start behind"
    counters = checkpoint["state_dict"]["norm.num_batches_tracked"]
    assert counters.dtype == torch.int64
    assert counters.item() == 3 * batches, "counters are taken over, not averaged"
    means = checkpoint["state_dict"]["norm.running_mean"]
    assert 0 < means.item() < 5 * batches, "statistics are averaged as weights are"
