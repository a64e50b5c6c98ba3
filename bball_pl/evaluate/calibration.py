"""Calibration and decision rule: temperature scaling, rejection threshold, reliability, risk–coverage."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from bball_pl.errors import ConfigError, RunError
from bball_pl.evaluate.metrics import Share
from bball_pl.evaluate.predictions import Answers
from bball_pl.files import write_text
from bball_pl.model.calibration_error import CALIBRATION_BINS
from bball_pl.model.temperature import fit_temperature, nll

#: Default accuracy that the answers above the threshold should have.
TARGET_ACCURACY = 0.95


@dataclass(frozen=True)
class Calibration:
    """Calibration of a checkpoint on its validation photos.

    Attributes:
        temperature: divisor of the logits before the softmax; above 1, the network was too sure.
        threshold: lowest calibrated confidence that is answered, 0–1, "unsure" below; None if no threshold reaches
            `target_accuracy` on the validation photos.
        target_accuracy: wanted accuracy of the answered photos, 0–1.
        coverage: share of the validation photos that are answered at the threshold, 0–1.
        selective_accuracy: accuracy of those, 0–1; None without a threshold.
        n: number of validation photos; 0 if only temperature and threshold are known, as of an exported file.
        nll_before: mean negative log-likelihood at temperature 1, in nats.
        nll_after: mean negative log-likelihood at the fitted temperature, in nats.
        checkpoint_sha256: SHA-256 of the checkpoint, so that the calibration of another checkpoint is recognised.
    """

    temperature: float
    threshold: float | None
    target_accuracy: float
    coverage: float
    selective_accuracy: float | None
    n: int
    nll_before: float
    nll_after: float
    checkpoint_sha256: str


@dataclass(frozen=True)
class RiskCoverage:
    """Accuracy of the most confident answers, at every coverage.

    Attributes:
        threshold: confidence of the last answer included, float `[K]`, falling; K distinct confidences.
        coverage: share of the photos that are answered, float `[K]`, rising to 1.
        accuracy: share of right answers among them, float `[K]`.
    """

    threshold: np.ndarray
    coverage: np.ndarray
    accuracy: np.ndarray


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> RiskCoverage:
    """Return the accuracy at every coverage; answers of equal confidence share a threshold.

    Args:
        confidence: float `[N]`, 0–1; N of 1 or more.
        correct: bool `[N]`.
    """
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    answered = np.arange(1, len(ranked) + 1)
    last = np.append(ranked[1:] != ranked[:-1], True)
    accuracy = np.cumsum(correct[order]) / answered
    return RiskCoverage(ranked[last], answered[last] / len(ranked), accuracy[last])


def threshold_for(confidence: np.ndarray, correct: np.ndarray, target_accuracy: float) -> float | None:
    """Return the lowest threshold above which the answers reach an accuracy, or None if no threshold does.

    The threshold is 0 if all answers together reach it, else half-way between the last answer included and the first
    one excluded. It is fitted to these photos: on others the accuracy will be somewhat lower, with few photos much
    lower.

    Args:
        confidence: float `[N]`, 0–1; N of 1 or more.
        correct: bool `[N]`.
        target_accuracy: wanted accuracy of the answered photos, 0–1.
    """
    curve = risk_coverage(confidence, correct)
    reaching = np.flatnonzero(curve.accuracy >= target_accuracy)
    if len(reaching) == 0:
        return None
    last = int(reaching[-1])
    if last == len(curve.threshold) - 1:
        return 0.0
    above, below = curve.threshold[last : last + 2]
    middle = (above + below) / 2
    # Between neighbouring floats there is no middle, and it must not be rounded to the lower one.
    return float(middle if middle > below else above)


def calibrate(logits: np.ndarray, targets: np.ndarray, target_accuracy: float, checkpoint_sha256: str) -> Calibration:
    """Fit temperature and threshold on the answers to validation photos.

    Args:
        logits: float `[N, classes]`, N of 1 or more.
        targets: int64 `[N]`.
        target_accuracy: wanted accuracy of the answered photos, 0–1.
        checkpoint_sha256: SHA-256 of the checkpoint that gave the logits.
    """
    temperature = fit_temperature(logits, targets)
    # In 32 bits, as in an evaluation: the threshold must fall between confidences as they are rounded then.
    probabilities = softmax(logits.astype(np.float32) / np.float32(temperature), axis=1)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == targets
    threshold = threshold_for(confidence, correct, target_accuracy)
    answered = confidence >= threshold if threshold is not None else np.zeros(len(targets), bool)
    return Calibration(
        temperature=temperature,
        threshold=threshold,
        target_accuracy=target_accuracy,
        coverage=float(answered.mean()),
        selective_accuracy=float(correct[answered].mean()) if answered.any() else None,
        n=len(targets),
        nll_before=nll(logits, targets),
        nll_after=nll(logits / temperature, targets),
        checkpoint_sha256=checkpoint_sha256,
    )


@dataclass(frozen=True)
class Bin:
    """Reliability of answers of similar confidence.

    Attributes:
        low: lower edge of the bin, 0–1.
        high: upper edge of the bin, 0–1.
        confidence: mean confidence of the answers, 0–1.
        accuracy: share of right answers.
    """

    low: float
    high: float
    confidence: float
    accuracy: Share


def reliability(probabilities: np.ndarray, targets: np.ndarray) -> list[Bin]:
    """Return the bins of the calibration error, without the empty ones.

    Args:
        probabilities: float `[N, classes]`, rows sum to 1.
        targets: int64 `[N]`.
    """
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == targets
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1, dtype=np.float32)
    # A bin includes its lower edge; full certainty belongs to the last one.
    index = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, CALIBRATION_BINS - 1)
    bins = []
    for number in np.unique(index).tolist():
        inside = index == number
        accuracy = Share(int(correct[inside].sum()), int(inside.sum()))
        bins.append(Bin(float(edges[number]), float(edges[number + 1]), float(confidence[inside].mean()), accuracy))
    return bins


@dataclass(frozen=True)
class OperatingPoint:
    """Coverage and accuracy of a split at the threshold of "unsure".

    Attributes:
        threshold: lowest calibrated confidence that is answered, 0–1.
        target_accuracy: accuracy that the threshold was fitted for, 0–1.
        coverage: share of the photos that are answered.
        accuracy: share of right answers among them; None if no photo is answered.
    """

    threshold: float
    target_accuracy: float
    coverage: Share
    accuracy: Share | None


def operating_point(answers: Answers, calibration: Calibration | None) -> OperatingPoint | None:
    """Apply the threshold of a calibration to a split; None without a threshold."""
    if calibration is None or calibration.threshold is None:
        return None
    answered = answers.confidence >= calibration.threshold
    coverage = Share(int(answered.sum()), len(answers))
    accuracy = Share.of(answers.correct[answered])
    return OperatingPoint(calibration.threshold, calibration.target_accuracy, coverage, accuracy)


def calibration_file(checkpoint: str | os.PathLike[str]) -> Path:
    """Return the path of a checkpoint's calibration: `best.calibration.json` beside `best.ckpt`."""
    return Path(checkpoint).with_suffix(".calibration.json")


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_calibration(checkpoint: str | os.PathLike[str], calibration: Calibration) -> Path:
    """Write a calibration atomically beside its checkpoint and return its file."""
    path = calibration_file(checkpoint)
    write_text(path, json.dumps(asdict(calibration), indent=2) + "\n")
    return path


