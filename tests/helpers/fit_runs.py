"""How the tests start scripts/fit.py: the real script, on a tiny net, in a process of its own or in this one."""

from __future__ import annotations

import logging
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.forked import run_python

ROOT = Path(__file__).resolve().parents[2]
FIT = ROOT / "scripts" / "fit.py"

#: Runs the script and sends its own process a signal at a chosen moment, as a cluster or Ctrl-C would from outside:
#: a signal from another process could not be timed to a batch.
_WITH_SIGNAL = """
import os, runpy, sys
from bball_pl.model.classifier import MoveClassifier
hook, epoch, batch, signum = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
original = getattr(MoveClassifier, hook)
def signalling(self, *args, **options):
    if self.current_epoch == epoch and (batch < 0 or args[1] == batch):
        os.kill(os.getpid(), signum)
    return original(self, *args, **options)
setattr(MoveClassifier, hook, signalling)
sys.argv = sys.argv[5:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

#: Runs the script, whose second process is forked before anything is imported instead of started as a new interpreter,
#: which takes 8 s of processor time. It is a child in the session of the first, as the launcher's own would be.
_WITH_SECOND = """
import json, os, runpy, subprocess, sys, threading, types
reading, writing = os.pipe()
second = os.fork()
if second:
    os.close(reading)
    from lightning.pytorch.strategies.launchers import subprocess_script
    class Second(subprocess.Popen):
        def __init__(self, words, env, cwd=None):
            self.args, self.pid, self.returncode, self._waitpid_lock = words, second, None, threading.Lock()
            self.stdin = self.stdout = self.stderr = None
            with os.fdopen(writing, "w") as pipe:
                json.dump([words, env], pipe)
    subprocess_script.subprocess = types.SimpleNamespace(Popen=Second)
    sys.argv = sys.argv[1:]
else:
    os.close(writing)
    with os.fdopen(reading) as pipe:
        asked = pipe.read()
    if not asked:
        os._exit(0)
    (_, *sys.argv), environment = json.loads(asked)
    os.environ.clear()
    os.environ.update(environment)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True)
class Signal:
    """A signal to the process itself: in a hook of the classifier, at an epoch and a batch (-1: hooks without one)."""

    hook: str
    epoch: int
    batch: int
    signum: signal.Signals


def tiny(root: Path, out: Path, epochs: int = 2, size: int = 32) -> list[str]:
    """Return options for a run of seconds: a net of 0.5 M parameters on photos of a few pixels."""
    return [
        f"--data.root={root}",
        f"--data.cache_dir={out.parent / 'cache'}",
        "--data.num_workers=0",
        "--data.batch_size=8",
        "--model.backbone=test_resnet",
        "--model.weights=none",
        f"--model.image_size={size}",
        "--model.answer_size=null",
        f"--trainer.max_epochs={epochs}",
        f"--trainer.default_root_dir={out}",
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
    ]


def environment() -> dict[str, str]:
    """Return the environment of a run: one thread, so that runs side by side do not wait for each other."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PL_", "PYTEST_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), own.get("PATH", "")])
    return own | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "80", "PATH": path}


def command(options: Sequence[str], send: Signal | None = None) -> list[str]:
    """Return the command line of a run, without the interpreter."""
    if send is None:
        return ["-c", _WITH_SECOND, str(FIT), *options] if "--trainer.devices=2" in options else [str(FIT), *options]
    moment = [send.hook, str(send.epoch), str(send.batch), str(int(send.signum))]
    return ["-c", _WITH_SIGNAL, *moment, str(FIT), *options]


def fit(
    options: Sequence[str], cwd: Path | None = None, expect: int = 0, send: Signal | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the script in a process of its own and check its exit status."""
    done = run_python(command(options, send), cwd=cwd, env=environment())
    assert done.returncode == expect, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def here(
    options: Sequence[str], expect: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[str, str]:
    """Run the script in this process, which saves seconds of imports, until it exits, and return what it printed."""
    monkeypatch.setattr(sys, "argv", [str(FIT), *options])
    # Lightning's loggers keep the stream of the test that imported them, which is closed by now.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    capsys.readouterr()
    status: object = 0
    try:
        runpy.run_path(str(FIT), run_name="__main__")
    except SystemExit as ended:
        status = ended.code
    captured = capsys.readouterr()
    assert status == expect, captured.err
    assert "Traceback" not in captured.err, captured.err
    return captured.out, captured.err


def only_run(out: Path, name: str = "moves") -> Path:
    """Return the one run below a root."""
    (run,) = (out / "lightning_logs" / name).iterdir()
    return run
