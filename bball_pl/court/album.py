"""A demo's games as files: rendered by one or several processes, the bytes the same."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bball_pl.court.camera import Image
from bball_pl.court.game import Game, sample_game
from bball_pl.court.photograph import encode, encode_for_web, take_photo
from bball_pl.court.teaching import CLASSES, take_lesson_photo
from bball_pl.errors import PhotoError
from bball_pl.moves import MOVES, NO_MOVE
from bball_pl.photos.photos_csv import PhotoRecord
from bball_pl.processes import end_with, signals_blocked

#: Photos per game: an album of a weekend game, in which each move is seen equally often.
PHOTOS_PER_GAME = 30
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Court:
    """A renderer of photos.

    Attributes:
        name: Value of `--court`.
        classes: Class names; consecutive photos cycle through them.
        source: Value of the column `source` in photos.csv.
        take: Renders a photo, RGB uint8 `[H, W, 3]`, from generator, game and class name.
        encode: Encodes a photo as JPEG.
    """

    name: str
    classes: tuple[str, ...]
    source: str
    take: Callable[[np.random.Generator, Game, str], Image]
    encode: Callable[[np.random.Generator, Image], bytes]


#: The demo court imitates the album of a weekend league; the teaching court is made to transfer to real photos, and
#: has a class "none"; the third renders that class alone.
COURTS: dict[str, Court] = {
    court.name: court
    for court in (
        Court("demo", tuple(move.name for move in MOVES), "demo court", take_photo, encode),
        Court("teaching", CLASSES, "teaching court", take_lesson_photo, encode_for_web),
        Court("none", (NO_MOVE.name,), "teaching court", take_lesson_photo, encode_for_web),
    )
}

#: In a worker process: set when the parent was interrupted.
_stop: Event | None = None


def difference_hash(data: bytes) -> str:
    """Return the 64-bit difference hash of a JPEG file's bytes as 16 hex digits; similar pictures differ in few bits.

    The picture becomes 9 x 8 grey values; a bit says whether a value is greater than its left neighbour.
    Source: Krawetz, Kind of Like That, hackerfactor.com, 2013.

    Raises:
        PhotoError: if the bytes cannot be decoded.
    """
    # A quarter of the size is decoded much faster and averages the same.
    grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_4)
    if grey is None:
        raise PhotoError(f"{len(data)} bytes are not a JPEG file.")
    tiny = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits: NDArray[np.bool_] = tiny[:, 1:] > tiny[:, :-1]
    return np.packbits(bits).tobytes().hex()


def _render_game(root: Path, split: str, first: int, stop: int, seed: int, court: str) -> list[PhotoRecord]:
    """Write the photos `first` to `stop` - 1 of a split, all of one game, below `root`.

    Every generator is keyed by what it is for, never by who asks first: worker count and order change no byte.
    """
    cv2.setNumThreads(1)
    kind = COURTS[court]
    block = first // PHOTOS_PER_GAME
    key = (seed, SPLITS.index(split))
    name = f"{split}-game-{block:03d}"
    game = sample_game(np.random.default_rng([*key, 0, block]), name)
    records = []
    for index in range(first, stop):
        if _stop is not None and _stop.is_set():
            break
        class_name = kind.classes[index % len(kind.classes)]
        rng = np.random.default_rng([*key, 1, index])
        data = kind.encode(rng, kind.take(rng, game, class_name))
        relative = f"{split}/{class_name}/{index:06d}.jpg"
        (root / relative).write_bytes(data)
        records.append(
            PhotoRecord(
                path=relative,
                class_name=class_name,
                group=name,
                source=kind.source,
                author=f"bball_pl {kind.source}",
                licence="CC0-1.0",
                licence_url="https://creativecommons.org/publicdomain/zero/1.0/",
                sha256=hashlib.sha256(data).hexdigest(),
                dhash=difference_hash(data),
            )
        )
    return records


def _obey(stop: Event, parent: int) -> None:
    """Give a worker process the event that ends its work after the photo in hand, and the process to end with."""
    global _stop  # noqa: PLW0603
    _stop = stop
    end_with(parent)


def _games(counts: tuple[int, int]) -> list[tuple[str, int, int]]:
    """Return (split, first photo, one past the last photo) of every game."""
    return [
        (split, first, min(first + PHOTOS_PER_GAME, count))
        for split, count in zip(SPLITS, counts, strict=True)
        for first in range(0, count, PHOTOS_PER_GAME)
    ]


def render_games(
    root: Path, counts: tuple[int, int], seed: int, workers: int, court: str = "demo"
) -> Iterator[list[PhotoRecord]]:
    """Write every game's photos below `root`; yield each game's rows as soon as it is done, in any order."""
    render = partial(_render_game, root, seed=seed, court=court)
    games = _games(counts)
    workers = min(workers, len(games))
    if workers == 1:
        for game in games:
            yield render(*game)
        return
    # "spawn": a forked child can hang on a lock that a thread of the parent held.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _obey, (stop, os.getpid()))
    try:
        with signals_blocked():
            futures = [pool.submit(render, *game) for game in games]
        for future in as_completed(futures):
            yield future.result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
