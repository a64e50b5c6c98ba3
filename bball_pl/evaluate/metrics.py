"""The figures of a split with their uncertainty: Wilson and bootstrap intervals, slices, and metrics.json."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from bball_pl.evaluate.predictions import Answers
from bball_pl.files import write_text

#: Resamples of the bootstrap: with another seed the ends of a 95 % interval move by 0.06 standard errors (as a root
#: mean square), about a tenth of a point for an accuracy on 300 photos.
RESAMPLES = 2000


def wilson(right: int, number: int) -> list[float]:
    """Return the 95 % Wilson interval of a share as [low, high].

    It takes photos for independent: where photos of a game or an album resemble each other, it is too narrow.

    Source: Wilson (1927), Journal of the American Statistical Association 22, without continuity correction.

    Args:
        right: 0 to `number`.
        number: 1 or more.
    """
    interval = binomtest(right, number).proportion_ci(0.95, method="wilson")
    return [float(interval.low), float(interval.high)]


def group_index(paths: Sequence[str], groups: Sequence[str]) -> np.ndarray:
    """Number the groups from 0, int64 `[N]`; a photo without a group is a group of its own.

    The numbers follow the names, so that the order of the photos changes no interval.
    """
    keys = [("group", group) if group else ("photo", path) for path, group in zip(paths, groups, strict=True)]
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    return np.array([numbers[key] for key in keys], np.int64)


def resampled_counts(cells: np.ndarray, number_of_cells: int, groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw groups with replacement and count what their photos fall into.

    Photos of one game resemble each other: drawn one by one they would promise more than they know. Every figure that
    is a function of counts (accuracy, recall, F1 from the confusion matrix) can be had from these.

    Source: Davison and Hinkley (1997), Bootstrap Methods and their Application, section 3.8. With fewer than about
    twenty groups the intervals are still too narrow.

    Args:
        cells: int64 `[N]`, the cell that each photo falls into, such as `true * classes + predicted`.
        number_of_cells: of the table.
        groups: int64 `[N]`, from `group_index`.
        seed: of the drawing.

    Returns:
        int64 `[RESAMPLES, number_of_cells]`; no row if there is only one group, which says nothing about others.
    """
    # Sums of whole numbers are exact in float64, and their matrix product is the fast one.
    return resampled_sums(np.eye(number_of_cells)[cells], groups, seed).astype(np.int64)


