"""The linear probe's regression, and the choice of its settings on held-out photos."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from bball_pl.model.linear_probe import (
    STRENGTHS,
    ClassWeights,
    Features,
    ProbeChoice,
    Regression,
    choose_probe,
    clearly_better,
    fit_regressions,
)

Cloud = tuple[Tensor, Tensor]


def clouds(classes: int, count: int, seed: int, spread: float = 1.0) -> Cloud:
    """Clouds around the corners of a simplex, in features of very different scale and offset."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % classes
    features = 4 * torch.eye(classes, 8)[targets] + spread * torch.randn(count, 8, generator=generator)
    return features * torch.logspace(-1, 1, 8) + torch.linspace(-50, 50, 8), targets


def chosen(train: Cloud, val: Cloud, classes: int) -> tuple[Regression, ProbeChoice]:
    """Choose on one split, as with many photos, and return the regression of the training part."""
    features, targets = (torch.cat(parts) for parts in zip(train, val, strict=True))
    learned = list(range(len(train[0])))
    judged = list(range(len(train[0]), len(features)))
    choice = choose_probe({32: Features(features, features)}, targets, [(learned, judged)], classes, ["none"])
    return fit_regressions(*train, classes, "none", [choice.strength])[0], choice


def five_folds(count: int) -> list[tuple[list[int], list[int]]]:
    return [([n for n in range(count) if n % 5 != fold], list(range(fold, count, 5))) for fold in range(5)]


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_separable_classes_are_told_apart(classes: int) -> None:
    val, targets = clouds(classes, 120, 1, 0.3)
    probe, choice = chosen(clouds(classes, 120, 0, 0.3), (val, targets), classes)
    assert probe.weight.shape == (classes, 8)
    assert probe.bias.shape == (classes,)
    assert probe.weight.dtype == probe.bias.dtype == torch.float32
    assert torch.equal(choice.logits.argmax(1), targets)
    assert choice.losses.mean() < 0.05
    fresh, targets = clouds(classes, 60, 2, 0.3)
    assert torch.equal(probe.logits(fresh).argmax(1), targets)


@pytest.mark.parametrize("count", [90, 6], ids=["more photos than features", "fewer photos than features"])
@pytest.mark.parametrize("weights", ["none", "balanced"])
@pytest.mark.parametrize("classes", [2, 3])
def test_folded_back_it_answers_as_scikit_learn_on_standardised_features(
    classes: int, weights: ClassWeights, count: int
) -> None:
    train, targets = clouds(classes, count + 3, 0, 2.0)
    train, targets = train[:-2], targets[:-2]  # one class has a photo more
    val, _ = clouds(classes, 40, 1, 2.0)
    probe = fit_regressions(train, targets, classes, weights, [0.01, 0.1])[1]
    scaler = StandardScaler().fit(train.double().numpy())
    reference = LogisticRegression(
        C=0.1, max_iter=3000, tol=1e-8, class_weight="balanced" if weights == "balanced" else None
    )
    reference.fit(scaler.transform(train.double().numpy()), targets.numpy())
    wanted = reference.predict_proba(scaler.transform(val.double().numpy()))
    np.testing.assert_allclose(probe.logits(val).softmax(1).numpy(), wanted, atol=5e-3)


