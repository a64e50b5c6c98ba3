"""Every YAML file under configs/, and the command line's own words."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from bball_pl.model.fit_cli import FitCLI

from helpers.fit_runs import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def test_there_are_configurations() -> None:
    assert {path.name for path in CONFIGS} >= {"fit.yaml", "demo.yaml"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_configuration_parses_and_builds_everything(path: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "demo"
    given = yaml.safe_load(path.read_text())
    class_names = given.get("data", {}).get("class_names") or ["shoot", "dribble", "layup"]
    for name in class_names:
        (dataset / "train" / name).mkdir(parents=True)
    options = [
        f"--data.root={dataset}",
        f"--data.cache_dir={tmp_path / 'cache'}",
        f"--trainer.default_root_dir={tmp_path}",
        # What is not on every machine: weights of the hub, GPUs.
        *(["--model.weights=none"] if "weights: pip" not in path.read_text() else []),
        "--trainer.accelerator=cpu",
        "--trainer.devices=1",
    ]
    cli = FitCLI([f"--config={path}", *options])
    assert cli.model.class_names == class_names
    assert cli.model.spec == cli.datamodule.spec
    assert cli.trainer.max_epochs is not None
    assert cli.trainer.max_epochs >= 1
    for name, value in given.get("model", {}).items():
        if name != "weights":
            assert cli.model.hparams[name] == value, f"{path.name} model.{name}"
    assert not (tmp_path / "lightning_logs").exists(), "building writes nothing"
