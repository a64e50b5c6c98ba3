"""A small set: settings by folds, a probe of all its photos, calibration from answers to held-out photos."""

from __future__ import annotations

import signal
from collections import Counter
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from bball_pl.evaluate.calibration import calibrate
from bball_pl.evaluate.evaluation import evaluate
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.network import image_sizes

from helpers.fit_runs import Signal, fit, only_run, tiny

SIDE = 64
#: Photos of a class in train; `none` is a class folder like any other.
COUNTS = {"shoot": 9, "layup": 6, "none": 6}


def stripes(path: Path, class_name: str, seed: int) -> None:
    """Paint stripes one pixel wide, which are grey at half the size: across, along or as a chessboard."""
    rows, columns = np.indices((SIDE, SIDE))
    pattern = {"shoot": rows, "layup": columns, "none": rows + columns}[class_name] % 2
    noise = np.random.default_rng(seed).integers(-20, 20, (SIDE, SIDE, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(60 + 130 * pattern[..., None] + noise, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def striped(tmp_path: Path) -> Path:
    seed = 0
    for class_name, count in COUNTS.items():
        for split, number in (("train", count), ("test", 2)):
            for index in range(number):
                seed += 1
                stripes(tmp_path / "striped" / split / class_name / f"{index}.png", class_name, seed)
    return tmp_path / "striped"


def test_a_small_set_chooses_its_size_and_keeps_a_probe_of_all_photos(striped: Path, tmp_path: Path) -> None:
    # At the usual size, 32 px, the classes look alike. Fine-tuning cannot win with such a learning rate.
    sizes = ["--model.image_size=[32, 64]", "--model.lr=10", "--data.augment=none", "--pictures=false"]
    moment = Signal("training_step", 1, 0, signal.SIGINT)
    options = [*tiny(striped, tmp_path / "out"), *sizes]
    stopped = fit(options, expect=130, send=moment)
    assert "5 folds of 21 photos choose 64 px" in stopped.stderr
    run = only_run(tmp_path / "out")
    last = run / "checkpoints" / "last.ckpt"
    resumed = fit([f"--config={run / 'config.yaml'}", f"--ckpt_path={last}"])
    assert "best.ckpt is the probe" in resumed.stderr, "the resumed run still knows its probe"
    best, end = read_checkpoint(run / "checkpoints" / "best.ckpt"), read_checkpoint(last)
    for checkpoint in (best, end):
        assert checkpoint["bball_pl"]["spec"]["size"] == 64
        assert checkpoint["hyper_parameters"]["image_size"] == 64
        assert checkpoint["hyper_parameters"]["class_weights"] in ("balanced", "none")

    held_out = best["bball_pl"]["held_out"]
    assert "held_out" not in end["bball_pl"], "the fine-tuned network did not see the validation photos"
    assert sorted(Counter(held_out["targets"]).values()) == [6, 6, 9], "every photo but those of test, once"
    start: Tensor = end["callbacks"]["LinearProbe"]["start"][0]
    head: Tensor = best["state_dict"]["network.net.fc.weight"]
    assert not torch.equal(head, start), "the kept probe is fitted to more photos than fine-tuning started from"

    model = TrainedModel.open(run)
    assert model.spec.size == 64
    said = StringIO()
    evaluation = evaluate(model, "val", console=Console(file=said, width=200))
    assert "these figures are too good" in said.getvalue()
    logits, targets = np.array(held_out["logits"], np.float32), np.array(held_out["targets"])
    assert evaluation.calibration == calibrate(logits, targets, 0.95, model.sha256)


def test_sizes_of_backbones() -> None:
    assert image_sizes("tf_efficientnet_lite0") == [224, 160, 288]
    assert image_sizes("inception_v3") == [299, 224, 384]
    assert image_sizes("inception_v3", [160, 224]) == [160, 224]
    assert image_sizes("inception_v3", 160) == [160]
    assert len(image_sizes("test_vit")) == 1, "its position embedding has one size"
