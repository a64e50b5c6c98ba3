"""scripts/fit.py from end to end: what a run leaves on disk, and what is in it."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml  # type: ignore[import-untyped]
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader  # type: ignore[import-untyped]

from bball_pl.evaluate.metrics import compute_metrics
from bball_pl.evaluate.predictions import read_answers
from bball_pl.model.classifier import MoveClassifier
from bball_pl.photos.decode import decode
from bball_pl.photos.preprocess import PreprocessSpec

from helpers.fit_runs import fit, here, only_run, tiny
from helpers.painting import COLOURS, paint_photo

NAMES = ["shoot", "dribble", "layup"]
EPOCHS = 3
STEPS = 3


@dataclass
class Fitted:
    """One finished run, shared by the tests of this file."""

    root: Path
    out: Path
    run: Path
    said: str


def paint_dataset(root: Path, counts: dict[str, int], suffix: str = ".jpg", classes: int = 3) -> Path:
    seed = 0
    for split, count in counts.items():
        for name, colour in list(COLOURS.items())[:classes]:
            for number in range(1, count + 1):
                seed += 1
                paint_photo(root / split / name / f"{name[0]}{number}{suffix}", colour, seed)
    return root


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A run on the 2018 project's tree (`train/shoot/s1.jpeg`), started from a folder that is not the repository."""
    base = tmp_path_factory.mktemp("fit")
    root = paint_dataset(base / "dataset", {"train": 9, "test": 4}, ".jpeg")
    elsewhere = base / "elsewhere"
    elsewhere.mkdir()
    done = fit([*tiny(root, base / "out", EPOCHS), "--trainer.log_every_n_steps=1"], cwd=elsewhere)
    assert list(elsewhere.iterdir()) == []
    return Fitted(root, base / "out", only_run(base / "out"), done.stdout + done.stderr)


def test_the_run_folder_holds_what_the_next_stage_needs(fitted: Fitted) -> None:
    found = {path.relative_to(fitted.run).as_posix() for path in fitted.run.rglob("*") if path.is_file()}
    events = {name for name in found if name.startswith("events.out.tfevents")}
    assert events
    assert found - events == {
        "config.yaml",
        "hparams.yaml",
        "split.csv",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "checkpoints/probe.ckpt",
        "metrics.json",
        "predictions_test.csv",
    }
    with (fitted.run / "split.csv").open(newline="") as file:
        split = list(csv.DictReader(file))
    assert len(split) == 3 * (9 + 4)
    assert {row["split"] for row in split} == {"train", "val", "test"}
    assert sum(row["split"] == "val" for row in split) >= 3


