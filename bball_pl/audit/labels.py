"""Doubtful labels: a plain model on frozen features, asked about photos of games that it was not trained on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from bball_pl.photos.tree import Photo

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

#: Inverse strength of the regularisation: there are many more features than photos. Measured on the demo court with
#: ten times as little, the 30 most doubtful labels hold fewer wrong ones.
_C = 1e-3
_ITERATIONS = 100
#: Many folds: a model trained on nine tenths of the photos raises fewer false doubts than one trained on half.
_FOLDS = 10
#: Most dimensions that the model learns in. Of 95 wrong labels among 1,900 rendered photos it found 87, 88 and 85 in
#: 1,024 (three draws), and 85, 89 and 86 in all; without a limit time and memory grow faster than the number of photos.
_DIMENSIONS = 1024
#: Photos that the dimensions are computed from, chosen at random. Their features are in memory together, 33 kB a photo;
#: of the others only the dimensions are kept.
_SAMPLE = 4096
#: Keeps a logarithm finite.
_LEAST = 1e-5
#: Fewest photos, and groups, that a class needs to be judged.
_FEWEST_PHOTOS = 5
_FEWEST_GROUPS = 2
#: Share of the doubts that are right, for the reader. Measured with benchmarks/audit_planted.py, four draws each.
EXPECTED_SHARE = (
    "how many of them are right depends on how many labels are wrong: in 172 real photos with 30 wrong labels 88 % of "
    "the first 30 doubts were right, with 10 wrong labels 65 % of all doubts, with 5 wrong labels 59 %"
)


@dataclass(frozen=True)
class Doubt:
    """A label that the model doubts.

    Attributes:
        photo: The photo, labelled with its `class_name`.
        suggested: The class that the model thinks more likely.
        confidence: Confidence of the model in the label, 0–1.
        suggested_confidence: Confidence of the model in the suggested class, 0–1.
    """

    photo: Photo
    suggested: str
    confidence: float
    suggested_confidence: float


@dataclass(frozen=True)
class Judgement:
    """Result of the label check.

    Attributes:
        doubts: The doubted labels, the most doubtful first.
        judged: Number of labels that were judged.
        accuracy: Share of them that the model agrees with, 0–1.
        remark: Reason why labels were not judged, or which ones; empty if all were.
    """

    doubts: Sequence[Doubt] = ()
    judged: int = 0
    accuracy: float = 0.0
    remark: str = ""


def judge_labels(
    photos: Sequence[Photo],
    clusters: Sequence[Sequence[Photo]],
    features: Callable[[Sequence[Photo]], Iterable[np.ndarray]],
    seed: int = 0,
) -> Judgement:
    """Judge labels by confident learning on out-of-fold predictions (Northcutt et al., JAIR 70, 2021).

    Photos of one group, and copies of one picture, are in one fold.

    Args:
        photos: From `measure_photos`; those that can be used and have a class are judged.
        clusters: Photos that show the same picture.
        features: Yields the features of photos in their order, some at a time, float `[n, views, features]`.
        seed: Random seed of the cross-validation folds.
    """
    photos = [photo for photo in photos if photo.usable and photo.class_name]
    if not photos:
        return Judgement(remark="labels were not judged: no photo is sorted into a class yet")
    groups = _groups(photos, clusters)
    names, left_out = _judgeable(photos, groups)
    if len(names) < 2:
        return Judgement(
            remark=f"labels were not judged: that takes two classes, each with {_FEWEST_PHOTOS} photos of "
            f"{_FEWEST_GROUPS} or more groups"
        )
    chosen = [index for index, photo in enumerate(photos) if photo.class_name in names]
    judged = [photos[index] for index in chosen]
    targets = np.array([names.index(photo.class_name) for photo in judged])
    # Shuffled, so that the first ones are a sample; of a small album all are, and they stay in their order.
    order = np.arange(len(judged))
    if len(judged) > _SAMPLE:
        order = np.random.default_rng(0).permutation(len(judged))
    reduced = reduce_features(features([judged[index] for index in order]))[np.argsort(order)]
    shares = out_of_fold(reduced, targets, groups[chosen], seed)
    doubts = []
    for index in _issues(targets, shares):
        likely = int(shares[index].argmax())
        confidences = float(shares[index, targets[index]]), float(shares[index, likely])
        doubts.append(Doubt(judged[index], names[likely], *confidences))
    remark = f"not judged, for too few photos or groups: {', '.join(left_out)}" if left_out else ""
    kept = [doubt for doubt in doubts if not doubt.photo.confirmed]
    if confirmed := len(doubts) - len(kept):
        remark += f"{'; ' if remark else ''}doubts left out because a person has confirmed the label: {confirmed:,}"
    return Judgement(kept, len(judged), float(np.mean(shares.argmax(1) == targets)), remark)


def reduce_features(batches: Iterable[np.ndarray]) -> np.ndarray:
    """Return features of mean 0 and deviation 1 in the strongest dimensions of the first `_SAMPLE` photos.

    A model with an L2 penalty answers the same after a rotation, and learns many times faster in fewer dimensions.

    Args:
        batches: float `[n, views, features]` each, one or more.

    Returns:
        float32 `[N, views, D]`; D is the number of photos or features, `_DIMENSIONS` at most.
    """
    remaining = iter(batches)
    sample = [next(remaining)]
    while sum(map(len, sample)) < _SAMPLE and (batch := next(remaining, None)) is not None:
        sample.append(batch)
    reductions = [_reduction([batch[:, view] for batch in sample]) for view in range(sample[0].shape[1])]
    reduced = [_reduced(batch, reductions) for batch in sample]
    sample.clear()
    reduced += (_reduced(batch, reductions) for batch in remaining)
    return np.concatenate(reduced)


def _reduction(batches: Sequence[np.ndarray]) -> Pipeline:
    """Return the standardisation and rotation of one view, fitted to its features, float `[n, features]` each."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    scaler = StandardScaler(copy=False)
    for batch in batches:  # not all at once: that makes a copy of 64 bits
        scaler.partial_fit(batch.astype(np.float32))
    values = scaler.transform(np.concatenate(batches, dtype=np.float32))
    dimensions = min(*values.shape, _DIMENSIONS)
    # Randomised (arXiv:0909.4061): as many wrong labels are found, in a fraction of the time.
    solver = "randomized" if dimensions < min(values.shape) else "full"
    pca = PCA(dimensions, copy=False, svd_solver=solver, iterated_power=1, random_state=0).fit(values)
    # What hardly ever happens in the sample may happen in another photo, thousands of deviations off, and would decide.
    most = len(values) ** 0.5  # of the sample itself none is further off
    within = FunctionTransformer(np.clip, kw_args={"a_min": -most, "a_max": most})
    return make_pipeline(scaler, within, pca)


