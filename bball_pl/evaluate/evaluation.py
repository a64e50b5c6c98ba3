"""Evaluation of a trained model on labelled photos: calibration on validation, answers, figures, heat maps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from scipy.special import softmax

from bball_pl import project
from bball_pl.data.validation import read_split_csv
from bball_pl.errors import ConfigError, DatasetError, PhotoError
from bball_pl.evaluate.calibration import TARGET_ACCURACY, Calibration, calibrate, operating_point, write_calibration
from bball_pl.evaluate.explain import grad_cam
from bball_pl.evaluate.metrics import compute_metrics, probability_figures
from bball_pl.evaluate.origin import Origin, origin_of, sources_of
from bball_pl.evaluate.predictions import Answers
from bball_pl.evaluate.relabelled import labels_before, relabelling
from bball_pl.evaluate.trained_model import AnsweringModel, TrainedModel
from bball_pl.model.court_weights import is_court_checkpoint
from bball_pl.model.fit.seeds import seed_spread
from bball_pl.photos.dataset_layout import scan_dataset
from bball_pl.photos.decode import decode, decode_file
from bball_pl.photos.labels_csv import absolute, moved_photos
from bball_pl.photos.tree import Photo, PhotoTree
from bball_pl.terminal import log, progress

#: Photos explained at once: their full-size pixels are in memory together.
_EXPLAINED = 8


@dataclass(frozen=True)
class Evaluation:
    """Answers of a trained model to one split, and their figures.

    Attributes:
        split: name of the split.
        answers: labels and calibrated probabilities.
        metrics: figures as in `metrics.json`.
        checkpoint: file of the model.
        run: folder of the run; None for a checkpoint outside a run.
        root: folder of the dataset; a photo lies at `root / path`.
        calibration: of the checkpoint, or None without validation photos.
        uncalibrated: probabilities at temperature 1, float32 `[N, classes]`.
        sources: column `source` of `photos.csv` by path; photos without an entry are missing.
        data: the training dataset, as in `TrainedModel`.
        checkpoint_sha256: SHA-256 of the checkpoint; empty if unknown.
        command: command line that repeats the evaluation.
        seconds: time for the answers, decoding included.
        weights: number of weights of the network; 0 for an exported file.
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
    checkpoint_sha256: str = ""
    command: str = ""
    seconds: float = 0.0
    weights: int = 0

    @property
    def origin(self) -> Origin:
        """Origin of the photos that the model was trained on and of those that it has answered."""
        return origin_of(self.checkpoint, self.data, [self.sources.get(path, "") for path in self.answers.paths])


