"""Temperature of a network's answers: the divisor of its logits that makes the true classes most likely."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

#: Photos from which a temperature says something: 15 % of the 600 up to which folds choose. One that is fitted to fewer
#: rewards luck: 35 of 35 right look like certainty.
MANY = 90


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Fit the temperature that makes the true classes most likely (arXiv:1706.04599).

    A weak prior (logarithm of the temperature: 0 ± 1) keeps it finite: if all of a few validation photos are answered
    rightly, the likelihood alone is greatest at a temperature of zero.

    Args:
        logits: float `[N, classes]`.
        targets: int64 `[N]`.
    """
    from scipy.optimize import minimize_scalar  # half a second to import, which answering photos does not need

    logits = logits.astype(np.float64)

    def objective(log_temperature: float) -> float:
        return nll(logits / np.exp(log_temperature), targets) * len(targets) + log_temperature**2 / 2

    bounds = (-3.0, 3.0)
    inside = float(minimize_scalar(objective, bounds=bounds, method="bounded").x)
    # A bounded search ends a hair short of a bound at which the objective is still falling.
    return float(np.exp(min((inside, *bounds), key=objective)))


def nll(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean negative log-likelihood of the true classes, in nats; arguments as in `fit_temperature`."""
    return float(-log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(targets)), targets].mean())
