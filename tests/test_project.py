"""Finding runs again."""

from __future__ import annotations

import os
import subprocess
import sys
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


def test_a_run_that_is_not_over_is_not_the_newest(tmp_path: Path) -> None:
    finished, begun = make_run(tmp_path, "finished", 1000), make_run(tmp_path, "begun", 2000)
    project.mark_unfinished(begun)
    assert project.newest_run(tmp_path) == finished
    project.mark_unfinished(finished)
    with pytest.raises(RunError, match=r"no finished run; finish one with: .*fit --resume .*/version_0"):
        project.newest_run(tmp_path)
    project.mark_finished(begun)
    assert project.newest_run(tmp_path) == begun


def test_eight_runs_that_start_together_get_eight_folders(tmp_path: Path) -> None:
    (tmp_path / "moves" / "version_3").mkdir(parents=True)
    (tmp_path / "moves" / "version_old").mkdir()
    program = (
        "import sys, time; from pathlib import Path; from bball_pl.project import new_version\n"
        "print('ready', flush=True); sys.stdin.readline(); print(new_version(Path(sys.argv[1])))"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "moves")],
            env=os.environ | {"PYTHONPATH": str(project.CLONE)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("\n")
        run.stdin.flush()
    numbers = sorted(int(run.communicate(timeout=900)[0]) for run in runs)
    assert numbers == list(range(4, 12))


def test_a_folder_of_runs_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "lightning_logs").write_text("a file")
    with pytest.raises(RunError, match=r"lightning_logs/moves cannot be written .*default_root_dir"):
        project.new_version(tmp_path / "lightning_logs" / "moves")


def test_a_run_is_resumed_by_its_folder_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path, "moves", 1000, project.LAST)
    last = run / "checkpoints" / "last.ckpt"
    assert project.resumed_run(run) == project.resumed_run(last) == (run / "config.yaml", last)
    last.unlink()
    with pytest.raises(RunError, match=r"before its first step. Start it again with: .* --config .*config\.yaml"):
        project.resumed_run(run)
    (run / "config.yaml").unlink()
    with pytest.raises(RunError, match=r"has no config\.yaml"):
        project.resumed_run(run)
    with pytest.raises(RunError, match="does not exist"):
        project.resumed_run(tmp_path / "nowhere")


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
