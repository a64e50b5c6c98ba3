"""From a checkpoint to an evaluation: find the photos, calibrate on validation, answer, compute the figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from scipy.special import softmax

from bball_pl import runs
from bball_pl.data.folder import FoundPhoto
from bball_pl.decode import decode
from bball_pl.errors import ConfigError, DatasetError, PhotoError
from bball_pl.evaluate.answers import Answers
from bball_pl.evaluate.calibration import (
    Calibration,
    calibrate,
    file_sha256,
    read_calibration,
    write_calibration,
)
from bball_pl.evaluate.engine import Engine, Precision, Tta
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.explain import grad_cam
from bball_pl.evaluate.intervals import wilson
from bball_pl.evaluate.labelled import labelled_photos
from bball_pl.evaluate.metrics import compute_metrics, probability_figures
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.classifier import MoveClassifier

#: Photos that are explained at once: their full-size pixels are in memory together.
_EXPLAINED = 8


class Evaluator:
    """A checkpoint that is asked about labelled photos.

    Args:
        checkpoint: the file.
        tta: as in `Engine`.
        batch_size: as in `Engine`.
        device: as in `Engine`.
        precision: as in `Engine`.
        console: for progress and remarks.

    Raises:
        RunError: if the checkpoint cannot be read.
        ConfigError: as in `Engine`.
    """

    def __init__(
        self,
        checkpoint: Path,
        tta: Tta = "none",
        batch_size: int = 32,
        device: str = "auto",
        precision: Precision = "32",
        console: Console | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.run = runs.run_of_checkpoint(checkpoint)
        self.data = read_checkpoint(checkpoint)["bball_pl"].get("data", {})
        self.engine = Engine(MoveClassifier.from_checkpoint(checkpoint), tta, batch_size, device, precision)
        self.console = console or Console(stderr=True)

    def calibration(self, target_accuracy: float, anew: bool = False) -> Calibration | None:
        """Return the checkpoint's calibration: the one beside it, or a new one from its own validation photos.

        Args:
            target_accuracy: wanted of the answers that are not "unsure", above 0 and at most 1.
            anew: fit it again even if there is one.

        Returns:
            None if the validation photos are not there any more; a remark says why.

        Raises:
            ConfigError: if `target_accuracy` is out of range.
        """
        if not 0 < target_accuracy <= 1:
            raise ConfigError(
                f"--target_accuracy is {target_accuracy}; expected more than 0 and at most 1, such as 0.95"
            )
        stored = read_calibration(self.checkpoint)
        # A temperature holds for the answers that it was fitted on: augmented ones get theirs, and it is not kept,
        # because a phone answers without.
        plain = self.engine.tta == "none"
        if plain and not anew and stored is not None and stored.target_accuracy == target_accuracy:
            return stored
        try:
            found = labelled_photos("val", self.engine.class_names, self._own_root(), self.run)
        except DatasetError as error:
            self.console.print(f"not calibrated: {error}", style="yellow", markup=False, soft_wrap=True)
            return None
        logits = self.logits(found.photos, "validation")
        calibration = calibrate(logits, self._targets(found.photos), target_accuracy, file_sha256(self.checkpoint))
        if plain:
            write_calibration(self.checkpoint, calibration)
        return calibration

    def evaluate(self, split: str, root: Path | None, calibration: Calibration | None) -> Evaluation:
        """Answer the photos of a split and compute their figures.

        Args:
            split: train, val or test.
            root: another dataset than the checkpoint's own, or the place where that is now; None for its own.
            calibration: from `calibration`.

        Raises:
            DatasetError: as in `labelled_photos`, or if photos cannot be decoded; all of them are named.
        """
        dataset = self._own_root() if root is None else root.absolute()
        found = labelled_photos(split, self.engine.class_names, dataset, None if self._is_other(root) else self.run)
        started = time.perf_counter()
        logits = self.logits(found.photos, split)
        seconds = time.perf_counter() - started
        temperature = calibration.temperature if calibration is not None else 1.0
        answers = Answers(
            self.engine.class_names,
            [photo.relative for photo in found.photos],
            [photo.group for photo in found.photos],
            self._targets(found.photos),
            softmax(logits / np.float32(temperature), axis=1),
        )
        uncalibrated = softmax(logits, axis=1)
        metrics = compute_metrics(split, answers) | {
            "temperature": temperature,
            "uncalibrated": probability_figures(uncalibrated, answers.targets),
            "unsure": _unsure(answers, calibration),
            "tta": self.engine.tta,
        }
        return Evaluation(
            split=split,
            answers=answers,
            metrics=metrics,
            checkpoint=self.checkpoint,
            run=self.run,
            root=dataset,
            calibration=calibration,
            uncalibrated=uncalibrated,
            sources=found.sources,
            data=self.data,
            seconds=seconds,
        )

    def logits(self, photos: Sequence[FoundPhoto], what: str) -> np.ndarray:
        """Answer photos with a progress bar: float32 `[N, classes]`, in their order.

        Raises:
            DatasetError: if photos cannot be decoded; all of them are named.
        """
        rows: list[np.ndarray] = []
        bad: list[str] = []
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(what, total=len(photos))
            for photo, answer in self.engine.run(photos, lambda photo: decode(photo.path)):
                if isinstance(answer, PhotoError):
                    bad.append(f"{photo.relative}: {answer}")
                else:
                    rows.append(answer)
                progress.advance(task)
        if bad:
            raise DatasetError(
                f"{len(bad)} of {len(photos)} photos cannot be used:\n  "
                + "\n  ".join(bad)
                + "\nReplace or remove them."
            )
        return np.stack(rows)

    def heat_maps(self, evaluation: Evaluation, rows: Sequence[int]) -> dict[int, np.ndarray] | None:
        """Explain the answers of some rows with Grad-CAM; None, with a remark, for a backbone without feature maps."""
        answers = evaluation.answers
        maps: dict[int, np.ndarray] = {}
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task("Grad-CAM", total=len(rows))
            for chosen in _chunks(rows, _EXPLAINED):
                photos = [decode(evaluation.root / answers.paths[row]) for row in chosen]
                try:
                    heats = grad_cam(self.engine.classifier, photos, [int(answers.predicted[row]) for row in chosen])
                except ConfigError as error:
                    self.console.print(f"no Grad-CAM: {error}", style="yellow", markup=False, soft_wrap=True)
                    return None
                maps.update(zip(chosen, heats, strict=True))
                progress.advance(task, len(chosen))
        return maps

    def folder(self, split: str, root: Path | None) -> Path:
        """Return where the results belong.

        The run's own folder holds what its best checkpoint answers to its own test photos; anything else gets a folder
        of its own, so that no figure is taken for another.
        """
        stem = self.checkpoint.stem
        parts = [split]
        if self.run is None or stem != Path(runs.BEST).stem:
            parts.append(stem)
        if root is not None and self._is_other(root):
            parts.append(root.absolute().name)
        if self.engine.tta != "none":
            parts.append(self.engine.tta)
        if self.run is not None and parts == ["test"]:
            return self.run
        return (self.run or self.checkpoint.parent) / "evaluations" / "-".join(parts)

    def _is_other(self, root: Path | None) -> bool:
        return root is not None and ("root" not in self.data or root.resolve() != self._own_root().resolve())

    def _own_root(self) -> Path:
        if "root" not in self.data:
            raise DatasetError(f"{self.checkpoint} does not say where its photos were. Pass --root DIR.")
        return Path(self.data["root"])

    def _targets(self, photos: Sequence[FoundPhoto]) -> np.ndarray:
        index = {name: place for place, name in enumerate(self.engine.class_names)}
        return np.array([index[photo.class_name] for photo in photos], np.int64)


def _unsure(answers: Answers, calibration: Calibration | None) -> dict[str, object] | None:
    if calibration is None or calibration.threshold is None:
        return None
    answered = answers.confidence >= calibration.threshold
    right, number = int(answers.correct[answered].sum()), int(answered.sum())
    return {
        "threshold": calibration.threshold,
        "target_accuracy": calibration.target_accuracy,
        "answered": number / len(answers),
        "accuracy": right / number if number else None,
        "accuracy_ci95": wilson(right, number) if number else None,
    }


def _chunks(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