def test_the_metrics_are_those_of_the_predictions(fitted: Fitted) -> None:
    with (fitted.run / "predictions_test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    written = json.loads((fitted.run / "metrics.json").read_text())
    assert len(rows) == written["n"] == 12
    again = compute_metrics("test", read_answers(fitted.run / "predictions_test.csv"))
    assert again["confusion"] == written["confusion"]
    assert again["accuracy"] == written["accuracy"] > 0.6
    assert again["nll"] == pytest.approx(written["nll"], abs=1e-4)
    assert f"accuracy {written['accuracy']:.1%}" in fitted.said
    for row in rows:
        assert row["path"].split("/")[1] == row["class"]
        assert row["predicted"] == max(NAMES, key=lambda name: float(row[f"prob_{name}"]))


def test_tensorboard_has_every_curve_with_every_point(fitted: Fitted) -> None:
    scalars: dict[str, list[Any]] = {}
    images: dict[str, list[Any]] = {}
    hparams, tensors = set[str](), set[str]()
    for path in sorted(fitted.run.glob("events.out.tfevents*")):
        events = EventAccumulator(str(path), {"scalars": 0, "images": 0, "tensors": 0}).Reload()
        for tag in events.Tags()["scalars"]:
            scalars.setdefault(tag, []).extend(events.Scalars(tag))
        tensors |= set(events.Tags()["tensors"])
        for tag in events.Tags()["images"]:
            images.setdefault(tag, []).extend(events.Images(tag))
        hparams |= set(re.findall(r"(?:test|val|gap)/\w+", _hparams(path)))
    assert hparams >= {"test/acc", "test/f1", "test/loss", "val/loss", "val/acc", "gap/acc"}
    per_epoch = ["train/loss_epoch", "train/acc", "val/loss", "val/acc", "val/f1", "gap/loss", "gap/acc"]
    for tag in [*per_epoch, "train/photos_per_s"]:
        assert len({point.step for point in scalars[tag]}) == EPOCHS, tag
    assert len({point.step for point in scalars["train/loss_step"]}) == EPOCHS * STEPS
    for tag in ("probe/acc", "probe/loss"):
        assert [point.step for point in scalars[tag]] == [0]
    assert [tag for tag in scalars if "lr" in tag] == ["train/lr"], "one curve, not one for each layer"
    assert len(scalars["train/lr"]) == EPOCHS * STEPS
    for name in NAMES:
        assert len(scalars[f"val_recall/{name}"]) == EPOCHS
    assert all(0 <= point.value <= 1 for point in scalars["val/ece"])
    assert {f"val/precision_recall/{name}" for name in NAMES} <= tensors
    assert "run/text_summary" in tensors
    assert 0 < scalars["train/photos_per_s"][0].value < 1e5
    for tag in ("train/batch", "val/confusion"):
        assert [image.step for image in images[tag]] == list(range(EPOCHS))
        assert all(image.width > 50 for image in images[tag])
    wrong = [point.value < 1 for point in scalars["val/acc"]]
    assert len(images.get("val/worst_mistakes", [])) == sum(wrong)
    single = [tag for tag, points in scalars.items() if len(points) == 1 and EPOCHS > 1]
    assert sorted(single) == ["probe/acc", "probe/loss"], "figures of the end stand beside the settings alone"


def _hparams(path: Path) -> str:
    """The parts of an event file that TensorBoard's page HPARAMS reads, as text."""
    found = []
    for event in EventFileLoader(str(path)).Load():
        found += [str(value.metadata) for value in event.summary.value if value.tag.startswith("_hparams_/")]
    return "\n".join(found)


def test_a_checkpoint_answers_without_its_dataset(fitted: Fitted, tmp_path: Path) -> None:
    best = fitted.run / "checkpoints" / "best.ckpt"
    content = torch.load(best, weights_only=True)
    own = content["bball_pl"]
    assert own["class_names"] == NAMES
    assert own["backbone"] == "test_resnet"
    spec = PreprocessSpec.from_dict(own["spec"])
    assert spec.size == 32
    assert own["data"]["counts"]["test"] == dict.fromkeys(NAMES, 4)
    copy = shutil.copy(best, tmp_path / "model.ckpt")
    photos = shutil.copytree(fitted.root / "test", tmp_path / "photos")
    away = fitted.root.with_name("away")
    fitted.root.rename(away)
    try:
        classifier = MoveClassifier.from_checkpoint(copy)
    finally:
        away.rename(fitted.root)
    assert classifier.class_names == NAMES
    assert classifier.spec == spec
    assert not classifier.training
    with (fitted.run / "predictions_test.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            pixels = spec.resize(decode(photos.parent / row["path"].replace("test/", "photos/", 1)))
            with torch.inference_mode():
                batch = spec.normalise(torch.tensor(pixels).permute(2, 0, 1)[None])
                probabilities = classifier(batch).softmax(1)[0]
            wanted = [float(row[f"prob_{name}"]) for name in NAMES]
            torch.testing.assert_close(probabilities, torch.tensor(wanted), atol=1e-5, rtol=0)


def test_the_configuration_repeats_the_run_bit_for_bit(fitted: Fitted, tmp_path: Path) -> None:
    config = yaml.safe_load((fitted.run / "config.yaml").read_text())
    assert config["model"]["backbone"] == "test_resnet"
    fit([f"--config={fitted.run / 'config.yaml'}", f"--trainer.default_root_dir={tmp_path}"], cwd=tmp_path)
    again = only_run(tmp_path)
    for name in ("metrics.json", "predictions_test.csv", "split.csv"):
        assert (again / name).read_bytes() == (fitted.run / name).read_bytes(), name


def test_the_terminal_shows_what_matters_in_80_columns(fitted: Fitted) -> None:
    said = fitted.said
    for line in ("Photos in ", "linear probe: val loss", f"run: {fitted.run}", "next:", "tensorboard --logdir"):
        assert said.count(line) == 1, line
    assert ("best.ckpt is the probe" in said) != (" beat the linear probe: " in said)
    for noise in ("Warning", "warn(", ".py:", "Tip", "TPU", "LeafSpec", "hparams", "litlogger", "Traceback", "…n"):
        assert noise not in said, noise
    # Commands to paste stand in one line, however long the paths are.
    free = (
        "run: ",
        "training test_resnet; epochs: at most 3; dataset: ",
        "Photos in ",
        f"  {Path(sys.executable).parent}",
        str(fitted.run.parents[2]),
    )
    assert [line for line in said.splitlines() if len(line) > 120 and not line.startswith(free)] == []
    line = r"^epoch (\d+)/\d+: loss [\d.e-]+, val loss .*val acc .* so far, about (\d:\d\d:\d\d) left$"
    epochs = re.findall(line, said, re.MULTILINE)
    assert epochs, said
    assert [int(number) for number, _ in epochs] == list(range(1, len(epochs) + 1)), said
    assert epochs[-1][1] == "0:00:00", "a log file says how far a run is and when it ends"


def test_help_and_print_config(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    helped = fit(["--help", "all"]).stdout
    for option in ("--data.root", "--model.backbone", "--model.lr", "--trainer.max_epochs", "--name", "--ckpt_path"):
        assert option in helped, option
    assert "timm name" in helped
    assert "photos per device and step" in helped
    printed, _ = here(["--print_config"], 0, monkeypatch, capsys)
    config = yaml.safe_load(printed)
    assert config["trainer"]["max_epochs"] >= 1
    assert config["model"]["backbone"] == "inception_v3"


def test_inception_v3_with_its_auxiliary_head_and_no_test_photos(tmp_path: Path) -> None:
    root = paint_dataset(tmp_path / "dataset", {"train": 2, "val": 1}, classes=2)
    options = [*tiny(root, tmp_path / "out", epochs=1, size=299), "--data.batch_size=4", "--data.gap_photos=0"]
    done = fit([*options, "--model.backbone=inception_v3", "--model.auxiliary=true", "--name=big"])
    run = only_run(tmp_path / "out", "big")
    assert "No test photos" in done.stdout
    assert not (run / "metrics.json").exists()
    assert not (run / "predictions_test.csv").exists()
    classifier = MoveClassifier.from_checkpoint(run / "checkpoints" / "last.ckpt")
    before = MoveClassifier.from_checkpoint(run / "checkpoints" / "probe.ckpt")
    assert classifier.spec.size == 299
    for name in ("AuxLogits.fc.weight", "AuxLogits.conv0.conv.weight", "fc.weight", "Mixed_7c.branch1x1.conv.weight"):
        old, new = before.network.net.state_dict()[name], classifier.network.net.state_dict()[name]
        assert not torch.equal(old, new), f"{name} was trained"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["lightning_logs"]
