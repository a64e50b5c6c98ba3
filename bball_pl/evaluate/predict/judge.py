"""From logits to an answer: the temperature, the most probable class, and when to say "unsure"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from bball_pl.errors import ConfigError
from bball_pl.evaluate.calibration import read_calibration

#: What is answered below the threshold.
UNSURE = "unsure"


@dataclass(frozen=True)
class Answer:
    """An answer to one photo or frame.

    Attributes:
        text: what is said: the most probable class, or "unsure".
        predicted: the most probable class.
        confidence: its probability, 0–1.
        probabilities: by class name, in the order of the classes, 0–1, with a sum of 1.
    """

    text: str
    predicted: str
    confidence: float
    probabilities: dict[str, float]

    @property
    def ranking(self) -> list[tuple[str, float]]:
        """Classes with their probabilities, the most probable first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])


@dataclass(frozen=True)
class Judge:
    """Turns a network's logits into answers.

    Attributes:
        class_names: in the order of the logits.
        temperature: logits are divided by it before the softmax.
        threshold: confidence below which the answer is "unsure", 0–1.
        note: what a user should know about these confidences; empty if there is nothing to say.
    """

    class_names: Sequence[str]
    temperature: float = 1.0
    threshold: float = 0.0
    note: str = ""

    @classmethod
    def of_checkpoint(cls, checkpoint: Path, class_names: Sequence[str], threshold: float | None = None) -> Judge:
        """Build the judge that a checkpoint's calibration asks for.

        Args:
            checkpoint: its file; the calibration lies beside it.
            class_names: of the checkpoint.
            threshold: instead of the calibration's, 0–1.

        Raises:
            ConfigError: if the threshold is out of its range.
            RunError: if the calibration's file is not one.
        """
        if threshold is not None and not 0 <= threshold <= 1:
            raise ConfigError(f"--threshold is {threshold}; expected a number from 0 to 1")
        calibration = read_calibration(checkpoint)
        if calibration is None:
            note = f"confidences are not calibrated: {checkpoint} has no calibration. Make it with scripts/evaluate.py"
            return cls(class_names, threshold=threshold or 0.0, note=note)
        if threshold is not None:
            return cls(class_names, calibration.temperature, threshold)
        note = ""
        if calibration.threshold is None:
            note = (
                f"no confidence promises {calibration.target_accuracy:.0%} accuracy on the {calibration.n} validation "
                f'photos: nothing is answered with "{UNSURE}". Pass --threshold to have it'
            )
        return cls(class_names, calibration.temperature, calibration.threshold or 0.0, note)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities: logits `[…, classes]` → float64 `[…, classes]`, rows sum to 1."""
        shares: np.ndarray = softmax(logits.astype(np.float64) / self.temperature, axis=-1)
        return shares

    def answer(self, probabilities: np.ndarray) -> Answer:
        """Return the answer that probabilities `[classes]` give."""
        shares = dict(zip(self.class_names, map(float, probabilities), strict=True))
        predicted = self.class_names[int(probabilities.argmax())]
        confidence = shares[predicted]
        return Answer(predicted if confidence >= self.threshold else UNSURE, predicted, confidence, shares)
