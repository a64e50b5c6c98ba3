"""Engines of the Try view: a trained model in torch, or an exported file in the runtime of its format."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bball_pl.evaluate.calibration import Answer, DecisionRule
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.studio.state import Models, Stamp, stamp
from bball_pl.studio.try_.try_routes import ExportedFile
from bball_pl.verify.exported_model import ExportedModel

#: Apple's Core AI takes seconds per photo on Linux; a warm-up photo would double them.
_SLOW = ".aimodel"


@dataclass(frozen=True)
class TimedAnswer:
    """Answer to a photo, and the time it took.

    Attributes:
        answer: the answer that a phone would give.
        preprocess_ms: time for making the photo square, in ms.
        forward_ms: time for normalisation, network and softmax, in ms.
    """

    answer: Answer
    preprocess_ms: float
    forward_ms: float


@dataclass
class Engine:
    """A network that answers photos one by one.

    Attributes:
        rule: its classes and threshold.
        spec: how a photo becomes its input.
        probabilities: returns calibrated probabilities: RGB uint8 `[S, S, 3]`, 0–255 → float `[classes]`.
        checkpoint_sha256: SHA-256 of its checkpoint, or of the one that it was exported from; empty if unknown.
        calibration: `fitted`, `no threshold` if none reaches the target accuracy on validation photos, or `none`.
        close: releases the resources of the format's runtime.
        load_seconds: time for opening it, in seconds.
    """

    rule: DecisionRule
    spec: PreprocessSpec
    probabilities: Callable[[np.ndarray], np.ndarray]
    checkpoint_sha256: str
    calibration: str
    close: Callable[[], None] = lambda: None
    load_seconds: float = 0.0

    def answer(self, photo: np.ndarray) -> TimedAnswer:
        """Answer a photo: RGB uint8 `[H, W, 3]`, 0–255, upright."""
        started = time.perf_counter()
        square = self.spec.resize(photo)
        resized = time.perf_counter()
        answer = self.rule.answer(self.probabilities(square))
        return TimedAnswer(answer, 1e3 * (resized - started), 1e3 * (time.perf_counter() - resized))

    def opened(self, started: float, warm_up: bool = True) -> Engine:
        """Note the loading time since `started`, after a warm-up photo.

        Runtimes initialise with the first photo, which would distort its timing.
        """
        if warm_up:
            self.answer(np.zeros((self.spec.size, self.spec.size, 3), np.uint8))
        self.load_seconds = time.perf_counter() - started
        return self


def model_engine(model: TrainedModel) -> Engine:
    """Return the engine of a trained model, with the temperature and threshold of its calibration."""
    started = time.perf_counter()

    def probabilities(square: np.ndarray) -> np.ndarray:
        # Resizing a photo that has the network's size already changes nothing, whatever the fit.
        ((_, logits),) = model.logits([square], lambda photo: photo)
        if isinstance(logits, Exception):
            raise logits
        return model.rule.probabilities(logits)

    calibration = "none" if model.calibration is None else "fitted"
    if model.calibration is not None and model.calibration.threshold is None:
        calibration = "no threshold"
    return Engine(model.rule, model.spec, probabilities, model.sha256, calibration).opened(started)


def file_engine(path: Path, fp16: bool = False) -> Engine:
    """Return the engine of an exported file, read from disk, with the settings in its metadata.

    Its probabilities are calibrated: the temperature is part of the exported network.

    Args:
        path: ends in .onnx, .mlpackage, .mlmodel or .aimodel.
        fp16: round the intermediate values of an ML Program as a phone does.

    Raises:
        VerificationError: if the file cannot be read, or does not state its classes and preprocessing.
        ConfigError: if the packages that its format needs are not installed.
    """
    started = time.perf_counter()
    model = ExportedModel.open(path, fp16=fp16)
    engine = Engine(
        # The file's probabilities are at its temperature already.
        rule=replace(model.rule, temperature=1.0),
        spec=model.spec,
        probabilities=lambda square: model.runner.probabilities(square).astype(np.float64),
        checkpoint_sha256=model.sha256,
        calibration="fitted" if model.calibration and model.calibration.threshold is not None else "no threshold",
        close=model.close,
    )
    return engine.opened(started, warm_up=path.suffix != _SLOW)


def largest_difference(answer: Answer, reference: Answer) -> float | None:
    """Return the largest difference of a probability, 0–1; None if the two do not have the same classes."""
    if set(answer.probabilities) != set(reference.probabilities):
        return None
    return max(abs(share - reference.probabilities[name]) for name, share in answer.probabilities.items())


#: Engines of trained models kept open, and of exported files: one of each format.
_MODELS, _FILES = 2, 4


class EngineCache:
    """Engines kept open; to be used in the compute thread only.

    Args:
        models: the trained models in memory.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._models_opened: OrderedDict[Path, tuple[TrainedModel, Engine]] = OrderedDict()
        self._files_opened: OrderedDict[Path, tuple[Stamp, Engine]] = OrderedDict()

    def checkpoint(self, path: Path) -> Engine:
        """Return the engine of a checkpoint.

        Raises:
            RunError: if the checkpoint or its calibration cannot be read.
        """
        model = self._models.load(path)
        known = self._models_opened.get(path)
        if known is None or known[0] is not model:
            known = model, model_engine(model)
            self._models_opened[path] = known
        self._models_opened.move_to_end(path)
        while len(self._models_opened) > _MODELS:
            self._models_opened.popitem(last=False)
        return known[1]

    def file(self, exported: ExportedFile) -> Engine:
        """Return the engine of an exported file.

        Raises:
            VerificationError: if the file cannot be read, or does not state its preprocessing.
            ConfigError: if the packages that its format needs are not installed.
        """
        path = exported.path
        files = stamp(*(sorted(path.rglob("*")) if path.is_dir() else [path]))
        known = self._files_opened.get(path)
        if known is None or known[0] != files:
            self._drop(path)
            known = files, file_engine(path, exported.fp16)
            self._files_opened[path] = known
        self._files_opened.move_to_end(path)
        while len(self._files_opened) > _FILES:
            self._drop(next(iter(self._files_opened)))
        return known[1]

    def _drop(self, path: Path) -> None:
        known = self._files_opened.pop(path, None)
        if known is not None:
            known[1].close()
