"""Augmentation: reproducible, independent of everything global, and gentle where the move would be lost."""

from __future__ import annotations

import pickle
import random
from typing import get_args

import numpy as np
import pytest
import torch

from bball_pl.data.augmentation import Strength, build_augment, photo_seed
from bball_pl.errors import ConfigError

SIZE = 64


def photo(seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (10, 10, 3), np.uint8)
    return np.ascontiguousarray(small.repeat(8, 0).repeat(8, 1))


@pytest.mark.parametrize("strength", ["light", "heavy"])
def test_equal_seeds_give_equal_bytes_whatever_came_before(strength: Strength) -> None:
    first, second = build_augment(strength, SIZE), build_augment(strength, SIZE)
    assert first is not None
    assert second is not None
    expected = [first(photo(), seed) for seed in range(40)]
    for seed in reversed(range(40)):
        np.testing.assert_array_equal(second(photo(), seed), expected[seed])
    # Spawned workers get the pipeline by pickle.
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(first))(photo(), 7), expected[7])
    assert len({array.tobytes() for array in expected}) == 40
    assert {(array.shape, array.dtype.name) for array in expected} == {((SIZE, SIZE, 3), "uint8")}


def test_input_and_global_generators_are_left_alone() -> None:
    augment = build_augment("heavy", SIZE)
    assert augment is not None
    original = photo()
    torch.manual_seed(0)
    before = random.getstate(), pickle.dumps(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    for seed in range(60):
        augment(original, seed)
    np.testing.assert_array_equal(original, photo())
    assert random.getstate() == before[0]
    assert pickle.dumps(np.random.get_state()) == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])
    random.seed(1)
    again = augment(original, 3)
    random.seed(2)
    np.testing.assert_array_equal(augment(original, 3), again)


def test_transforms_draw_independently_of_each_other() -> None:
    # With one seed per transform, as the library's own seeding does it, flip and colour would always come together.
    augment = build_augment("light", SIZE)
    assert augment is not None
    grey = np.full((SIZE, SIZE, 3), 100, np.uint8)
    grey[:, SIZE // 2 :] = 150
    flipped, recoloured = [], []
    for seed in range(300):
        result = augment(grey, photo_seed(0, 0, str(seed)))
        flipped.append(result[:, 0].mean() > result[:, -1].mean())
        recoloured.append(abs(float(result.min()) - 100) > 1)
    assert 0.35 < np.mean(flipped) < 0.65
    assert abs(np.corrcoef(flipped, recoloured)[0, 1]) < 0.2


def test_nothing_is_turned_upside_down() -> None:
    augment = build_augment("heavy", SIZE)
    assert augment is not None
    # Brightness rises from top to bottom: in every result the lower half must be the brighter one.
    ramp = np.repeat(np.linspace(30, 225, 80).astype(np.uint8)[:, None, None], 80, 1).repeat(3, 2)
    for seed in range(200):
        result = augment(ramp, seed).astype(float)
        assert result[SIZE // 2 :].mean() > result[: SIZE // 2].mean()


def test_seed_depends_on_run_epoch_and_photo() -> None:
    seeds = {
        photo_seed(*key) for key in ((0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b"), (11, 1, "a"), (1, 11, "a"))
    }
    assert len(seeds) == 6
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_none_has_no_pipeline_and_other_names_are_refused() -> None:
    assert build_augment("none", SIZE) is None
    with pytest.raises(ConfigError, match=", ".join(get_args(Strength))):
        build_augment("strong", SIZE)  # type: ignore[arg-type]


@pytest.mark.parametrize("strength", ["light", "heavy"])
def test_crops_keep_at_least_half_of_the_photo(strength: Strength) -> None:
    # The pipelines' first step alone, on a photo whose red and green say where a pixel came from.
    augment = build_augment(strength, SIZE)
    assert augment is not None
    crop = augment._pipeline.transforms[0]
    place = np.linspace(0, 255, 80).astype(np.uint8)
    photo = np.dstack([np.broadcast_to(place[:, None], (80, 80)), np.broadcast_to(place, (80, 80)), np.zeros((80, 80))])
    for _ in range(200):
        result = crop(image=photo.astype(np.uint8))["image"].astype(float)
        kept = np.ptp(result[..., 0]) / 255 * np.ptp(result[..., 1]) / 255
        assert kept > 0.45
