"""The figures of a split, with their uncertainty, as `metrics.json` keeps them."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from bball_pl.evaluate.answers import Answers
from bball_pl.evaluate.intervals import group_index, percentile_interval, resampled_counts, wilson
from bball_pl.files import write_text

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
