"""How the tests start scripts/predict.py, and a network that answers by colour without having been trained."""

from __future__ import annotations

import csv
import io
import os
import runpy
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import lightning as L
import numpy as np
import pytest
import torch

from bball_pl.evaluate.calibration import calibrate, file_sha256, write_calibration
from bball_pl.model.classifier import MoveClassifier

from helpers.painting import COLOURS

ROOT = Path(__file__).resolve().parents[2]
PREDICT = ROOT / "scripts" / "predict.py"
NAMES = list(COLOURS)


def colour_checkpoint(path: Path, margin: float = 5.0, colours: Mapping[str, tuple[int, int, int]] = COLOURS) -> Path:
    """Write a checkpoint whose head is solved, not trained, for the colours of the painted photos.

    The right class is `margin` above the others, in logits, on a photo of the pure colour.
    """
    torch.manual_seed(0)
    classifier = MoveClassifier(class_names=list(colours), backbone="test_resnet", weights="none", image_size=32).eval()
    photos = np.stack([np.full((32, 32, 3), colour, np.uint8) for colour in colours.values()])
    with torch.no_grad():
        features = classifier.network.features(
            classifier.spec.normalise(torch.from_numpy(photos).permute(0, 3, 1, 2))
        ).double()
        middle = features.mean(0)
        weight = (
            margin * (torch.linalg.pinv(features - middle) @ (torch.eye(len(colours)) - 1 / len(colours)).double()).T
        )
        head = classifier.network.head
        head.weight.copy_(weight)  # type: ignore[operator]
        head.bias.copy_(-weight @ middle)  # type: ignore[operator]
    trainer = L.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False)
    trainer.strategy.connect(classifier)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.save_checkpoint(path)
    return path


def calibrated(checkpoint: Path, temperature: float, threshold: float | None) -> Path:
    """Write a calibration beside a checkpoint."""
    any_logits, any_targets = np.eye(3) * 4, np.arange(3)
    fitted = calibrate(any_logits, any_targets, 0.95, file_sha256(checkpoint))
    write_calibration(checkpoint, replace(fitted, temperature=temperature, threshold=threshold))
    return checkpoint


def film(
    path: Path, colours: Sequence[str], rate: float = 20.0, size: tuple[int, int] = (64, 48), codec: str = "mp4v"
) -> Path:
    """Write a video with one frame for each class name, painted in the colour of that class."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, size)
    for name in colours:
        writer.write(np.full((size[1], size[0], 3), COLOURS[name][::-1], np.uint8))
    writer.release()
    return path


def predict(
    options: Sequence[str | Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    expect: int = 0,
    stdin: bytes = b"",
) -> tuple[str, str]:
    """Run the script in this process, which saves seconds of imports, and return what it printed."""
    monkeypatch.setattr(sys, "argv", [str(PREDICT), *map(str, options)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    capsys.readouterr()
    status: str | int | None = 0
    try:
        runpy.run_path(str(PREDICT), run_name="__main__")
    except SystemExit as ended:
        status = ended.code
    captured = capsys.readouterr()
    assert status == expect, f"{status}\n{captured.out}\n{captured.err}"
    assert "Traceback" not in captured.err, captured.err
    return captured.out, captured.err


def rows_of(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV text by column."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def environment() -> dict[str, str]:
    """Return the environment of a process of its own."""
    return dict(os.environ) | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
