"""A project's runs: where a run keeps what, and how to find it again."""

from __future__ import annotations

import os
from pathlib import Path

from bball_pl.errors import RunError

#: The repository's root; default paths hang from it, so that scripts run from any folder.
ROOT = Path(__file__).resolve().parents[1]
#: The folder of all runs below a root.
LOGS = "lightning_logs"
CONFIG = "config.yaml"
SPLIT = "split.csv"
METRICS = "metrics.json"
CHECKPOINTS = "checkpoints"
BEST = "best.ckpt"
LAST = "last.ckpt"
PROBE = "probe.ckpt"


def predictions_file(split: str) -> str:
    """Return the name of the table of answers to one split."""
    return f"predictions_{split}.csv"


def run_of_checkpoint(checkpoint: str | os.PathLike[str]) -> Path | None:
    """Return the run folder that a checkpoint lies in, or None if it lies elsewhere."""
    folder = Path(checkpoint).resolve().parent
    return folder.parent if folder.name == CHECKPOINTS and (folder.parent / CONFIG).is_file() else None


def newest_run(logs: str | os.PathLike[str] = ROOT / LOGS) -> Path:
    """Return the run folder whose best checkpoint is the newest.

    Raises:
        RunError: if there is no run with a best checkpoint below `logs`.
    """
    found = Path(logs).glob(f"*/version_*/{CHECKPOINTS}/{BEST}")
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        raise RunError(f"{logs} has no finished run; make one with: python scripts/fit.py")
    return newest.parents[1]


def best_checkpoint(run: str | os.PathLike[str]) -> Path:
    """Return a run's best checkpoint.

    Raises:
        RunError: if the folder is not a run or has no best checkpoint yet.
    """
    path = Path(run) / CHECKPOINTS / BEST
    if not path.is_file():
        raise RunError(f"{run} has no {CHECKPOINTS}/{BEST}; pass the folder of a finished run (…/version_N)")
    return path
