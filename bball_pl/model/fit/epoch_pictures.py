"""TensorBoard pictures of every epoch: an augmented batch, the confusion matrix, the worst mistakes, PR curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix
from torch import Tensor

from bball_pl.data.dataset import PhotoBatch
from bball_pl.model.outcomes import Outcomes
from bball_pl.photos.decode import decode_file
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.photos.tree import Photo

_BATCH_PHOTOS = 16
_MISTAKES = 12
_MISTAKE_PIXELS = 240


class Pictures(Callback):
    """Adds pictures to TensorBoard every epoch, and at the start the settings and the photos as a text.

    The pictures: an augmented batch with its labels; of the validation photos the confusion matrix, the worst mistakes,
    and precision over recall of each class.
    """

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say in words what is trained on which photos."""
        writer = _writer(trainer)
        if writer is not None:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            classifier: Any = pl_module
            writer.add_text("run", run_summary(classifier.hparams, data.photos, classifier.class_names), 0)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: PhotoBatch, batch_idx: int
    ) -> None:
        """Show the first batch of the epoch as the network's input, before mixing."""
        if batch_idx == 0 and (writer := _writer(trainer)) is not None:
            classifier: Any = pl_module
            photos = unnormalise(batch.images[:_BATCH_PHOTOS], classifier.spec).permute(0, 2, 3, 1).cpu().numpy()
            labels = [classifier.class_names[int(target)] for target in batch.targets[:_BATCH_PHOTOS]]
            writer.add_figure("train/batch", batch_figure(photos, labels), trainer.current_epoch)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the confusion matrix, and the wrong predictions with the highest loss."""
        writer = _writer(trainer)
        classifier: Any = pl_module
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        outcomes = classifier.outcomes.get("val")
        if writer is None or outcomes is None:
            return
        names, epoch = classifier.class_names, trainer.current_epoch
        writer.add_figure("val/confusion", confusion_figure(outcomes, names), epoch)
        for label, name in enumerate(names):
            of_class = outcomes.targets == label
            if of_class.any():
                writer.add_pr_curve(f"val/precision_recall/{name}", of_class, outcomes.probabilities[:, label], epoch)
        worst = worst_mistakes(outcomes, _MISTAKES)
        if worst:
            writer.add_figure("val/worst_mistakes", mistakes_figure(outcomes, worst, data.photos["val"], names), epoch)


def run_summary(settings: Mapping[str, Any], photos: Mapping[str, Sequence[Photo]], class_names: Sequence[str]) -> str:
    """Return the model's settings and the number of photos by class and split as Markdown tables."""
    rows = [f"| {name} | {len(found)} | " + " | ".join(_counts(found, class_names)) for name, found in photos.items()]
    return "\n".join(
        [
            f"| split | photos | {' | '.join(class_names)} |",
            "|---|---:|" + "---:|" * len(class_names),
            *(f"{row} |" for row in rows),
            "",
            "| setting | value |",
            "|---|---|",
            *(f"| {name} | `{value}` |" for name, value in sorted(settings.items())),
        ]
    )


def _counts(photos: Sequence[Photo], class_names: Sequence[str]) -> list[str]:
    return [str(sum(photo.class_name == name for photo in photos)) for name in class_names]


def batch_figure(photos: np.ndarray, labels: Sequence[str]) -> Figure:
    """Draw photos with their labels, four in a row: float `[B, S, S, 3]`, RGB, 0–1."""
    lines = -(-len(photos) // 4)
    figure = Figure(figsize=(9.0, 2.4 * lines), layout="constrained")
    for number, (photo, label) in enumerate(zip(photos, labels, strict=True), start=1):
        axes = figure.add_subplot(lines, 4, number)
        axes.imshow(photo)
        axes.set_title(label, fontsize=10)
        axes.set_axis_off()
    return figure


def unnormalise(images: Tensor, spec: PreprocessSpec) -> Tensor:
    """Undo the normalisation: float `[B, 3, S, S]`, normalised → float `[B, 3, S, S]`, RGB, 0–1."""
    mean = torch.tensor(spec.mean, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(spec.std, device=images.device).view(1, 3, 1, 1)
    return (images.float() * std + mean).clamp(0, 1)


def confusion_figure(outcomes: Outcomes, class_names: list[str]) -> Figure:
    """Draw the confusion matrix: a row per true class, coloured by its share, labelled with counts."""
    labels = list(range(len(class_names)))
    counts = confusion_matrix(outcomes.targets.numpy(), outcomes.logits.argmax(1).numpy(), labels=labels)
    figure = Figure(figsize=(1.6 + 1.1 * len(labels), 1.4 + 1.0 * len(labels)), layout="constrained")
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    display = ConfusionMatrixDisplay(shares, display_labels=class_names)
    display.plot(ax=axes, include_values=False, cmap="Blues", im_kw={"vmin": 0, "vmax": 1}, colorbar=False)
    for row in labels:
        for column in labels:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=13)
    axes.set(xlabel="predicted", ylabel="true")
    return figure


def worst_mistakes(outcomes: Outcomes, number: int) -> list[int]:
    """Return the rows of at most `number` wrong predictions, the highest loss first."""
    losses = torch.where(outcomes.correct, -1.0, outcomes.losses)
    order = losses.argsort(descending=True, stable=True)[:number]
    return [int(row) for row in order if losses[row] >= 0]


def mistakes_figure(outcomes: Outcomes, rows: list[int], photos: list[Photo], class_names: list[str]) -> Figure:
    """Draw photos with true class, prediction, probability and file name."""
    columns = min(4, len(rows))
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(3.0 * columns, 2.7 * lines), layout="constrained")
    for number, row in enumerate(rows, start=1):
        axes = figure.add_subplot(lines, columns, number)
        photo = photos[int(outcomes.indices[row])]
        picture = Image.fromarray(decode_file(photo.path))
        picture.thumbnail((_MISTAKE_PIXELS, _MISTAKE_PIXELS))
        axes.imshow(np.asarray(picture))
        probability, answer = outcomes.probabilities[row].max(0)
        truth = class_names[int(outcomes.targets[row])]
        axes.set_title(f"{truth} → {class_names[int(answer)]} {float(probability):.0%}", fontsize=10)
        axes.set_xlabel(photo.path.name, fontsize=7)
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def _writer(trainer: L.Trainer) -> Any:
    if not trainer.is_global_zero:
        return None
    found = (logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger))
    logger = next(found, None)
    return logger.experiment if logger is not None else None
