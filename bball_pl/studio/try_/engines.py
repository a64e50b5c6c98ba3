"""Engines of the view Try: a checkpoint in torch, or an exported file in the runtime of its format."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bball_pl.errors import BballError, VerificationError
from bball_pl.evaluate.calibration import Answer, Judge, calibration_file, read_calibration
from bball_pl.evaluate.explain import grad_cam
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.studio.models import Loaded, Models
from bball_pl.studio.try_.exports import ExportedFile
from bball_pl.verify.runners import file_facts, runner_for

#: Apple's Core AI takes seconds for a photo on Linux; a first, slower one would double them.
_SLOW = ".aimodel"


@dataclass(frozen=True)
class Timed:
    """An answer and what it took.

    Attributes:
        answer: as the phone would give it.
        preprocess_ms: making the photo square.
        forward_ms: normalisation, the network, softmax.
    """

    answer: Answer
    preprocess_ms: float
    forward_ms: float


class PhotoEngine(Protocol):
    """Something that answers photos one by one.

    Attributes:
        judge: its classes and its threshold.
        spec: how a photo becomes its input.
        checkpoint_sha256: of the checkpoint that it is, or that it was made from; empty if it does not say.
        calibration: `fitted`, `no threshold` if no confidence was enough on validation, or `none`.
        load_seconds: what opening it took.
    """

    judge: Judge
    spec: PreprocessSpec
    checkpoint_sha256: str
    calibration: str
    load_seconds: float

    def answer(self, photo: np.ndarray) -> Timed:
        """Answer a photo: RGB uint8 `[H, W, 3]`, 0–255, upright."""
        ...


class CheckpointEngine:
    """A checkpoint in torch, with its own temperature and threshold.

    Args:
        loaded: the checkpoint in memory.

    Raises:
        RunError: if the file of the calibration beside it is not one.
    """

    def __init__(self, loaded: Loaded) -> None:
        started = time.perf_counter()
        self._engine, self.spec, self.checkpoint_sha256 = loaded.engine, loaded.engine.spec, loaded.sha256
        # Not the judge that was loaded with it: the calibration may have been made since.
        self.judge = Judge.of_checkpoint(loaded.path, loaded.class_names)
        calibration = read_calibration(loaded.path)
        self.calibration = "none" if calibration is None else "fitted"
        if calibration is not None and calibration.threshold is None:
            self.calibration = "no threshold"
        _warm_up(self)
        self.load_seconds = time.perf_counter() - started

    def answer(self, photo: np.ndarray) -> Timed:
        """Answer a photo: RGB uint8 `[H, W, 3]`, 0–255, upright."""
        started = time.perf_counter()
        square = self.spec.resize(photo)
        resized = time.perf_counter()
        # The engine makes photos square itself; one that has the size already stays as it is, whatever the fit.
        ((_, logits),) = self._engine.run([square], _as_it_is)
        if isinstance(logits, Exception):
            raise logits
        answer = self.judge.answer(self.judge.probabilities(logits))
        return Timed(answer, 1e3 * (resized - started), 1e3 * (time.perf_counter() - resized))

    def explain(self, photo: np.ndarray, class_index: int) -> np.ndarray:
        """Say where in a photo the network saw a class.

        Args:
            photo: RGB uint8 `[H, W, 3]`, 0–255, upright.
            class_index: of the class.

        Returns:
            float32 `[h, w]` in the photo's proportions, at most 64 on the long side, 0–1.

        Raises:
            ConfigError: if the backbone has no feature maps.
        """
        return grad_cam(self._engine.classifier, [photo], [class_index])[0]


class FileEngine:
    """An exported file, read back from disk, with the preprocessing, classes and threshold that it states itself.

    Its probabilities are calibrated already: the temperature is inside.

    Args:
        path: ends in .onnx, .mlpackage, .mlmodel or .aimodel.
        fp16: round the intermediate values of an ML Program as a phone does.

    Raises:
        VerificationError: if the file cannot be read, or does not say how photos are to be handed to it.
        ConfigError: if the packages that its format needs are not installed.
    """

    def __init__(self, path: Path, fp16: bool = False) -> None:
        started = time.perf_counter()
        try:
            self._runner: Any = runner_for(path, fp16)
            facts = file_facts(path)
        except BballError:
            raise
        except Exception as error:  # each format's reader has exceptions of its own for damage
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise VerificationError(f"{path.name} cannot be read ({reason}). Export it again.") from error
        self.spec = facts.spec
        self.judge = _stated_judge(path, facts.metadata, self._runner.class_names)
        self.calibration = "fitted" if facts.metadata.get("bball_pl.threshold") else "no threshold"
        self.checkpoint_sha256 = facts.metadata.get("bball_pl.checkpoint_sha256", "")
        if set(self._runner.size) != {self.spec.size}:
            raise VerificationError(
                f"{path.name} takes photos of {self._runner.size[0]} × {self._runner.size[1]} px and says "
                f"{self.spec.size}. Export it again with scripts/export.py."
            )
        if path.suffix != _SLOW:
            _warm_up(self)
        self.load_seconds = time.perf_counter() - started

    def answer(self, photo: np.ndarray) -> Timed:
        """Answer a photo: RGB uint8 `[H, W, 3]`, 0–255, upright."""
        started = time.perf_counter()
        square = self.spec.resize(photo)
        resized = time.perf_counter()
        probabilities = self._runner.probabilities(square).astype(np.float64)
        answer = self.judge.answer(probabilities)
        return Timed(answer, 1e3 * (resized - started), 1e3 * (time.perf_counter() - resized))

    def close(self) -> None:
        """Give back what the format's runtime holds open."""
        if hasattr(self._runner, "close"):
            self._runner.close()


