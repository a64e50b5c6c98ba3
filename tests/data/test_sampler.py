"""Every photo exactly once, for any number of photos, devices and batches, and from any point of an epoch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bball_pl.data.sampler import EvalBatchSampler, TrainBatchSampler
from bball_pl.errors import ConfigError

counts = st.integers(1, 200)
batch_sizes = st.integers(1, 40)
worlds = st.integers(1, 5)
epochs = st.integers(0, 1000)


@given(counts, batch_sizes, worlds, epochs)
def test_training_shows_every_photo_once_in_even_batches(count: int, batch_size: int, world: int, epoch: int) -> None:
    if count < world:
        with pytest.raises(ConfigError, match="fewer devices"):
            TrainBatchSampler(count, batch_size, 0, 0, world)
        return
    seen: list[int] = []
    shapes = []
    for rank in range(world):
        sampler = TrainBatchSampler(count, batch_size, 7, rank, world)
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert {key[0] for batch in batches for key in batch} == {epoch}
        seen += [position for batch in batches for _, position in batch]
        sizes = [len(batch) for batch in batches]
        assert max(sizes) <= batch_size
        assert max(sizes) - min(sizes) <= 1
        # One photo has no variance for batch norm: it stands alone only where nothing else is possible.
        assert min(sizes) > 1 or batch_size <= 2 or count // world == 1
        shapes.append(sizes)
    # Devices that took different numbers of steps would wait for each other for ever.
    assert all(sizes == shapes[0] for sizes in shapes)
    assert len(seen) == len(set(seen)) == count // world * world
    assert set(seen) <= set(range(count))


@given(st.integers(1, 30), st.integers(1, 8), worlds, epochs)
def test_devices_together_train_on_the_batches_of_one(batches: int, batch_size: int, world: int, epoch: int) -> None:
    count = batches * batch_size * world
    alone = TrainBatchSampler(count, batch_size * world, 3)
    alone.set_epoch(epoch)
    together = [TrainBatchSampler(count, batch_size, 3, rank, world) for rank in range(world)]
    for sampler in together:
        sampler.set_epoch(epoch)
    for whole, *parts in zip(alone, *together, strict=True):
        assert sorted(whole) == sorted(key for part in parts for key in part)


@given(st.integers(20, 200), batch_sizes, st.data())
def test_skipping_leaves_the_rest_of_the_epoch_as_it_was(count: int, batch_size: int, data: st.DataObject) -> None:
    sampler = TrainBatchSampler(count, batch_size, 1)
    sampler.set_epoch(4)
    whole = list(sampler)
    done = data.draw(st.integers(0, len(whole)))
    sampler.skip_batches(done)
    assert len(sampler) == len(whole)
    # Lightning sets the epoch again after it has made the iterator.
    sampler.set_epoch(4)
    assert list(sampler) == whole[done:]
    sampler.set_epoch(5)
    assert len(list(sampler)) == len(whole)


def test_order_changes_with_epoch_and_seed_and_with_nothing_else() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = TrainBatchSampler(50, 8, seed)
        sampler.set_epoch(epoch)
        return [position for batch in sampler for _, position in batch]

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1, 2)}) == 6


@given(st.integers(0, 200), batch_sizes, worlds)
def test_evaluation_counts_every_photo_once_on_equally_busy_devices(count: int, batch_size: int, world: int) -> None:
    seen: list[int] = []
    shapes = []
    for rank in range(world):
        sampler = EvalBatchSampler(count, batch_size, rank, world)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        shapes.append([len(batch) for batch in batches])
        seen += [position for batch in batches for _, position in batch if position >= 0]
        padding = [position for batch in batches for _, position in batch if position < 0]
        assert padding in ([], [-1])
    assert sorted(seen) == list(range(count))
    assert all(sizes == shapes[0] for sizes in shapes)
    assert all(0 < size <= batch_size for size in shapes[0])


@pytest.mark.parametrize("sampler", [TrainBatchSampler, EvalBatchSampler])
def test_batch_size_below_one_is_refused(sampler: type) -> None:
    with pytest.raises(ConfigError, match=r"--data\.batch_size"):
        sampler(10, 0)