def read_calibration(checkpoint: str | os.PathLike[str], sha256: str | None = None) -> Calibration | None:
    """Return the calibration beside a checkpoint, or None if there is none or it belongs to another checkpoint.

    Args:
        checkpoint: the checkpoint's file.
        sha256: SHA-256 of that file, where it is known. Default: computed.

    Raises:
        RunError: if the file exists but is not a calibration.
    """
    path = calibration_file(checkpoint)
    if not path.is_file():
        return None
    try:
        calibration = Calibration(**json.loads(path.read_text(encoding="utf-8")))
        if not 0 < calibration.temperature < 100:
            raise ValueError(f"temperature is {calibration.temperature}")
        if calibration.threshold is not None and not 0 <= calibration.threshold <= 1:
            raise ValueError(f"threshold is {calibration.threshold}")
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path} is not a calibration ({error}). Delete it and run bball evaluate.") from error
    # A resumed run replaces best.ckpt; the temperature of the earlier one says nothing about the new one.
    return calibration if calibration.checkpoint_sha256 == (sha256 or file_sha256(checkpoint)) else None


#: Label of an answer whose confidence is below the threshold.
UNSURE = "unsure"


@dataclass(frozen=True)
class Answer:
    """Answer to one photo or frame.

    Attributes:
        label: the most probable class, or "unsure" if its probability is below the threshold.
        predicted: the most probable class.
        confidence: probability of the most probable class, 0–1.
        probabilities: by class name, in the order of the classes, 0–1, with a sum of 1.
    """

    label: str
    predicted: str
    confidence: float
    probabilities: dict[str, float]

    @property
    def ranking(self) -> list[tuple[str, float]]:
        """Classes with their probabilities, the most probable first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])


@dataclass(frozen=True)
class DecisionRule:
    """Decision rule: temperature, softmax, most probable class, rejection threshold.

    Attributes:
        class_names: in the order of the logits.
        temperature: divisor of the logits before the softmax.
        threshold: confidence below which the answer is "unsure", 0–1.
        note: remark for the user on the confidences; empty if they are calibrated.
    """

    class_names: Sequence[str]
    temperature: float = 1.0
    threshold: float = 0.0
    note: str = ""

    @classmethod
    def of_calibration(
        cls, class_names: Sequence[str], calibration: Calibration | None, threshold: float | None = None
    ) -> DecisionRule:
        """Return the rule of a calibration; without one, temperature 1 and never "unsure".

        Args:
            class_names: in the order of the logits.
            calibration: of the checkpoint that gives the logits.
            threshold: replaces the calibration's, 0–1.

        Raises:
            ConfigError: if the threshold is out of range.
        """
        if threshold is not None and not 0 <= threshold <= 1:
            raise ConfigError(f"--threshold is {threshold}; expected a number from 0 to 1")
        note = ""
        if calibration is None:
            note = "confidences are not calibrated: the checkpoint has no calibration. Make it with bball evaluate"
        elif threshold is None and calibration.threshold is None:
            note = (
                f"no threshold reaches {calibration.target_accuracy:.0%} accuracy on the {calibration.n} validation "
                f'photos: no answer is "{UNSURE}". Pass --threshold to set one'
            )
        fitted = 0.0 if calibration is None else calibration.threshold or 0.0
        temperature = 1.0 if calibration is None else calibration.temperature
        return cls(class_names, temperature, fitted if threshold is None else threshold, note)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities: logits `[…, classes]` → float64 `[…, classes]`, rows sum to 1."""
        shares: np.ndarray = softmax(logits.astype(np.float64) / self.temperature, axis=-1)
        return shares

    def answer(self, probabilities: np.ndarray) -> Answer:
        """Return the answer for probabilities `[classes]`."""
        shares = dict(zip(self.class_names, map(float, probabilities), strict=True))
        predicted = self.class_names[int(probabilities.argmax())]
        confidence = shares[predicted]
        return Answer(predicted if confidence >= self.threshold else UNSURE, predicted, confidence, shares)
