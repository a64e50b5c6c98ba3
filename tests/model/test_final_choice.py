"""The size at which a finished network answers: chosen on validation photos, told in checkpoint, test and terminal."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.model import probe_start
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.fit import final_choice
from bball_pl.model.fit.final_choice import Candidate, keeps_probe, larger_size
from bball_pl.model.linear_probe import Features, choose_probe, clearly_better
from bball_pl.model.outcomes import Outcomes
from bball_pl.photos.dataset_layout import scan_dataset
from bball_pl.photos.photos_csv import PhotoRecord, write_photos_csv
from bball_pl.photos.tree import Photo

from helpers.fit_runs import here, only_run, tiny

MakeDataset = Callable[..., Path]


def test_larger_sizes_are_whole_strides_a_tenth_larger_or_more() -> None:
    assert [larger_size(size) for size in (128, 160, 192, 224, 288, 299)] == [160, 192, 224, 256, 320, 352]


@pytest.mark.parametrize(
    ("right", "chosen"),
    [({64: 0.5, 96: 0.5}, 64), ({64: 0.5, 96: 1.0}, 96), ({64: 0.0, 96: 1.0}, 32)],
    ids=["one step", "two steps", "no step"],
)
def test_larger_photos_are_asked_for_if_they_are_clearly_better_answered(
    right: dict[int, float],
    chosen: int,
    make_dataset: MakeDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def planted(trainer: Any, classifier: Any, data: Any, photos: Sequence[Photo], size: int, answer: Any) -> Outcomes:
        """Answer a share of the photos rightly, and the others not at all."""
        targets = torch.tensor([photo.target for photo in photos])
        logits = torch.zeros(len(photos), len(classifier.class_names))
        sure = torch.arange(len(photos)) < right[size] * len(photos)
        logits[sure, targets[sure]] = 9.0
        return Outcomes(torch.arange(len(photos)), targets, logits)

    monkeypatch.setattr(final_choice, "answers", planted)
    root = make_dataset({"train": 4, "val": 6, "test": 2}, size=(80, 80))
    options = [
        *tiny(root, tmp_path / "out", epochs=1),
        "--model.answer_size=auto",
        "--model.probe=false",
        "--model.lr=1e-9",
    ]
    here([*options, "--pictures=false"], 0, monkeypatch, capsys)
    assert [f"answers at {size} px" in caplog.text for size in (64, 96)] == [chosen >= size for size in (64, 96)]
    run = only_run(tmp_path / "out")
    best = read_checkpoint(run / "checkpoints" / "best.ckpt")
    assert best["bball_pl"]["spec"]["size"] == best["hyper_parameters"]["image_size"] == chosen
    assert best["bball_pl"]["trained_size"] == 32
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["bball_pl"]["spec"]["size"] == 32, "it may be resumed"
    assert_tested_at(chosen, run, root)


def right_answers(photos: Sequence[Photo], classes: int, margin: float) -> Outcomes:
    """Return right answers to all photos, whose logits lead by a margin."""
    targets = torch.tensor([photo.target for photo in photos])
    logits = torch.zeros(len(photos), classes)
    logits[torch.arange(len(photos)), targets] = margin
    return Outcomes(torch.arange(len(photos)), targets, logits)


def test_few_moves_are_lost_to_a_rendered_none(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def planted(trainer: Any, classifier: Any, data: Any, photos: Sequence[Photo], size: int, answer: Any) -> Outcomes:
        """Answer every photo rightly among the moves, and call it none by three."""
        outcomes = right_answers(photos, 4, 9.0)
        outcomes.logits[:, 3] = 12.0
        return outcomes

    monkeypatch.setattr(final_choice, "answers", planted)
    root = make_dataset({"train": 4, "val": 2, "test": 1}, size=(40, 40))
    options = [*tiny(root, tmp_path / "out", epochs=1), "--model.answer_size=48", "--model.probe=false"]
    here([*options, "--data.court=6", "--pictures=false"], 0, monkeypatch, capsys)
    folder = only_run(tmp_path / "out") / "checkpoints"
    biases = [
        read_checkpoint(folder / name)["state_dict"]["network.net.fc.bias"] for name in ("best.ckpt", "last.ckpt")
    ]
    assert (biases[0] - biases[1]).tolist() == pytest.approx([0, 0, 0, -3.0001], abs=1e-5)


def test_the_probe_of_a_large_set_answers_at_the_size_that_suits_it(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def planted(trainer: Any, classifier: Any, data: Any, photos: Sequence[Photo], size: int, answer: Any) -> Outcomes:
        """Answer photos of 48 px rightly."""
        return right_answers(photos, 3, 5.0)

    monkeypatch.setattr(final_choice, "answers", planted)
    monkeypatch.setattr(final_choice, "keeps_probe", lambda *_, few: not few)
    monkeypatch.setattr(probe_start, "SMALL_SET", 0)
    root = make_dataset({"train": 4, "val": 3, "test": 1}, size=(60, 60))
    options = [*tiny(root, tmp_path / "out", epochs=1), "--model.answer_size=48", "--pictures=false"]
    here(options, 0, monkeypatch, capsys)
    run = only_run(tmp_path / "out")
    held_out = read_checkpoint(run / "checkpoints" / "best.ckpt")["bball_pl"]["held_out"]
    assert held_out["size"] == 48
    assert np.array(held_out["logits"]).max(1).tolist() == [5.0] * 9, "the calibration is that of the answers at 48 px"
    assert_tested_at(48, run, root)


def test_doubt_is_for_the_probe_of_few_photos_and_for_fine_tuning_on_many() -> None:
    targets = torch.arange(120) % 3
    right = torch.zeros(120, 3)
    right[torch.arange(120), targets] = 4.0

    def wrong(numbers: list[int]) -> Candidate:
        logits = right.clone()
        logits[numbers] = logits[numbers].roll(1, 1)
        return Candidate("one", {}, 32, Outcomes(torch.arange(120), targets, logits))

    probe, a_little_better, much_better = wrong([0, 1, 2, 3]), wrong([0, 1, 2, 7]), wrong([])
    a_little_better.outcomes.logits[4, targets[4]] += 1.0
    a_little_better.outcomes.logits[7, targets[7]] += 1.0
    better = wrong([0])
    assert clearly_better(better.losses, probe.losses), "by one standard error, which happens by luck"
    assert [keeps_probe(probe, tuned, few=True) for tuned in (a_little_better, better, much_better, None)] == [
        True,
        True,
        False,
        True,
    ]
    # In turn the probe is a little better, as good, and much better.
    assert [keeps_probe(kept, probe, few=False) for kept in (a_little_better, probe, much_better)] == [
        False,
        False,
        True,
    ]
    assert keeps_probe(probe, None, few=False)


def test_luck_on_few_validation_photos_is_not_taken_for_certainty() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(735) % 3
    features = torch.randn(735, 8, generator=generator) + 3 * torch.eye(3, 8)[targets]
    learned, judged = list(range(700)), list(range(700, 735))
    choice = choose_probe({32: Features(features, features)}, targets, [(learned, judged)], 3)
    assert torch.equal(choice.logits.argmax(1), targets[judged])

    def candidate(logits: Tensor) -> Candidate:
        return Candidate("one", {}, 32, Outcomes(torch.arange(35), targets[judged], logits))

    # All right as well, and as sure as label smoothing lets it be.
    smoothed = torch.full((35, 3), 0.1 / 3).index_put((torch.arange(35), targets[judged]), torch.tensor(1 - 0.2 / 3))
    probe, tuned = candidate(choice.logits / choice.temperature), candidate(smoothed.log())
    assert not keeps_probe(probe, tuned, few=False)


def test_a_few_photos_of_one_game_are_few_though_there_are_no_folds(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_dataset({"train": 4, "val": 2, "test": 1}, size=(40, 40))
    records = [
        PhotoRecord(path=photo.relative, class_name=photo.class_name, group="one evening")
        for photo in scan_dataset(root).photos
        if photo.split != "test"
    ]
    write_photos_csv(root / "photos.csv", records)
    asked = []

    def keeps(kept: Candidate, tuned: Candidate | None, few: bool) -> bool:
        asked.append(few)
        return True

    monkeypatch.setattr(final_choice, "keeps_probe", keeps)
    here([*tiny(root, tmp_path / "out", epochs=1), "--pictures=false"], 0, monkeypatch, capsys)
    assert asked == [True]


def test_a_size_of_ones_own_is_kept_with_the_probe(
    make_dataset: MakeDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = make_dataset({"train": 4, "val": 4, "test": 2}, size=(80, 80))
    options = [*tiny(root, tmp_path / "out", epochs=1), "--model.answer_size=56", "--pictures=false"]
    # So that fine-tuning wins.
    monkeypatch.setattr(final_choice, "clearly_better", lambda losses, reference, errors=1.0: True)
    here(options, 0, monkeypatch, capsys)
    assert "answers at 56 px" in caplog.text
    assert "beat the linear probe" in caplog.text
    assert_tested_at(56, only_run(tmp_path / "out"), root)


def test_a_size_that_the_backbone_does_not_take_is_refused_before_the_work(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_dataset({"train": 4, "val": 1}, size=(20, 20))
    options = [*tiny(root, tmp_path / "out"), "--model.backbone=inception_v3", "--model.image_size=75"]
    _, errors = here([*options, "--model.answer_size=40"], 2, monkeypatch, capsys)
    assert "does not take photos of 40 × 40 px" in errors


def assert_tested_at(size: int, run: Path, root: Path) -> None:
    """Assert that the run's answers to its test photos are those of its network at a size."""
    model = TrainedModel.open(run)
    assert model.spec.size == size
    rows = list(csv.DictReader((run / "predictions_test.csv").read_text(encoding="utf-8").splitlines()))
    assert rows
    for row, answer in zip(rows, model.predict([root / row["path"] for row in rows]), strict=True):
        written = [float(row[f"prob_{name}"]) for name in model.class_names]
        np.testing.assert_allclose([answer.probabilities[name] for name in model.class_names], written, atol=2e-4)
