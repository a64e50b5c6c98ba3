"""Whole groups dealt out to the splits so that each class has its share in each."""

from __future__ import annotations

import numpy as np

#: Orders that the groups are dealt out in; the most even result is taken.
_DEALS = 16
#: So much an order may differ from that by size: large groups first, or in the end none of them fits any more.
_JITTER = 0.3


def deal(sizes: np.ndarray, have: np.ndarray, shares: np.ndarray, seed: int) -> np.ndarray:
    """Return which split each group goes to.

    Each goes where its classes are missed most, the largest first; of several orders the most even result is taken. A
    class that a split would lack is moved there if some other split can spare a group of it.

    Args:
        sizes: photos of each group by class, `[groups, classes]`; a group has at least one photo.
        have: photos that the splits have already by class, `[splits, classes]`.
        shares: wanted of each class, `[splits]`, above 0; they add up to 1.
        seed: of the orders.

    Returns:
        int `[groups]`, 0 … splits - 1. Of equally good splits the first is taken: a class with a single group can be
        learned, but not only measured.
    """
    dealt = np.zeros(len(sizes), int)
    if not len(sizes):
        return dealt
    targets = shares[:, None] * (have.sum(0) + sizes.sum(0))
    generator = np.random.default_rng(seed)
    least = np.inf
    for _ in range(_DEALS):
        order = np.argsort(-sizes.sum(1) * (1 + _JITTER * generator.uniform(-1, 1, len(sizes))), kind="stable")
        tried = _in_order(order, sizes, have, targets)
        _fill_empty(tried, sizes, have)
        reached = have + np.array([sizes[tried == split].sum(0) for split in range(len(have))])
        # A class that is missing somewhere is worse than any unevenness.
        uneven = float((((reached - targets) ** 2) / np.maximum(targets, 1)).sum())
        uneven += float(sizes.sum() ** 2 + 1) * np.count_nonzero(reached == 0)
        if uneven < least:
            least, dealt = uneven, tried
    return dealt


def _in_order(order: np.ndarray, sizes: np.ndarray, have: np.ndarray, targets: np.ndarray) -> np.ndarray:
    reached, dealt = have.copy(), np.zeros(len(sizes), int)
    for group in order:
        missing = (targets - reached) / np.maximum(targets, 1)
        split = int(np.argmax(missing @ sizes[group]))
        dealt[group] = split
        reached[split] += sizes[group]
    return dealt


def _fill_empty(dealt: np.ndarray, sizes: np.ndarray, have: np.ndarray) -> None:
    """Move the smallest group that will do to each split that lacks a class, from where the class is twice."""
    for name in range(sizes.shape[1]):
        for split in range(len(have)):
            if have[split, name] or sizes[dealt == split, name].any():
                continue
            spare = [
                group
                for group in np.flatnonzero(sizes[:, name])
                if have[dealt[group], name] or np.count_nonzero(sizes[dealt == dealt[group], name]) > 1
            ]
            if spare:
                dealt[min(spare, key=lambda group: float(sizes[group].sum()))] = split
