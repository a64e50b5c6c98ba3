"""Folders of finished runs without a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from bball_pl import project
from bball_pl.evaluate.results import write_evaluation

from helpers.report_evaluations import evaluation, paint_all

A, B = "moves/version_0", "moves/version_1"
CONFIG: dict[str, dict[str, Any]] = {"model": {"backbone": "test_resnet", "lr": 0.0003}, "trainer": {"max_epochs": 3}}


def make_run(logs: Path, name: str, targets: list[int], said: list[int], **changes: Any) -> Path:
    """Make the folder of a finished run without a checkpoint, as if it had answered `said` to `targets`."""
    run = logs / name
    root = logs.parent / "photos"
    own = evaluation(root, targets, said, np.linspace(0.4, 0.9, len(said)).tolist(), run=run)
    own.metrics["temperature"] = 1.2
    write_evaluation(run, own)
    paint_all(own, range(3))
    config = {**CONFIG, "data": {"root": str(root)}}
    for key, value in changes.items():
        config["model"] = {**config["model"], key: value}
    (run / project.CONFIG).write_text(yaml.safe_dump(config))
    return run
