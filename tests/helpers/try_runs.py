"""Runs and pictures for the view Try."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from bball_pl import project

from helpers.painting import COLOURS
from helpers.predict_runs import colour_checkpoint

OWN, RAW = "tiny/version_0", "tiny/version_1"


def make_run(logs: Path, name: str, margin: float) -> Path:
    """Make a run's folder with a checkpoint that answers by colour, and return the checkpoint."""
    run = logs / name
    (run / project.CHECKPOINTS).mkdir(parents=True)
    (run / project.CONFIG).write_text("model:\n  backbone: test_resnet\n")
    return colour_checkpoint(run / project.CHECKPOINTS / project.BEST, margin)


def mixture(first: str, second: str, share: float) -> np.ndarray:
    """A photo between two classes, RGB uint8 `[40, 64, 3]`."""
    colour = share * np.array(COLOURS[first]) + (1 - share) * np.array(COLOURS[second])
    return np.full((40, 64, 3), colour.round(), np.uint8)


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()
