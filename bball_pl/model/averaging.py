"""An exponential moving average of the weights that is worth having in short runs too."""

from __future__ import annotations

from collections.abc import Callable

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class WeightEma(WeightAveraging):
    """Keep a moving average of weights and buffers; validation, checkpoints and the final model are the average.

    With 2,000 photos a whole run has a few hundred steps, and an average over 500 steps would still remember the
    start. So the decay warms up, as in TensorFlow's `ExponentialMovingAverage`: `min(decay, (1 + n) / (10 + n))`
    after n updates.

    Args:
        decay: share of the old average that stays in one update, 0–1; 0.998 averages over about 500 steps.
    """

    def __init__(self, decay: float = 0.998) -> None:
        super().__init__(use_buffers=True, multi_avg_fn=_warmed_up_average(decay))

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Make the average on the device of training: the network itself is moved there only later."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)


def _warmed_up_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor | int], None]:
    @torch.no_grad()
    def update(averages: list[Tensor], currents: list[Tensor], updates: Tensor | int) -> None:
        number = int(updates)
        weight = 1 - min(decay, (1 + number) / (10 + number))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, currents, weight)
        else:
            # Counters of batch norm: an average of counts means nothing, the latest does.
            for average, current in zip(averages, currents, strict=True):
                average.copy_(current)

    return update
