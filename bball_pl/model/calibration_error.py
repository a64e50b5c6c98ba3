"""Expected calibration error: how far confidences are from the share of right answers, on average."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

#: Bins of the error, as in arXiv:1706.04599.
CALIBRATION_BINS = 15


def calibration_error(probabilities: Tensor, targets: Tensor) -> float:
    """Return the expected calibration error, 0–1 (15 bins, L1).

    Args:
        probabilities: float `[N, classes]`, rows sum to 1.
        targets: int64 `[N]`.
    """
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    # torchmetrics puts confidences of exactly 1 into a bin above the last one, apart from their neighbours.
    below_1 = probabilities.float().clip(max=torch.nextafter(torch.tensor(1.0), torch.tensor(0.0)).item())
    classes = probabilities.shape[1]
    return float(multiclass_calibration_error(below_1, targets, classes, CALIBRATION_BINS, "l1", validate_args=False))