def largest_difference(answer: Answer, reference: Answer) -> float | None:
    """Return the largest difference of a probability, 0–1; None if the two do not have the same classes."""
    if set(answer.probabilities) != set(reference.probabilities):
        return None
    return max(abs(share - reference.probabilities[name]) for name, share in answer.probabilities.items())


def _stated_judge(path: Path, metadata: dict[str, str], labels: list[str]) -> Judge:
    """Return a judge by what a file's metadata says; labels are what a phone shows, classes are what they mean."""
    try:
        names = [str(name) for name in json.loads(metadata["bball_pl.classes"])]
        threshold = float(metadata.get("bball_pl.threshold") or 0)
    except (KeyError, ValueError, TypeError) as error:
        raise VerificationError(f"{path.name} does not say what its classes and threshold are ({error})") from error
    if len(names) != len(labels):
        raise VerificationError(f"{path.name} has {len(labels)} labels and says {len(names)} classes. Export it again.")
    return Judge(names, threshold=threshold)


def _warm_up(engine: PhotoEngine) -> None:
    # The first photo pays for what a runtime prepares once: it would be taken for the time of every photo.
    engine.answer(np.zeros((engine.spec.size, engine.spec.size, 3), np.uint8))


def _as_it_is(photo: np.ndarray) -> np.ndarray:
    return photo


#: Checkpoints in memory at once, and exported files: one of each format.
_CHECKPOINTS, _FILES = 2, 4

_Stamp = tuple[tuple[str, int, int], ...]


class OpenEngines:
    """Holds engines; to be used in the thread of the networks only.

    Args:
        models: holds the checkpoints.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._checkpoints: OrderedDict[Path, tuple[_Stamp, CheckpointEngine]] = OrderedDict()
        self._files: OrderedDict[Path, tuple[_Stamp, FileEngine]] = OrderedDict()

    def checkpoint(self, path: Path) -> CheckpointEngine:
        """Return a checkpoint's engine.

        Raises:
            RunError: if the checkpoint or the calibration beside it cannot be read.
        """
        stamp = _stamp(path, calibration_file(path))
        known = self._checkpoints.get(path)
        if known is None or known[0] != stamp:
            known = stamp, CheckpointEngine(self._models.load(path))
            self._checkpoints[path] = known
        self._checkpoints.move_to_end(path)
        while len(self._checkpoints) > _CHECKPOINTS:
            self._checkpoints.popitem(last=False)
        return known[1]

    def file(self, exported: ExportedFile) -> FileEngine:
        """Return an exported file's engine.

        Raises:
            VerificationError: if the file cannot be read, or does not say how photos are to be handed to it.
            ConfigError: if the packages that its format needs are not installed.
        """
        path = exported.path
        stamp = _stamp(*(sorted(path.rglob("*")) if path.is_dir() else [path]))
        known = self._files.get(path)
        if known is None or known[0] != stamp:
            self._drop(path)
            known = stamp, FileEngine(path, exported.fp16)
            self._files[path] = known
        self._files.move_to_end(path)
        while len(self._files) > _FILES:
            self._drop(next(iter(self._files)))
        return known[1]

    def _drop(self, path: Path) -> None:
        known = self._files.pop(path, None)
        if known is not None:
            known[1].close()


def _stamp(*paths: Path) -> _Stamp:
    """Return name, time of change in ns and bytes of the files that are there: equal stamps, equal content."""
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((path.name, status.st_mtime_ns, status.st_size))
    return tuple(found)
