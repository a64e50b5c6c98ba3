"""Batch samplers for any number of devices that can start at any batch of a resumed run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import lightning as L
import numpy as np
from lightning.pytorch.loops.progress import _ProcessedTracker
from torch.utils.data import Sampler

from bball_pl.errors import ConfigError


def resume_point(trainer: L.Trainer, batches: int) -> tuple[int, int]:
    """Return the first epoch to train and the number of its batches that are already done.

    Lightning requests the training batches, and workers start loading them, before it updates its counters, so
    `trainer.current_epoch` can still be the previous epoch. The finer counters are right: a batch is `ready`,
    `started`, `processed` and, after `on_train_batch_end`, `completed`; a checkpoint written in that hook lacks the
    last step of its last batch.

    Args:
        trainer: the trainer, in the state in which it calls `train_dataloader`.
        batches: number of batches in a whole epoch.

    Returns:
        (epoch from 0, batches to skip).
    """
    loop = trainer.fit_loop
    epoch = cast(_ProcessedTracker, loop.epoch_progress.current).processed
    done = cast(_ProcessedTracker, loop.epoch_loop.batch_progress.current)
    if not loop.restarting:
        return epoch, 0
    limit = trainer.limit_train_batches
    if limit is not None:
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    # A batch that was interrupted before its optimiser step is repeated.
    finished = done.ready if done.processed == done.ready else done.completed
    if finished < batches:
        return epoch, finished
    # Stopped in the last batch's on_train_batch_end, Lightning continues with the next epoch at once; stopped later, it
    # first ends the current epoch and then starts a new iteration by itself.
    return (epoch + 1, 0) if done.completed < done.ready else (epoch, 0)


#: Index of an item: (epoch, position in the list of photos). Position -1 is padding.
Key = tuple[int, int]


class TrainBatchSampler(Sampler[list[Key]]):
    """Batches in random order: no photo twice in an epoch, no tiny last batch, the same on every machine.

    The order depends on seed and epoch alone. Devices take photos from it in turn, so that together they train on the
    batches of one device with `world_size` times the batch size. Where the batch size does not divide the number of
    photos, all batches become slightly smaller instead of the last one tiny: batch norm cannot train on one photo.

    Args:
        count: number of photos in the training set.
        batch_size: largest number of photos per device and step.
        seed: random seed of the order.
        rank: index of this device, from 0.
        world_size: number of devices.

    Raises:
        ConfigError: if `count` is below `world_size`, or the batch size is below 1.
    """

    def __init__(self, count: int, batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        if batch_size < 1:
            raise ConfigError(f"the batch size is {batch_size}; expected 1 or more. Pass --data.batch_size")
        if count < world_size:
            raise ConfigError(f"{count} training photos cannot be shared by {world_size} devices. Use fewer devices.")
        self.count, self.seed, self.rank, self.world_size = count, seed, rank, world_size
        # Every device takes the same number of photos, else the exchange of gradients would hang. The up to
        # world_size - 1 remaining photos differ from epoch to epoch.
        self._per_rank = count // world_size
        self._batches = -(-self._per_rank // batch_size)
        self._epoch = 0
        self._skip = 0

    @property
    def sampler(self) -> TrainBatchSampler:
        """This object: Lightning calls `dataloader.batch_sampler.sampler.set_epoch` before every epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration; a new epoch starts at its first batch."""
        if epoch != self._epoch:
            self._skip = 0
        self._epoch = epoch

    def skip_batches(self, batches: int) -> None:
        """Skip the first batches of the current epoch, which an interrupted run has already trained on.

        The length stays that of a whole epoch, because Lightning counts the batches before the interruption as well.
        """
        self._skip = batches

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, skip = self._epoch, self._skip
        order = np.random.default_rng((self.seed, epoch)).permutation(self.count)
        mine = order[: self._per_rank * self.world_size][self.rank :: self.world_size]
        for batch in np.array_split(mine, self._batches)[skip:]:
            yield [(epoch, position) for position in batch.tolist()]


class EvalBatchSampler(Sampler[list[Key]]):
    """Batches in the order of the list: every photo once over all devices, the same number of items on each.

    Where the number of devices does not divide the number of photos, some devices get one padding item, position -1,
    which the dataset marks in `PhotoBatch.indices` and metrics drop. Repeating real photos would count them twice.

    Args:
        count: number of photos in the list.
        batch_size: photos per device and step.
        rank: index of this device, from 0.
        world_size: number of devices.
    """

    def __init__(self, count: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        if batch_size < 1:
            raise ConfigError(f"the batch size is {batch_size}; expected 1 or more. Pass --data.batch_size")
        mine = list(range(rank, count, world_size))
        mine += [-1] * (-(-count // world_size) - len(mine))
        self._batches = [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Key]]:
        for batch in self._batches:
            yield [(0, position) for position in batch]
