"""What scripts/fit.py says to a user whose options or photos are wrong: one message, status 2, no traceback."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bball_pl.model.outcomes import read_checkpoint

from helpers.fit_runs import Signal, fit, here, only_run, tiny

MakeDataset = Callable[..., Path]


@pytest.fixture
def refusal(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Return a function that runs the script on a small dataset with further options and returns its message."""
    root = make_dataset({"train": 4, "test": 1}, size=(20, 20))

    def run(*options: str) -> str:
        return here([*tiny(root, tmp_path / "out"), *options], 2, monkeypatch, capsys)[1]

    return run


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--model.learning_rate=0.1", ["learning_rate"]),
        ("--modle.lr=0.1", ["modle"]),
        ("--model.lr=fast", ["lr", "fast"]),
        ("--data.batch_size=2.5", ["batch_size"]),
        ("--data.augment=extreme", ["augment", "extreme"]),
        ("--model.fit=stretch", ["fit", "stretch"]),
        ("--config=nowhere.yaml", ["nowhere.yaml"]),
    ],
)
def test_misspelt_options_and_wrong_types(refusal: Callable[..., str], option: str, words: list[str]) -> None:
    message = refusal(option)
    for word in words:
        assert word in message, message
    assert len(message) < 1200, "a user has to find the error in it"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--model.backbone=inception_v33", ["inception_v33", "inception_v3"]),
        ("--model.lr=-1", ["--model.lr"]),
        ("--model.dropout=2", ["--model.dropout"]),
        ("--model.image_size=5", ["5 px"]),
        ("--model.mean=[0.5]", ["expected 3"]),
        ("--model.backbone=levit_128s", ["levit_128s", "linear head", "--model.probe false"]),
        ("--model.backbone=repvit_m0_9", ["repvit_m0_9", "linear head", "--model.probe false"]),
        ("--model.backbone=inception_v3", ["inception_v3", "32 × 32", "--model.image_size 299"]),
        ("--model.channels_last=perhaps", ["channels_last", "perhaps"]),
        ("--model.auxiliary=true", ["auxiliary", "inception_v3"]),
        ("--model.weights=nowhere.pth", ["nowhere.pth", "--model.weights none"]),
        ("--model.weights=pip", ["tf_efficientnet_lite0"]),
        ("--data.val_fraction=0.9", ["val_fraction"]),
        ("--data.batch_size=0", ["batch_size"]),
        ("--data.class_names=[shoot,dunk]", ["dunk", "found: dribble, layup, shoot"]),
        ("--data.class_names=[shoot]", ["two or more"]),
        ("--data.root=nowhere", ["nowhere", "bball demo"]),
        ("--ckpt_path=nowhere.ckpt", ["nowhere.ckpt"]),
        ("--trainer.max_epochs=-1", ["max_epochs"]),
        ("--trainer.limit_test_batches=2", ["limit_test_batches", "all test photos"]),
    ],
)
def test_bad_values_are_refused_in_one_line(refusal: Callable[..., str], option: str, words: list[str]) -> None:
    message = refusal(option)
    errors = [line for line in message.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, message
    for word in words:
        assert word in errors[0], message


def test_a_size_that_a_backbone_does_not_take_is_refused_without_a_probe_too(refusal: Callable[..., str]) -> None:
    message = refusal("--model.backbone=crossvit_tiny_240", "--model.probe=false")
    assert "crossvit_tiny_240 does not take photos of 32 × 32 px" in message
    assert "--model.image_size 240" in message


def test_an_unreachable_hub_names_the_ways_on(
    refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    def no_network(*_: Any, **__: Any) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", no_network)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    message = refusal("--model.weights=hub")
    for way in ("--model.weights FILE", "--model.weights pip", "--model.weights none"):
        assert way in message


def spoil_photos(root: Path) -> list[str]:
    whole = (root / "train" / "shoot" / "s0.jpg").read_bytes()
    (root / "train" / "shoot" / "s1.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "train" / "layup" / "l1.jpg").write_bytes(b"")
    (root / "test" / "dribble" / "d0.jpg").write_text("I am no photo")
    return ["train/shoot/s1.jpg", "train/layup/l1.jpg", "test/dribble/d0.jpg", "3 of 15 photos"]


def remove_class(root: Path) -> list[str]:
    for path in (root / "test" / "layup").iterdir():
        path.unlink()
    (root / "test" / "layup").rmdir()
    return ["test has no folder 'layup'", "found: dribble, shoot"]


def leave_one_class(root: Path) -> list[str]:
    for name in ("layup", "dribble"):
        for path in (root / "train" / name).iterdir():
            path.unlink()
        (root / "train" / name).rmdir()
    return ["1 class folders", "found: shoot"]


def leak(root: Path) -> list[str]:
    (root / "test" / "shoot" / "s0.jpg").write_bytes((root / "train" / "shoot" / "s2.jpg").read_bytes())
    return ["test/shoot/s0.jpg = train/shoot/s2.jpg", "byte for byte"]


@pytest.mark.parametrize("spoil", [spoil_photos, remove_class, leave_one_class, leak])
def test_bad_datasets_are_refused_with_all_their_faults(
    spoil: Callable[[Path], list[str]], refusal: Callable[..., str], tmp_path: Path
) -> None:
    words = spoil(tmp_path / "dataset")
    message = refusal()
    for word in words:
        assert word in message, message
    assert not (tmp_path / "out").exists(), "a run that never began leaves no folder"


def test_bad_photos_can_be_skipped_and_a_sabotaged_run_keeps_its_probe(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    root = make_dataset({"train": 6, "test": 2}, size=(24, 24))
    (root / "train" / "shoot" / "s1.jpg").write_bytes(b"")
    done = fit([*tiny(root, tmp_path / "out"), "--data.on_bad_photo=skip", "--model.lr=10", "--model.weight_decay=0"])
    said = done.stdout + done.stderr
    assert "train/shoot/s1.jpg" in said
    assert "did not beat the linear probe" in said
    assert "fine-tuning beat" not in said
    folder = only_run(tmp_path / "out") / "checkpoints"
    best, probe, last = (read_checkpoint(folder / f"{name}.ckpt")["state_dict"] for name in ("best", "probe", "last"))
    assert all(torch.equal(best[name], probe[name]) for name in probe)
    assert not all(torch.equal(best[name], last[name]) for name in probe)


def test_ctrl_c_before_the_first_batch_is_no_fault(make_dataset: MakeDataset, tmp_path: Path) -> None:
    root = make_dataset({"train": 4, "val": 1}, size=(20, 20))
    done = fit(tiny(root, tmp_path / "out"), expect=130, send=Signal("setup", 0, -1, signal.SIGINT))
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--trainer.fast_dev_run=true"], set()),
        (
            ["--trainer.enable_checkpointing=false", "--trainer.logger=false"],
            {"config.yaml", "split.csv", "metrics.json", "predictions_test.csv"},
        ),
    ],
)
def test_lightnings_own_switches_work(
    make_dataset: MakeDataset, tmp_path: Path, options: list[str], left: set[str]
) -> None:
    root = make_dataset({"train": 4, "val": 1, "test": 3}, size=(20, 20))
    fit([*tiny(root, tmp_path / "out", epochs=1), *options])
    assert {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()} == left
