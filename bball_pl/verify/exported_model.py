"""ExportedModel: an exported file that answers photos as its trained model does, by what its metadata states."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bball_pl import project
from bball_pl.errors import BballError, ConfigError, PhotoError, VerificationError
from bball_pl.evaluate.calibration import Calibration, DecisionRule, file_sha256, read_calibration
from bball_pl.evaluate.trained_model import Tta
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.court_weights import CAUTION, court_checkpoint
from bball_pl.verify.model_file import reason_of
from bball_pl.verify.runners import Runner, runner_for

Source = TypeVar("Source")

#: Suffixes of the files that can answer.
SUFFIXES = (".onnx", ".mlpackage", ".mlmodel", ".aimodel")
#: Smallest probability that a logarithm is taken of: 16 bits hold nothing below it.
_SMALLEST = 2.0**-24


class ExportedModel:
    """An exported file, opened in the runtime of its format, with the facts that its metadata states.

    It answers as a `TrainedModel`: temperature, threshold, class names and preprocessing are those in the file.

    Example:
        >>> model = ExportedModel.open("exports/demo/BasketballMoves.mlpackage")
        >>> for photo, logits in model.logits(["photo.jpg"], decode):
        ...     print(model.rule.answer(model.rule.probabilities(logits)).label)

    Attributes:
        runner: the file in its runtime.
        spec: how a photo becomes the input.
        class_names: in the order of the probabilities; the labels that a phone shows may be others.
        rule: temperature and threshold.
        calibration: temperature and threshold as a calibration; None if the file states neither.
        checkpoint: path of the file.
        sha256: SHA-256 of the checkpoint that it was exported from; empty if it is not stated.
        run: folder of that checkpoint's run, after `find_run`; None if it is not known.
        data: the training dataset, as in `TrainedModel`, after `find_run`.
        held_out: always None: a file is not calibrated again.
        tta: always none.
    """

    tta: Tta = "none"
    held_out: dict[str, Any] | None = None

    def __init__(self, path: Path, runner: Runner, threshold: float | None = None) -> None:
        self.checkpoint, self.runner = path, runner
        self.spec = runner.preprocess
        if set(runner.size) != {self.spec.size}:
            raise VerificationError(
                f"{path.name} takes photos of {runner.size[0]} × {runner.size[1]} px and says {self.spec.size}. "
                "Export it again with bball export."
            )
        self.class_names, temperature, stated = _stated(path, runner)
        self.sha256 = runner.metadata.get("bball_pl.checkpoint_sha256", "")
        self.calibration: Calibration | None = None
        if temperature != 1.0 or stated is not None:
            self.calibration = Calibration(temperature, stated, 0.0, 0.0, None, 0, 0.0, 0.0, self.sha256)
        note = ""
        if self.calibration is None:
            note = f"confidences are not calibrated: {path.name} was exported before bball evaluate"
        elif stated is None and threshold is None:
            note = f'{path.name} states no threshold: no answer is "unsure". Pass --threshold to set one'
        if self.sha256 and self.sha256 == file_sha256(court_checkpoint()):
            note = CAUTION
        self.rule = replace(DecisionRule.of_calibration(self.class_names, self.calibration, threshold), note=note)
        self.run: Path | None = None
        self.data: dict[str, Any] = {}

    @classmethod
    def open(cls, path: Path, *, threshold: float | None = None, fp16: bool = True) -> ExportedModel:
        """Open an exported file.

        Args:
            path: ends in .onnx, .mlpackage, .mlmodel or .aimodel.
            threshold: confidence below which the answer is "unsure", 0–1. Default: the file's.
            fp16: round values that a program calls 16-bit, as a phone does.

        Raises:
            VerificationError: if the file is missing, cannot be read or run, or does not state classes and
                preprocessing.
            ConfigError: if its format is another one, its runtime is not installed, or `threshold` is out of range.
        """
        path = Path(path)
        if path.suffix not in SUFFIXES:
            raise ConfigError(f"{path} is no exported file; expected one that ends in {', '.join(SUFFIXES)}")
        if not path.exists():
            raise VerificationError(f"there is no {path}; make one with bball export")
        try:
            return cls(path, runner_for(path, fp16), threshold)
        except BballError:
            raise
        except Exception as error:  # each format's reader has its own exceptions for damaged files
            raise VerificationError(f"{path.name} cannot be read ({reason_of(error)}). Export it again.") from error

    def logits(
        self, sources: Iterable[Source], load: Callable[[Source], np.ndarray]
    ) -> Generator[tuple[Source, np.ndarray | PhotoError], None, None]:
        """Answer photos in their order.

        Args:
            sources: anything that `load` takes; consumed only as fast as the file answers.
            load: returns a photo as RGB uint8 `[H, W, 3]`, 0–255, upright.

        Yields:
            Each source with its logits, float32 `[classes]`, up to a constant, as the temperature and the softmax
            inside the file had them; or with the `PhotoError` that `load` raised.

        Raises:
            VerificationError: if the file cannot be run, or answers with what is no number.
        """
        for source in sources:
            try:
                pixels = self.spec.resize(load(source))
            except PhotoError as error:
                yield source, error
                continue
            shares = self.runner.probabilities(pixels).astype(np.float64)
            if not np.isfinite(shares).all():
                raise VerificationError(f"{self.checkpoint.name} answers with what is no number: it is damaged")
            yield source, (self.rule.temperature * np.log(shares.clip(_SMALLEST))).astype(np.float32)

    def find_run(self, run: Path | None = None, logs: Path = project.ROOT / project.LOGS) -> None:
        """Find the run that the file was exported from, by the checkpoint's SHA-256: it knows the photos.

        Args:
            run: folder of the run. Default: searched for.
            logs: folder of the runs.

        Raises:
            ConfigError: if `run` is given and is another one.
        """
        found = (
            [project.best_checkpoint(run)] if run is not None else sorted(logs.glob("*/version_*/checkpoints/*.ckpt"))
        )
        checkpoint = next((path for path in found if self.sha256 and file_sha256(path) == self.sha256), None)
        if checkpoint is None:
            if run is not None:
                raise ConfigError(
                    f"{self.checkpoint.name} was not exported from {found[0]}; pass the run that it comes from, or "
                    "--root DIR with labelled photos"
                )
            return
        self.run = project.run_of_checkpoint(checkpoint)
        self.data = read_checkpoint(checkpoint)["bball_pl"].get("data", {})
        known = read_calibration(checkpoint, self.sha256)
        stated = self.calibration
        if known is not None and stated is not None:
            same = (known.temperature, known.threshold) == (stated.temperature, stated.threshold)
            self.calibration = known if same else stated

    def close(self) -> None:
        """Release what the runtime keeps open."""
        self.runner.close()


def _stated(path: Path, runner: Runner) -> tuple[list[str], float, float | None]:
    """Return the class names, the temperature and the threshold in a file's metadata."""
    fields = runner.metadata
    try:
        names = [str(name) for name in json.loads(fields["bball_pl.classes"])]
        temperature = float(fields.get("bball_pl.temperature") or 1)
        threshold = float(fields["bball_pl.threshold"]) if fields.get("bball_pl.threshold") else None
        if not 0 < temperature < 100 or not 0 <= (threshold or 0) <= 1:
            raise ValueError(f"temperature {temperature}, threshold {threshold}")
    except (KeyError, ValueError, TypeError) as error:
        raise VerificationError(
            f"{path.name} does not state its classes and threshold ({error}). Export it again."
        ) from error
    if len(names) != len(runner.class_names):
        raise VerificationError(
            f"{path.name} has {len(runner.class_names)} labels and says {len(names)} classes. Export it again."
        )
    return names, temperature, threshold