def evaluate(
    model: AnsweringModel,
    split: str = "test",
    root: Path | None = None,
    *,
    target_accuracy: float = TARGET_ACCURACY,
    recalibrate: bool = False,
    command: str = "",
    console: Console = log,
) -> Evaluation:
    """Calibrate a model where that is needed, answer the photos of a split and compute their figures.

    Example:
        >>> evaluation = evaluate(TrainedModel.open("lightning_logs/demo/version_0"), "val")
        >>> evaluation.metrics["accuracy"]

    Args:
        model: a trained model, or an exported file opened like one. Its decision rule is not used: answers are never
            "unsure" here.
        split: train, val or test.
        root: folder of the dataset, another one or the training dataset at its present location. Default: the training
            dataset where it was.
        target_accuracy: accuracy wanted of the answers above the threshold of "unsure", above 0 and at most 1.
        recalibrate: fit temperature and threshold even if the checkpoint has a calibration.
        command: command line that repeats the evaluation, for the report.
        console: for progress and remarks. Default: standard error.

    Raises:
        ConfigError: if `target_accuracy` is out of range.
        DatasetError: as in `labelled_photos`, or if photos cannot be decoded; the message names all of them.
    """
    # An exported file has its temperature inside, and nothing is written beside it.
    calibration = model.calibration
    if isinstance(model, TrainedModel):
        calibration = _calibration(model, target_accuracy, recalibrate, console)
    photos, dataset = split_photos(model, split, root)
    if split == "val" and model.held_out is not None and (root is None or is_training_dataset(model, root)):
        remark = "the linear probe was fitted to the validation photos as well: these figures are too good"
        console.print(remark, style="yellow", soft_wrap=True)
    started = time.perf_counter()
    logits = _logits(model, photos, split, console)
    seconds = time.perf_counter() - started
    temperature = calibration.temperature if calibration is not None else 1.0
    answers = Answers(
        model.class_names,
        [photo.relative for photo in photos],
        [photo.group for photo in photos],
        _targets(model, photos),
        softmax(logits / np.float32(temperature), axis=1),
    )
    uncalibrated = softmax(logits, axis=1)
    metrics = compute_metrics(split, answers) | {
        "temperature": temperature,
        "uncalibrated": probability_figures(uncalibrated, answers.targets),
        "unsure": _unsure(answers, calibration),
        "tta": model.tta,
        "relabelled": _relabelling(model, answers, split, dataset),
        "seeds": None if model.run is None else seed_spread(model.run, split),
    }
    return Evaluation(
        split=split,
        answers=answers,
        metrics=metrics,
        checkpoint=model.checkpoint,
        run=model.run,
        root=dataset,
        calibration=calibration,
        uncalibrated=uncalibrated,
        sources=sources_of(dataset),
        data=model.data,
        checkpoint_sha256=model.sha256,
        command=command,
        seconds=seconds,
        weights=_weights(model),
    )


def _weights(model: AnsweringModel) -> int:
    if not isinstance(model, TrainedModel):
        return 0
    return sum(parameter.numel() for parameter in model.classifier.network.parameters())


def split_photos(model: AnsweringModel, split: str, root: Path | None = None) -> tuple[list[Photo], Path]:
    """Return the photos of a split and the folder of their dataset.

    The run's `split.csv` decides on the training dataset, the folders on any other.

    Args:
        model: its run, class names and training dataset count.
        split: train, val or test.
        root: as in `evaluate`.

    Raises:
        DatasetError: as in `labelled_photos`, or if the checkpoint does not name its dataset and `root` is None.
    """
    if root is None and "root" not in model.data:
        raise DatasetError(f"{model.checkpoint} does not say where its photos were. Pass --root DIR.")
    dataset = Path(model.data["root"]) if root is None else root.absolute()
    run = model.run if is_training_dataset(model, dataset) else None
    return labelled_photos(split, model.class_names, dataset, run), dataset


def is_training_dataset(model: AnsweringModel, root: Path) -> bool:
    """Return whether a folder is the dataset that a model was trained on."""
    return "root" in model.data and root.resolve() == Path(model.data["root"]).resolve()


def labelled_photos(split: str, class_names: Sequence[str], root: Path, run: Path | None) -> list[Photo]:
    """Return the photos of a split, sorted by relative path.

    Args:
        split: train, val or test.
        class_names: classes of the checkpoint.
        root: folder of the dataset.
        run: a run on this dataset, whose `split.csv` lists the photos; None takes the folders of the dataset. A photo
            relabelled since then counts with its new label, a quarantined one does not count.

    Raises:
        DatasetError: if the dataset, the split or one of the photos is missing, or a photo has a class that the
            checkpoint does not know.
    """
    if not root.is_dir():
        raise DatasetError(f"the dataset is no longer at {root}. Pass --root DIR with its present location.")
    if run is not None and (run / project.SPLIT).is_file():
        photos = _relabelled(read_split_csv(run / project.SPLIT, root).get(split, []), root)
        empty = f"{run / project.SPLIT} has no photo in '{split}'"
        missing = [photo.relative for photo in photos if not photo.path.is_file()]
        if missing:
            raise DatasetError(
                f"{len(missing)} of {len(photos)} photos of '{split}' are no longer in {root}: "
                f"{', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}. Put them back, or pass --root DIR."
            )
    else:
        photos = [photo for photo in scan_dataset(root, class_names).photos if photo.split == split]
        empty = f"{root} has no photo in a folder '{split}'"
    if not photos:
        raise DatasetError(f"{empty}. Pass --split with a split that has photos, or --root DIR.")
    unknown = sorted({photo.class_name for photo in photos} - set(class_names))
    if unknown:
        raise DatasetError(
            f"'{split}' has photos of {', '.join(unknown)}; the checkpoint knows {', '.join(class_names)}. "
            "Pass --root with a dataset of these classes, or another checkpoint."
        )
    return sorted(photos, key=lambda photo: photo.relative)


