"""Two runs side by side: their settings, and what their answers to the same photos say."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bball_pl import runs
from bball_pl.errors import DatasetError
from bball_pl.evaluate.answers import read_answers
from bball_pl.evaluate.compare import compare_answers, comparison_json
from bball_pl.evaluate.results import is_evaluated
from bball_pl.studio.runs_settings import different_settings, read_config

SPLIT = "test"


def compare_runs(name_a: str, run_a: Path, name_b: str, run_b: Path) -> dict[str, Any]:
    """Compare two runs; as far as that is possible.

    Args:
        name_a: `experiment/version_N` of the first.
        run_a: its folder.
        name_b: of the one that is hoped to be better.
        run_b: its folder.

    Returns:
        `settings`, those that differ; `comparison`, as `scripts/evaluate.py --compare` writes it to `comparison.json`,
        with `agrees` and, as `photos`, the rows of `changed.csv`; null where it is not possible, and
        then `reason` says why; `uncalibrated`, which of `a` and `b` answered before a temperature was fitted.
    """
    found: dict[str, Any] = {"a": name_a, "b": name_b, "comparison": None, "reason": "", "settings": None}
    try:
        found["settings"] = different_settings(read_config(run_a), read_config(run_b))
    except ValueError as error:
        found["settings_reason"] = f"{runs.CONFIG} {error}"
    pair = {"a": run_a, "b": run_b}
    found["uncalibrated"] = [side for side, run in pair.items() if not is_evaluated(run, SPLIT)]
    try:
        a, b = (read_answers(run / runs.predictions_file(SPLIT)) for run in (run_a, run_b))
        comparison = compare_answers(a, b, name_a, name_b)
    except DatasetError as error:
        return found | {"reason": str(error)}
    found["comparison"] = comparison_json(comparison) | {
        "agrees": comparison.agrees,
        "photos": [asdict(row) for row in comparison.changed],
    }
    return found
