"""What a network answered to every photo of a split: gathered over batches and processes, each photo once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


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
