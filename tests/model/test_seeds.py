"""Runs that differ in their seed alone: made by one command, and their spread stands in the evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bball_pl.errors import ConfigError
from bball_pl.evaluate.evaluation import evaluate
from bball_pl.evaluate.report.content import collect
from bball_pl.evaluate.results import evaluation_summary
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.model.fit import seeds
from bball_pl.model.fit.seeds import SEEDS, seed_spread, take_seeds

from helpers.fit_runs import here, tiny
from helpers.forked import run_forked


def test_two_seeds_are_two_runs_and_their_spread_stands_in_the_evaluation(
    make_dataset: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(seeds, "run_child", run_forked)
    dataset = make_dataset({"train": 6, "val": 2, "test": 3}, size=(48, 40))
    options = [*tiny(dataset, tmp_path / "out", epochs=1), "--pictures=false", "--seeds=2", "--seed_everything=11"]
    said, _ = here(options, 0, monkeypatch, capsys)
    runs = sorted((tmp_path / "out" / "lightning_logs" / "moves").iterdir())
    assert [run.name for run in runs] == ["version_0", "version_1"]
    for run, seed in zip(runs, (11, 12), strict=True):
        assert f"seed_everything: {seed}" in (run / "config.yaml").read_text()
        assert json.loads((run / SEEDS).read_text())["seeds"] == [
            {"seed": 11, "run": "version_0"},
            {"seed": 12, "run": "version_1"},
        ]
    accuracies = [json.loads((run / "metrics.json").read_text())["accuracy"] for run in runs]
    assert "2 runs that differ in the seed alone have accuracies of" in said
    # The figures of a run may be other ones by now.
    metrics = json.loads((runs[1] / "metrics.json").read_text())
    (runs[1] / "metrics.json").write_text(json.dumps(metrics | {"accuracy": accuracies[0] / 2}))
    evaluation = evaluate(TrainedModel.open(runs[0], device="cpu"))
    spread = evaluation.metrics["seeds"]
    assert (spread["runs"], spread["high"], spread["low"]) == (2, accuracies[0], accuracies[0] / 2)
    assert spread["deviation"] == pytest.approx(np.std([accuracies[0], accuracies[0] / 2], ddof=1))
    console = Console(width=200, record=True, file=(tmp_path / "said").open("w"))
    console.print(evaluation_summary(evaluation))
    assert "2 runs that differ in the seed alone" in console.export_text()
    assert "Seeds" in [tile.label for tile in collect(evaluation).tiles]
    assert "亂數種子" in [tile.label for tile in collect(evaluation, "zh-Hant").tiles]


def test_runs_that_are_gone_or_have_other_figures_do_not_count(tmp_path: Path) -> None:
    runs = [tmp_path / f"version_{number}" for number in range(4)]
    content = {"seeds": [{"seed": number, "run": run.name} for number, run in enumerate(runs)]}
    for run, accuracy in zip(runs[:3], (0.8, 0.9, 0.1), strict=True):
        run.mkdir()
        (run / SEEDS).write_text(json.dumps(content))
        split = "val" if accuracy == 0.1 else "test"
        (run / "metrics.json").write_text(json.dumps({"split": split, "accuracy": accuracy}))
    spread = seed_spread(runs[0])
    assert spread is not None
    assert (spread["runs"], spread["low"], spread["high"]) == (2, 0.8, 0.9)
    assert seed_spread(runs[0], "val") is None, "one run has no spread"
    for damaged in ("", "[]", '{"seeds": 3}', '{"seeds": [{"run": "../elsewhere"}]}'):
        (runs[0] / SEEDS).write_text(damaged)
        assert seed_spread(runs[0]) is None


def test_the_option_is_taken_out_of_the_command_line() -> None:
    assert take_seeds(["--seeds", "3", "--name", "x"]) == (3, ["--name", "x"])
    assert take_seeds(["--seeds=3"]) == (3, [])
    assert take_seeds(["--name", "x"]) == (None, ["--name", "x"])
    for words in (["--seeds", "1"], ["--seeds", "three"], ["--seeds"]):
        with pytest.raises(ConfigError, match="expected a number of runs, 2 or more"):
            take_seeds(words)
    with pytest.raises(ConfigError, match="finish the stopped run first"):
        take_seeds(["--seeds=2", "--resume", "run"])
