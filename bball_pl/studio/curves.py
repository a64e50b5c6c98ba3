"""The learning curves of a run as JSON, for the charts that the browser draws."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from bball_pl import runs
from bball_pl.evaluate.report.curves import read_curves


def curves_json(run: Path) -> dict[str, Any] | None:
    """Return what the event files of a run say, in numbers that JSON holds; None if they hold no curve.

    Args:
        run: its folder; it may be training now, or its event files may end in the middle of a record.

    Returns:
        `curves` by tag, each with `epochs` (counted from 1, rising) and `values` (null where the run logged an infinity
        or what is not a number), `last_epoch`, `probe_loss` in nats, `probe_acc` 0–1, `kept` (`epoch`, `probe` or
        empty) and `kept_epoch`.
    """
    best = run / runs.CHECKPOINTS / runs.BEST
    try:
        found = read_curves(run, best)
    except OSError:
        # A run that is deleted while it is read; the caller says that there are no curves.
        return None
    if found is None:
        return None
    curves = {
        tag: {"epochs": curve.epochs, "values": [finite(value) for value in curve.values]}
        for tag, curve in found.curves.items()
    }
    return {
        "curves": curves,
        "last_epoch": found.last_epoch,
        "probe_loss": finite(found.probe_loss),
        "probe_acc": finite(found.probe_acc),
        # Which epoch would have been kept is no news of a run that keeps none.
        "kept": found.kept if best.is_file() else "",
        "kept_epoch": found.kept_epoch if best.is_file() else None,
    }


def finite(value: object) -> float | None:
    """Return a number that JSON has a word for; None for anything else, an infinity and not-a-number included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)
