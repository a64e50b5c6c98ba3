"""Doubtful labels: the answers of a plain model on frozen features to photos of games it has not seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

#: Inverse strength of the regularisation: there are many more features than photos. Measured on the demo court with
#: ten times as little, the 30 most doubtful labels hold fewer wrong ones.
_C = 1e-3
_ITERATIONS = 100
#: Many folds: a model that has seen nine tenths of the photos doubts less without reason than one that saw half.
_FOLDS = 10
#: Weight of a label in the second pass: from this on, 1 where the first pass gave it half or more. Measured over 16
#: draws of 30 wrong labels in 1,000 photos of the demo court: of the 30 most doubtful 0.80 are wrong, 0.78 without.
_LEAST_WEIGHT = 0.05
#: Keeps a logarithm finite.
_LEAST = 1e-5
#: Fewest photos, and groups, that a class needs to be judged.
_FEWEST_PHOTOS = 5
_FEWEST_GROUPS = 2


@dataclass(frozen=True)
class Doubt:
    """A label that a model doubts.

    Attributes:
        row: of the album.
        given: the class that it is labelled with.
        suggested: the class that the model thinks it is.
        confidence: of the model in the label, 0–1.
        suggested_confidence: of the model in the other class, 0–1.
    """

    row: int
    given: str
    suggested: str
    confidence: float
    suggested_confidence: float


@dataclass(frozen=True)
class Judgement:
    """What came of judging labels.

    Attributes:
        doubts: the most doubtful first.
        judged: number of labels that were judged.
        accuracy: share of them that the model agrees with.
        remark: why labels were not judged, or which; empty if all were.
    """

    doubts: Sequence[Doubt] = ()
    judged: int = 0
    accuracy: float = 0.0
    remark: str = ""


def judge_labels(
    rows: Sequence[int],
    labels: Sequence[str],
    groups: Sequence[Sequence[Hashable]],
    features: Callable[[Sequence[int]], np.ndarray],
    seed: int = 0,
) -> Judgement:
    """Judge labels by confident learning on out-of-fold predictions (Northcutt et al., JAIR 70, 2021).

    Args:
        rows: of the photos in the album.
        labels: class of each.
        groups: what each belongs to, such as its game and its cluster of copies; whatever is linked by any of them is
            in one fold. A photo with none is one of its own.
        features: is called with the rows that are judged; float `[N, views, features]`.
        seed: of the folds.
    """
    own = _joined(groups)
    names, left = _judgeable(labels, own)
    if len(names) < 2:
        return Judgement(
            remark=f"labels were not judged: that takes two classes, each with {_FEWEST_PHOTOS} photos of "
            f"{_FEWEST_GROUPS} or more groups"
        )
    remark = f"not judged, for too few photos or groups: {', '.join(left)}" if left else ""
    places = [place for place, label in enumerate(labels) if label in names]
    targets = np.array([names.index(labels[place]) for place in places])
    shares = out_of_fold(features([rows[place] for place in places]), targets, own[places], seed)
    doubts = []
    for place in _issues(targets, shares):
        said = int(shares[place].argmax())
        confidence, other = float(shares[place, targets[place]]), float(shares[place, said])
        doubts.append(Doubt(rows[places[place]], names[targets[place]], names[said], confidence, other))
    return Judgement(doubts, len(places), float(np.mean(shares.argmax(1) == targets)), remark)


def out_of_fold(features: np.ndarray, targets: np.ndarray, groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """Answer each photo with models that have seen no photo of its group: one a view, geometrically averaged.

    This is done twice: the second time, labels that the first time made doubtful weigh less. A model that has learned
    from wrong labels doubts right ones.

    Args:
        features: float `[N, views, features]`.
        targets: int `[N]`, 0 … classes − 1, each in two groups or more.
        groups: int `[N]`.
        seed: of the folds.

    Returns:
        Probabilities, float64 `[N, classes]`.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    fewest = min(len(np.unique(groups[targets == target])) for target in np.unique(targets))
    splitter = StratifiedGroupKFold(max(2, min(_FOLDS, fewest)), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # That a small class cannot be in every fold, and that the optimum is not exact, changes the ranking little.
        warnings.simplefilter("ignore")
        folds = list(splitter.split(targets, targets, groups))
        first = _answers(features, targets, folds, np.ones(len(targets)))
        weights = np.clip(2 * first[np.arange(len(targets)), targets], _LEAST_WEIGHT, 1)
        return _answers(features, targets, folds, weights)


def _answers(
    features: np.ndarray,
    targets: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    weights: np.ndarray,
) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    logs = np.zeros((len(targets), int(targets.max()) + 1))
    for view in range(features.shape[1]):
        values = _compact(features[:, view])  # one at a time: 10,000 photos take 330 MB
        for seen, unseen in folds:
            if len(np.unique(targets[seen])) < 2:
                continue  # nothing can be learned there, and nothing is doubted
            model = LogisticRegression(C=_C, max_iter=_ITERATIONS).fit(values[seen], targets[seen], weights[seen])
            answers = np.full((len(unseen), logs.shape[1]), _LEAST)
            answers[:, model.classes_] += model.predict_proba(values[unseen])
            logs[unseen] += np.log(answers) / features.shape[1]
    shares = np.exp(logs)
    return np.asarray(shares / shares.sum(1, keepdims=True))


def _compact(features: np.ndarray) -> np.ndarray:
    """Return features of mean 0 and deviation 1, rotated into no more dimensions than there are photos.

    A model with an L2 penalty answers the same after a rotation, and learns many times faster in fewer dimensions.
    """
    values = features.astype(np.float32)
    values -= values.mean(0)
    values /= values.std(0) + 1e-6
    if values.shape[0] >= values.shape[1]:
        return values
    strengths, directions = np.linalg.eigh(values @ values.T)
    return np.asarray(directions * np.sqrt(np.maximum(strengths, 0)), np.float32)


def _issues(targets: np.ndarray, shares: np.ndarray) -> list[int]:
    """Return the places of labels that are probably wrong, the most doubtful first."""
    from cleanlab.filter import find_label_issues

    # One process: a pool of them takes longer to start than this takes.
    ranked = find_label_issues(targets, shares, return_indices_ranked_by="self_confidence", n_jobs=1)
    return [int(place) for place in ranked if shares[place].argmax() != targets[place]]


def _joined(groups: Sequence[Sequence[Hashable]]) -> np.ndarray:
    """Return a number for each photo; photos that any group links have the same."""
    linked = DisjointSet(("photo", index) for index in range(len(groups)))
    for index, names in enumerate(groups):
        for name in names:
            linked.add(("group", name))
            linked.merge(("group", name), ("photo", index))
    roots = [linked["photo", index] for index in range(len(groups))]
    numbers = {root: number for number, root in enumerate(dict.fromkeys(roots))}
    return np.array([numbers[root] for root in roots])


def _judgeable(labels: Sequence[str], groups: np.ndarray) -> tuple[list[str], list[str]]:
    """Return the classes that can be judged, and the others."""
    every = sorted(set(labels))
    of_class = {name: groups[[place for place, label in enumerate(labels) if label == name]] for name in every}
    names = [
        name for name, own in of_class.items() if len(own) >= _FEWEST_PHOTOS and len(np.unique(own)) >= _FEWEST_GROUPS
    ]
    return names, [name for name in every if name not in names]
