"""What scripts/fit.py says to a user whose options or photos are wrong: one message, status 2, no traceback."""

from __future__ import annotations

import os
import pkgutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.network import MoveNet

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
        ("--trainer.limit_val_batches=0", ["limit_val_batches is 0", "all validation photos"]),
        ("--trainer.limit_val_batches=0.5", ["limit_val_batches is 0.5"]),
        ("--trainer.max_steps=5", ["max_steps is 5", "--trainer.max_epochs"]),
        ("--trainer.accumulate_grad_batches=0", ["accumulate_grad_batches is 0", "1 or more"]),
        ("--trainer.check_val_every_n_epoch=3", ["check_val_every_n_epoch is 3", "2 epochs"]),
        ("--trainer.devices=0", ["devices is 0", "1 or more"]),
        ("--trainer.devices=-2", ["devices is -2"]),
        ("--trainer.strategy=fsdp", ["strategy is fsdp", "auto, ddp"]),
        ("--trainer.strategy=deepspeed", ["strategy is deepspeed"]),
        ("--trainer.strategy=ddp_spawn", ["strategy is ddp_spawn"]),
        ("--trainer.accelerator=tpu", ["accelerator is tpu", "auto, cpu, gpu"]),
        ("--trainer.accelerator=hpu", ["accelerator is hpu"]),
        ("--trainer.num_nodes=2", ["num_nodes is 2", "torchrun --nnodes 2", "for ever"]),
        ("--resume=nowhere", ["nowhere", "does not exist"]),
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


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_configuration_for_gpus_says_that_there_is_none(refusal: Callable[..., str]) -> None:
    message = refusal("--config=ddp", "--trainer.accelerator=gpu", "--trainer.devices=auto")
    (line,) = [line for line in message.splitlines() if line.startswith("error: ")]
    assert "accelerator is gpu, and torch finds none" in line
    assert "--trainer.accelerator auto" in line


def test_a_setting_that_is_given_twice_is_named_with_its_line(refusal: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("model:\n  lr: 0.1\n  dropout: 0.1\n  lr: 0.2\n")
    message = refusal(f"--config={tmp_path / 'mine.yaml'}")
    assert "mine.yaml, line 4: lr is given a second time" in message


def test_weights_that_are_no_numbers(refusal: Callable[..., str], tmp_path: Path) -> None:
    state = MoveNet("test_resnet", 3, 32).net.state_dict()
    next(iter(state.values()))[0] = torch.nan
    torch.save(state, tmp_path / "damaged.pth")
    message = refusal(f"--model.weights={tmp_path / 'damaged.pth'}")
    assert "photos at 32 px are no finite numbers" in message
    assert "--model.weights" in message


def test_batch_norm_needs_two_photos(refusal: Callable[..., str]) -> None:
    # 12 photos in batches of 8 are 6 and 6; of 11, where 12 leaves one over, 6 and 6 as well: none is left alone.
    message = refusal("--data.batch_size=1", "--model.batch_norm=train")
    assert "--model.batch_norm train" in message
    assert "--data.batch_size" in message
    assert "linear probe" not in message, "before the features"
    assert "--model.batch_norm slow" in refusal("--data.batch_size=1", "--model.batch_norm=slow")


def test_a_folder_of_runs_that_is_a_file(refusal: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "lightning_logs").write_text("")
    message = refusal()
    assert "lightning_logs/moves cannot be written" in message
    assert "--trainer.default_root_dir" in message


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that every user can write into."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are for their owner alone
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="rights are those of Unix")
@pytest.mark.parametrize("name", ["train/shoot", "train", "photos.csv"])
def test_what_may_not_be_read_is_one_line(
    name: str,
    open_folder: Path,
    make_dataset: MakeDataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = make_dataset({"train": 2, "val": 1}, size=(20, 20), name=str(open_folder / "dataset"))
    (root / "photos.csv").write_text("path,class\n")
    (root / name).chmod(0)
    options = tiny(root, open_folder / "out")
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)  # root can read everything
    try:
        _, errors = here(options, 2, monkeypatch, capsys)
    finally:
        os.seteuid(before)
        (root / name).chmod(0o755)
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert str(root / name) in line
    assert "Permission denied" in line


