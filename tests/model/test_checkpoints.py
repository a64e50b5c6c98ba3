"""Checkpoints are whole at every moment: killed writers, full disks, and a folder for temporary files elsewhere."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping

from bball_pl.errors import RunError
from bball_pl.model.fit.checkpoints import KeepBest, KeepLast, model_checkpoint, write_checkpoint
from bball_pl.project import CLONE

from helpers.forked import run_python

#: Writes checkpoints in forked processes that are killed at random moments, and prints what is wrong.
KILLS = """
import os, pathlib, random, signal, sys, time
import torch
from bball_pl.model.fit.checkpoints import write_checkpoint
folder, kills = pathlib.Path(sys.argv[1]), int(sys.argv[2])
last, done = folder / "last.ckpt", folder / "done"
random.seed(15)
weights = torch.zeros(100_000)
write_checkpoint({"epoch": 0, "weights": weights}, last)
done.write_text("0")
start = time.perf_counter()
write_checkpoint({"epoch": 0, "weights": weights}, last)
whole = time.perf_counter() - start
for _ in range(kills):
    child = os.fork()
    if child == 0:
        for epoch in range(int(done.read_text()) + 1, 10**9):
            write_checkpoint({"epoch": epoch, "weights": weights}, last)
            with done.open("r+") as file:
                file.write(str(epoch))
    time.sleep(random.uniform(0, 4 * whole))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    saved = torch.load(last, weights_only=True)
    written = int(done.read_text())
    if not written <= saved["epoch"] <= written + 1 or len(saved["weights"]) != len(weights):
        print("epoch", saved["epoch"], "after", written)
    if len(left := list(folder.iterdir())) > 3:
        print("left", left)
    done.write_text(str(saved["epoch"]))
print(kills, "kills,", written, "epochs")
"""


def test_a_killed_writer_leaves_the_last_epoch_or_the_one_before(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(CLONE), "OMP_NUM_THREADS": "1"}
    if Path("/dev/shm").is_dir():
        environment["TMPDIR"] = "/dev/shm"
    done = run_python(["-c", KILLS, tmp_path, "24"], env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("24 kills, "), done.stdout


@pytest.mark.parametrize("size", [0, 1, 4_000, 100_000, 399_000])
def test_a_full_disk_is_one_sentence_and_keeps_the_last_good_file(size: int, tmp_path: Path) -> None:
    last = tmp_path / "checkpoints" / "last.ckpt"
    write_checkpoint({"epoch": 1, "weights": torch.zeros(100_000)}, last)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system then refuses writes as it does on a full disk, with another number.
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(RunError) as refused:
            write_checkpoint({"epoch": 2, "weights": torch.zeros(100_000)}, last)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "last.ckpt cannot be written (File too large); the last.ckpt of before is whole" in str(refused.value)
    assert f"--resume {tmp_path}" in str(refused.value)
    assert torch.load(last, weights_only=True)["epoch"] == 1
    assert list(last.parent.iterdir()) == [last]


def test_the_first_checkpoint_on_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(RunError, match="there is no earlier one"):
            write_checkpoint({"weights": torch.zeros(1000)}, tmp_path / "best.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_the_best_loss_is_known_again_in_a_folder_that_was_moved(tmp_path: Path) -> None:
    before = KeepBest()
    before.dirpath = "/elsewhere/checkpoints"
    before.best_model_path = before.kth_best_model_path = "/elsewhere/checkpoints/best.ckpt"
    before.best_model_score = before.kth_value = torch.tensor(0.25)
    before.best_k_models = {before.best_model_path: before.best_model_score}
    saved = before.state_dict()

    after = KeepBest()
    after.dirpath = str(tmp_path)
    after.load_state_dict(saved)
    assert not after.best_k_models, "best.ckpt was not moved with it: the next epoch is the best one"
    (tmp_path / "best.ckpt").touch()
    after.load_state_dict(saved)
    assert after.best_model_score == 0.25
    assert after.best_model_path == after.kth_best_model_path == str(tmp_path / "best.ckpt")
    assert after.best_k_models == {str(tmp_path / "best.ckpt"): torch.tensor(0.25)}


@pytest.mark.parametrize(("waited", "resumed", "stops"), [(3, True, True), (2, True, False), (3, False, False)])
def test_a_run_that_early_stopping_had_ended_is_not_trained_on(
    waited: int, resumed: bool, stops: bool, tmp_path: Path
) -> None:
    early = EarlyStopping("val/loss", patience=3)
    early.wait_count = waited
    trainer = L.Trainer(callbacks=[KeepBest(), early], logger=False, default_root_dir=tmp_path, accelerator="cpu")
    trainer.strategy.connect(L.LightningModule())
    model_checkpoint(trainer).dirpath = str(tmp_path / "checkpoints")  # type: ignore[union-attr]
    trainer.ckpt_path = tmp_path / "last.ckpt" if resumed else None
    KeepLast().on_train_start(trainer, trainer.lightning_module)
    assert trainer.should_stop is stops
    assert (tmp_path / "checkpoints" / "last.ckpt").exists() is not resumed, "a new run can be resumed from its start"
    assert (tmp_path / "unfinished").is_file()