def _relabelled(photos: Sequence[Photo], root: Path) -> list[Photo]:
    """Return the photos with the class that the journal gives them now, without the quarantined ones."""
    moved, tree = moved_photos(root), absolute(root)
    now_there = {photo.relative: photo for photo in PhotoTree.scan(root).photos} if moved else {}
    found = []
    for photo in photos:
        now = moved.get(photo.relative)
        if photo.path.is_file() or now is None:
            found.append(photo)
        elif now.is_relative_to(tree):
            there = now_there.get(now.relative_to(tree).as_posix(), photo)
            found.append(replace(there, split=photo.split, group=photo.group))
    return found


def _relabelling(model: AnsweringModel, answers: Answers, split: str, root: Path) -> dict[str, Any] | None:
    """Return the figures under the labels before people changed them; None if nobody has."""
    run = model.run if is_training_dataset(model, root) else None
    before = labels_before(root, split, run, model.trained if isinstance(model, TrainedModel) else "")
    known = [photo for photo in before.quarantined if photo.class_name in model.class_names]
    answered = [
        (photo, logits)
        for photo, logits in model.logits(known, lambda photo: decode(photo.path))
        if not isinstance(logits, PhotoError)  # a damaged photo was set aside for that
    ]
    aside = None
    if answered:
        photos = [photo for photo, _ in answered]
        probabilities = softmax(np.stack([logits for _, logits in answered]), axis=1)
        paths, groups = [photo.relative for photo in photos], [photo.group for photo in photos]
        aside = Answers(model.class_names, paths, groups, _targets(model, photos), probabilities)
    return relabelling(answers, before.classes, aside)


def _calibration(model: TrainedModel, target_accuracy: float, again: bool, console: Console) -> Calibration | None:
    """Return the checkpoint's calibration, or fit one on the run's validation photos; None, with a remark, without."""
    if not 0 < target_accuracy <= 1:
        raise ConfigError(f"--target_accuracy is {target_accuracy}; expected more than 0 and at most 1, such as 0.95")
    stored = model.calibration
    # A temperature is valid for the logits that it was fitted on. That of augmented ones is not stored, because a
    # phone answers without augmentation.
    plain = model.tta == "none"
    if plain and not again and stored is not None and stored.target_accuracy == target_accuracy:
        return stored
    if model.held_out is not None:
        # The kept linear probe was fitted to the validation photos as well; these answers came before.
        logits, targets = np.array(model.held_out["logits"], np.float32), np.array(model.held_out["targets"])
    else:
        try:
            photos, _ = split_photos(model, "val")
        except DatasetError as error:
            console.print(f"not calibrated: {error}", style="yellow", markup=False, soft_wrap=True)
            return None
        logits, targets = _logits(model, photos, "validation", console), _targets(model, photos)
    calibration = calibrate(logits, targets, target_accuracy, model.sha256)
    # Nothing is written beside the model in the package.
    if plain and not is_court_checkpoint(model.checkpoint):
        write_calibration(model.checkpoint, calibration)
    return calibration


