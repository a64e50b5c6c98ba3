"""Batches for any number of devices, and from any point of a resumed run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import lightning as L
import numpy as np
from lightning.pytorch.loops.progress import _ProcessedTracker
from torch.utils.data import Sampler

from bball_pl.errors import ConfigError


def resume_point(trainer: L.Trainer, batches: int) -> tuple[int, int]:
    """Return the epoch that will be trained first and how many of its batches are done already.

    Lightning asks for the training batches, and lets the workers start on them, before it brings its counters up to
    date, so `trainer.current_epoch` can still be the epoch before. The counters say more: a batch is `ready`,
    `started`, `processed` and, after `on_train_batch_end`, `completed`; a checkpoint written in that hook lacks the
    last step of its last batch.

    Args:
        trainer: as it is in `train_dataloader`.
        batches: of a whole epoch.

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
    # A batch that was interrupted before its optimiser step is trained on again.
    finished = done.ready if done.processed == done.ready else done.completed
    if finished < batches:
        return epoch, finished
    # Stopped in the last batch's on_train_batch_end, Lightning goes on with the next epoch at once; stopped later, it
    # first ends the present epoch and then starts a new iteration by itself.
    return (epoch + 1, 0) if done.completed < done.ready else (epoch, 0)


#: What a sampler asks a dataset for: (epoch, position in the list of photos). Position -1 asks for padding.
Key = tuple[int, int]


class TrainBatchSampler(Sampler[list[Key]]):
    """Batches in random order: no photo twice in an epoch, no tiny last batch, the same on every machine.

    The order depends on seed and epoch alone. It is dealt out to the devices in turn, so that together they train on
    the batches that one device with `world_size` times the batch size would see. Where the batch size does not divide
    the photos, all batches become a little smaller instead of the last one tiny: batch norm cannot train on one photo.

    Args:
        count: photos in the training set.
        batch_size: largest number of photos per device and step.
        seed: of the order.
        rank: of this device, from 0.
        world_size: number of devices.

    Raises:
        ConfigError: if there are fewer photos than devices, or the batch size is below 1.
    """

    def __init__(self, count: int, batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        if batch_size < 1:
            raise ConfigError(f"the batch size is {batch_size}; expected 1 or more. Pass --data.batch_size")
        if count < world_size:
            raise ConfigError(f"{count} training photos cannot be shared by {world_size} devices. Use fewer devices.")
        self.count, self.seed, self.rank, self.world_size = count, seed, rank, world_size
        # Every device takes equally many photos, else one would wait for ever in the exchange of gradients. The up to
        # world_size - 1 photos left over differ from epoch to epoch.
        self._per_rank = count // world_size
        self._batches = -(-self._per_rank // batch_size)
        self._epoch = 0
        self._skip = 0

    @property
    def sampler(self) -> TrainBatchSampler:
        """This object: Lightning calls `dataloader.batch_sampler.sampler.set_epoch` before every epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration takes; a new epoch starts at its first batch."""
        if epoch != self._epoch:
            self._skip = 0
        self._epoch = epoch

    def skip_batches(self, batches: int) -> None:
        """Leave out the first batches of the present epoch, which an interrupted run has trained on already.

        The length stays that of a whole epoch: Lightning counts the batches before the interruption as well.
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
    """Batches in the order of the list: every photo once over all devices, equally many items on each.

    Where the devices do not divide the photos, some take one item of padding, position -1, which the dataset marks in
    `PhotoBatch.indices` and metrics drop. Repeating real photos instead would count them twice.

    Args:
        count: photos in the list.
        batch_size: photos per device and step.
        rank: of this device, from 0.
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
