"""Which values the recipe's numbers may have."""

from __future__ import annotations

import math
from typing import Any

from bball_pl.errors import ConfigError


def check_ranges(values: dict[str, Any]) -> None:
    """Refuse arguments of the classifier that cannot be meant.

    Args:
        values: from the arguments' names to their values.

    Raises:
        ConfigError: if there is one class or none, or a number is out of its range or not finite.
    """
    if len(values["class_names"]) < 2:
        raise ConfigError(f"a classifier needs two classes or more, found {len(values['class_names'])}")
    for name in (
        "layer_decay", "frozen", "warmup", "label_smoothing", "mix_probability", "dropout", "ema_decay",
    ):  # fmt: skip
        if not 0 <= values[name] <= 1:
            raise ConfigError(f"--model.{name} is {values[name]}; expected a number from 0 to 1")
    for name in ("weight_decay", "mixup", "cutmix", "head_epochs", "patience"):
        if not 0 <= values[name] < math.inf:
            raise ConfigError(f"--model.{name} is {values[name]}; expected 0 or more")
    if not 0 < values["lr"] < math.inf:
        raise ConfigError(f"--model.lr is {values['lr']}; expected a positive number")
    if values["compile"] and values["auxiliary"]:
        raise ConfigError("--model.compile does not reach the auxiliary head; pass one of compile and auxiliary only")
    if values["ema_decay"] == 1 or values["dropout"] == 1 or values["layer_decay"] == 0:
        raise ConfigError("ema_decay 1, dropout 1 or layer_decay 0 would keep the network from learning")
