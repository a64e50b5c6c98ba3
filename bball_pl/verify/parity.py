"""Parity: saved files answer real photos as the trained model does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from bball_pl.errors import PhotoError, VerificationError
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.photos.decode import decode, decode_file
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.photos.tree import Photo
from bball_pl.verify.executors.mil_program import MilProgram, constant_value, label_of, read_program
from bball_pl.verify.inspection import Gate
from bball_pl.verify.model_file import size_on_disk
from bball_pl.verify.runners import OnnxRunner, Runner

#: Largest difference of a probability between the trained model and a file that computes in 32 bits.
FP32_LIMIT = 1e-4
#: The same for one that computes in 16 bits; the parity kit allows a phone as much.
FP16_LIMIT = 0.02
#: The same between a 16-bit program and the proven 32-bit one with rounded constants, both computed in 32
#: bits: they do the same arithmetic with the same numbers.
ROUNDING_LIMIT = 1e-6
#: Difference of the two highest probabilities below which either answer is right: a near-tie.
NEAR_TIE = 0.02
#: Points of accuracy that a shipped file may lose, and that a compressed one may lose.
ACCURACY_LIMIT, COMPRESSED_ACCURACY_LIMIT = 0.005, 0.01
ACCURACY_GATE = "accuracy kept"
#: Distance from 1 of a sum of probabilities: each of them is rounded to 11 bits at most.
SUM_LIMIT = 2e-3
#: Largest number that 16 bits hold.
FP16_MAX = 65504.0


#: Photos that are kept as inputs, at a fifth of a megabyte each.
_KEPT = 1000


@dataclass(frozen=True)
class Reference:
    """Answers of the trained model, computed from the checkpoint by the code that training uses.

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
    _inputs: dict[tuple[int, PreprocessSpec], np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0–1."""
        return float((self.probabilities.argmax(1) == self.targets).mean())

    def pixels(self, row: int, spec: PreprocessSpec) -> np.ndarray:
        """Return a photo as a network's input, RGB uint8 `[S, S, 3]`; its bytes are decoded once for all files.

        Args:
            row: of the photo.
            spec: size and fit.

        Raises:
            PhotoError: if it cannot be decoded.
        """
        kept = self._inputs.get((row, spec))
        if kept is None:
            kept = spec.resize(decode_file(self.photos[row].path))
            if len(self._inputs) < _KEPT:
                self._inputs[row, spec] = kept
        return kept

    def first(self, number: int) -> Reference:
        """Return the part with about `number` photos, evenly over all of them."""
        step = max(1, len(self.photos) // number)
        return Reference(self.photos[::step], self.targets[::step], self.probabilities[::step], self.class_names)


@dataclass(frozen=True)
class FileParity:
    """Comparison of a saved file with the trained model.

    Attributes:
        name: name of the file.
        megabytes: size on disk, in 10⁶ bytes.
        engine: the runtime or executor that ran it.
        largest_difference: largest difference of any probability of any photo.
        same_answers: share of the photos with the same most probable class, 0–1.
        accuracy: share of right answers, 0–1.
        seconds_per_photo: time of one answer, without decoding.
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
        of_class = [photo for photo in photos if photo.class_name == name]
        count = min(len(of_class), -(-number // len(names)))
        chosen += [of_class[index * len(of_class) // count] for index in range(count)]
    return chosen


def reference_answers(model: TrainedModel, photos: Sequence[Photo]) -> Reference:
    """Answer photos with the trained model, in 32 bits.

    Raises:
        VerificationError: if a photo cannot be decoded.
    """
    inputs: dict[tuple[int, PreprocessSpec], np.ndarray] = {}

    def load(row: int) -> np.ndarray:
        photo = decode(photos[row].path)
        if row < _KEPT:
            inputs[row, model.spec] = model.spec.resize(photo)
        return photo

    rows = []
    for row, answer in model.logits(range(len(photos)), load):
        if isinstance(answer, PhotoError):
            raise VerificationError(f"{photos[row].relative}: {answer}. Every photo of the proof must be sound.")
        rows.append(answer)
    targets = np.array([model.class_names.index(photo.class_name) for photo in photos], np.int64)
    probabilities = softmax(np.stack(rows) / model.rule.temperature, axis=1)
    return Reference(list(photos), targets, probabilities, model.class_names, inputs)


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
    """Compare a saved file's answers with the trained model's, on every photo, starting at the photo's bytes.

    Size and fit of the photo are those that the file states, not those that the model was trained with: a file that
    states wrong ones must not pass.

    Args:
        path: the file, for its name and size.
        runner: the file, opened.
        reference: the trained model's answers.
        labels: the label of each class, in the order of the classes.
        engine: name of the runtime or executor.
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
        for row in range(len(reference.photos)):
            pixels = reference.pixels(row, spec)
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
        Gate(ACCURACY_GATE, f"{lost:+.2%} lost", f"≤ {accuracy_limit:.2%}", finite and lost <= accuracy_limit),
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
    rows = range(min(number, len(reference.photos)))
    photos = np.stack([reference.pixels(row, runner.preprocess) for row in rows])
    single = np.stack([runner.probabilities(photo) for photo in photos])
    difference = float(np.abs(runner.batch(photos) - single).max())
    return Gate("a batch as one by one", f"{difference:.1e}", "≤ 1.0e-05", difference <= 1e-5)


def rounding_gate(path: Path, precise: Path, reference: Reference) -> Gate:
    """Check that a 16-bit ML Program is a proven 32-bit one with its constants rounded, and nothing else.

    Two programs of the same ops, wired alike, with the same constants, answer alike; others answer all photos.

    Args:
        path: the 16-bit program, as it is shipped.
        precise: the 32-bit program of the same network, which is proven against the trained model.
        reference: the photos.
    """
    largest = 0.0
    try:
        shipped, rounded = MilProgram(path), MilProgram(precise, rounded_constants=True)
        differ = shipped.digest() != rounded.digest()
        for row in range(len(reference.photos) if differ else 0):
            pixels = reference.pixels(row, rounded.preprocess)
            difference = np.abs(shipped.probabilities(pixels) - rounded.probabilities(pixels)).max()
            largest = max(largest, float(difference) if np.isfinite(difference) else np.inf)
        found = f"{largest:.1e}"
    except VerificationError as error:
        largest, found = np.inf, str(error)
    return Gate("only rounded to 16 bits", found, f"≤ {ROUNDING_LIMIT:.1e}", largest <= ROUNDING_LIMIT)


def compression_gates(path: Path, original: Path, compression: str) -> list[Gate]:
    """Check that a compressed ML Program is the proven one with its large weights compressed, and nothing else.

    Args:
        path: the compressed program.
        original: the proven program that it was made from.
        compression: int8, or `paletteN` with N bits.

    Returns:
        Two gates: all steps and uncompressed constants are the same, and the largest error of a compressed weight, as
        a part of the bound that docs/export.md derives.
    """
    small, whole = read_program(path).operations, read_program(original).operations
    changed = [] if len(small) == len(whole) else [f"{len(small)} steps instead of {len(whole)}"]
    largest = 0.0
    for ours, theirs in zip(small, whole, strict=False):
        outputs = [[var.name for var in operation.outputs] for operation in (ours, theirs)]
        inputs = [dict(_inputs(operation)) for operation in (ours, theirs)]
        if ours.op_type != theirs.op_type or outputs[0] != outputs[1] or inputs[0].keys() != inputs[1].keys():
            changed.append(label_of(ours))
            continue
        for name, var in inputs[0].items():
            expected = inputs[1][name]
            if var.op is not None and var.op.op_type.startswith("constexpr_") and expected.val is not None:
                largest = max(largest, _compression_error(constant_value(var), expected.val, compression))
            elif var.val is None or expected.val is None:
                changed += [label_of(ours)] if var.name != expected.name else []
            elif not np.array_equal(var.val, expected.val):
                changed.append(f"{name} of {label_of(ours)}")
    text = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    return [
        Gate("same program but for the weights", text or "the same", "the same", not changed),
        Gate("error of the compressed weights", f"{largest:.2f} of the bound", "≤ 1 of the bound", largest <= 1),
    ]


def _inputs(operation: Any) -> Iterator[tuple[str, Any]]:
    for name, given in operation.inputs.items():
        if isinstance(given, list | tuple):
            yield from ((f"{name} {index}", var) for index, var in enumerate(given))
        elif given is not None:
            yield name, given


def _compression_error(found: np.ndarray, original: np.ndarray, compression: str) -> float:
    """Return the largest error of a weight as a part of its bound; more than 1 is a fault."""
    weights, found = original.astype(np.float64), found.astype(np.float64)
    if found.shape != weights.shape or not np.isfinite(found).all():
        return np.inf
    rows = weights.reshape(len(weights), -1)
    # Values, scales and tables are kept in 16 bits, whose relative error is 2**-11.
    rounding = 2.0**-10 * np.abs(rows).max(1, keepdims=True) + 2.0**-24
    error = np.abs(found - weights).reshape(rows.shape)
    if compression == "int8":
        # Half of one of the 127 steps up to the channel's largest weight; a tiny scale has an absolute error of 2**-25.
        rounding += 127 * 2.0**-25
        return float((error / (np.abs(rows).max(1, keepdims=True) / 254 + rounding)).max())
    bits = int(compression.removeprefix("palette"))
    table = np.unique(found)
    if len(table) > 2**bits:
        return np.inf
    # Each weight takes the nearest value, and the fitted values, of a histogram with 4,096 steps, are no worse than
    # equally spaced ones.
    above = np.searchsorted(table, weights).clip(1, max(1, len(table) - 1))
    nearest = np.minimum(np.abs(weights - table[above - 1]), np.abs(weights - table[above.clip(max=len(table) - 1)]))
    excess = (error - nearest.reshape(rows.shape)) / rounding.max()
    spread = (weights.max() - weights.min()) * (2.0 ** -(bits + 1) + 2.0**-13) + rounding.max()
    return float(max(excess.max(), np.sqrt(np.square(error).mean()) / spread))