def resampled_sums(values: np.ndarray, groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw groups as `resampled_counts` does and add up figures of their photos, such as losses.

    Figures of two models side by side are drawn together: the same photos for both.

    Args:
        values: float `[N, figures]`.
        groups: int64 `[N]`, from `group_index`.
        seed: of the drawing.

    Returns:
        float64 `[RESAMPLES, figures]`; no row if there is only one group.
    """
    number = int(groups.max()) + 1
    sums = np.zeros((number, values.shape[1]))
    np.add.at(sums, groups, values)
    generator = np.random.default_rng(seed)
    # One resample at a time: 2,000 draws of 10,000 photos at once would take 160 MB.
    draws = (generator.integers(number, size=number) for _ in range(RESAMPLES if number > 1 else 0))
    drawn = [np.bincount(draw, minlength=number).astype(np.float64) @ sums for draw in draws]
    return np.array(drawn).reshape(-1, values.shape[1])


def percentile_interval(values: np.ndarray) -> list[float] | None:
    """Return the middle 95 % of resampled figures as [low, high]; None if there is none.

    Source: Efron (1981), Canadian Journal of Statistics 9, the percentile method.

    Args:
        values: float `[RESAMPLES]` or empty; not-a-number where a resample had nothing to compute the figure from.
    """
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return None
    low, high = np.percentile(finite, [2.5, 97.5])
    return [float(low), float(high)]


#: Slices in one table; the rest is summed up in one row.
MOST_ROWS = 20
#: Slices with fewer photos are summed up: one photo says nothing about a game.
FEWEST_PHOTOS = 5


@dataclass(frozen=True)
class Slice:
    """The answers to one part of a split.

    Attributes:
        name: of the part; empty if it is not known.
        n: number of its photos, 1 or more.
        right: number of right answers among them.
    """

    name: str
    n: int
    right: int

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0–1."""
        return self.right / self.n

    @property
    def interval(self) -> list[float]:
        """95 % Wilson interval of the accuracy as [low, high]."""
        return wilson(self.right, self.n)


@dataclass(frozen=True)
class Slices:
    """A split cut into parts.

    Attributes:
        rows: parts of at least `FEWEST_PHOTOS` photos, at most `MOST_ROWS`, those with the lowest upper end of their
            interval first: what is surely bad, not what happens to be.
        small: all parts with fewer photos as one, and their number; None if there are none.
        others: all further parts as one, and their number; None if there are none.
        known: number of parts that have a name.
    """

    rows: list[Slice]
    small: tuple[Slice, int] | None
    others: tuple[Slice, int] | None
    known: int

    @property
    def parts(self) -> int:
        """Number of all parts; photos whose part is not known are one."""
        return len(self.rows) + sum(pooled[1] for pooled in (self.small, self.others) if pooled is not None)

    def labelled(self) -> list[tuple[str, Slice, bool]]:
        """Return all parts with what to call them, and whether they are several parts summed up."""
        rows = [(part.name or "not known", part, False) for part in self.rows]
        for pooled, which in ((self.others, "others"), (self.small, f"others, of fewer than {FEWEST_PHOTOS} photos")):
            if pooled is not None:
                rows.append((f"{pooled[1]} {which}", pooled[0], True))
        return rows


def by_source(answers: Answers, sources: Mapping[str, str]) -> Slices:
    """Cut a split by where its photos come from.

    Args:
        answers: to one photo or more.
        sources: name of the source by path; missing or empty where it is not known.
    """
    return slice_answers([sources.get(path, "") for path in answers.paths], answers.correct)


def by_group(answers: Answers) -> Slices:
    """Cut a split by album, game or clip; `answers` are to one photo or more."""
    return slice_answers(answers.groups or [""] * len(answers), answers.correct)


def slice_answers(names: Sequence[str], correct: np.ndarray) -> Slices:
    """Cut a split by a name that each photo has.

    Args:
        names: N names, empty where not known.
        correct: whether each answer is right, bool `[N]`, N of 1 or more.
    """
    counts: dict[str, list[int]] = {}
    for name, right in zip(names, correct.tolist(), strict=True):
        count = counts.setdefault(name, [0, 0])
        count[0] += 1
        count[1] += right
    parts = [Slice(name, n, right) for name, (n, right) in counts.items()]
    large = [part for part in parts if part.n >= FEWEST_PHOTOS]
    # The upper end and not the accuracy: of many small games one is always at 0 % by luck.
    large.sort(key=lambda part: (part.interval[1], part.accuracy, part.name))
    return Slices(
        rows=large[:MOST_ROWS],
        small=_pooled([part for part in parts if part.n < FEWEST_PHOTOS]),
        others=_pooled(large[MOST_ROWS:]),
        known=sum(bool(part.name) for part in parts),
    )


def _pooled(parts: Sequence[Slice]) -> tuple[Slice, int] | None:
    if not parts:
        return None
    return Slice("", sum(part.n for part in parts), sum(part.right for part in parts)), len(parts)


#: Bins of the expected calibration error, as in arXiv:1706.04599.
CALIBRATION_BINS = 15


def compute_metrics(split: str, answers: Answers) -> dict[str, Any]:
    """Compute the figures of one split.

    Args:
        split: its name.
        answers: to one photo or more.

    Returns:
        Plain numbers only: `split`, `n`, `accuracy` and its 95 % Wilson interval `accuracy_ci95`, `groups` (how many
        are named), `macro_f1`, `nll` in nats, `brier` (0–2), `ece` (15 bins, L1), `per_class` with precision, recall,
        F1 and support, `confusion` with a row per true class. Classes without a photo in the split count with 0
        support and are left out of the macro mean. Intervals with `_bootstrap95` in their name come from drawing whole
        groups, where groups are known, and photos elsewhere; they are None if there is only one to draw, and for a
        figure that no resample has.
    """
    names, targets, predicted = answers.class_names, answers.targets, answers.predicted
    labels = list(range(len(names)))
    precision, recall, f1, support = precision_recall_fscore_support(targets, predicted, labels=labels, zero_division=0)
    resampled = _bootstrap(answers)
    return {
        "split": split,
        "n": len(answers),
        "accuracy": float(answers.correct.mean()),
        "accuracy_ci95": wilson(int(answers.correct.sum()), len(answers)),
        "accuracy_bootstrap95": percentile_interval(resampled["accuracy"]),
        "groups": len({group for group in answers.groups if group}),
        "macro_f1": float(f1[support > 0].mean()),
        "macro_f1_bootstrap95": percentile_interval(resampled["macro_f1"]),
        **probability_figures(answers.probabilities, targets),
        "per_class": {
            name: {
                "precision": float(precision[label]),
                "recall": float(recall[label]),
                "f1": float(f1[label]),
                "support": int(support[label]),
                **{
                    f"{figure}_bootstrap95": percentile_interval(resampled[figure][:, label])
                    for figure in ("precision", "recall", "f1")
                },
            }
            for label, name in enumerate(names)
        },
        "confusion": {
            "labels": list(names),
            "matrix": confusion_matrix(targets, predicted, labels=labels).tolist(),
        },
    }


def probability_figures(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Return `nll` in nats, `brier` (0–2) and `ece` (0–1) of probabilities.

    Args:
        probabilities: float `[N, classes]`, rows sum to 1.
        targets: int64 `[N]`.
    """
    shares = probabilities.astype(np.float64)
    # Brier's own definition, over all classes: 1950, Monthly Weather Review 78.
    brier = ((shares - np.eye(shares.shape[1])[targets]) ** 2).sum(1).mean()
    # The bins are those of arXiv:1706.04599, closed above: the answers that are entirely sure share one with their
    # neighbours. In each the gap between accuracy and confidence counts by its number of photos.
    confidence, correct = shares.max(1), shares.argmax(1) == targets
    gaps = np.bincount(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64), weights=correct - confidence)
    return {
        "nll": float(losses(probabilities, targets).mean()),
        "brier": float(brier),
        "ece": float(np.abs(gaps).sum() / len(targets)),
    }


def losses(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the negative log-likelihood of each photo's class, float64 `[N]`, in nats; arguments as above."""
    own = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    # A probability of zero costs much, and stays finite.
    nats: np.ndarray = -np.log(own.clip(1e-12))
    return nats


def table_figures(tables: np.ndarray) -> dict[str, np.ndarray]:
    """Return figures of many confusion matrices at once, not-a-number where one has nothing to compute a figure from.

    Args:
        tables: int64 `[R, classes, classes]`, a row per true class.

    Returns:
        `accuracy` and `macro_f1` (over the classes that have photos) `[R]`; `precision`, `recall` and `f1`
        `[R, classes]`.
    """
    right = np.diagonal(tables, axis1=1, axis2=2)
    given, said = tables.sum(2), tables.sum(1)
    # A class without photos has no recall and no F1, one that is never answered no precision.
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(given > 0, 2 * right / (given + said), np.nan)
        return {
            "accuracy": right.sum(1) / tables.sum((1, 2)),
            "precision": right / said,
            "recall": right / given,
            "f1": f1,
            "macro_f1": np.nansum(f1, axis=1) / (given > 0).sum(1),
        }


def write_metrics(path: str | os.PathLike[str], metrics: dict[str, Any]) -> None:
    """Write the figures as indented JSON, whole or not at all."""
    write_text(path, json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")


def _bootstrap(answers: Answers) -> dict[str, np.ndarray]:
    classes = len(answers.class_names)
    cells = answers.targets * classes + answers.predicted
    counts = resampled_counts(cells, classes**2, group_index(answers.paths, answers.groups))
    return table_figures(counts.reshape(-1, classes, classes))
