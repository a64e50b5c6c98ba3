"""The linear probe's regression."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from bball_pl.model.linear_probe import STRENGTHS, clearly_better, fit_probe


def clouds(classes: int, count: int, seed: int, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Clouds around the corners of a simplex, in features of very different scale and offset."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % classes
    features = 4 * torch.eye(classes, 8)[targets] + spread * torch.randn(count, 8, generator=generator)
    return features * torch.logspace(-1, 1, 8) + torch.linspace(-50, 50, 8), targets


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_separable_classes_are_told_apart(classes: int) -> None:
    train, val = clouds(classes, 120, 0, 0.3), clouds(classes, 60, 1, 0.3)
    probe = fit_probe(*train, *val, classes)
    assert probe.weight.shape == (classes, 8)
    assert probe.bias.shape == (classes,)
    assert probe.weight.dtype == probe.bias.dtype == torch.float32
    assert probe.val_acc == 1.0
    assert probe.val_loss < 0.05
    fresh, targets = clouds(classes, 60, 2, 0.3)
    assert torch.equal(probe.logits(fresh).argmax(1), targets)


@pytest.mark.parametrize("classes", [2, 3])
def test_folded_back_it_answers_as_scikit_learn_on_standardised_features(classes: int) -> None:
    (train, targets), (val, val_targets) = clouds(classes, 90, 0, 2.0), clouds(classes, 40, 1, 2.0)
    probe = fit_probe(train, targets, val, val_targets, classes)
    scaler = StandardScaler().fit(train.double().numpy())
    reference = LogisticRegression(C=probe.strength, max_iter=3000, tol=1e-8)
    reference.fit(scaler.transform(train.double().numpy()), targets.numpy())
    wanted = reference.predict_proba(scaler.transform(val.double().numpy()))
    got = probe.logits(val).softmax(1).numpy()
    np.testing.assert_allclose(got, wanted, atol=5e-3)
    loss = -np.log(wanted[np.arange(len(val)), val_targets.numpy()]).mean()
    assert probe.val_loss == pytest.approx(loss, abs=5e-3)


def test_the_strength_is_chosen_on_validation() -> None:
    train = clouds(3, 30, 0, 6.0)
    noisy = fit_probe(*train, *clouds(3, 200, 1, 6.0), classes=3)
    assert STRENGTHS[0] < noisy.strength < STRENGTHS[-1], (
        "few noisy photos want a strong penalty, but not the strongest"
    )
    clean = fit_probe(*clouds(3, 300, 0, 0.2), *clouds(3, 200, 1, 0.2), classes=3)
    assert clean.strength > noisy.strength


def test_dead_features_have_no_say() -> None:
    (train, targets), (val, val_targets) = clouds(3, 60, 0, 0.3), clouds(3, 30, 1, 0.3)
    train, val = train.clone(), val.clone()
    train[:, 5] = 0.0
    train[:, 6] = 7.25
    val[:, 5] = 100.0
    val[:, 6] = 7.25
    probe = fit_probe(train, targets, val, val_targets, 3)
    assert probe.weight.isfinite().all()
    assert probe.bias.isfinite().all()
    assert float(probe.weight[:, 5:7].abs().max()) == 0.0
    assert probe.val_acc == 1.0


def test_a_feature_that_hardly_ever_changes_gets_no_huge_weight() -> None:
    (train, targets), (val, val_targets) = clouds(3, 90, 0, 2.0), clouds(3, 30, 1, 2.0)
    # It fired once, a little, for a photo of class 1.
    train, val = train.clone(), val.clone()
    train[:, 3], val[:, 3] = 0.0, 0.0
    train[4, 3] = 1e-4
    probe = fit_probe(train, targets, val, val_targets, 3)
    without = fit_probe(train.index_fill(1, torch.tensor(3), 0.0), targets, val, val_targets, 3)
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
