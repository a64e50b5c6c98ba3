"""Every YAML file under configs/, and the command line's own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from bball_pl.cli import main
from bball_pl.model.fit.fit_cli import FitCLI
from bball_pl.model.fit.fit_help import fit_plan, fit_words

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


def settings_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the settings that `fit` reads from a command line."""
    with pytest.raises(SystemExit) as ended:
        main(words=["fit", "--print_config", *words])
    captured = capsys.readouterr()
    assert ended.value.code == 0, captured.err
    found: dict[str, Any] = yaml.load(captured.out, yaml.BaseLoader)
    return found


NAMES = ["yes", "no", "on", "001", "0x10", "1e3", "null", "2018-05-01", "12:30", "~", "上籃", "a b"]


@pytest.mark.parametrize("by", ["option", "two words", "plus", "file", "lines"])
def test_names_of_classes_are_texts_whatever_they_look_like(
    by: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = f"[{','.join(NAMES)}]"
    lines = "".join(f"\n    - {name}" for name in NAMES)
    (tmp_path / "mine.yaml").write_text(
        f"name: 001\ndata:\n  class_names: {listed if by == 'file' else lines}\n  root: 2018\n", encoding="utf-8"
    )
    words = {
        "option": [f"--data.class_names={listed}"],
        "two words": ["--data.class_names", listed],
        "plus": [f"--data.class_names+={name}" for name in NAMES],
        "file": ["--config", str(tmp_path / "mine.yaml")],
        "lines": ["--config", str(tmp_path / "mine.yaml")],
    }[by]
    settings = settings_of(words, capsys)
    assert settings["data"]["class_names"] == NAMES
    if "--config" in words:
        assert (settings["name"], settings["data"]["root"]) == ("001", "2018")
    else:
        assert settings_of([*words, "--name=yes", "--data.class_names=null"], capsys)["name"] == "yes"


def test_other_settings_keep_their_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(
        "model:\n  lr: 3e-4\n  probe: no\n  image_size: [160, 224]\n  mean: [.5, 1e-1, 0.25]\n"
        "data:\n  class_names: null\n"
    )
    settings = settings_of(["--config", str(tmp_path / "mine.yaml")], capsys)
    assert float(settings["model"]["lr"]) == 3e-4
    assert (settings["model"]["probe"], settings["model"]["image_size"]) == ("false", ["160", "224"])
    assert list(map(float, settings["model"]["mean"])) == [0.5, 0.1, 0.25]
    assert settings["data"]["class_names"] == "null"


def test_a_tilde_in_a_setting_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("dunk", "layup"):
        (tmp_path / "photos/train" / name).mkdir(parents=True)
    options = ["--data.root=~/photos", "--data.cache_dir=~/cache", "--trainer.default_root_dir=~/runs"]
    cli = FitCLI([*options, "--model.backbone=test_resnet", "--model.weights=none", "--trainer.accelerator=cpu"])
    assert cli.datamodule.root == tmp_path / "photos"
    assert cli.trainer.default_root_dir == str(tmp_path / "runs")
    assert cli.config["data"]["cache_dir"] == str(tmp_path / "cache"), "what the run's configuration says"


def test_the_plan_is_what_the_run_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("dunk", "layup"):
        (tmp_path / "photos/train" / name).mkdir(parents=True)
    (tmp_path / "mine.yaml").write_text("name: 001\nmodel: {backbone: test_resnet}\ntrainer: {max_epochs: 4}\n")
    words = ["--pictures", "--trainer.default_root_dir", str(tmp_path), "--config", "mine.yaml", "--data.root=photos"]
    line = "training test_resnet; epochs: at most {}; dataset: photos; run: lightning_logs/{}/"
    assert fit_plan(fit_words(words)) == line.format(4, "001")
    more = [*words, "--name", "b", "--trainer.max_epochs", "5"]
    assert fit_plan(fit_words(more)) == line.format(5, "b")
    cli = FitCLI([*fit_words(more), "--model.weights=none", "--trainer.accelerator=cpu"])
    assert (cli.config["name"], cli.model.hparams["backbone"], cli.trainer.max_epochs) == ("b", "test_resnet", 5)
    assert (cli.datamodule.root, cli.trainer.default_root_dir) == (tmp_path / "photos", str(tmp_path))
    assert "training inception_v3; epochs: at most 20" in str(fit_plan(["--data.root=photos"])), "the defaults"


def test_a_resumed_run_is_named_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "lightning_logs/a/version_3"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints/last.ckpt").write_bytes(b"x")
    (tmp_path / "photos").mkdir()
    (run / "config.yaml").write_text("data: {root: photos}\nmodel: {backbone: test_vit}\n")
    plan = fit_plan(fit_words(["--resume", str(run)]))
    assert plan == "training test_vit; epochs: at most 20; dataset: photos; run: lightning_logs/a/version_3/"


@pytest.mark.parametrize(
    "words", ["--print_config", "--help all", "--data=x.yaml", "--data.root=no", "--config=no.yaml"]
)
def test_no_plan_is_said_where_none_is_sure(words: str, tmp_path: Path) -> None:
    dataset = "--data.root=" + str(tmp_path)
    assert fit_plan([dataset]) is not None
    assert fit_plan([dataset, *words.split()]) is None
