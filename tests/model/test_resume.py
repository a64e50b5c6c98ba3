"""A run that is stopped and resumed ends where a straight run ends, bit for bit."""

from __future__ import annotations

import re
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from bball_pl.model.checkpoint import read_checkpoint

from helpers.fit_runs import FIT, Signal, environment, fit, only_run, tiny
from helpers.forked import run_python
from helpers.painting import COLOURS, paint_photo

#: Everything random at once. 24 training photos in batches of 8 are 3 steps in an epoch.
_RANDOM = ["--model.dropout=0.3", "--model.mixup=0.4", "--model.cutmix=1", "--model.ema_decay=0.9"]
_EPOCHS = 4
_LAST = 2


def options(root: Path, out: Path, workers: int) -> list[str]:
    return [*tiny(root, out, _EPOCHS), *_RANDOM, f"--data.num_workers={workers}", "--pictures=false"]


def assert_same_end(straight: Path, resumed: Path) -> None:
    assert read_checkpoint(straight / "checkpoints" / "last.ckpt")["global_step"] == _EPOCHS * (_LAST + 1)
    for name in ("last.ckpt", "best.ckpt"):
        one, other = (read_checkpoint(run / "checkpoints" / name) for run in (straight, resumed))
        assert one["global_step"] == other["global_step"]
        for key in ("state_dict", "current_model_state", "averaging_state"):
            assert one[key].keys() == other[key].keys()
            different = [name for name in one[key] if not torch.equal(one[key][name], other[key][name])]
            assert not different, f"{name} {key}: {different[:3]}"
        states: list[dict[str, Any]] = [saved["optimizer_states"][0]["state"] for saved in (one, other)]
        assert all(torch.equal(states[0][place]["exp_avg"], states[1][place]["exp_avg"]) for place in states[0])
        for callback, key in (("LinearProbe", "val"), ("FinalChoice", "best")):
            found = [saved["callbacks"][callback][key] for saved in (one, other)]
            assert (found[0] is None) == (found[1] is None), f"{name}: what the probe is compared with"
            for mine, yours in zip(found[0] or (), found[1] or (), strict=True):
                assert torch.equal(mine, yours), f"{name}: what the probe is compared with"
    assert (straight / "metrics.json").read_bytes() == (resumed / "metrics.json").read_bytes()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("resume") / "dataset"
    for split, count in (("train", 8), ("val", 2), ("test", 2)):
        for place, (name, colour) in enumerate(COLOURS.items()):
            for number in range(count):
                paint_photo(
                    root / split / name / f"{number}.jpg", colour, 100 * len(split) + 10 * place + number, (48, 40)
                )
    return root


@pytest.fixture(scope="module")
def straight(dataset: Path) -> Path:
    """The run that nothing stops."""
    fit(options(dataset, dataset.parent / "straight", workers=0))
    return only_run(dataset.parent / "straight")


def resume(line: str, out: Path) -> Path:
    """Paste a command line and return the run that it went on with: the only one of a root, or the one that it is."""
    interpreter, *words = shlex.split(line)
    assert Path(interpreter).name.startswith("python")
    resumed = run_python(words, env=environment())
    assert resumed.returncode == 0, resumed.stderr
    assert "linear probe: frozen" not in resumed.stderr, "the probe's head has long been trained on"
    run = out if (out / "config.yaml").is_file() else only_run(out)
    assert "ckpt_path: null" in (run / "config.yaml").read_text(), "it repeats the whole run, not its second half"
    return run


def test_a_stopped_run_ends_like_a_straight_one(dataset: Path, straight: Path, tmp_path: Path) -> None:
    moments = {
        "middle": (Signal("training_step", 1, 1, signal.SIGINT), 1),
        # An epoch whose batches are done is validated before the stop: its figures choose the best epoch.
        "between": (Signal("training_step", 1, _LAST, signal.SIGTERM), 0),
    }
    for name, (moment, workers) in moments.items():
        out = tmp_path / name
        stopped = fit(options(dataset, out, workers), expect=128 + moment.signum, send=moment)
        assert f"stopped by {moment.signum.name}; saved. Resume with:" in stopped.stderr
        assert "Traceback" not in stopped.stderr
        printed = re.search(r"Resume with:\n  (.*)", stopped.stderr)
        assert printed is not None
        assert printed[1].endswith(f"fit.py --resume {only_run(out)}")
        assert_same_end(straight, resume(printed[1], out))


@pytest.mark.parametrize("epoch", [0, 3])
def test_a_killed_run_goes_on_after_its_last_whole_epoch_wherever_it_lies(
    epoch: int, dataset: Path, straight: Path, tmp_path: Path
) -> None:
    killed = Signal("training_step", epoch, 1, signal.SIGKILL)
    fit(options(dataset, tmp_path / "killed", workers=0), expect=-9, send=killed)
    (tmp_path / "killed").rename(tmp_path / "moved")
    run = only_run(tmp_path / "moved")
    saved = read_checkpoint(run / "checkpoints" / "last.ckpt")
    assert saved["global_step"] == epoch * (_LAST + 1), "written after every epoch, not only after the best"
    assert (run / "unfinished").is_file()
    # Only the folder is known.
    assert_same_end(straight, resume(shlex.join(["python", str(FIT), "--resume", str(run)]), run))
    assert not (run / "unfinished").exists()
