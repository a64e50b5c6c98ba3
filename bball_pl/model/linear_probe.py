"""The linear probe: a regularised logistic regression on frozen features, its settings chosen on held-out photos."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit, logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import ThreadpoolController
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from bball_pl.model.temperature import MANY, fit_temperature

#: `balanced` gives every class the same total weight, `none` every photo.
ClassWeights = Literal["balanced", "none"]

#: Inverse regularisation strengths to choose from, strong penalty to weak, two per decade. Beyond 0.1 a few hundred
#: photos no longer hold the rows of a thousand features, and what is sure of every picture can win by chance.
STRENGTHS = tuple(float(10**exponent) for exponent in np.arange(-5, -0.99, 0.5))
#: Deviation of a known head's answers as inputs beside features of deviation 1: at this size the penalty on them is
#: next to nothing. 3, 10, 30 and 100 were looked at (docs/trials.md).
_KNOWN_DEVIATION = 30.0
#: Lower bound of a feature's deviation as a share of the median one. Up to a tenth no accuracy changed by more than
#: chance, while the largest weight of an inception_v3 fell from 1,000 to 43.
_LEAST_DEVIATION = 0.03


class Features(NamedTuple):
    """Frozen features of the same photos, float32 `[N, features]`.

    Attributes:
        fitted: means over each photo and its mirror image, or `plain`; what regressions are fitted to.
        plain: features of the photos as they are, which they are judged by: a phone sees no mirror image.
    """

    fitted: Tensor
    plain: Tensor

    def of_first(self, count: int) -> Features:
        """Return the first `count` features of each photo."""
        return Features(self.fitted[:, :count], self.plain[:, :count])


@dataclass(frozen=True)
class Regression:
    """A logistic regression as a linear layer: weight float32 `[classes, features]`, bias float32 `[classes]`."""

    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Return logits `[N, classes]` of features `[N, features]`."""
        return linear(features.float(), self.weight, self.bias)

    def cooled(self, temperature: float) -> Regression:
        """Return a regression whose logits are divided by a temperature."""
        return Regression(self.weight / temperature, self.bias / temperature)

    def split(self, groups: list[int]) -> list[Regression]:
        """Return what the answers take from each group of features; the biases are whole in each."""
        return [Regression(weight, self.bias) for weight in self.weight.split(groups, 1)]


@dataclass(frozen=True)
class ProbeChoice:
    """Settings of a probe and its answers to the photos that the fit of each fold left out.

    Attributes:
        size: side of the network's input in pixels.
        class_weights: weighting of the classes.
        strength: scikit-learn's C, the inverse of the L2 penalty on standardised features.
        indices: int64 `[M]`, positions of the held-out photos in the list of all photos, ascending.
        logits: float32 `[M, classes]`, the answers to them.
        folds: number of divisions that held them out.
        temperature: divisor of the logits that makes the true classes most likely; 1 for few photos of one division,
            by which fine-tuning is compared with the probe.
        losses: float32 `[M]`, cross entropies of the answers at that temperature, in nats.
    """

    size: int
    class_weights: ClassWeights
    strength: float
    indices: Tensor
    logits: Tensor
    folds: int
    temperature: float
    losses: Tensor

    @classmethod
    def of(
        cls,
        size: int,
        class_weights: ClassWeights,
        strength: float,
        indices: Tensor,
        logits: Tensor,
        folds: int,
        targets: Tensor,
    ) -> ProbeChoice:
        """Return the choice with temperature and losses; targets of all photos, the rest as the attributes."""
        temperature = 1.0
        if folds > 1 or len(indices) >= MANY:
            temperature = fit_temperature(logits.numpy(), targets[indices].numpy())
        losses = cross_entropy(logits / temperature, targets[indices], reduction="none")
        return cls(size, class_weights, strength, indices, logits, folds, temperature, losses)

    def with_logits(self, logits: Tensor, targets: Tensor) -> ProbeChoice:
        """Return the choice with other answers to the same photos: float32 `[M, classes]`; targets of all photos."""
        return ProbeChoice.of(self.size, self.class_weights, self.strength, self.indices, logits, self.folds, targets)


