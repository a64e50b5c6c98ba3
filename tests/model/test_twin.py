"""The twin: two bodies before one head, chosen for a small set, in checkpoints, resumed runs and exported files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.models import group_parameters

from bball_pl.errors import WeightsError
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.model import probe_start
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.linear_probe import ProbeChoice, Regression, fit_regressions
from bball_pl.model.network import MoveNet, load_weights, spec_for
from bball_pl.model.twin import HALF, TWIN

from helpers.fit_runs import here, only_run, tiny

MOVES = ["shoot", "dribble", "layup"]


def network(backbone: str, weights: str, class_names: list[str]) -> MoveNet:
    built = MoveNet(backbone, len(class_names), 64)
    load_weights(built, backbone, weights, class_names)
    return built.eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_it_has_the_features_of_both_and_the_answers_of_the_court(images: torch.Tensor) -> None:
    twin, court, pip = network(TWIN, "court", MOVES), network(HALF, "court", MOVES), network(HALF, "pip", MOVES)
    with torch.inference_mode():
        features = twin.features(images)
        assert torch.equal(features, torch.cat([court.features(images), pip.features(images)], 1))
        torch.testing.assert_close(twin(images), court(images))
    assert twin.feature_groups == [1280, 1280]
    assert court.feature_groups == [1280]
    assert spec_for(TWIN) == spec_for(HALF)


def test_layers_have_the_same_depth_in_both_bodies() -> None:
    twin: Any = timm.create_model(TWIN, num_classes=3)
    half: Any = timm.create_model(HALF, num_classes=3)
    depths = group_parameters(twin, twin.group_matcher(), reverse=True)
    for name, depth in group_parameters(half, half.group_matcher(), reverse=True).items():
        if name.startswith("classifier"):
            assert depths[name] == depth
        else:
            assert depths[f"bodies.0.{name}"] == depths[f"bodies.1.{name}"] == depth


def test_it_has_weights_of_the_court_alone() -> None:
    with pytest.raises(WeightsError, match=f"not for {TWIN}"):
        load_weights(MoveNet(TWIN, 2, 64), TWIN, "pip")
    twin = MoveNet(TWIN, 2, 64)
    assert not load_weights(twin, TWIN, "auto", ["ants", "bees"]), "the court's head is of other classes"


def test_groups_of_features_have_regressions_of_their_own() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(30) % 3
    features = torch.randn(30, 12, generator=generator) + torch.eye(3, 12)[targets]
    known = Regression(torch.randn(3, 12, generator=generator), torch.randn(3, generator=generator))
    (both,) = fit_regressions(features, targets, 3, "balanced", [0.1], known, [8, 4])
    parts = [
        fit_regressions(part, targets, 3, "balanced", [0.1], head)[0].logits(part)
        for part, head in zip(features.split([8, 4], 1), known.split([8, 4]), strict=True)
    ]
    torch.testing.assert_close(both.logits(features), (parts[0] + parts[1]) / 2)


@pytest.fixture
def stripes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(probe_start, "_FOLDS", 2)  # most of the time is spent in their regressions
    rows, columns = np.indices((48, 48))
    for class_name, pattern in zip(MOVES, (rows, columns, rows + columns), strict=True):
        for split, count in (("train", 7), ("test", 2)):
            for index in range(count):
                noise = np.random.default_rng((len(class_name), index, count)).integers(-20, 20, (48, 48, 3))
                path = tmp_path / "stripes" / split / class_name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = 60 + 130 * (pattern // 6 % 2)[..., None] + noise
                Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
    return tmp_path / "stripes"


def test_a_small_set_takes_it_where_it_is_clearly_better(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def beats(twin: ProbeChoice, single: ProbeChoice) -> bool:
        asked.append(twin.losses.shape == single.losses.shape)
        return True

    monkeypatch.setattr(probe_start, "_beats", beats)
    options = [*tiny(stripes, tmp_path / "out", epochs=1), f"--model.backbone={HALF}", "--model.weights=court"]
    here([*options, "--data.court=0", "--pictures=false"], 0, monkeypatch, capsys)
    assert asked == [True]
    run = only_run(tmp_path / "out")
    best, last = (read_checkpoint(run / "checkpoints" / name) for name in ("best.ckpt", "last.ckpt"))
    for checkpoint in (best, last):
        assert checkpoint["hyper_parameters"]["backbone"] == checkpoint["bball_pl"]["backbone"] == TWIN
    # Its own settings name one body: the resumed run takes the two of the checkpoint.
    again = [f"--config={run / 'config.yaml'}", f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"]
    here([*again, "--trainer.max_epochs=2"], 0, monkeypatch, capsys)
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["epoch"] == last["epoch"] + 1
    model = TrainedModel.open(run)
    assert model.classifier.network.feature_groups == [1280, 1280]
    (answer,) = model.predict([stripes / "test" / "shoot" / "0.png"])
    assert answer.label == "shoot"


def test_else_it_keeps_one_body(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probe_start, "clearly_better", lambda losses, reference: False)
    options = [*tiny(stripes, tmp_path / "out", epochs=1), f"--model.backbone={HALF}", "--model.weights=court"]
    here([*options, "--data.court=0", "--pictures=false"], 0, monkeypatch, capsys)
    checkpoint = read_checkpoint(only_run(tmp_path / "out") / "checkpoints" / "best.ckpt")
    assert checkpoint["hyper_parameters"]["backbone"] == HALF
    assert MoveClassifier.from_checkpoint(checkpoint).network.head.in_features == 1280
    monkeypatch.setattr(probe_start, "_beats", lambda twin, single: sys.exit("asked although --model.twin is false"))
    here([*options, "--data.court=0", "--pictures=false", "--model.twin=false"], 0, monkeypatch, capsys)


def test_a_backbone_with_a_weight_tag_keeps_its_name(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probe_start, "_beats", lambda twin, single: False)
    options = [*tiny(stripes, tmp_path / "out", epochs=1), f"--model.backbone={HALF}.in1k", "--model.weights=court"]
    here([*options, "--data.court=0", "--pictures=false"], 0, monkeypatch, capsys)
    run = only_run(tmp_path / "out")
    last = run / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["hyper_parameters"]["backbone"] == f"{HALF}.in1k"
    # Under another name the run could not be resumed.
    again = [f"--config={run / 'config.yaml'}", f"--ckpt_path={last}", "--trainer.max_epochs=2"]
    here(again, 0, monkeypatch, capsys)
