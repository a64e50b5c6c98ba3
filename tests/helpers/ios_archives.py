"""ZIP files of checked photos, byte for byte as the app writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from helpers import ios_twins

CLASSES = ["shoot", "dribble", "layup"]


@lru_cache
def jpeg(seed: int) -> bytes:
    """Return a picture of noise, which no other seed resembles."""
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 48, 3)).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", pixels)[1])


def checked(seed: int, truth: str | None, day: str = "2026-11-21", when: float = 1_795_000_000.0) -> dict[str, Any]:
    """Return an entry of the app's history: the model took the photo for a dribble; `when` its user looked at it."""
    return {
        "seconds": 1_795_000_000.0 - seed,
        "checked": when,
        "day": day,
        "photo": f"{seed}.jpg",
        "sha256": hashlib.sha256(jpeg(seed)).hexdigest(),
        "probabilities": [0.25, 0.5, 0.25],
        "answer": 1,
        "truth": truth,
    }


def archive(path: Path, entries: Iterable[dict[str, Any]], author: str = "", licence: str = "") -> Path:
    """Write the ZIP file of some entries; their photos are `jpeg` of the number in their names."""
    folders, photos, table = ios_twins.corrections(list(entries), CLASSES, author, licence)
    files = [("photos.csv", table.encode())]
    files += [(place, jpeg(int(Path(photo).stem))) for photo, place in photos]
    path.write_bytes(ios_twins.zip_bytes([2026, 11, 23, 19, 2, 11], folders, files))
    return path


def two_games(truths: dict[int, str] | None = None, when: float = 1_795_000_000.0) -> list[dict[str, Any]]:
    """Return the 21 corrections of two games; some show none of the moves. `truths` by seed replace theirs."""
    moves = [*CLASSES, "none"]
    return [
        checked(seed, (truths or {}).get(seed, moves[seed % 4]), f"2026-11-{21 + seed % 2}", when) for seed in range(21)
    ]
