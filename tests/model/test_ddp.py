"""Two processes on CPUs, through the real script."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.evaluate.metrics import compute_metrics
from bball_pl.evaluate.predictions import Answers
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.fit.trainer import launched_step

from helpers.fit_runs import FIT, command, environment, fit, only_run, tiny
from helpers.forked import Forked, start_python

MakeDataset = Callable[..., Path]

TWO = ["--trainer.devices=2", "--trainer.strategy=ddp"]

#: Nothing that is drawn per process: what is left has to be the same for two processes as for one.
_PLAIN = [
    "--model.dropout=0",
    "--model.mixup=0",
    "--model.ema_decay=0",
    "--model.batch_norm=train",
    "--model.lr=1e-3",
    "--model.layer_decay=1",
    "--data.augment=none",
    "--trainer.sync_batchnorm=true",
    "--pictures=false",
]


@pytest.fixture
def uneven(make_dataset: MakeDataset) -> Path:
    """24 photos to train on, 7 to validate, 11 to test: neither divides by two."""
    root = make_dataset({"train": 8, "val": 3, "test": 4}, size=(48, 40))
    for name in ("val/shoot/s0.jpg", "val/layup/l1.jpg", "test/dribble/d2.jpg"):
        (root / name).unlink()
    return root


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "predictions_test.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_two_processes_do_what_one_does_with_the_joined_batch(uneven: Path, tmp_path: Path) -> None:
    # Without the probe: its solver stops where it is near enough, and that is elsewhere for features in another order.
    plain = [*_PLAIN, "--model.probe=false"]
    two = fit([*tiny(uneven, tmp_path / "two"), *plain, *TWO, "--data.batch_size=4"])
    fit([*tiny(uneven, tmp_path / "one"), *plain, "--data.batch_size=8"])
    run, alone = only_run(tmp_path / "two"), only_run(tmp_path / "one")
    for part in (two.stdout, two.stderr):
        for line in ("run: ", "Photos in ", "was never audited"):
            assert part.count(line) <= 1, f"said by one process only: {line}"
    states = [read_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"] for folder in (run, alone)]
    assert states[0].keys() == states[1].keys()
    for name, value in states[1].items():
        torch.testing.assert_close(states[0][name], value, rtol=1e-3, atol=1e-4, msg=name)
    optimiser = read_checkpoint(run / "checkpoints" / "last.ckpt")["optimizer_states"][0]["state"]
    assert all(float(own["step"]) > 2 for own in optimiser.values()), "the weights that agree were trained"
    assert sum(float(own["exp_avg"].abs().max()) > 0 for own in optimiser.values()) > len(optimiser) / 2

    photos = [f"test/{path.parent.name}/{path.name}" for path in (uneven / "test").glob("*/*.jpg")]
    assert len(photos) == 11
    assert [row["path"] for row in rows(run)] == sorted(photos)
    # The same checkpoint in one process: each photo once, so the same figures.
    best = MoveClassifier.from_checkpoint(run / "checkpoints" / "best.ckpt")
    data = PhotoDataModule(uneven, best.spec, cache_dir=tmp_path / "cache", num_workers=0)
    data.prepare_data()
    data.setup("test")
    with torch.inference_mode():
        parts = [
            (best(data.on_after_batch_transfer(batch, 0).images), batch.targets) for batch in data.test_dataloader()
        ]
    probabilities = torch.cat([logits for logits, _ in parts]).softmax(1)
    targets = torch.cat([targets for _, targets in parts])
    names = [photo.relative for photo in data.photos["test"]]
    answers = Answers(best.class_names, names, [""] * len(names), targets.numpy(), probabilities.numpy())
    again = compute_metrics("test", answers)
    written = json.loads((run / "metrics.json").read_text())
    assert written["confusion"] == again["confusion"]
    assert written["n"] == 11
    assert written["nll"] == pytest.approx(again["nll"], abs=1e-5)


def test_bad_photos_end_all_processes(uneven: Path, tmp_path: Path) -> None:
    (uneven / "train" / "shoot" / "s3.jpg").write_bytes(b"")
    ended = fit([*tiny(uneven, tmp_path / "out"), *TWO], expect=2)
    assert ended.stderr.count("train/shoot/s3.jpg") == 1
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out" / "lightning_logs").exists()


@pytest.fixture
def started(uneven: Path, tmp_path: Path) -> Iterator[Forked]:
    """A run of two processes in a process group of its own, as a terminal makes one."""
    options = [*tiny(uneven, tmp_path / "out", epochs=5000), *TWO, "--model.patience=0", "--pictures=false"]
    run = start_python(command(options), env=environment(), group=True)
    yield run
    if run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)


def test_ctrl_c_reaches_the_group_saves_once_and_ends_all(started: Forked, tmp_path: Path) -> None:
    last = tmp_path / "out" / "lightning_logs" / "moves" / "version_0" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 600  # as long as a machine that does other work may need
    # The first last.ckpt is written before the first batch.
    while not (last.is_file() and read_checkpoint(last)["global_step"]) and started.poll() is None:
        assert time.monotonic() < deadline, "no epoch has ended"
        time.sleep(0.2)
    os.killpg(started.pid, signal.SIGINT)
    # It returns when nobody holds the pipes any more: the second process has ended as well.
    _, errors = started.communicate(timeout=900)
    assert started.returncode == 130, errors
    assert errors.count("Resume with:") == 1
    assert errors.count("stopping after this batch") == 1
    assert "Traceback" not in errors
    assert read_checkpoint(last)["global_step"] > 0


@pytest.mark.parametrize(
    ("variables", "argv", "line"),
    [
        ({}, ["/usr/bin/bball"], "/usr/bin/bball fit --resume run"),
        (
            {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1"},
            ["/usr/bin/bball"],
            "torchrun --standalone --nproc_per_node 2 -m bball_pl fit --resume run",
        ),
        (
            {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "2", "MASTER_ADDR": "first"},
            [str(FIT)],
            "torchrun --nnodes 2 --rdzv_backend c10d --rdzv_endpoint first:29500 --nproc_per_node 4 "
            f"{FIT} --resume run",
        ),
        (
            {"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "fit"},
            [str(FIT)],
            f"srun --kill-on-bad-exit=1 --nodes=2 --ntasks=8 {sys.executable} {FIT} --resume run",
        ),
    ],
)
def test_the_command_that_resumes_has_its_launcher(
    variables: dict[str, str], argv: list[str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "SLURM_NNODES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", argv)
    assert launched_step("fit", "--resume", "run") == line
