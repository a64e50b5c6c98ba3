"""The figures of a split, and the table of its answers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor
from torch.nn.functional import one_hot

from bball_pl.data.folder import Photo
from bball_pl.errors import RunError
from bball_pl.evaluate.metrics import compute_metrics, write_metrics
from bball_pl.evaluate.results import write_results
from bball_pl.evaluate.summary import metrics_table
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.outcomes import Outcomes

NAMES = ["shoot", "dribble", "layup"]

#: The 2018 project's test: a row per true class.
MATRIX_2018 = [[81, 2, 17], [2, 98, 0], [18, 3, 79]]


def answers(matrix: list[list[int]], confidence: float = 0.9) -> tuple[Tensor, Tensor]:
    """Probabilities and targets that give a confusion matrix."""
    pairs = [(true, said) for true, row in enumerate(matrix) for said, count in enumerate(row) for _ in range(count)]
    targets = torch.tensor([true for true, _ in pairs])
    said = one_hot(torch.tensor([said for _, said in pairs]), len(matrix))
    rest = (1 - confidence) / (len(matrix) - 1)
    return torch.where(said == 1, confidence, rest), targets


def test_the_result_of_2018() -> None:
    metrics = compute_metrics("test", *answers(MATRIX_2018), NAMES)
    assert (metrics["split"], metrics["n"], metrics["accuracy"]) == ("test", 300, 0.86)
    low, high = metrics["accuracy_ci95"]
    assert (round(low, 3), round(high, 3)) == (0.816, 0.895)
    assert metrics["confusion"] == {"labels": NAMES, "matrix": MATRIX_2018}
    shoot = metrics["per_class"]["shoot"]
    assert shoot["recall"] == pytest.approx(0.81)
    assert shoot["precision"] == pytest.approx(81 / 101)
    assert shoot["f1"] == pytest.approx(2 * 81 / (100 + 101))
    assert shoot["support"] == 100
    wanted = sum(metrics["per_class"][name]["f1"] for name in NAMES) / 3
    assert metrics["macro_f1"] == pytest.approx(wanted)
    assert metrics["nll"] == pytest.approx(-float(torch.tensor([0.9] * 258 + [0.05] * 42).log().mean()), rel=1e-5)
    assert metrics["ece"] == pytest.approx(0.04, abs=1e-5), "90 % sure and 86 % right"
    assert json.loads(json.dumps(metrics)) == metrics, "plain numbers only"


def test_a_class_without_photos_counts_nothing() -> None:
    metrics = compute_metrics("val", *answers([[4, 0, 1], [0, 5, 0], [0, 0, 0]]), NAMES)
    assert metrics["per_class"]["layup"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert metrics["macro_f1"] == pytest.approx((8 / 9 + 1) / 2)


def test_one_photo() -> None:
    metrics = compute_metrics("test", torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([0]), NAMES)
    assert metrics["accuracy"] == 0.0
    low, high = metrics["accuracy_ci95"]
    assert low == pytest.approx(0.0, abs=1e-12)
    assert 0.7 < high < 0.8
    assert metrics["nll"] == pytest.approx(27.63, abs=0.01), "a probability of zero costs much, and stays finite"


def test_always_the_same_class() -> None:
    metrics = compute_metrics("test", *answers([[5, 0, 0], [5, 0, 0], [5, 0, 0]], 0.5), NAMES)
    assert metrics["accuracy"] == pytest.approx(1 / 3)
    assert metrics["macro_f1"] == pytest.approx(0.5 / 3)
    assert metrics["per_class"]["dribble"]["precision"] == 0.0


def test_perfect_calibration_has_no_error() -> None:
    probabilities, targets = answers([[8, 1, 1], [1, 8, 1], [1, 1, 8]], 0.8)
    assert compute_metrics("test", probabilities, targets, NAMES)["ece"] == pytest.approx(0, abs=1e-6)
    certain = one_hot(targets, 3).float()
    assert compute_metrics("test", certain, targets, NAMES)["ece"] == pytest.approx(0, abs=1e-6)


def test_results_on_disk_belong_to_the_photos(tmp_path: Path) -> None:
    photos = [Photo(tmp_path / f"{n}.jpg", f"test/layup/a,{n}.jpg", "layup", 2, f"game{n}", "") for n in range(3)]
    logits = torch.tensor([[0.0, 0.0, 3.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    outcomes = Outcomes(torch.arange(3), torch.full((3,), 2), logits)
    metrics = write_results(tmp_path, "test", photos, outcomes, NAMES)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    with (tmp_path / "predictions_test.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "class", "predicted", "prob_shoot", "prob_dribble", "prob_layup", "group"]
    assert [row["path"] for row in rows] == [photo.relative for photo in photos]
    assert [row["predicted"] for row in rows] == ["layup", "shoot", "layup"]
    assert [row["group"] for row in rows] == ["game0", "game1", "game2"]
    assert sum(float(rows[0][f"prob_{name}"]) for name in NAMES) == pytest.approx(1, abs=2e-6)
    for wrong in (photos[:2], [*photos, photos[0]]):
        with pytest.raises(ValueError, match="answers for"):
            write_results(tmp_path, "test", wrong, outcomes, NAMES)
    write_metrics(tmp_path / "運球.json", metrics)
    assert (tmp_path / "運球.json").read_text(encoding="utf-8").endswith("}\n")


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    text = io.StringIO()
    metrics = compute_metrics("test", *answers(MATRIX_2018), NAMES)
    Console(file=text, width=80).print(metrics_table(metrics))
    lines = text.getvalue().splitlines()
    assert "86.0%" in lines[0]
    assert "81.6%–89.5%" in lines[0]
    assert "…" not in text.getvalue()
    for name, row in zip(("shoot 投籃", "dribble 運球", "layup 上籃"), MATRIX_2018, strict=True):
        (line,) = [line for line in lines if name in line]
        assert line.split()[-3:] == [str(count) for count in row]


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"there is no checkpoint .*best\.ckpt"):
        read_checkpoint(tmp_path / "best.ckpt")
    garbage = tmp_path / "garbage.ckpt"
    garbage.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(RunError, match="garbage"):
        read_checkpoint(garbage)
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(RunError, match="not a checkpoint of this project"):
        read_checkpoint(tmp_path / "other.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(RunError, match="not a checkpoint of this project"):
        read_checkpoint(tmp_path / "list.ckpt")
