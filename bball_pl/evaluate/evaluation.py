"""One evaluation: a checkpoint, the photos it was asked about, its answers and their figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bball_pl.evaluate.answers import Answers
from bball_pl.evaluate.calibration import Calibration


@dataclass(frozen=True)
class Evaluation:
    """What a report, a comparison or an export needs to know of an evaluation.

    Attributes:
        split: name of the split that was answered.
        answers: with calibrated probabilities.
        metrics: as in `metrics.json`.
        checkpoint: the file of the network.
        run: the run's folder, or None for a checkpoint outside of one.
        root: folder of the dataset; a photo lies at `root / path`.
        calibration: of the checkpoint, or None if there were no validation photos.
        uncalibrated: probabilities at temperature 1, float32 `[N, classes]`.
        sources: the column `source` of `photos.csv` by path, empty where it is not known.
        data: what the checkpoint says of its dataset: `root, class_names, counts, groups, sha256`.
        command: the exact command that repeats the evaluation.
        seconds: how long answering the split took, decoding included.
    """

    split: str
    answers: Answers
    metrics: dict[str, Any]
    checkpoint: Path
    run: Path | None
    root: Path
    calibration: Calibration | None
    uncalibrated: np.ndarray
    sources: dict[str, str] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    seconds: float = 0.0