def _logits(model: AnsweringModel, photos: Sequence[Photo], title: str, console: Console) -> np.ndarray:
    """Return the logits of photos, float32 `[N, classes]`, in their order, with a progress bar."""
    rows: list[np.ndarray] = []
    unreadable: list[str] = []
    with progress(console) as bar:
        task = bar.add_task(title, total=len(photos))
        for photo, logits in model.logits(photos, lambda photo: decode(photo.path)):
            if isinstance(logits, PhotoError):
                unreadable.append(f"{photo.relative}: {logits}")
            else:
                rows.append(logits)
            bar.advance(task)
    if unreadable:
        count, lines = f"{len(unreadable)} of {len(photos)}", "\n  ".join(unreadable)
        raise DatasetError(f"{count} photos cannot be used:\n  {lines}\nReplace or remove them.")
    return np.stack(rows)


def _targets(model: AnsweringModel, photos: Sequence[Photo]) -> np.ndarray:
    return np.array([model.class_names.index(photo.class_name) for photo in photos], np.int64)


def heat_maps(
    model: AnsweringModel, evaluation: Evaluation, rows: Sequence[int], console: Console = log
) -> dict[int, np.ndarray] | None:
    """Return the Grad-CAM heat maps of some answers by row; None, with a remark, where there are no feature maps.

    Args:
        model: the one that was evaluated.
        evaluation: its answers.
        rows: of the answers.
        console: for progress and the remark. Default: standard error.
    """
    if not isinstance(model, TrainedModel):
        console.print("no Grad-CAM: an exported file has no gradients", style="yellow", markup=False, soft_wrap=True)
        return None
    answers = evaluation.answers
    maps: dict[int, np.ndarray] = {}
    with progress(console) as bar:
        task = bar.add_task("Grad-CAM", total=len(rows))
        for start in range(0, len(rows), _EXPLAINED):
            chosen = rows[start : start + _EXPLAINED]
            photos = [decode_file(evaluation.root / answers.paths[row]) for row in chosen]
            try:
                heats = grad_cam(model.classifier, photos, [int(answers.predicted[row]) for row in chosen])
            except ConfigError as error:
                console.print(f"no Grad-CAM: {error}", style="yellow", markup=False, soft_wrap=True)
                return None
            maps.update(zip(chosen, heats, strict=True))
            bar.advance(task, len(chosen))
    return maps


def results_folder(model: AnsweringModel, split: str, root: Path | None = None) -> Path:
    """Return the folder for the results of an evaluation.

    The run's folder holds the answers of its best checkpoint to its test photos; every other combination gets a folder
    below `evaluations/`, so that results are not mixed up. That of an exported file is in the folder of the run that it
    comes from, such as `evaluations/test-demo-BasketballMoves.mlpackage`, or in `lightning_logs/` if that is not known:
    a file more in the export's folder would not be what was proven.
    """
    parts, exported = [split], not isinstance(model, TrainedModel)
    if exported:
        path = model.checkpoint.absolute()
        parts.append(f"{path.parent.name}-{path.name}")
    elif model.run is None or model.checkpoint.stem != Path(project.BEST).stem:
        parts.append(model.checkpoint.stem)
    if root is not None and not is_training_dataset(model, root):
        parts.append(root.absolute().name)
    if model.tta != "none":
        parts.append(model.tta)
    if model.run is not None and parts == ["test"]:
        return model.run
    elsewhere = exported or is_court_checkpoint(model.checkpoint)
    parent = project.ROOT / project.LOGS if elsewhere else model.checkpoint.parent
    return (model.run or parent) / "evaluations" / "-".join(parts)


def _unsure(answers: Answers, calibration: Calibration | None) -> dict[str, object] | None:
    point = operating_point(answers, calibration)
    if point is None:
        return None
    return {
        "threshold": point.threshold,
        "target_accuracy": point.target_accuracy or None,  # an exported file does not state it
        "answered": point.coverage.value,
        "accuracy": point.accuracy.value if point.accuracy else None,
        "accuracy_ci95": point.accuracy.interval if point.accuracy else None,
    }
