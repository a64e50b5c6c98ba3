"""Small albums for the tests of splitting, of pictures that are cheap to make and resemble nothing else."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from bball_pl.photos.photos_csv import COLUMNS, AppendTable
from bball_pl.photos.store import PhotoStore
from bball_pl.split.write import Split, SplitSettings, make_split

MOVES = ("shoot", "dribble", "layup")
INBOX_COLUMNS = (*COLUMNS, "validator", "collected")


def noise(path: Path, seed: int) -> None:
    """Save a picture of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".jpg", np.random.default_rng(seed).integers(0, 255, (48, 48, 3)).astype(np.uint8))
    path.write_bytes(bytes(data))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sorted_source(
    folder: Path,
    games: Iterable[int],
    photos: range = range(6),
    columns: Sequence[str] = INBOX_COLUMNS,
    grouped: bool = True,
    seed: int = 0,
) -> None:
    """Add photos `gGAME-NUMBER.jpg` to a source of an inbox that a person has sorted."""
    table = AppendTable(folder / "photos.csv", columns)
    for game in games:
        for number in photos:
            name = f"game {game}/g{game}-{number}.jpg"
            path = folder / MOVES[number % 3] / name
            noise(path, seed * 10**6 + 1000 * game + number)
            row = {"path": f"unsorted/{name}", "class": "unsorted", "group": f"game {game}" if grouped else ""}
            table.add(row | {"sha256": sha256(path)})
    table.close()


@cache
def _store() -> PhotoStore:
    # The tests paint the same pictures, and features take most of the time of a split.
    return PhotoStore(None)


def split(root: Path, out: Path, near: bool = False, by_folder: bool = False, **settings: Any) -> Split:
    """Split with a store in memory, one for all tests: 60 % train, 20 % val, 20 % test."""
    groups: Literal["folder", "table"] = "folder" if by_folder else "table"
    shares = {"val": 0.2, "test": 0.2} | settings
    return make_split(SplitSettings(root, out, near_duplicates=near, groups=groups, **shares), _store())


def divided_games(out: Path) -> dict[str, set[str]]:
    """Return the games of a dataset that are in several splits, by the names of the photos."""
    games: dict[str, set[str]] = defaultdict(set)
    for path in out.rglob("*.jpg"):
        games[path.name.split("-")[0]].add(path.relative_to(out).parts[0])
    return {game: splits for game, splits in games.items() if len(splits) > 1}