def fit_regressions(
    features: Tensor,
    targets: Tensor,
    classes: int,
    class_weights: ClassWeights = "none",
    strengths: Sequence[float] = STRENGTHS,
    known: Regression | None = None,
    groups: Sequence[int] = (),
) -> list[Regression]:
    """Fit one regression per strength to standardised features, expressed in terms of the raw features.

    With several groups of features each gets a regression of its own, and the answer is the mean of their logits, which
    is one linear layer again. Fitted together, the stronger group would leave the other nothing to correct.

    Args:
        features: float `[N, features]`.
        targets: int64 `[N]`, every class at least once.
        classes: number of classes.
        class_weights: `balanced` weights each photo by the inverse frequency of its class.
        strengths: values of scikit-learn's C, ascending.
        known: a head for these classes that came with the weights. Its answers are inputs beside the features, almost
            without penalty: the photos decide how far it is right, and the features add what it lacks.
        groups: numbers of features that came from different networks, in order; one group by default.
    """
    parts = features.split(list(groups) or features.shape[1], 1)
    heads = [None] * len(parts) if known is None else known.split([part.shape[1] for part in parts])
    fitted = [
        _fit_group(part, targets, classes, class_weights, strengths, head)
        for part, head in zip(parts, heads, strict=True)
    ]
    return [
        Regression(
            torch.cat([one.weight for one in answers], 1) / len(parts),
            torch.stack([one.bias for one in answers]).mean(0),
        )
        for answers in zip(*fitted, strict=True)
    ]


def _fit_group(
    features: Tensor,
    targets: Tensor,
    classes: int,
    class_weights: ClassWeights,
    strengths: Sequence[float],
    known: Regression | None,
) -> list[Regression]:
    mean, deviation = _standards(features)
    inputs = (features.double() - mean) / deviation
    answers = None if known is None else _known_answers(known, inputs, deviation)
    inputs, basis = _in_span(inputs if answers is None else torch.cat([inputs, linear(inputs, answers)], 1))
    regressions = []
    # From strong to weak penalty, each from the previous solution: a few iterations instead of a fresh start.
    solver = LogisticRegression(
        max_iter=300, warm_start=True, class_weight="balanced" if class_weights == "balanced" else None
    )
    for strength in strengths:
        solver.set_params(C=strength)
        with warnings.catch_warnings(), _one_thread():
            warnings.simplefilter("ignore", ConvergenceWarning)
            solver.fit(inputs.numpy(), targets.numpy())
        weight, bias = torch.from_numpy(solver.coef_.copy()), torch.from_numpy(solver.intercept_.copy())
        if classes == 2:
            # scikit-learn gives one row for two classes: the log-odds, half of it for each logit.
            weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
        weight = weight if basis is None else weight @ basis
        if answers is not None:
            # What is linear in linear functions of the features is linear in the features: one layer, as before.
            weight = weight[:, : len(deviation)] + weight[:, len(deviation) :] @ answers
        weight = weight / deviation
        regressions.append(Regression(weight.float(), (bias - weight @ mean).float()))
    return regressions


def _one_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS has one thread.

    Products this small gain nothing from a second one, which waits for its turn in a loop: on a busy machine that made
    the choice of a probe two to four times as long.
    """
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited


@cache
def _controller() -> ThreadpoolController:
    """Return the controller of the libraries that this module has loaded.

    Looking through all libraries of the process takes 10 ms, as long as a regression, and a probe fits hundreds.
    """
    return ThreadpoolController()


def _standards(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each feature, float64 `[features]`; the deviation is never close to zero."""
    mean = features.double().mean(0)
    # A constant feature (a dead ReLU) carries no information; a deviation of one keeps its weight at zero. A feature
    # that hardly ever changes is not scaled up to the others: beside weights in the thousands neither fp16 nor 8 bits
    # can represent the rest of the head.
    deviation = features.double().std(0, correction=0)
    alive = deviation > 1e-6
    if alive.any():
        deviation = deviation.clamp_min(_LEAST_DEVIATION * float(deviation[alive].median()))
    return mean, torch.where(alive, deviation, 1.0)


