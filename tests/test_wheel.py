"""The wheel without a clone: from the demo to an export in an empty folder, with nothing written to the package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bball_pl import __version__
from bball_pl.project import CLONE

from helpers.forked import run_python

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Installed:
    """An installed wheel and an empty folder to work in.

    Attributes:
        packages: Folder of the installed package, as site-packages would be.
        project: Working folder.
    """

    packages: Path
    project: Path

    def bball(self, *words: object, cwd: Path | None = None, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the console script of the installed package, and check its exit status."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("BBALL", "PYTEST"))}
        environment |= {"PYTHONPATH": str(self.packages), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
        script = self.packages / "bin" / "bball"
        done = run_python([script, *words], env=environment, cwd=cwd or self.project, stand_ins=False)
        assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


def pip(*words: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel from a copy of the sources and install it, without a network."""
    base = tmp_path_factory.mktemp("wheel")
    source = base / "source"
    shutil.copytree(CLONE / "bball_pl", source / "bball_pl", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CLONE / name, source)
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", base / "dist", source)
    (wheel,) = (base / "dist").iterdir()
    pip("install", "--no-deps", "--no-index", "--target", base / "packages", wheel)
    (base / "project").mkdir()
    return Installed(base / "packages", base / "project")


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of every file of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def test_from_the_demo_to_an_export_in_an_empty_folder(installed: Installed) -> None:
    before = state(installed.packages)
    project = installed.project
    said = installed.bball("demo", "--train", 40, "--test", 6, "--workers", 1).stdout
    assert "fit --config demo" in said
    tiny = ["--model.backbone", "test_resnet", "--model.weights", "none", "--model.image_size", 64]
    short = ["--trainer.max_epochs", 1, "--data.batch_size", 8, "--trainer.accelerator", "cpu"]
    installed.bball("fit", "--config", "demo", *tiny, *short, "--name", "small")
    run = project / "lightning_logs" / "small" / "version_0"
    assert (run / "checkpoints" / "best.ckpt").is_file()
    installed.bball("evaluate", "--no-grad-cam")
    assert json.loads((run / "metrics.json").read_text())["n"] == 6
    assert (run / "report.html").is_file()
    installed.bball("export", run, "--formats", "onnx", "--photos", 6)
    for name in ("BasketballMoves.onnx", "README.md", "ModelContract.json", "MODEL_CARD.md"):
        assert (project / "exports" / "small" / name).is_file(), name
    installed.bball("audit", "data/demo", "--no-labels")
    assert (project / "data" / "audits" / "demo" / "audit.html").is_file()
    assert sorted(path.name for path in project.iterdir()) == ["data", "exports", "lightning_logs"]
    assert state(installed.packages) == before


def test_another_project_is_named_by_an_option(installed: Installed, tmp_path: Path) -> None:
    other, elsewhere = tmp_path / "league", tmp_path / "elsewhere"
    other.mkdir()
    elsewhere.mkdir()
    installed.bball("demo", "--project", other, "--train", 3, "--test", 3, "--workers", 1, cwd=elsewhere)
    assert (other / "data" / "demo" / "demo.json").is_file()
    assert list(elsewhere.iterdir()) == []
    said = installed.bball("demo", "--project", tmp_path / "nowhere", expect=2).stderr
    assert said.startswith("error: --project")


def test_licence_types_and_data_files_are_in_the_wheel(installed: Installed) -> None:
    package = installed.packages / "bball_pl"
    for name in ("py.typed", "moves.md", "moves.zh-Hant.md", "configs/demo.yaml", "studio/static/index.html"):
        assert (package / name).is_file(), name
    (metadata,) = installed.packages.glob("bball_pl-*.dist-info")
    text = (metadata / "METADATA").read_text(encoding="utf-8")
    assert f"Version: {__version__}" in text
    assert "License-Expression: Apache-2.0" in text
    assert (metadata / "licenses" / "LICENSE").is_file()
