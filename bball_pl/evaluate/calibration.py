"""Calibration and decision rule: temperature scaling, rejection threshold, reliability, risk–coverage."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from bball_pl.errors import ConfigError, RunError
from bball_pl.files import write_text
from bball_pl.model.court_weights import CAUTION, is_court_checkpoint

#: Accuracy that the answers above the threshold should have, unless the user says otherwise.
TARGET_ACCURACY = 0.95


@dataclass(frozen=True)
class Calibration:
    """What validation photos say about a checkpoint's confidences.

    Attributes:
        temperature: logits are divided by it before the softmax; above 1 the network was too sure.
        threshold: calibrated confidence from which on an answer is given, 0–1, "unsure" below; None if no threshold
            reaches `target_accuracy` on the validation photos.
        target_accuracy: wanted accuracy of the answers that are given, 0–1.
        coverage: share of the validation photos that are answered at the threshold, 0–1.
        selective_accuracy: accuracy of those, 0–1; None without a threshold.
        n: number of validation photos.
        nll_before: mean negative log-likelihood at temperature 1, in nats.
        nll_after: the same at the temperature.
        checkpoint_sha256: of the checkpoint's bytes, so that a file of another checkpoint is noticed.
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
    """Accuracy of the most confident answers, for every number of answers, the most confident first.

    Attributes:
        threshold: confidence of the last answer that is given, float `[K]`, falling; K distinct confidences.
        coverage: share of the photos that are answered, float `[K]`, rising to 1.
        accuracy: share of right answers among them, float `[K]`.
    """

    threshold: np.ndarray
    coverage: np.ndarray
    accuracy: np.ndarray


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Fit the temperature that makes the true classes most likely (arXiv:1706.04599).

    A weak prior (the logarithm of the temperature is about 0 ± 1) decides where photos cannot: with all of a few
    validation photos answered rightly, likelihood alone would ask for a temperature of zero.

    Args:
        logits: float `[N, classes]`.
        targets: int64 `[N]`.
    """
    logits = logits.astype(np.float64)

    def objective(log_temperature: float) -> float:
        return nll(logits / np.exp(log_temperature), targets) * len(targets) + log_temperature**2 / 2

    return float(np.exp(minimize_scalar(objective, bounds=(-3, 3), method="bounded").x))


def nll(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean negative log-likelihood of the true classes, in nats; arguments as in `fit_temperature`."""
    return float(-log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(targets)), targets].mean())


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> RiskCoverage:
    """Return the accuracy at every coverage; answers of equal confidence come and go together.

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
    """Return the lowest threshold from which on the answers reach an accuracy, or None if no threshold does.

    The threshold is 0 if all answers together reach it, else half-way between the last answer that is given and the
    first that is not. It is the most favourable one for these very photos, so the answers to others will be right
    somewhat less often, and with few photos much less.

    Args:
        confidence: float `[N]`, 0–1; N of 1 or more.
        correct: bool `[N]`.
        target_accuracy: of the answers that are given, 0–1.
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
    # Nothing lies between neighbouring floats, and the middle must not be rounded to the one below.
    return float(middle if middle > below else above)


def calibrate(logits: np.ndarray, targets: np.ndarray, target_accuracy: float, checkpoint_sha256: str) -> Calibration:
    """Fit temperature and threshold on the answers to validation photos.

    Args:
        logits: float `[N, classes]`, N of 1 or more.
        targets: int64 `[N]`.
        target_accuracy: of the answers that are given, 0–1.
        checkpoint_sha256: of the network that gave the logits.
    """
    temperature = fit_temperature(logits, targets)
    # In 32 bits, as answers are given: the threshold must fall between confidences as they will be.
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


def calibration_file(checkpoint: str | os.PathLike[str]) -> Path:
    """Return where a checkpoint's calibration lies: `best.calibration.json` beside `best.ckpt`."""
    return Path(checkpoint).with_suffix(".calibration.json")


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_calibration(checkpoint: str | os.PathLike[str], calibration: Calibration) -> Path:
    """Write a calibration beside its checkpoint, whole or not at all, and return its file."""
    path = calibration_file(checkpoint)
    write_text(path, json.dumps(asdict(calibration), indent=2) + "\n")
    return path


def read_calibration(checkpoint: str | os.PathLike[str]) -> Calibration | None:
    """Return the calibration beside a checkpoint, or None if there is none or it is of another checkpoint.

    Raises:
        RunError: if the file is there but is not a calibration.
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
        raise RunError(f"{path} is not a calibration ({error}). Delete it and run scripts/evaluate.py.") from error
    # A resumed run replaces best.ckpt; the temperature of the old one says nothing about the new one.
    return calibration if calibration.checkpoint_sha256 == file_sha256(checkpoint) else None


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
            if is_court_checkpoint(checkpoint):
                note = CAUTION
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
