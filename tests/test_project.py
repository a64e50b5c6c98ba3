"""Finding runs again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bball_pl import project
from bball_pl.errors import RunError


def make_run(logs: Path, name: str, seconds: int, checkpoint: str = project.BEST) -> Path:
    run = logs / name / "version_0"
    path = run / project.CHECKPOINTS / checkpoint
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    (run / project.CONFIG).write_text("name: x\n")
    os.utime(path, (seconds, seconds))
    return run


def test_the_newest_run_is_the_one_whose_best_checkpoint_is_newest(tmp_path: Path) -> None:
    make_run(tmp_path, "zz", 1000)
    newest = make_run(tmp_path, "aa", 3000)
    make_run(tmp_path, "unfinished", 9000, project.LAST)
    assert project.newest_run(tmp_path) == newest
    assert project.best_checkpoint(newest) == newest / "checkpoints" / "best.ckpt"


def test_a_missing_run_names_the_fix(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="bball fit"):
        project.newest_run(tmp_path / "nowhere")
    unfinished = make_run(tmp_path, "unfinished", 1000, project.LAST)
    with pytest.raises(RunError, match=r"no finished run"):
        project.newest_run(tmp_path)
    with pytest.raises(RunError, match=r"has no checkpoints/best\.ckpt"):
        project.best_checkpoint(unfinished)


def test_a_checkpoint_knows_its_run_only_while_it_lies_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, "moves", 1000)
    assert project.run_of_checkpoint(run / "checkpoints" / "last.ckpt") == run
    monkeypatch.chdir(run / "checkpoints")
    assert project.run_of_checkpoint("best.ckpt") == run
    assert project.run_of_checkpoint(tmp_path / "copied.ckpt") is None
    (run / project.CONFIG).unlink()
    assert project.run_of_checkpoint(run / "checkpoints" / "best.ckpt") is None
