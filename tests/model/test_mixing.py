"""Mixup and CutMix."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import one_hot

from bball_pl.model.recipe import mix

SEEDS = st.integers(0, 2**32)
ALPHAS = st.floats(0.01, 5)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int, classes: int, side: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draws = generator(seed)
    images = torch.randn(count, 3, side, side, generator=draws)
    return images, one_hot(torch.randint(classes, (count,), generator=draws), classes).float()


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 6),
    classes=st.integers(2, 5),
    side=st.integers(1, 24),
    mixup=st.one_of(st.just(0.0), ALPHAS),
    cutmix=st.one_of(st.just(0.0), ALPHAS),
    probability=st.floats(0, 1),
    seed=SEEDS,
)
def test_shapes_stay_targets_sum_to_one_and_a_seed_repeats(
    count: int, classes: int, side: int, mixup: float, cutmix: float, probability: float, seed: int
) -> None:
    images, targets = batch(count, classes, side, seed)
    before = images.clone(), targets.clone()
    mixed, soft = mix(images, targets, mixup, cutmix, probability, generator(seed))
    assert mixed.shape == images.shape
    assert soft.shape == targets.shape
    assert mixed.dtype == images.dtype
    assert soft.dtype == targets.dtype
    torch.testing.assert_close(soft.sum(1), torch.ones(count))
    assert soft.min() >= 0
    assert soft.max() <= 1 + 1e-6
    assert torch.equal(images, before[0]), "the given batch is not changed"
    assert torch.equal(targets, before[1])
    again, soft_again = mix(images, targets, mixup, cutmix, probability, generator(seed))
    assert torch.equal(mixed, again)
    assert torch.equal(soft, soft_again)


@given(alpha=ALPHAS, seed=SEEDS)
def test_probability_zero_both_off_and_one_photo_change_nothing(alpha: float, seed: int) -> None:
    images, targets = batch(4, 3, 8)
    for given_images, given_targets, options in (
        (images, targets, (alpha, alpha, 0.0)),
        (images, targets, (0.0, 0.0, 1.0)),
        (images[:1], targets[:1], (alpha, alpha, 1.0)),
    ):
        mixed, soft = mix(given_images, given_targets, *options, generator(seed))
        assert mixed is given_images
        assert soft is given_targets


@settings(deadline=None)
@given(alpha=ALPHAS, side=st.integers(2, 40), seed=SEEDS)
def test_cutmix_weighs_the_targets_by_the_pasted_area(alpha: float, side: int, seed: int) -> None:
    # Photo n is n everywhere and of class n: where the neighbour's number stands, the neighbour was pasted.
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, side, side)
    mixed, soft = mix(images, torch.eye(3), 0.0, alpha, 1.0, generator(seed))
    for place in range(3):
        pasted = (mixed[place] != place).float().mean()
        torch.testing.assert_close(soft[place, place], 1 - pasted, atol=1e-5, rtol=0)
        torch.testing.assert_close(soft[place, place - 1], pasted, atol=1e-5, rtol=0)
        assert set(mixed[place].unique().tolist()) <= {float(place), float((place - 1) % 3)}


@settings(deadline=None)
@given(alpha=ALPHAS, seed=SEEDS)
def test_mixup_blends_photos_with_the_weight_of_their_targets(alpha: float, seed: int) -> None:
    images, targets = batch(4, 4, 5)[0], torch.eye(4)
    mixed, soft = mix(images, targets, alpha, 0.0, 1.0, generator(seed))
    for place in range(4):
        share = soft[place, place]
        torch.testing.assert_close(mixed[place], share * images[place] + (1 - share) * images[place - 1])


def test_probability_is_the_share_of_mixed_batches_and_both_kinds_take_turns() -> None:
    images, targets = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 3, 8, 8), torch.eye(2)
    kinds = {"none": 0, "mixup": 0, "cutmix": 0}
    for seed in range(1000):
        mixed, _ = mix(images, targets, 1.0, 1.0, 0.4, generator(seed))
        values = set(mixed.unique().tolist())
        kinds["none" if mixed is images else "cutmix" if values <= {0.0, 1.0} else "mixup"] += 1
    assert abs(kinds["none"] - 600) < 50
    assert abs(kinds["mixup"] - kinds["cutmix"]) < 70
