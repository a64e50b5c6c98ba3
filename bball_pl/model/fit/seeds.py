"""Runs that differ in their seed alone: `fit --seeds N`, and the spread of their accuracies."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bball_pl import project
from bball_pl.errors import ConfigError
from bball_pl.files import write_text
from bball_pl.model.fit.fit_help import SEED
from bball_pl.processes import run_child
from bball_pl.terminal import say

#: File in each of the runs that names all of them.
SEEDS = "seeds.json"
#: Variable of the environment that names the file which a run writes its folder to.
TELL = "BBALL_TELL_RUN"

_OPTION, _SEED = "--seeds", "--seed_everything"


def take_seeds(words: Sequence[str]) -> tuple[int | None, list[str]]:
    """Return the number after `--seeds`, or None without that option, and the other words of a command line of fit.

    Raises:
        ConfigError: if the number is not 2 or more, or `--resume` is given as well.
    """
    number, rest = _taken(words, _OPTION)
    if number is None:
        return None, rest
    if not number.isdecimal() or int(number) < 2:
        raise ConfigError(f"--seeds {number}: expected a number of runs, 2 or more")
    if any(word.partition("=")[0] in {"--resume", "--ckpt_path"} for word in rest):
        raise ConfigError("--seeds and --resume are both given: finish the stopped run first, without --seeds")
    return int(number), rest


def fit_seeds(words: Sequence[str], number: int) -> None:
    """Run `fit` several times with one seed after the other, and say how much the accuracy differs.

    Args:
        words: command line of fit without `--seeds`; its `--seed_everything` is the first seed.
        number: of runs.

    Raises:
        SystemExit: with the status of a run that failed; the runs before it stay.
    """
    first = _first_seed(words)
    runs: list[tuple[int, Path]] = []
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "run"
        for seed in range(first, first + number):
            say(f"run {len(runs) + 1} of {number}, seed {seed}")
            command = [sys.executable, "-m", "bball_pl", "fit", *words, f"{_SEED}={seed}"]
            status = run_child(command, os.environ | {"BBALL_PROJECT": str(project.ROOT), TELL: str(told)})
            if status != 0:
                raise SystemExit(status if status > 0 else 128 - status)
            runs.append((seed, Path(told.read_text(encoding="utf-8"))))
    content = {"seeds": [{"seed": seed, "run": run.name} for seed, run in runs]}
    for _, run in runs:
        write_text(run / SEEDS, json.dumps(content, indent=2) + "\n")
    spread = seed_spread(runs[0][1])
    if spread is not None:
        say(spread_sentence(spread))


def tell_run(run: Path) -> None:
    """Write the folder of a finished run where `fit_seeds` has asked for it."""
    if place := os.environ.get(TELL):
        write_text(Path(place), str(run.absolute()))


def seed_spread(run: Path, split: str = "test") -> dict[str, Any] | None:
    """Return how the accuracies of runs differ that differ in the seed alone.

    Args:
        run: one of them; the others lie beside it.
        split: of the figures.

    Returns:
        `runs`, their number; `mean`, `low`, `high` and `deviation` (sample standard deviation) of their accuracies,
        0–1; None if fewer than two of them have figures of the split.
    """
    found = []
    for name in _names(run):
        try:
            metrics = json.loads((run.parent / name / project.METRICS).read_text(encoding="utf-8"))
            if metrics["split"] == split:
                found.append(float(metrics["accuracy"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # removed, or not tested
    if len(found) < 2:
        return None
    return {
        "runs": len(found),
        "mean": float(np.mean(found)),
        "low": min(found),
        "high": max(found),
        "deviation": float(np.std(found, ddof=1)),
    }


def spread_sentence(spread: dict[str, Any]) -> str:
    """Return the figures of `seed_spread` in words."""
    return (
        f"{spread['runs']} runs that differ in the seed alone have accuracies of {spread['low']:.1%}–"
        f"{spread['high']:.1%}, mean {spread['mean']:.1%}, standard deviation {100 * spread['deviation']:.1f} points."
    )


def _names(run: Path) -> list[str]:
    try:
        found = json.loads((run / SEEDS).read_text(encoding="utf-8"))["seeds"]
        # Only folders beside the run: the table may come from elsewhere.
        return [Path(str(entry["run"])).name for entry in found]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _first_seed(words: Sequence[str]) -> int:
    found, _ = _taken(words, _SEED)
    if found is None:
        return SEED
    if not found.isdecimal():
        raise ConfigError(f"--seed_everything {found}: expected a whole number, 0 or more, with --seeds")
    return int(found)


def _taken(words: Sequence[str], wanted: str) -> tuple[str | None, list[str]]:
    """Return the last value of an option in a command line, None without it, and the words without the option."""
    found: str | None = None
    rest: list[str] = []
    pending = iter(words)
    for word in pending:
        option, equals, value = word.partition("=")
        if option == wanted:
            found = value if equals else next(pending, "")
        else:
            rest.append(word)
    return found, rest