def _reduced(features: np.ndarray, reductions: Sequence[Pipeline]) -> np.ndarray:
    views = [reduction.transform(features[:, view].astype(np.float32)) for view, reduction in enumerate(reductions)]
    return np.stack(views, 1)


def out_of_fold(features: np.ndarray, targets: np.ndarray, groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the answers of models that were trained without the photo's group: one a view, geometrically averaged.

    Args:
        features: From `reduce_features`, float32 `[N, views, D]`.
        targets: int `[N]`, 0 … classes − 1, each in two groups or more.
        groups: int `[N]`.
        seed: Random seed of the folds.

    Returns:
        Probabilities, float64 `[N, classes]`.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    fewest = min(len(np.unique(groups[targets == target])) for target in np.unique(targets))
    splitter = StratifiedGroupKFold(max(2, min(_FOLDS, fewest)), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # That a small class cannot be in every fold, and that the optimum is not exact, changes the ranking little.
        warnings.simplefilter("ignore")
        return _answers(features, targets, list(splitter.split(targets, targets, groups)))


def _answers(features: np.ndarray, targets: np.ndarray, folds: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    logs = np.zeros((len(targets), int(targets.max()) + 1))
    for view in range(features.shape[1]):
        values = np.ascontiguousarray(features[:, view])
        for seen, unseen in folds:
            if len(np.unique(targets[seen])) < 2:
                continue  # one class only: nothing to learn, and nothing to doubt
            model = LogisticRegression(C=_C, max_iter=_ITERATIONS).fit(values[seen], targets[seen])
            answers = np.full((len(unseen), logs.shape[1]), _LEAST)
            answers[:, model.classes_] += model.predict_proba(values[unseen])
            logs[unseen] += np.log(answers) / features.shape[1]
    shares = np.exp(logs)
    return np.asarray(shares / shares.sum(1, keepdims=True))


def _issues(targets: np.ndarray, shares: np.ndarray) -> list[int]:
    """Return the indices of labels that are probably wrong, the most doubtful first."""
    from cleanlab.filter import find_label_issues

    # One process: a pool of them takes longer to start than this takes.
    ranked = find_label_issues(targets, shares, return_indices_ranked_by="self_confidence", n_jobs=1)
    return [int(index) for index in ranked if shares[index].argmax() != targets[index]]


def _groups(photos: Sequence[Photo], clusters: Sequence[Sequence[Photo]]) -> np.ndarray:
    """Return a number for each photo, int `[N]`: the same for photos that a group or a cluster links."""
    ties = [(("group", photo.group), photo) for photo in photos if photo.group]
    ties += [(("copies", str(number)), photo) for number, cluster in enumerate(clusters) for photo in cluster]
    linked = DisjointSet([*photos, *(end for tie in ties for end in tie)])
    for one, other in ties:
        linked.merge(one, other)
    roots = [linked[photo] for photo in photos]
    numbers = {root: number for number, root in enumerate(dict.fromkeys(roots))}
    return np.array([numbers[root] for root in roots])


def _judgeable(photos: Sequence[Photo], groups: np.ndarray) -> tuple[list[str], list[str]]:
    """Return the classes that can be judged, and the others."""
    labels = np.array([photo.class_name for photo in photos])
    names = {name: groups[labels == name] for name in sorted(set(labels.tolist()))}
    enough = [
        name
        for name, found in names.items()
        if len(found) >= _FEWEST_PHOTOS and len(np.unique(found)) >= _FEWEST_GROUPS
    ]
    return enough, [name for name in names if name not in enough]