def scattered(count: int, classes: int, seed: int, noise: float = 1.0) -> tuple[Tensor, Tensor, Regression]:
    """Photos with many features, their classes, and a head that knows the direction of each class."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(classes, 200, generator=torch.Generator().manual_seed(99))
    targets = torch.arange(count) % classes
    features = 0.3 * directions[targets] + noise * torch.randn(count, 200, generator=generator)
    return 3 * features + 5, targets, Regression(directions / 50, torch.zeros(classes))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_that_came_with_the_weights_stands_in_for_photos(classes: int) -> None:
    few, few_targets, known = scattered(4 * classes, classes, 1, 2.0)
    fresh, targets, _ = scattered(300, classes, 2, 2.0)

    def loss(head: Regression | None) -> float:
        (probe,) = fit_regressions(few, few_targets, classes, "balanced", [1e-3], head)
        return float(torch.nn.functional.cross_entropy(probe.logits(fresh), targets))

    assert loss(known) < 0.8 * loss(None)
    # Photos that contradict it are believed: turned round, it is worth as much.
    turned = Regression(-known.weight, known.bias)
    assert loss(turned) == pytest.approx(loss(known), rel=0.02)


def test_a_known_head_is_an_input_like_any_other() -> None:
    features, targets, known = scattered(60, 3, 1, 3.0)
    fresh, _, _ = scattered(40, 3, 2, 3.0)
    (probe,) = fit_regressions(features, targets, 3, "none", [0.01], known)
    scaler = StandardScaler().fit(features.double().numpy())
    standardised = scaler.transform(features.double().numpy())
    rows = (known.weight - known.weight.mean(0)).double().numpy() * scaler.scale_
    rows *= 30 / (standardised @ rows.T).std()
    reference = LogisticRegression(C=0.01, max_iter=5000, tol=1e-9)
    reference.fit(np.hstack([standardised, standardised @ rows.T]), targets.numpy())
    inputs = scaler.transform(fresh.double().numpy())
    wanted = reference.predict_proba(np.hstack([inputs, inputs @ rows.T]))
    np.testing.assert_allclose(probe.logits(fresh).softmax(1).numpy(), wanted, atol=5e-3)


def test_a_known_head_without_an_opinion_changes_nothing() -> None:
    features, targets, _ = scattered(30, 3, 1)
    fresh, _, _ = scattered(20, 3, 2)
    blank = Regression(torch.ones(3, 200), torch.zeros(3))
    (plain,) = fit_regressions(features, targets, 3, "none", [0.01])
    (beside,) = fit_regressions(features, targets, 3, "none", [0.01], blank)
    torch.testing.assert_close(beside.logits(fresh), plain.logits(fresh), atol=1e-3, rtol=1e-3)


def test_the_strength_is_chosen_on_held_out_photos() -> None:
    train = clouds(3, 30, 0, 6.0)
    _, noisy = chosen(train, clouds(3, 200, 1, 6.0), classes=3)
    assert STRENGTHS[0] < noisy.strength < STRENGTHS[-1], (
        "few noisy photos want a strong penalty, but not the strongest"
    )
    _, clean = chosen(clouds(3, 300, 0, 0.2), clouds(3, 200, 1, 0.2), classes=3)
    assert clean.strength > noisy.strength


def planted(count: int, flaw: list[int]) -> tuple[dict[int, Features], Tensor]:
    """Features at two sizes: at 64 px good, at 32 px worse, except for the photos of one small validation split."""
    (good, targets), (bad, _) = clouds(3, count, 0, 1.5), clouds(3, count, 1, 5.0)
    good, bad = good.clone(), bad.clone()
    good[flaw], bad[flaw] = clouds(3, count, 2, 5.0)[0][flaw], clouds(3, count, 3, 0.2)[0][flaw]
    return {32: Features(bad, bad), 64: Features(good, good)}, targets


def test_folds_choose_the_size_that_a_small_split_misses() -> None:
    lucky = list(range(12))
    features, targets = planted(150, lucky)
    one_split = [([n for n in range(150) if n not in lucky], lucky)]
    assert choose_probe(features, targets, one_split, 3).size == 32
    folds = five_folds(150)
    choice = choose_probe(features, targets, folds, 3)
    assert choice.size == 64
    assert choice.indices.tolist() == list(range(150))
    for learned, judged in folds:
        regression = fit_regressions(
            features[64].fitted[learned],
            targets[learned],
            3,
            choice.class_weights,
            STRENGTHS[: 1 + STRENGTHS.index(choice.strength)],
        )[-1]
        torch.testing.assert_close(choice.logits[judged], regression.logits(features[64].plain[judged]))


def test_of_equally_good_sizes_the_smallest_is_taken() -> None:
    features, targets = clouds(3, 90, 0, 2.0)
    candidates = {size: Features(features, features) for size in (64, 32, 96)}
    assert choose_probe(candidates, targets, five_folds(90), 3).size == 32


def test_fitted_to_the_averages_and_judged_by_the_photos_as_they_are() -> None:
    fitted, targets = clouds(3, 90, 0, 0.5)
    plain = fitted.flip(0)  # the features of other photos
    choice = choose_probe({32: Features(fitted, plain)}, targets, five_folds(90), 3)
    assert choice.losses.mean() > 1


def test_dead_features_have_no_say() -> None:
    (train, targets), (val, val_targets) = clouds(3, 60, 0, 0.3), clouds(3, 30, 1, 0.3)
    train, val = train.clone(), val.clone()
    train[:, 5] = 0.0
    train[:, 6] = 7.25
    val[:, 5] = 100.0
    val[:, 6] = 7.25
    for probe in fit_regressions(train, targets, 3):
        assert probe.weight.isfinite().all()
        assert probe.bias.isfinite().all()
        assert float(probe.weight[:, 5:7].abs().max()) == 0.0
    assert torch.equal(probe.logits(val).argmax(1), val_targets)


def test_a_feature_that_hardly_ever_changes_gets_no_huge_weight() -> None:
    train, targets = clouds(3, 90, 0, 2.0)
    # It fired once, a little, for a photo of class 1.
    train = train.clone()
    train[:, 3] = 0.0
    train[4, 3] = 1e-4
    probe = fit_regressions(train, targets, 3, "none", [0.1])[0]
    without = fit_regressions(train.index_fill(1, torch.tensor(3), 0.0), targets, 3, "none", [0.1])[0]
    others = [0, 1, 2, 4, 5, 6, 7]
    assert float(probe.weight[:, 3].abs().max()) < 1.0
    torch.testing.assert_close(probe.weight[:, others], without.weight[:, others], atol=1e-3, rtol=1e-2)


def test_a_gain_within_the_noise_does_not_beat_the_probe() -> None:
    generator = torch.Generator().manual_seed(0)
    probe = torch.rand(35, generator=generator)
    noise = torch.randn(35, generator=generator)
    noise = (noise - noise.mean()) / noise.std()
    error = 35**-0.5  # the standard error of differences with a deviation of 1
    assert not clearly_better(probe, probe)
    assert not clearly_better(probe - noise - 0.9 * error, probe)
    assert clearly_better(probe - noise - 1.1 * error, probe)
    assert not clearly_better(probe + 0.1, probe)
    assert not clearly_better(torch.full_like(probe, torch.nan), probe)


def test_one_validation_photo_decides_by_itself() -> None:
    assert clearly_better(torch.tensor([0.4]), torch.tensor([0.5]))
    assert not clearly_better(torch.tensor([0.5]), torch.tensor([0.5]))