def test_a_loss_that_is_not_a_number_ends_the_run_and_keeps_the_checkpoint(
    refusal: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = MoveClassifier.training_step

    def diverging(self: MoveClassifier, batch: Any, batch_idx: int) -> Any:
        loss = step(self, batch, batch_idx)
        return loss * float("nan") if (self.current_epoch, batch_idx) == (1, 0) else loss

    monkeypatch.setattr(MoveClassifier, "training_step", diverging)
    message = refusal("--model.lr=0.003", "--pictures=false")
    assert "the loss is not a number in epoch 2, step 3, with --model.lr 0.003" in message
    assert "lower --model.lr, such as 0.0003" in message
    last = only_run(tmp_path / "out") / "checkpoints" / "last.ckpt"
    assert f"{last} of epoch 1 is kept" in message
    saved = read_checkpoint(last)
    assert saved["global_step"] == 2
    assert all(torch.isfinite(value).all() for value in saved["state_dict"].values())


def test_random_weights_get_statistics_of_their_own(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def policy_of(*options: str) -> set[str]:
        chosen: list[str] = []
        monkeypatch.setattr("bball_pl.model.classifier.apply_policy", lambda _, policy: chosen.append(policy))
        root = make_dataset({"train": 4, "val": 1}, size=(20, 20))
        here([*tiny(root, tmp_path / "out", epochs=1), "--pictures=false", *options], 0, monkeypatch, capsys)
        return set(chosen)

    assert policy_of("--model.batch_norm=frozen") == {"train"}
    assert policy_of("--model.batch_norm=slow") == {"slow"}


@pytest.mark.parametrize("spoil", ["truncated", "foreign", "classes", "backbone", "weights"])
def test_a_checkpoint_that_cannot_be_resumed_is_one_line(
    spoil: str, make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    root = make_dataset({"train": 4, "val": 1}, size=(20, 20))
    run = tmp_path / "lightning_logs" / "moves" / "version_0"
    last = run / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    config: dict[str, dict[str, str]] = {}
    for option in tiny(root, tmp_path / "out"):
        group, _, setting = option.removeprefix("--").partition(".")
        name, _, value = setting.partition("=")
        config.setdefault(group, {})[name] = value
    # As text, as on the command line.
    lines = [
        f"{group}:\n" + "".join(f"  {name}: {value}\n" for name, value in config[group].items()) for group in config
    ]
    (run / "config.yaml").write_text("".join(lines))
    names = ["dunk", "layup"] if spoil == "classes" else ["shoot", "dribble", "layup"]
    backbone = "test_vit" if spoil == "backbone" else "test_resnet"
    facts: dict[str, Any] = {"bball_pl": {"class_names": names}, "hyper_parameters": {"backbone": backbone}}
    torch.save({"weights": 1} if spoil == "foreign" else {**facts, "state_dict": {}}, last)
    if spoil == "truncated":
        last.write_bytes(last.read_bytes()[:200])
    _, errors = here([f"--resume={run}"], 2, monkeypatch, capsys)
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    expected = {
        "truncated": "is it whole",
        "foreign": "not a checkpoint of this project",
        "classes": "trained on the classes dunk, layup, and the photos are of shoot, dribble, layup",
        "backbone": "is of the backbone test_vit",
        "weights": "no state of a training",
    }
    assert str(last) in line
    assert expected[spoil] in line


_INT, _TERM = signal.SIGINT, signal.SIGTERM


@pytest.mark.parametrize(
    ("phase", "signum", "saved"),
    [
        ("data.datamodule.PhotoDataModule.prepare_data", _TERM, False),
        ("model.probe_start.LinearProbe._fit", _TERM, False),
        ("model.classifier.MoveClassifier.training_step", _TERM, True),
        ("model.classifier.MoveClassifier.validation_step", _INT, True),
        ("model.fit.checkpoints.write_checkpoint", _TERM, True),
        ("model.fit.final_choice.FinalChoice.on_fit_end", _TERM, True),
        ("model.classifier.MoveClassifier.test_step", _TERM, True),
        ("evaluate.results.write_results", _INT, True),
    ],
)
def test_signals_in_every_phase_end_with_the_next_command(
    phase: str,
    signum: signal.Signals,
    saved: bool,
    make_dataset: MakeDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module, _, name = phase.rpartition(".")
    owner: Any = pkgutil.resolve_name(f"bball_pl.{module}")
    original = getattr(owner, name)
    sent: list[int] = []

    def signalling(*args: Any, **options: Any) -> Any:
        if not sent and (name != "write_checkpoint" or args[1].name == "best.ckpt"):
            sent.append(signum)
            signal.raise_signal(signum)
        return original(*args, **options)

    monkeypatch.setattr(owner, name, signalling)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    root = make_dataset({"train": 4, "val": 1, "test": 1}, size=(20, 20))
    options = [*tiny(root, tmp_path / "out"), "--pictures=false"]
    _, errors = here(options, 128 + signum, monkeypatch, capsys)
    assert sent
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    run = tmp_path / "out" / "lightning_logs" / "moves" / "version_0"
    assert not (run / "metrics.json").exists()
    if not saved:
        assert "nothing was saved. Start again with:\n" in errors
        assert f"fit.py --data.root={root}" in errors
        return
    assert f"fit.py --resume {run}" in errors
    assert (run / "unfinished").is_file()
    if name != "test_step":
        return  # the others are resumed in test_resume.py
    monkeypatch.setattr(owner, name, original)
    here([f"--resume={run}"], 0, monkeypatch, capsys)
    assert (run / "metrics.json").is_file()
    assert not (run / "unfinished").exists()


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
    return ["1 class folder ", "found: shoot"]


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
