"""Jobs: real commands in processes of their own; stopped, killed, outliving their studio; records that are damaged."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from bball_pl.errors import RunError
from bball_pl.studio.steps import jobs as jobs_module
from bball_pl.studio.steps.job_log import log_progress, read_log
from bball_pl.studio.steps.jobs import BusyError, Jobs

from helpers.studio_jobs import end_of, long_command, wait_for


def alive(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_command_ends_with_its_status_and_its_log(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "data")
    assert jobs.all() == []
    assert not (tmp_path / "data").exists(), "looking leaves nothing behind"
    good = end_of(jobs, jobs.start("audit", ["--version"], {"tree": "inbox"}))
    assert (good.state, good.status, good.options, good.command) == (
        "finished",
        0,
        {"tree": "inbox"},
        "bball --version",
    )
    assert read_log(good.log)[0].startswith("bball_pl ")
    assert good.started <= good.ended
    bad = end_of(jobs, jobs.start("audit", ["audit", "nowhere at all"], {}))
    assert (bad.state, bad.status, bad.command) == ("failed", 2, "bball audit 'nowhere at all'")
    assert read_log(bad.log)[-1].startswith("error: there is no folder nowhere at all")
    assert [job.id for job in Jobs(tmp_path / "data").all()] == [bad.id, good.id]


def test_one_at_a_time_in_two_studios_until_it_is_stopped(tmp_path: Path) -> None:
    mine, other = Jobs(tmp_path / "data"), Jobs(tmp_path / "data")
    job = mine.start("demo", long_command(tmp_path / "scenes"), {})
    with pytest.raises(BusyError):
        other.start("demo", ["--version"], {})
    seen = other.get(job.id)
    assert seen is not None
    assert seen.state == "running"
    wait_for(lambda: list(tmp_path.glob(".scenes.*.tmp/*/*/*.jpg")))
    other.stop(seen)
    stopped = end_of(mine, job)
    assert (stopped.state, stopped.status) == ("stopped", 143)
    assert read_log(stopped.log)[-1] == "terminated"
    assert not list(tmp_path.glob("*scenes*")), "the command has tidied up"
    assert end_of(other, other.start("demo", ["--version"], {})).state == "finished"


def test_a_killed_job_is_lost_and_leaves_neither_lock_nor_process(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "data")
    job = jobs.start("demo", long_command(tmp_path / "scenes"), {})
    command = int(wait_for(lambda: job.pid))
    parent = int(Path(f"/proc/{command}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    assert end_of(jobs, job).state == "lost"
    wait_for(lambda: not alive(command))
    # Its number belongs to another process now, which must be neither taken for the job nor stopped.
    (job.folder / "process.json").write_text(json.dumps({"pid": os.getpid()}))
    assert [job.state for job in jobs.all()] == ["lost"]
    assert end_of(jobs, jobs.start("demo", ["--version"], {})).state == "finished"


def test_force_ends_a_command_that_does_not_listen(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "data")
    job = jobs.start("demo", long_command(tmp_path / "scenes"), {})
    command = int(wait_for(lambda: job.pid))
    os.kill(command, signal.SIGSTOP)
    jobs.stop(job)
    asked = jobs.get(job.id)
    assert asked is not None
    assert asked.state == "stopping"
    jobs.stop(job, force=True)
    ended = end_of(jobs, job)
    assert (ended.state, ended.status) == ("stopped", 137)


def test_damaged_records_are_shown_as_such(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    for number, record in enumerate(("{", "[]", '{"words": 3}', '{"words": [1]}', ""), 1):
        folder = tmp_path / ".jobs" / str(number)
        folder.mkdir(parents=True)
        (folder / "job.json").write_text(record)
        (folder / "status.json").write_text('{"status": "x"}')
    (tmp_path / ".jobs" / "not a job").mkdir()
    assert [(job.id, job.state) for job in jobs.all()] == [(str(number), "damaged") for number in (5, 4, 3, 2, 1)]
    assert end_of(jobs, jobs.start("demo", ["--version"], {})).id == "6"


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".jobs").write_text("a file")
    with pytest.raises(RunError, match=r"cannot be started: .*\.jobs cannot be written"):
        Jobs(tmp_path).start("demo", ["--version"], {})

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(jobs_module, "write_text", full)
    with pytest.raises(RunError, match="No space left on device"):
        Jobs(tmp_path / "data").start("demo", ["--version"], {})
    assert Jobs(tmp_path / "data").all() == [], "half a record is not shown"
    monkeypatch.undo()
    jobs = Jobs(tmp_path / "data")
    assert end_of(jobs, jobs.start("demo", ["--version"], {})).state == "finished"


def test_old_jobs_are_forgotten(tmp_path: Path) -> None:
    for number in range(1, 41):
        (tmp_path / ".jobs" / str(number)).mkdir(parents=True)
    jobs = Jobs(tmp_path)
    end_of(jobs, jobs.start("demo", ["--version"], {}))
    assert [job.id for job in jobs.all()] == [str(number) for number in range(41, 11, -1)]


def test_a_log_is_shown_as_a_terminal_would(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    lines = [
        b"\x1b[1mbold\x1b[0m and \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
        b"Running passes:  10%|#   | 1/10 [00:01<00:09]\rRunning passes: 100%|####| 10/10 [00:10<00:00]\r",
        "測試 \xa0x".encode() + b"\x07\x00",
        b"half \xff a sign",
        b"decoding: 100 of 1,500, about 0:01:10 left",
        b"decoding: 900 of 1,500, about 0:00:30 left",
    ]
    log.write_bytes(b"\n".join(lines) + b"\n\n")
    shown = read_log(log)
    assert shown == [
        "bold and link",
        "Running passes: 100%|####| 10/10 [00:10<00:00]",
        "測試 \xa0x",
        "half \ufffd a sign",
        "decoding: 900 of 1,500, about 0:00:30 left",
    ]
    progress = log_progress(shown)
    assert progress is not None
    assert (progress.label, progress.done, progress.total, progress.seconds_left) == ("decoding", 900, 1500, 30)
    epoch = log_progress(["x", "epoch 3/20: loss 0.4, val acc 0.8; 0:02:00 so far, about 1 day, 1:00:05 left"])
    assert epoch is not None
    assert (epoch.label, epoch.done, epoch.total, epoch.seconds_left) == ("epoch", 3, 20, 90005)
    assert log_progress([shown[-1], "now", "something", "else"]) is None, "it is about something else by now"
    assert log_progress(["epoch 9/3: x, about 0:00:01 left", "a: 1 of 0, about x left"]) is None
    log.write_bytes(b"x" * 300_000 + b"\n" + b"y\n" * 1000)
    assert read_log(log) == ["y"] * 400
    assert read_log(tmp_path / "none") == []
