"""No process outlives the command that started it, whichever signal ends that; freed memory stays."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bball_pl.project import CLONE

from helpers.fit_runs import command, environment, tiny
from helpers.forked import run_python, start_python

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")


def session(leader: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, number = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(number) == leader and state != "Z":
            found.append(int(path.parent.name))
    return found


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Return whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def end(words: Sequence[object], begun: Callable[[int], object], signum: int, group: bool = False) -> tuple[int, str]:
    """Start a command, send it (or all its group) a signal once it has begun, and expect no process in its session.

    Returns:
        Its exit status and what it wrote to standard error.
    """
    running = start_python(words, env=environment(), group=True)
    try:
        assert until(lambda: begun(running.pid) or running.poll() is not None, 240)
        assert running.poll() is None, running.communicate()[1]
        (os.killpg if group else os.kill)(running.pid, signum)
        # The pipe ends with the last process that holds it.
        _, errors = running.communicate(timeout=900)
        assert until(lambda: not session(running.pid), 60), "it left processes behind"
        return running.wait(), errors
    finally:
        for process in session(running.pid):
            os.kill(process, signal.SIGKILL)


@pytest.mark.parametrize("group", [False, True], ids=["alone", "group"])
@pytest.mark.parametrize("signum", SIGNALS)
def test_the_workers_of_a_demo_end_with_it(signum: signal.Signals, group: bool, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    words = [CLONE / "scripts" / "demo.py", "--out", out, "--workers", "2", "--train", "900"]

    def rendering(_: int) -> bool:
        return len(list(tmp_path.glob(".demo.*/*/*/*.jpg"))) > 2

    status, errors = end(words, rendering, signum, group)
    assert status == (-signum if signum == signal.SIGKILL else 128 + signum), errors
    assert "Traceback" not in errors
    if signum != signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []


_PARENT = """
import sys
from bball_pl.errors import exit_on_error
from bball_pl.processes import run_child
with exit_on_error():
    run_child([sys.executable, "-c", sys.argv[1], sys.argv[2]], dict(__import__("os").environ))
"""
_CHILD = """
import sys, time
from pathlib import Path
from bball_pl.errors import exit_on_error
from bball_pl.processes import end_with_parent
end_with_parent()
with exit_on_error():
    try:
        Path(sys.argv[1], "begun").touch()
        time.sleep(600)
    except KeyboardInterrupt as ended:
        Path(sys.argv[1], "saved").write_text(type(ended).__name__)
        raise
"""


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_child_command_saves_and_ends_first(signum: signal.Signals, tmp_path: Path) -> None:
    words = ["-c", _PARENT, _CHILD, tmp_path]
    status, _ = end(words, lambda _: (tmp_path / "begun").exists(), signum)
    saved = {signal.SIGINT: "KeyboardInterrupt", signal.SIGTERM: "Terminated"}
    assert status == (128 + signum if signum in saved else -signum)
    if signum in saved:
        assert (tmp_path / "saved").read_text() == saved[signum]


def test_a_child_whose_parent_was_killed_before_it_could_look_ends_at_once(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    words = [sys.executable, "-c", _CHILD, str(tmp_path)]
    ended = subprocess.run(words, env=environment() | {"BBALL_PARENT": str(gone.pid)}, timeout=300, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "begun").exists()


def test_a_child_whose_killed_parent_nobody_has_noticed_yet_ends_as_soon_as_somebody_does(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    words = [sys.executable, "-c", _CHILD, str(tmp_path)]
    child = subprocess.Popen(words, env=environment() | {"BBALL_PARENT": str(killed.pid)})
    try:
        assert until((tmp_path / "begun").exists, 60)
        killed.wait()
        assert child.wait(60) == -signal.SIGKILL
    finally:
        child.kill()


def test_loaders_and_other_devices_end_with_a_killed_run(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    root = make_dataset({"train": 8, "val": 2}, size=(24, 20))
    options = [*tiny(root, tmp_path / "out", epochs=5000), "--model.patience=0", "--pictures=false"]
    options += ["--trainer.devices=2", "--trainer.strategy=ddp", "--data.num_workers=1", "--data.batch_size=4"]
    last = tmp_path / "out" / "lightning_logs" / "moves" / "version_0" / "checkpoints" / "last.ckpt"
    end(command(options), lambda pid: last.is_file() and len(session(pid)) > 3, signal.SIGKILL)


@pytest.mark.parametrize("thread", [False, True], ids=["alone", "with a thread"])
def test_a_process_ends_with_everything_written(thread: bool) -> None:
    program = (
        "import atexit, threading, time\nfrom bball_pl.processes import end_process\n"
        "atexit.register(print, 'tidied')\n"
        "def work():\n    time.sleep(0.2)\n    print('worked')\n"
        f"threading.Thread(target=work).start() if {thread} else work()\n"
        "print('said', end='')\nend_process(3)"
    )
    done = run_python(["-c", program], env=environment())
    expected = "saidworked\ntidied\n" if thread else "worked\nsaidtidied\n"
    assert (done.returncode, done.stdout, done.stderr) == (3, expected, "")


@pytest.mark.parametrize(
    ("words", "status"), [(["--version"], 0), (["no-command"], 2), (["predict", "nowhere.jpg"], 2)]
)
def test_the_program_ends_with_the_status_of_its_command(words: list[str], status: int, tmp_path: Path) -> None:
    done = run_python(["-m", "bball_pl", *words], env=environment(), cwd=tmp_path)
    assert done.returncode == status
    assert done.stdout.startswith("bball_pl ") == (status == 0)
    assert done.stderr.startswith("error: ") == (status == 2)
    assert "Traceback" not in done.stderr


_ALLOCATING = """
import resource, sys
import numpy as np
from bball_pl.processes import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(2**25, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
returned = faults()
keep_freed_memory()
faults()  # the heap grows once
print(returned, faults())
"""


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc alone is told")
def test_freed_memory_is_used_again_without_a_page_fault() -> None:
    done = subprocess.run([sys.executable, "-c", _ALLOCATING], capture_output=True, text=True, check=True)
    returned, kept = map(int, done.stdout.split())
    assert returned >= 10, "at least one a block, however large the pages are"
    assert kept < returned / 5
