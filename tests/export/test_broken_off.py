"""Exports that end early: by a signal or by a full disk. Nothing half is left, and the reason is one sentence."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bball_pl.commands import export
from bball_pl.errors import RunError
from bball_pl.export import formats
from bball_pl.export.export import export_model
from bball_pl.export.options import ExportSettings, Format
from bball_pl.files import staged_folder
from bball_pl.model.court_weights import court_checkpoint

from helpers.export_files import Exported
from helpers.fit_runs import ROOT, environment
from helpers.forked import start_python


@pytest.mark.parametrize(("signum", "status", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "")])
def test_a_signal_leaves_nothing(exported: Exported, tmp_path: Path, signum: int, status: int, word: str) -> None:
    out, temporary = tmp_path / "out", tmp_path / "tmp"
    temporary.mkdir()
    words = [ROOT / "scripts" / "export.py", "--run", exported.run, "--out", out, "--formats", "mlpackage", "mlmodel"]
    started = start_python(words, env=environment() | {"TMPDIR": str(temporary)})
    until = time.monotonic() + 600
    while not list(out.glob(".*.partial/*.mlpackage")) and time.monotonic() < until and started.poll() is None:
        time.sleep(0.02)
    started.send_signal(signum)
    _, said = started.communicate(timeout=900)
    assert started.returncode == status, said
    assert word in said
    assert "Traceback" not in said
    assert list(out.iterdir()) == []
    assert list(temporary.rglob("*.mlpackage")) == [], "converters build packages there"


def _full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere/weight.bin")


def _full_while_copying(*_: object, **__: object) -> None:
    raise shutil.Error([("/tmp/a", "/somewhere/b", f"[Errno 28] {os.strerror(errno.ENOSPC)}: '/tmp/a' -> '/b'")])


def _full_in_a_library(*_: object, **__: object) -> None:
    raise RuntimeError(f"PytorchStreamWriter failed writing file: {os.strerror(errno.ENOSPC)}")


@pytest.mark.parametrize(
    ("fault", "formats_written"),
    [
        (_full_disk, ("onnx", "mlpackage")),  # one file is written by then
        (_full_while_copying, ("mlpackage",)),
        (_full_in_a_library, ("mlpackage",)),
    ],
)
def test_a_full_disk_is_one_sentence(
    exported: Exported,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[..., Any],
    formats_written: tuple[Format, ...],
) -> None:
    monkeypatch.setattr(formats, "write_coreml", fault)
    out = tmp_path / "out"
    with pytest.raises(RunError) as raised:
        export_model(exported.model(), out / "small", ExportSettings(photos=6, formats=formats_written))
    said = str(raised.value)
    assert said.startswith("the export cannot be written: the disk of ")
    assert "is full (" in said
    assert "--out DIR" in said
    assert "\n" not in said
    assert len(said) < 160 + len(str(out))
    assert list(out.iterdir()) == []


def test_a_disk_that_is_really_full(exported: Exported, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = shutil.which("mount") and os.geteuid() == 0
    if (
        not mounted
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=False).returncode
    ):
        pytest.skip("no small disk can be mounted here")
    try:
        with pytest.raises(RunError, match=f"the disk of {disk} is full"):
            export_model(exported.model(), disk / "small", ExportSettings(photos=6, formats=["mlpackage"]))
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_full_disk_before_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bball_pl.project.ROOT", tmp_path / "project")
    monkeypatch.setattr("bball_pl.court.demo_dataset.write_demo", _full_disk)
    with pytest.raises(RunError, match=rf"scenes for the proof .* the disk of {tmp_path} is full .*--root DIR with"):
        export(ckpt=court_checkpoint(), out=tmp_path / "out", settings=ExportSettings())
    assert list(tmp_path.iterdir()) == []


def test_another_error_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a bug"), staged_folder(tmp_path / "demo"):
        raise RuntimeError("a bug")
    assert list(tmp_path.iterdir()) == []
