"""Pictures and trees for the tests of the audit: made-up scenes that differ from each other throughout."""

from __future__ import annotations

import csv
import io
import os
import runpy
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from bball_pl.audit.audit import Audit
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import PhotoTree
from bball_pl.project import ROOT

from helpers.forked import run_python

SCRIPT = ROOT / "scripts" / "audit.py"
MOVES = ("shoot", "dribble", "layup")


def scene(seed: int, size: tuple[int, int] = (320, 214)) -> np.ndarray:
    """Return a picture full of things, RGB uint8; another seed gives another picture."""
    rng = np.random.default_rng(seed)
    width, height = size
    pixels = cv2.resize(rng.integers(40, 200, (4, 6, 3)).astype(np.uint8), size, interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        centre = int(rng.integers(width)), int(rng.integers(height))
        colour = [int(value) for value in rng.integers(0, 255, 3)]
        if rng.random() < 0.5:
            cv2.circle(pixels, centre, int(rng.integers(4, 30)), colour, -1)
        else:
            other = centre[0] + int(rng.integers(-60, 60)), centre[1] + int(rng.integers(-60, 60))
            cv2.rectangle(pixels, centre, other, colour, int(rng.integers(1, 5)))
    noise = rng.normal(0, 6, pixels.shape)
    return np.asarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def save(path: Path, pixels: np.ndarray, quality: int = 92) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=quality)
    return path


def jpeg(pixels: np.ndarray, quality: int = 90) -> bytes:
    """Return a picture as the bytes of a JPEG file; RGB uint8 `[H, W, 3]`."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)


def dataset(root: Path, counts: dict[str, int], first: int = 0, groups: int = 0) -> Path:
    """Make a clean dataset with a photos.csv; so many photos of each class and split, so many groups a split."""
    rows, seed = [], first
    for split, count in counts.items():
        for class_name in MOVES:
            for number in range(count):
                relative = f"{split}/{class_name}/{number:03d}.jpg"
                save(root / relative, scene(seed))
                rows.append(row(relative, class_name, f"{split}-game-{number % groups}" if groups else ""))
                seed += 1
    write_table(root, rows)
    return root


def row(path: str, class_name: str, group: str = "", **more: str) -> dict[str, str]:
    known = {"source": "a league", "author": "Ann Lee", "licence": "CC-BY-4.0"}
    return {"path": path, "class": class_name, "group": group} | known | more


def write_table(root: Path, rows: Iterable[dict[str, str]]) -> None:
    rows = list(rows)
    with (root / "photos.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def look_at(root: Path, store: PhotoStore | None = None, **options: Any) -> Audit:
    """Audit a tree in this process; labels only if asked for."""
    return Audit.of(PhotoTree.scan(root), store or PhotoStore(None), **({"labels": False} | options))


def found(audit: Audit, kind: str) -> set[str]:
    return {own.path for own in audit.findings if own.kind == kind}


@dataclass(frozen=True)
class Done:
    """What a run of the script came to."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: object, check: bool = True, cache: Path | None = None, process: bool = False) -> Done:
    """Run the real script; in a process of its own if asked for, which takes seconds to start."""
    given = [str(argument) for argument in arguments] + (["--cache_dir", str(cache)] if cache else [])
    if process:
        ended = run_python([SCRIPT, *given], env=os.environ | {"OMP_NUM_THREADS": "1"})
        done = Done(ended.returncode, ended.stdout, ended.stderr)
    else:
        done = _run_here(given)
    assert not check or done.returncode == 0, done.stderr
    return done


def _run_here(given: list[str]) -> Done:
    out, err, code, argv = io.StringIO(), io.StringIO(), 0, sys.argv
    sys.argv = [str(SCRIPT), *given]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            runpy.run_path(str(SCRIPT), run_name="__main__")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.argv = argv
    return Done(code, out.getvalue(), err.getvalue())


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def listing(root: Path) -> dict[str, bytes]:
    """Return every file of a tree with its bytes; the rows of a table without their order."""
    files = {}
    for path in sorted(own for own in root.rglob("*") if own.is_file()):
        content = path.read_bytes()
        files[path.relative_to(root).as_posix()] = (
            b"\n".join(sorted(content.splitlines())) if path.name == "photos.csv" else content
        )
    return files
