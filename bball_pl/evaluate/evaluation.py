"""An evaluation: find the photos of a checkpoint, calibrate on validation, predict, compute the figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from scipy.special import softmax

from bball_pl import project
from bball_pl.data.validation import read_split_csv
from bball_pl.errors import ConfigError, DatasetError, PhotoError
from bball_pl.evaluate.calibration import (
    Calibration,
    calibrate,
    file_sha256,
    read_calibration,
    write_calibration,
)
from bball_pl.evaluate.explain import grad_cam
from bball_pl.evaluate.metrics import compute_metrics, probability_figures, wilson
from bball_pl.evaluate.predictions import Answers
from bball_pl.evaluate.trained_model import Engine, Precision, Tta
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.outcomes import read_checkpoint
from bball_pl.photos.dataset_layout import scan_dataset
from bball_pl.photos.decode import decode
from bball_pl.photos.labels_csv import whereabouts
from bball_pl.photos.photos_csv import read_photos_csv
from bball_pl.photos.tree import Photo, PhotoTree


@dataclass(frozen=True)
class Evaluation:
    """What a report, a comparison or an export needs to know of an evaluation.

    Attributes:
        split: name of the split that was answered.
        answers: with calibrated probabilities.
        metrics: as in `metrics.json`.
        checkpoint: the file of the network.
        run: the run's folder, or None for a checkpoint outside of one.
        root: folder of the dataset; a photo lies at `root / path`.
        calibration: of the checkpoint, or None if there were no validation photos.
        uncalibrated: probabilities at temperature 1, float32 `[N, classes]`.
        sources: the column `source` of `photos.csv` by path, empty where it is not known.
        data: what the checkpoint says of its dataset: `root, class_names, counts, groups, sha256`.
        command: the exact command that repeats the evaluation.
        seconds: how long answering the split took, decoding included.
    """

    split: str
    answers: Answers
    metrics: dict[str, Any]
    checkpoint: Path
    run: Path | None
    root: Path
    calibration: Calibration | None
    uncalibrated: np.ndarray
    sources: dict[str, str] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class LabelledPhotos:
    """The photos of one split.

    Attributes:
        root: folder of the dataset.
        photos: sorted by relative name.
        sources: the column `source` of `photos.csv` by relative name; empty without such a table.
    """

    root: Path
    photos: list[Photo]
    sources: dict[str, str]


def labelled_photos(split: str, class_names: Sequence[str], root: Path, run: Path | None) -> LabelledPhotos:
    """List the photos of a split.

    Args:
        split: train, val or test.
        class_names: what the checkpoint answers with.
        root: the dataset's folder.
        run: a run on this dataset, whose `split.csv` says which photos were in the split; None looks at the folders.
            A photo that was labelled anew since then counts with its new label, one in quarantine does not count.

    Raises:
        DatasetError: if the dataset, the split or one of the photos is not there, or a photo has a class that the
            checkpoint does not know.
    """
    if not root.is_dir():
        raise DatasetError(f"the dataset is no longer at {root}. Pass --root DIR with the place where it is now.")
    if run is not None and (run / project.SPLIT).is_file():
        photos = _followed(read_split_csv(run / project.SPLIT, root).get(split, []), root)
        where = f"{run / project.SPLIT} has no photo in '{split}'"
        missing = [photo.relative for photo in photos if not photo.path.is_file()]
        if missing:
            raise DatasetError(
                f"{len(missing)} of {len(photos)} photos of '{split}' are no longer in {root}: "
                f"{', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}. Put them back, or pass --root DIR."
            )
    else:
        photos = [photo for photo in scan_dataset(root, class_names).photos if photo.split == split]
        where = f"{root} has no photo in a folder '{split}'"
    if not photos:
        raise DatasetError(f"{where}. Pass --split with a split that has photos, or --root DIR.")
    strange = sorted({photo.class_name for photo in photos} - set(class_names))
    if strange:
        raise DatasetError(
            f"'{split}' has photos of {', '.join(strange)}; the checkpoint knows {', '.join(class_names)}. "
            "Pass --root with a dataset of these classes, or another checkpoint."
        )
    return LabelledPhotos(root, sorted(photos, key=lambda photo: photo.relative), _sources(root))


def _followed(photos: Sequence[Photo], root: Path) -> list[Photo]:
    """Follow photos that were labelled anew since the run to their new class; those in quarantine are left out."""
    moved = whereabouts(root)
    now_there = {photo.relative: photo for photo in PhotoTree.scan(root).photos} if moved else {}
    found = []
    for photo in photos:
        now = moved.get(photo.relative, photo.relative)
        if photo.path.is_file() or now == photo.relative:
            found.append(photo)
        elif now is not None:
            found.append(replace(now_there.get(now, photo), split=photo.split, group=photo.group))
    return found


def _sources(root: Path) -> dict[str, str]:
    table = root / "photos.csv"
    if not table.is_file():
        return {}
    return {record.path: record.source for record in read_photos_csv(table) if record.source}


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
        self.run = project.run_of_checkpoint(checkpoint)
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

    def logits(self, photos: Sequence[Photo], what: str) -> np.ndarray:
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
        if self.run is None or stem != Path(project.BEST).stem:
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

    def _targets(self, photos: Sequence[Photo]) -> np.ndarray:
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
