"""Where in its epochs a resumed Lightning run goes on, known before Lightning itself has worked it out."""

from __future__ import annotations

from typing import cast

import lightning as L
from lightning.pytorch.loops.progress import _ProcessedTracker


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
