"""What a run says on the terminal."""

from __future__ import annotations

import logging
import warnings

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

#: Lines that name nothing a user of this project could do.
_CHATTER = (
    "Tip:",
    "TPU available",
    "override existing callbacks",
    "Loading `train_dataloader`",
    "Restor",
    "stopped: `max_epochs",
)


class FitProgressBar(RichProgressBar):
    """Lightning's rich progress bar with the figures that matter, short enough for one line."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return the loss of the step and the validation's loss and accuracy."""
        metrics = super().get_metrics(trainer, pl_module)
        wanted = {"train/loss_step": "loss", "val/loss": "val loss", "val/acc": "val acc"}
        return {short: metrics[name] for name, short in wanted.items() if name in metrics}


def silence_chatter() -> None:
    """Leave out those lines of Lightning and its libraries that say nothing about the run."""

    def matters(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(part in message for part in _CHATTER)

    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).addFilter(matters)
    # Lightning 2.6 asks torch 2.15 in a way that is about to change; nothing depends on it here.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
