"""Confidences of a split: reliability in bins, and the effect of the threshold of "unsure"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bball_pl.evaluate.calibration import Calibration
from bball_pl.evaluate.metrics import CALIBRATION_BINS, wilson
from bball_pl.evaluate.predictions import Answers


@dataclass(frozen=True)
class Bin:
    """Answers of similar confidence.

    Attributes:
        low: lowest confidence of the bin, 0–1.
        high: its highest.
        confidence: mean confidence of its answers, 0–1.
        n: number of answers, 1 or more.
        right: number of right ones.
    """

    low: float
    high: float
    confidence: float
    n: int
    right: int

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0–1."""
        return self.right / self.n

    @property
    def interval(self) -> list[float]:
        """95 % Wilson interval of the accuracy as [low, high]."""
        return wilson(self.right, self.n)


@dataclass(frozen=True)
class Operating:
    """What the threshold of "unsure" does to a split.

    Attributes:
        threshold: calibrated confidence from which on an answer is given, 0–1.
        target_accuracy: wanted of the answers that are given, 0–1.
        n: photos of the split.
        answered: photos that are answered.
        right: right answers among them.
    """

    threshold: float
    target_accuracy: float
    n: int
    answered: int
    right: int

    @property
    def coverage(self) -> float:
        """Share of the photos that are answered, 0–1."""
        return self.answered / self.n

    @property
    def accuracy(self) -> float | None:
        """Share of right answers among those given, 0–1; None if none is given."""
        return self.right / self.answered if self.answered else None

    @property
    def interval(self) -> list[float] | None:
        """95 % Wilson interval of the accuracy as [low, high]."""
        return wilson(self.right, self.answered) if self.answered else None


def reliability(probabilities: np.ndarray, targets: np.ndarray) -> list[Bin]:
    """Sort answers into the bins of the calibration error; empty bins are left out.

    Args:
        probabilities: float `[N, classes]`, rows sum to 1.
        targets: int64 `[N]`.
    """
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == targets
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1, dtype=np.float32)
    # A bin owns its lower edge; full certainty belongs to the last one.
    place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, CALIBRATION_BINS - 1)
    bins = []
    for number in np.unique(place).tolist():
        mine = place == number
        mean, right = float(confidence[mine].mean()), int(correct[mine].sum())
        bins.append(Bin(float(edges[number]), float(edges[number + 1]), mean, int(mine.sum()), right))
    return bins


def operate(answers: Answers, calibration: Calibration | None) -> Operating | None:
    """Apply the threshold of a calibration to a split; None without one."""
    if calibration is None or calibration.threshold is None:
        return None
    given = answers.confidence >= calibration.threshold
    right = int(answers.correct[given].sum())
    return Operating(calibration.threshold, calibration.target_accuracy, len(answers), int(given.sum()), right)
