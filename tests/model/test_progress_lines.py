"""Lines of progress of a training whose output goes into a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bball_pl import terminal
from bball_pl.data.dataset import PhotoBatch
from bball_pl.model.fit import trainer as fit_trainer
from bball_pl.model.fit.trainer import ProgressLines
from bball_pl.studio.steps.job_log import log_progress

from helpers.fit_runs import here, tiny

PHOTOS, BATCH, EPOCHS = 12, 4, 2


class Small(L.LightningModule):
    """A net of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def training_step(self, batch: PhotoBatch, batch_idx: int) -> Tensor:
        return (self.weight * batch.images).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.weight], lr=0.1)


def train(monkeypatch: pytest.MonkeyPatch, line_every: float) -> list[str]:
    """Train for two epochs of three steps and return the lines."""
    lines: list[str] = []
    monkeypatch.setattr(fit_trainer, "LINE_EVERY", line_every)
    # Lightning's logger has the stream of the test that imported it.
    monkeypatch.setattr(fit_trainer, "rank_zero_info", lines.append)
    photos = [PhotoBatch(torch.zeros(1), torch.tensor(0), torch.tensor(index)) for index in range(PHOTOS)]
    loader: DataLoader[PhotoBatch] = DataLoader(photos, batch_size=BATCH)  # type: ignore[arg-type]
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=EPOCHS,
        callbacks=[ProgressLines()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Small(), loader)
    return lines


def test_an_epoch_that_takes_long_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = train(monkeypatch, 0.0)
    steps = PHOTOS // BATCH
    assert len(lines) == EPOCHS * (steps + 1)
    pattern = r"epoch (\d)/2, [\d.,]+ photos/s, step: (\d) of 3, about \d:\d\d:\d\d left"
    found = [match.groups() for line in lines if (match := re.fullmatch(pattern, line))]
    assert found == [(str(epoch), str(step)) for epoch in (1, 2) for step in (1, 2, 3)]
    progress = log_progress(lines[:2])
    assert progress is not None
    assert (progress.done, progress.total) == (2, steps), "the studio shows it"


def test_short_epochs_have_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [line.partition(":")[0] for line in train(monkeypatch, 3600.0)] == ["epoch 1/2", "epoch 2/2"]


def test_a_terminal_has_the_bar_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert train(monkeypatch, 0.0) == []


def test_the_features_of_the_probe_say_how_far_they_are(
    make_dataset: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(terminal, "LINE_EVERY", 0.0)
    root = make_dataset({"train": 4, "val": 2}, size=(20, 20))
    _, errors = here([*tiny(root, tmp_path / "out", epochs=1), "--pictures=false"], 0, monkeypatch, capsys)
    found = re.findall(r"^features at 32 px: (\d+) of (\d+), about 0:00:\d\d left$", errors, re.MULTILINE)
    assert found == [("8", "18"), ("16", "18"), ("18", "18")]
