"""Parity: saved files are shown real photos and have to answer as the trained model does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.special import softmax

from bball_pl.errors import PhotoError, VerificationError
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.photos.decode import decode
from bball_pl.photos.tree import Photo
from bball_pl.verify.inspection import Gate
from bball_pl.verify.model_file import size_on_disk
from bball_pl.verify.runners import OnnxRunner, Runner

#: Largest difference of a probability between the trained model and a file that computes in 32 bits.
FP32_LIMIT = 1e-4
#: Difference of the two highest probabilities below which either answer is right: a near-tie.
NEAR_TIE = 0.02
#: Points of accuracy that a shipped file may lose, and that a compressed one may lose.
ACCURACY_LIMIT, COMPRESSED_ACCURACY_LIMIT = 0.005, 0.01
#: Distance from 1 of a sum of probabilities: each of them is rounded to 11 bits at most.
SUM_LIMIT = 2e-3
#: Largest number that 16 bits hold.
FP16_MAX = 65504.0


@dataclass(frozen=True)
class Reference:
    """What the trained model answers, computed from the checkpoint by the code that training uses.

    Attributes:
        photos: N photos with known classes.
        targets: int64 `[N]`.
        probabilities: float32 `[N, classes]`, at the calibrated temperature.
        class_names: in the order of the columns.
    """

    photos: list[Photo]
    targets: np.ndarray
    probabilities: np.ndarray
    class_names: list[str]

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0–1."""
        return float((self.probabilities.argmax(1) == self.targets).mean())

    def first(self, number: int) -> Reference:
        """Return the part with about `number` photos, evenly over all of them."""
        step = max(1, len(self.photos) // number)
        return Reference(self.photos[::step], self.targets[::step], self.probabilities[::step], self.class_names)


@dataclass(frozen=True)
class FileParity:
    """How a saved file compares with the trained model.

    Attributes:
        name: of the file.
        megabytes: its size on disk, in 10⁶ bytes.
        engine: what it was run with.
        largest_difference: of any probability of any photo.
        same_answers: share of the photos with the same most probable class, 0–1.
        accuracy: share of right answers, 0–1.
        seconds_per_photo: of the run, without decoding.
        largest_activation: largest absolute intermediate value; 0 where it cannot be seen.
        gates: the conditions.
    """

    name: str
    megabytes: float
    engine: str
    largest_difference: float
    same_answers: float
    accuracy: float
    seconds_per_photo: float
    largest_activation: float
    gates: list[Gate] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every gate holds."""
        return all(gate.passed for gate in self.gates)


def choose_photos(photos: Sequence[Photo], number: int) -> list[Photo]:
    """Return about `number` photos, evenly over the classes and over each class's list; all of them if it is 0."""
    if number <= 0 or number >= len(photos):
        return list(photos)
    names = sorted({photo.class_name for photo in photos})
    chosen: list[Photo] = []
    for name in names:
        mine = [photo for photo in photos if photo.class_name == name]
        share = min(len(mine), -(-number // len(names)))
        chosen += [mine[place * len(mine) // share] for place in range(share)]
    return chosen


def reference_answers(model: TrainedModel, photos: Sequence[Photo]) -> Reference:
    """Answer photos with the trained model, in 32 bits.

    Raises:
        VerificationError: if a photo cannot be decoded.
    """
    rows = []
    for photo, answer in model.logits(photos, lambda photo: decode(photo.path)):
        if isinstance(answer, PhotoError):
            raise VerificationError(f"{photo.relative}: {answer}. Every photo of the proof must be sound.")
        rows.append(answer)
    targets = np.array([model.class_names.index(photo.class_name) for photo in photos], np.int64)
    return Reference(list(photos), targets, softmax(np.stack(rows) / model.rule.temperature, axis=1), model.class_names)


def compare_file(
    path: Path,
    runner: Runner,
    reference: Reference,
    labels: Sequence[str],
    *,
    engine: str,
    difference_limit: float | None,
    accuracy_limit: float = ACCURACY_LIMIT,
    progress: Callable[[], None] = lambda: None,
) -> FileParity:
    """Show a saved file every photo, from the photo's bytes on, and hold its answers against the trained model's.

    Size and fit of the photo are those that the file states, not those that the model was trained with: a file that
    states others must not pass.

    Args:
        path: the file, for its size and its statements.
        runner: the file, opened.
        reference: the trained model's answers.
        labels: the label of each class, in the order of the classes.
        engine: name of what runs it.
        difference_limit: largest difference that is allowed, or None if answers and accuracy decide.
        accuracy_limit: accuracy that may be lost, 0–1.
        progress: called after each photo.
    """
    spec = runner.preprocess
    gates = [
        Gate("labels in order", ", ".join(runner.class_names), ", ".join(labels), runner.class_names == list(labels)),
        Gate(
            "photo's size",
            f"{runner.size[0]} × {runner.size[1]}",
            f"{spec.size} × {spec.size}",
            set(runner.size) == {spec.size},
        ),
    ]
    answers = np.full_like(reference.probabilities, np.nan)
    seconds = 0.0
    if all(gate.passed for gate in gates):
        for row, photo in enumerate(reference.photos):
            pixels = spec.resize(decode(photo.path))
            started = time.perf_counter()
            answers[row] = runner.probabilities(pixels)
            seconds += time.perf_counter() - started
            progress()
    difference = float(np.abs(answers - reference.probabilities).max())
    ranked = np.sort(reference.probabilities, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] >= NEAR_TIE
    finite = bool(np.isfinite(answers).all())
    # argmax of not-a-number would be the first class, which may be right.
    predicted = np.where(np.isfinite(answers).all(1), answers.argmax(1), -1)
    same = predicted == reference.probabilities.argmax(1)
    accuracy = float((predicted == reference.targets).mean())
    changed = int((clear & ~same).sum())
    lost = reference.accuracy - accuracy
    off = float(np.abs(answers.sum(1) - 1).max())
    gates += [
        Gate("probabilities sum to 1", f"{off:.1e} off", f"≤ {SUM_LIMIT:.1e}", finite and off <= SUM_LIMIT),
        Gate("same answers, near-ties aside", f"{changed} changed", "0 changed", finite and changed == 0),
        Gate("accuracy kept", f"{lost:+.2%} lost", f"≤ {accuracy_limit:.2%}", finite and lost <= accuracy_limit),
    ]
    if difference_limit is not None:
        passed = finite and difference <= difference_limit
        gates.append(Gate("largest difference", f"{difference:.1e}", f"≤ {difference_limit:.1e}", passed))
    if runner.largest_activation:
        largest = runner.largest_activation
        gates.append(Gate("fits into 16 bits", f"{largest:.4g}", f"≤ {FP16_MAX:.4g}", largest <= FP16_MAX))
    return FileParity(
        name=path.name,
        megabytes=size_on_disk(path) / 1e6,
        engine=engine,
        largest_difference=difference,
        same_answers=float(same.mean()),
        accuracy=accuracy,
        seconds_per_photo=seconds / len(reference.photos),
        largest_activation=runner.largest_activation,
        gates=gates,
    )


def batch_gate(runner: OnnxRunner, reference: Reference, number: int = 3) -> Gate:
    """Check that an ONNX file answers a batch as it answers its photos one by one."""
    photos = np.stack([runner.preprocess.resize(decode(photo.path)) for photo in reference.photos[:number]])
    single = np.stack([runner.probabilities(photo) for photo in photos])
    difference = float(np.abs(runner.batch(photos) - single).max())
    return Gate("a batch as one by one", f"{difference:.1e}", "≤ 1.0e-05", difference <= 1e-5)
