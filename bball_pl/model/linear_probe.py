"""The linear probe: a regularised logistic regression on frozen features, the result that fine-tuning has to beat."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

#: Inverse regularisation strengths to choose from, weak evidence to strong, two per decade.
STRENGTHS = tuple(float(10**exponent) for exponent in np.arange(-5, 1.01, 0.5))
#: Deviations below this share of the middle one are taken to be as large. Up to a tenth no accuracy changed by more
#: than chance, while the largest weight of an inception_v3 fell from 1,000 to 43.
_LEAST_DEVIATION = 0.03


@dataclass(frozen=True)
class Probe:
    """A logistic regression on features, as a linear layer.

    Attributes:
        weight: float32 `[classes, features]`.
        bias: float32 `[classes]`.
        strength: scikit-learn's C, the inverse of the L2 penalty on standardised features.
        val_losses: cross entropy of each validation photo, float32 `[M]`, in nats.
        val_acc: share of the validation photos that are answered rightly, 0–1.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    val_losses: Tensor
    val_acc: float

    @property
    def val_loss(self) -> float:
        """Mean cross entropy on the validation photos, in nats."""
        return float(self.val_losses.mean())

    def logits(self, features: Tensor) -> Tensor:
        """Return logits `[N, classes]` of features `[N, features]`."""
        return torch.nn.functional.linear(features, self.weight, self.bias)


def fit_probe(
    train_features: Tensor, train_targets: Tensor, val_features: Tensor, val_targets: Tensor, classes: int
) -> Probe:
    """Fit the regression on train for each strength and keep the one with the lowest cross entropy on val.

    Features are standardised with train's mean and deviation, so that one penalty suits them all; the result is
    written back in terms of the raw features, so that it can be the head of the network.

    Args:
        train_features: float `[N, features]`.
        train_targets: int64 `[N]`, every class at least once.
        val_features: float `[M, features]`.
        val_targets: int64 `[M]`.
        classes: number of classes.
    """
    mean = train_features.double().mean(0)
    # A feature that never changes (a dead ReLU) has nothing to say; a deviation of one keeps it at zero. One that
    # hardly ever changes is not blown up to the size of the others: beside weights in the thousands neither fp16 nor
    # 8 bits hold the rest of the head.
    deviation = train_features.double().std(0, correction=0)
    alive = deviation > 1e-6
    if alive.any():
        deviation = deviation.clamp_min(_LEAST_DEVIATION * float(deviation[alive].median()))
    deviation = torch.where(alive, deviation, 1.0)
    standardised = ((train_features.double() - mean) / deviation).numpy()
    best: Probe | None = None
    # From strong to weak penalty, each from the last solution: a few iterations apiece instead of a fresh start.
    regression = LogisticRegression(max_iter=300, warm_start=True)
    for strength in STRENGTHS:
        regression.set_params(C=strength)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression.fit(standardised, train_targets.numpy())
        weight, bias = torch.from_numpy(regression.coef_), torch.from_numpy(regression.intercept_)
        if classes == 2:
            # scikit-learn gives one row for two classes: the log-odds, half of it for each logit.
            weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
        weight = weight / deviation
        bias = bias - weight @ mean
        probe = _measured(weight.float(), bias.float(), strength, val_features, val_targets)
        if best is None or probe.val_loss < best.val_loss:
            best = probe
    if best is None:
        raise ValueError("no regularisation strength to choose from")
    return best


def _measured(weight: Tensor, bias: Tensor, strength: float, features: Tensor, targets: Tensor) -> Probe:
    logits = torch.nn.functional.linear(features.float(), weight, bias)
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    accuracy = float((logits.argmax(1) == targets).float().mean())
    return Probe(weight, bias, strength, losses, accuracy)


def clearly_better(losses: Tensor, probe_losses: Tensor) -> bool:
    """Say whether a network beats its probe by more than one standard error of the paired differences.

    On a few dozen photos the mean loss of the best of many epochs falls below the probe's by luck alone; what was
    fitted with fewer choices deserves the doubt.

    Args:
        losses: cross entropy of each validation photo, float `[N]`, N of 1 or more.
        probe_losses: of the probe on the same photos in the same order.
    """
    gains = (probe_losses - losses).double()
    # One photo has no spread: then any gain counts.
    error = float(gains.std() / len(gains) ** 0.5) if len(gains) > 1 else 0.0
    return float(gains.mean()) > error
