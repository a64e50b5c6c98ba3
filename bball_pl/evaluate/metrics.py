"""The figures of a split, with their uncertainty, as `metrics.json` keeps them."""

from __future__ import annotations

import json
import os
from typing import Any

import torch
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from bball_pl.files import write_text

#: Bins of the expected calibration error, as in arXiv:1706.04599.
_CALIBRATION_BINS = 15


def compute_metrics(split: str, probabilities: Tensor, targets: Tensor, class_names: list[str]) -> dict[str, Any]:
    """Compute the figures of one split.

    Args:
        split: its name.
        probabilities: float `[N, classes]`, rows sum to 1; N of 1 or more.
        targets: int64 `[N]`.
        class_names: in the order of the columns.

    Returns:
        `split`, `n`, `accuracy` and its 95 % Wilson interval `accuracy_ci95`, `macro_f1`, `nll` in nats, `ece`
        (15 bins, L1), `per_class` and `confusion` with a row per true class; all plain numbers. Classes without a
        photo in the split count with 0 support and are left out of the macro mean.
    """
    number = len(targets)
    labels = list(range(len(class_names)))
    predicted = probabilities.argmax(1)
    right = int((predicted == targets).sum())
    interval = binomtest(right, number).proportion_ci(0.95, method="wilson")
    precision, recall, f1, support = precision_recall_fscore_support(
        targets.numpy(), predicted.numpy(), labels=labels, zero_division=0
    )
    own = probabilities[torch.arange(number), targets].double().clamp_min(1e-12)
    return {
        "split": split,
        "n": number,
        "accuracy": right / number,
        "accuracy_ci95": [float(interval.low), float(interval.high)],
        "macro_f1": float(f1[support > 0].mean()),
        "nll": float(-own.log().mean()),
        "ece": float(
            multiclass_calibration_error(probabilities, targets, len(class_names), n_bins=_CALIBRATION_BINS, norm="l1")
        ),
        "per_class": {
            name: {
                "precision": float(precision[label]),
                "recall": float(recall[label]),
                "f1": float(f1[label]),
                "support": int(support[label]),
            }
            for label, name in enumerate(class_names)
        },
        "confusion": {
            "labels": list(class_names),
            "matrix": confusion_matrix(targets.numpy(), predicted.numpy(), labels=labels).tolist(),
        },
    }


def write_metrics(path: str | os.PathLike[str], metrics: dict[str, Any]) -> None:
    """Write the figures as indented JSON, whole or not at all."""
    write_text(path, json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
