"""Outcomes of a split: the answers to every photo gathered over batches and processes, and reading a checkpoint."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from bball_pl.errors import RunError
from bball_pl.model.court_weights import read_weights


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint of this project, or weights that it shipped, on the CPU; tensors and plain values only.

    Raises:
        RunError: if the file is missing, cannot be read, or was not written by this project.
    """
    path = Path(path)
    if not path.is_file():
        raise RunError(f"there is no checkpoint {path}; pass a .ckpt file of a run, or make one with scripts/fit.py")
    if path.suffix == ".safetensors":
        return read_weights(path)
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch's reader finds wrong, the user needs the file's name
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{path} cannot be read as a checkpoint ({reason}); is it whole?") from error
    if not isinstance(checkpoint, dict) or not {"bball_pl", "hyper_parameters", "state_dict"} <= set(checkpoint):
        raise RunError(f"{path} is not a checkpoint of this project: it names no classes and no preprocessing")
    return checkpoint


@dataclass(frozen=True)
class Outcomes:
    """Answers to the photos of one split, in the order of its photo list, on the CPU.

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
    """Collects the answers to one pass over a split."""

    def __init__(self) -> None:
        self._batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, indices: Tensor, targets: Tensor, logits: Tensor) -> None:
        """Take in one batch: indices int64 `[B]` (-1 marks padding), targets int64 `[B]`, logits `[B, classes]`."""
        # They stay where they are until the end: moving each batch would make a GPU wait.
        self._batches.append((indices, targets, logits.detach().float()))

    def gather(self) -> Outcomes:
        """Join the batches of all processes and forget them; every process gets the same answer.

        Metrics of the whole cannot be averaged from metrics of parts of uneven size, and a distributed loader pads:
        so the answers themselves are joined, padding is dropped, and what is left is put in the photos' order.
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
