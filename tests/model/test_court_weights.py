"""The weights that the package brings along, and the form in which pretraining writes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bball_pl.court.teaching import CLASSES
from bball_pl.errors import ConfigError, DatasetError, RunError, WeightsError
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.model import court_weights
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.court_weights import (
    BACKBONE,
    CAUTION,
    answering_checkpoint,
    court_checkpoint,
    is_court_checkpoint,
    write_weights,
)
from bball_pl.model.network import MoveNet, load_weights

from helpers.forked import run_forked

TINY = "test_resnet"


def checkpoint_of(classifier: MoveClassifier) -> dict[str, Any]:
    content: dict[str, Any] = {
        "state_dict": classifier.state_dict(),
        "hyper_parameters": dict(classifier.hparams),
    }
    classifier.on_save_checkpoint(content)
    return content


@pytest.fixture
def tiny() -> MoveClassifier:
    torch.manual_seed(3)
    classifier = MoveClassifier(list(CLASSES), TINY, weights="none", image_size=32).eval()
    for value in classifier.parameters():
        torch.nn.init.normal_(value, 0.1, 0.2)
    return classifier


def test_a_written_file_is_read_as_a_checkpoint(tmp_path: Path, tiny: MoveClassifier) -> None:
    path = tmp_path / "tiny.safetensors"
    write_weights(checkpoint_of(tiny), path, {"scenes": 8, "seed": 7})
    again = MoveClassifier.from_checkpoint(path)
    assert again.class_names == list(CLASSES)
    assert again.spec == tiny.spec
    photos = torch.randn(2, 3, 32, 32)
    assert torch.allclose(again(photos), tiny(photos), atol=0.05, rtol=0.02)
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["bball_pl"])
        assert file.get_tensor("fc.weight").dtype == torch.float16
        assert file.get_tensor("bn1.running_var").dtype == torch.float32
    assert about["court"] == {"scenes": 8, "seed": 7}
    assert about["hyper_parameters"]["weights"] == "none"


def test_it_may_answer_at_another_size_than_it_was_trained_at(tmp_path: Path, tiny: MoveClassifier) -> None:
    write_weights(checkpoint_of(tiny), tmp_path / "larger.safetensors", {}, size=48)
    larger = MoveClassifier.from_checkpoint(tmp_path / "larger.safetensors")
    assert larger.spec.size == larger.hparams["image_size"] == 48
    assert larger.spec.mean == tiny.spec.mean


def test_the_temperature_goes_into_the_head(tmp_path: Path, tiny: MoveClassifier) -> None:
    for name, temperature in (("plain", 1.0), ("calm", 2.0)):
        write_weights(checkpoint_of(tiny), tmp_path / f"{name}.safetensors", {}, temperature)
    photos = torch.randn(2, 3, 32, 32)
    plain, calm = (MoveClassifier.from_checkpoint(tmp_path / f"{name}.safetensors") for name in ("plain", "calm"))
    assert torch.allclose(plain(photos), 2 * calm(photos), atol=0.01, rtol=0.01)
    write_weights(checkpoint_of(tiny), tmp_path / "moved.safetensors", {}, 2.0, {"none": -1.0})
    moved = MoveClassifier.from_checkpoint(tmp_path / "moved.safetensors")
    assert torch.allclose(moved(photos), calm(photos) - torch.tensor([0, 0, 0, 0.5]), atol=0.01)


def test_a_file_of_somebody_else_is_not_a_checkpoint(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    with pytest.raises(RunError, match="not a checkpoint of this project"):
        read_checkpoint(tmp_path / "other.safetensors")
    with pytest.raises(RunError, match="is it whole"):
        read_checkpoint(tmp_path / "broken.safetensors")


def test_the_head_is_kept_row_by_row(tmp_path: Path, tiny: MoveClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tiny.safetensors"
    write_weights(checkpoint_of(tiny), path, {})
    monkeypatch.setattr(court_weights, "court_checkpoint", lambda: path)
    monkeypatch.setattr(court_weights, "BACKBONE", TINY)
    kept = read_checkpoint(path)["state_dict"]["network.net.fc.weight"]
    for names in (["layup", "shoot"], ["shoot", "dribble", "layup"], list(CLASSES)):
        network = MoveNet(TINY, len(names), 32)
        load_weights(network, TINY, "court", names)
        assert torch.equal(network.net.fc.weight, kept[[CLASSES.index(name) for name in names]])
    other = MoveNet(TINY, 2, 32)
    before = other.net.fc.weight.clone()
    load_weights(other, TINY, "court", ["ants", "bees"])
    assert torch.equal(other.net.fc.weight, before)


def test_the_shipped_model_knows_the_moves_and_says_what_it_is() -> None:
    path = court_checkpoint()
    assert path.stat().st_size < 8_000_000
    assert is_court_checkpoint(path)
    about = read_checkpoint(path)["bball_pl"]
    assert about["class_names"] == list(CLASSES)
    assert about["backbone"] == BACKBONE
    assert {"scenes", "seed", "renderer", "version", "command", "sizes", "epochs", "temperature", "answer_size"} <= set(
        about["court"]
    )
    assert "--none_offset" in about["court"]["command"]
    assert f"--answer_size {about['spec']['size']}" in about["court"]["command"]
    assert about["court"]["caution"] == CAUTION
    assert TrainedModel.open(path, device="cpu").rule.note == CAUTION
    first, again = (MoveClassifier.from_checkpoint(path) for _ in range(2))
    size = first.spec.size
    photos = torch.randn(1, 3, size, size)
    with torch.inference_mode():
        assert torch.equal(first.network.features(photos), again.network.features(photos))


def test_court_gives_its_body_to_other_classes() -> None:
    body = read_checkpoint(court_checkpoint())["state_dict"]["network.net.conv_stem.weight"]
    network = MoveNet(BACKBONE, 2, 224)
    load_weights(network, BACKBONE, "court", ["ants", "bees"])
    assert torch.equal(network.net.conv_stem.weight, body)
    with pytest.raises(WeightsError, match=f"court has weights for {BACKBONE} only"):
        load_weights(MoveNet(TINY, 2, 32), TINY, "court", ["ants", "bees"])


def test_without_a_run_the_shipped_model_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bball_pl.project.newest_run", lambda: tmp_path / "no_run")
    assert answering_checkpoint() == court_checkpoint()
    assert answering_checkpoint(ckpt=tmp_path / "a.ckpt") == tmp_path / "a.ckpt"
    with pytest.raises(RunError):
        answering_checkpoint(run=tmp_path)


def test_pretraining_wants_as_many_sizes_as_epochs() -> None:
    with pytest.raises(ConfigError, match="for each size a number of epochs"):
        court_weights.pretrain(scenes=8, sizes=(160, 224), epochs=(1,))


def test_pretraining_runs_fit_and_writes_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bball_pl.project.ROOT", tmp_path)
    root = Path(court_weights.__file__).resolve().parents[2]
    for folder in ("scripts", "configs"):
        (tmp_path / folder).symlink_to(root / folder)
    options = ("--trainer.default_root_dir", str(tmp_path), "--pictures", "false", "--data.val_fraction", "0.4")
    out = tmp_path / "tiny.safetensors"
    arguments: dict[str, Any] = {
        "scenes": 34, "backbone": TINY, "weights": "none", "sizes": (32, 40), "epochs": (1, 1),
        "data": tmp_path / "scenes", "out": out, "workers": 1, "options": options,
    }  # fmt: skip
    monkeypatch.setattr(court_weights, "run_child", run_forked)
    assert court_weights.pretrain(**arguments) == out
    about = read_checkpoint(out)["bball_pl"]
    assert about["spec"]["size"] == 40
    assert len(about["court"]["commands"]) == 2
    written = out.read_bytes()
    # What is finished is taken as it is.
    monkeypatch.setattr(court_weights, "run_child", lambda *_: pytest.fail("a stage was run again"))
    court_weights.pretrain(**arguments)
    assert out.read_bytes() == written
    court_weights.pretrain(**(arguments | {"options": (*options, "--model.lr=5e-4")}))
    # With other settings it is another stage.
    monkeypatch.setattr(court_weights, "run_child", lambda *_: 1)
    for option in ("--model.lr 1e-4", "--data.augment=light", "--data.val_fraction 0.3"):
        with pytest.raises(RunError, match="a stage ended with status 1"):
            court_weights.pretrain(**(arguments | {"options": (*options, option)}))
    # Scenes that are not complete: rendered again where the folder is the command's own.
    own = tmp_path / "data" / "court_34_7"
    shutil.copytree(tmp_path / "scenes", own)
    lost = next(own.glob("train/*/*.jpg"))
    lost.unlink()
    with pytest.raises(RunError, match="a stage ended with status 1"):
        court_weights.pretrain(**(arguments | {"data": None}))
    assert lost.is_file()
    lost.unlink()
    with pytest.raises(DatasetError, match="an incomplete demo"):
        court_weights.pretrain(**(arguments | {"data": own}))