def _known_answers(known: Regression, inputs: Tensor, deviation: Tensor) -> Tensor:
    """Return the rows of a head as functions of standardised inputs, scaled to `_KNOWN_DEVIATION`, `[classes, F]`."""
    # Only differences of logits say anything.
    rows = (known.weight - known.weight.mean(0)).double() * deviation
    return rows * (_KNOWN_DEVIATION / linear(inputs, rows).std(correction=0).clamp_min(1e-6))


def _in_span(inputs: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return inputs `[N, features]` in N coordinates where that is fewer, and the basis of these, else None.

    The penalised solution lies in the span of the photos, so N coordinates instead of thousands of features give
    exactly the same regression, many times faster.
    """
    if len(inputs) >= inputs.shape[1]:
        return inputs, None
    left, scale, basis = torch.linalg.svd(inputs, full_matrices=False)
    return left * scale, basis


def choose_probe(
    features: Mapping[int, Features],
    targets: Tensor,
    folds: Sequence[tuple[Sequence[int], Sequence[int]]],
    classes: int,
    weightings: Sequence[ClassWeights] = ("balanced", "none"),
    known: Regression | None = None,
    groups: Sequence[int] = (),
) -> ProbeChoice:
    """Choose image size, class weighting and regularisation by the mean loss on held-out photos, at its temperature.

    Every combination is fitted to the first part of each fold and judged on the second, with the temperature that suits
    its answers, which is fitted to the chosen one anyway: otherwise a weak penalty would win by being surer alone, and
    it is as sure of pictures without a move. Of fewer than `MANY` photos of a single fold they are taken as they are.
    Of several image sizes the smallest is taken that is not clearly worse than the best, because a larger one makes
    training and phone slower.

    Args:
        features: features of all photos by image size in pixels.
        targets: int64 `[N]`.
        folds: positions of the photos to fit to, with every class among them, and of those to judge by; no photo is
            judged twice.
        classes: number of classes.
        weightings: class weightings to choose from.
        known: a head for these classes that came with the weights, as in `fit_regressions`.
        groups: numbers of features that came from different networks, as in `fit_regressions`.

    Example:
        >>> choice = choose_probe({224: features}, targets, folds, classes=3)
        >>> (head,) = fit_regressions(features.fitted, targets, 3, choice.class_weights, [choice.strength])
    """
    held_out = torch.tensor([position for _, judged in folds for position in judged])
    order = held_out.argsort()
    best: dict[int, ProbeChoice] = {}
    for size, weighting in product(sorted(features), weightings):
        fitted, plain = features[size]
        answers: list[list[Tensor]] = [[] for _ in STRENGTHS]
        for learned, judged in folds:
            positions = torch.tensor(learned)
            regressions = fit_regressions(
                fitted[positions], targets[positions], classes, weighting, known=known, groups=groups
            )
            for row, regression in zip(answers, regressions, strict=True):
                row.append(regression.logits(plain[torch.tensor(judged)]))
        for strength, row in zip(STRENGTHS, answers, strict=True):
            logits = torch.cat(row)[order]
            found = ProbeChoice.of(size, weighting, strength, held_out[order], logits, len(folds), targets)
            if size not in best or found.losses.mean() < best[size].losses.mean():
                best[size] = found
    lowest = min(best.values(), key=lambda choice: float(choice.losses.mean()))
    return next(choice for choice in best.values() if not clearly_better(lowest.losses, choice.losses))


#: Inverse penalty of the row of `none`. 0.001, 0.01 and 0.1 were looked at (docs/trials.md): the rendered scenes are
#: all of one kind, so the strongest carries over best to real pictures.
_NONE_STRENGTH = 1e-3


def with_none(moves: Regression, photos: Tensor, scenes: Tensor) -> Regression:
    """Add a row for the class `none` to a regression on moves, fitted to photos of moves and rendered scenes of none.

    The rows of the moves stay as they are, so that among the moves no answer changes. Photos and scenes have the same
    weight in all.

    Args:
        moves: regression with a row per move.
        photos: features of photos of the moves, float `[N, features]`.
        scenes: features of scenes without a move, float `[S, features]`.

    Returns:
        The regression with one more row, the last.
    """
    # Standardised as the moves' features are: scenes differ from photos in ways that say nothing of the move.
    mean, deviation = _standards(photos)
    together = torch.cat([photos, scenes]).double()
    inputs, basis = _in_span((together - mean) / deviation)
    basis = torch.eye(inputs.shape[1], dtype=torch.double) if basis is None else basis
    values = inputs.numpy()
    against = logsumexp(moves.logits(together).double().numpy(), axis=1)
    is_none = np.repeat([0.0, 1.0], [len(photos), len(scenes)])
    weights = _NONE_STRENGTH * np.where(is_none, len(photos) / len(scenes), 1.0)

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        row, bias = parameters[:-1], parameters[-1]
        margin = values @ row + bias - against
        loss = float(weights @ (np.logaddexp(0, margin) - is_none * margin) + row @ row / 2)
        slope = weights * (expit(margin) - is_none)
        return loss, np.append(values.T @ slope + row, slope.sum())

    start = np.zeros(values.shape[1] + 1)
    with _one_thread():
        solution = torch.from_numpy(minimize(objective, start, jac=True, method="L-BFGS-B").x)
    row = (solution[:-1] @ basis) / deviation
    bias = solution[-1] - row @ mean
    return Regression(torch.cat([moves.weight, row.float()[None]]), torch.cat([moves.bias, bias.float()[None]]))


def raised(values: Tensor, offset: float) -> Tensor:
    """Return logits or biases `[…, classes]` with a number added to those of the last class."""
    return torch.cat([values[..., :-1], values[..., -1:] + offset], -1)


def none_offset(logits: Tensor, targets: Tensor, none: int, share: float = 0.01) -> float:
    """Return the number to add to the logit of `none` so that few photos of a move are lost to it; 0 or less.

    Scenes of no move are rendered, and photos of the moves are not: where the two kinds of picture differ, a regression
    takes a real photo for a move or for none by that alone. Real photos without a move are not there to choose by, but
    held-out photos of the moves are.

    Args:
        logits: answers to held-out photos of the moves, float `[N, classes]`.
        targets: their classes, int64 `[N]`.
        none: index of the class.
        share: of the photos that are right among the moves, at most so many may be called none, 0-1.
    """
    moves = logits.clone()
    moves[:, none] = -torch.inf
    best, predicted = moves.max(1)
    leads = (logits[:, none] - best)[predicted == targets]
    if not len(leads):
        return 0.0
    # The largest lead that is still to be overcome, of all but the allowed share; a hair more, to be below it.
    allowed = int(share * len(leads))
    return min(0.0, -float(leads.sort(descending=True).values[allowed]) - 1e-4)


def clearly_better(losses: Tensor, reference: Tensor, errors: float = 1.0) -> bool:
    """Return whether the mean loss is lower than a reference's by more than some standard errors of the differences.

    On a few dozen photos the mean loss of the best of many epochs falls below the probe's by luck alone; the model with
    fewer choices gets the benefit of the doubt.

    Args:
        losses: cross entropy of each photo, float `[N]`, N of 1 or more.
        reference: cross entropies of the same photos in the same order.
        errors: number of standard errors.
    """
    gains = (reference - losses).double()
    # A single photo has no spread: any gain counts.
    error = float(gains.std() / len(gains) ** 0.5) if len(gains) > 1 else 0.0
    return float(gains.mean()) > errors * error
