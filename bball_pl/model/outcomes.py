"""Outcomes of a split, gathered over batches and processes; and which checkpoint a run can go on from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from bball_pl.errors import RunError

if TYPE_CHECKING:
    from bball_pl.model.classifier import MoveClassifier


def require_resumable(saved: dict[str, Any], path: str | os.PathLike[str], classifier: MoveClassifier) -> None:
    """Refuse a checkpoint that a run with this classifier cannot go on from.

    Args:
        saved: its content, from `read_checkpoint`.
        path: its file, for the message.
        classifier: the classifier of the run.

    Raises:
        RunError: if the checkpoint is of other classes or another backbone, or has weights but no state of a training.
    """
    facts, settings = saved["bball_pl"], saved["hyper_parameters"]
    if facts["class_names"] != classifier.class_names:
        raise RunError(
            f"{path} was trained on the classes {', '.join(facts['class_names'])}, and the photos are of "
            f"{', '.join(classifier.class_names)}; pass the --data.root that it was trained on"
        )
    if settings["backbone"] != classifier.backbone:
        raise RunError(
            f"{path} is of the backbone {settings['backbone']}, and --model.backbone is "
            f"{classifier.backbone}; leave --model.backbone out"
        )
    if not {"optimizer_states", "loops", "callbacks"} <= saved.keys():
        raise RunError(f"{path} has weights and no state of a training; start from it with --model.weights FILE")


@dataclass(frozen=True)
class Outcomes:
    """Predictions of a split's photos, in the order of its photo list, on the CPU.

    Attributes:
        indices: int64 `[N]`, positions in the split's photo list, ascending, without repeats.
        targets: int64 `[N]`.
        logits: float32 `[N, classes]`.
    """

    indices: Tensor
    targets: Tensor
    logits: Tensor

    @property
    def probabilities(self) -> Tensor:
        """Softmax of the logits, float32 `[N, classes]`."""
        return self.logits.softmax(1)

    @property
    def losses(self) -> Tensor:
        """Cross entropy of each photo, float32 `[N]`, in nats, without label smoothing."""
        return torch.nn.functional.cross_entropy(self.logits, self.targets, reduction="none")

    @property
    def correct(self) -> Tensor:
        """Whether the most probable class is the true one, bool `[N]`."""
        return self.logits.argmax(1) == self.targets


class OutcomeCollector:
    """Collects the predictions of one pass over a split."""

    def __init__(self) -> None:
        self._batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, indices: Tensor, targets: Tensor, logits: Tensor) -> None:
        """Add one batch: indices int64 `[B]` (-1 marks padding), targets int64 `[B]`, logits `[B, classes]`."""
        # They stay on their device until the end: moving each batch would synchronise a GPU.
        self._batches.append((indices, targets, logits.detach().float()))

    def gather(self) -> Outcomes:
        """Join and clear the batches of all processes; every process gets the same result.

        Metrics of a split cannot be averaged from metrics of unequal parts, and a distributed loader pads: so the
        predictions themselves are joined, padding is dropped, and the rest is sorted into the photos' order.
        """
        indices, targets, logits = (torch.cat(column).cpu() for column in zip(*self._batches, strict=True))
        self._batches = []
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            parts: list[tuple[Tensor, Tensor, Tensor] | None] = [None] * dist.get_world_size()
            dist.all_gather_object(parts, (indices, targets, logits))
            indices, targets, logits = (
                torch.cat(column) for column in zip(*(part for part in parts if part is not None), strict=True)
            )
        real = indices >= 0
        indices, targets, logits = indices[real], targets[real], logits[real]
        order = indices.argsort()
        return Outcomes(indices[order], targets[order], logits[order])
