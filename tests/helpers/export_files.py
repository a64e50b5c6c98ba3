"""A small trained run, its export, and the photos that tell a right export from a wrong one."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bball_pl.evaluate.trained_model import TrainedModel

from helpers.fit_runs import ROOT, environment, fit, only_run, tiny
from helpers.forked import run_python
from helpers.painting import COLOURS


@dataclass
class Exported:
    """A run and its export."""

    root: Path
    run: Path
    folder: Path
    options: list[object]
    said: str

    @property
    def checkpoint(self) -> Path:
        """The best checkpoint."""
        return self.run / "checkpoints" / "best.ckpt"

    def model(self) -> TrainedModel:
        """Open the best checkpoint."""
        return TrainedModel.open(self.checkpoint, device="cpu")


def edge_photo(colour: tuple[int, int, int], seed: int) -> np.ndarray:
    """A wide photo, RGB uint8 `[48, 96, 3]`, with its colour at both ends: cutting the ends off hides the class."""
    generator = np.random.default_rng(seed)
    photo = generator.integers(90, 160, (48, 96, 3))
    for ends in (photo[:, :24], photo[:, 72:]):
        ends[:] = np.array(colour) + generator.integers(-25, 25, ends.shape)
    return photo.clip(0, 255).astype(np.uint8)


def edge_photos() -> list[np.ndarray]:
    """Two photos of each class."""
    return [edge_photo(colour, seed) for seed, colour in enumerate(list(COLOURS.values()) * 2)]


def script(
    *options: object, expect: int = 0, path: Path | None = None, extra: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run scripts/export.py, or another script, in a process of its own and check its exit status."""
    words = [path or ROOT / "scripts" / "export.py", *options]
    done = run_python(words, env=environment() | (extra or {}))
    assert done.returncode == expect, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def exported_run(base: Path) -> Exported:
    """Paint a dataset, fit a tiny net, evaluate it and export it in all formats."""
    root = base / "edges"
    for split, count in (("train", 12), ("val", 4), ("test", 4)):
        for place, (name, colour) in enumerate(COLOURS.items()):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                seed = 1000 * place + 100 * len(split) + number
                Image.fromarray(edge_photo(colour, seed)).save(folder / f"{number}.png")
    fit([*tiny(root, base / "out", epochs=3), "--pictures=false", "--name=small", "--data.augment=none"])
    run = only_run(base / "out", "small")
    script("--run", run, "--no-report", path=ROOT / "scripts" / "evaluate.py")
    options: list[object] = ["--author", "A. Coach", "--licence", "CC BY 4.0", "--description", "球 moves"]
    done = script("--run", run, "--out", base / "exports", *options)
    return Exported(root, run, base / "exports" / "small", options, done.stdout + done.stderr)


def digest(path: Path) -> str:
    """SHA-256 over the names and bytes of a file or of all files of a package."""
    total = hashlib.sha256()
    for found in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if found.is_file():
            total.update(found.relative_to(path).as_posix().encode() + found.read_bytes())
    return total.hexdigest()
