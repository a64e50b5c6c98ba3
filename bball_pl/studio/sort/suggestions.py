"""Suggestions for Sort: a network looks at the queue in the background, those on screen first."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bball_pl.errors import BballError
from bball_pl.files import signature
from bball_pl.photos.store import PhotoStore
from bball_pl.studio.models import Models
from bball_pl.studio.pictures import Registry
from bball_pl.studio.sort.queue import Deck

if TYPE_CHECKING:
    from bball_pl.studio.sort.networks import Network, Score


#: Rows that are taken at once: nothing is copied when more photos come.
_ROWS = 2048


class Gallery:
    """Features of many photos. Threads may share it."""

    def __init__(self) -> None:
        self._photos: list[str] = []
        self._rows: dict[str, int] = {}
        self._blocks: list[np.ndarray] = []
        self._lock = threading.Lock()

    def add(self, photo: str, features: np.ndarray) -> None:
        """Add a photo, or replace its features.

        Args:
            photo: its id.
            features: `[features]`, of any length.
        """
        values = features.astype(np.float32)
        unit = values / max(float(np.linalg.norm(values)), 1e-9)
        with self._lock:
            row = self._rows.setdefault(photo, len(self._photos))
            if row == len(self._photos):
                self._photos.append(photo)
                if row % _ROWS == 0:
                    # float32: products of float16 are slow.
                    self._blocks.append(np.zeros((_ROWS, len(features)), np.float32))
            self._blocks[row // _ROWS][row % _ROWS] = unit

    def nearest(self, features: np.ndarray) -> list[str]:
        """Return all photos, the most similar first.

        Args:
            features: `[features]`, of any length.
        """
        wanted = features.astype(np.float32)
        with self._lock:
            photos, blocks = self._photos[:], self._blocks[:]
        if not photos:
            return []
        cosines = np.concatenate([block @ wanted for block in blocks])[: len(photos)]
        return [photos[row] for row in np.argsort(-cosines, kind="stable")]


_BATCH = 16
_log = logging.getLogger("bball_pl.studio")


@dataclass(frozen=True)
class Suggestion:
    """What the model says of a photo.

    Attributes:
        probabilities: by class, 0–1.
        margin: between the two most probable classes, 0–1: low is informative.
    """

    probabilities: dict[str, float]
    margin: float


class Scorer:
    """A thread that looks at photos.

    Args:
        deck: whose photos.
        photos: says where they are.
        models: holds the checkpoint.
        compute: the thread of the networks; between two batches others have their turn there.
        cache: folder of what is kept.
    """

    def __init__(self, deck: Deck, photos: Registry, models: Models, compute: ThreadPoolExecutor, cache: Path) -> None:
        self._deck, self._photos, self._models, self._compute = deck, photos, models, compute
        self._cache = cache
        self._scores: dict[str, Score] = {}
        self._suggestions: dict[str, Suggestion] = {}
        self.margins: dict[str, float] = {}
        self._gallery = Gallery()
        self._todo: OrderedDict[str, None] = OrderedDict()
        self._wake = threading.Condition()
        self._ended = False
        self._thread: threading.Thread | None = None
        self.problem = ""

    def begin(self, photos: list[str]) -> None:
        """Look at these photos, if that was not done; the thread is started with the first ones."""
        with self._wake:
            for photo in photos:
                if photo not in self._scores:
                    self._todo[photo] = None
            if self._thread is None and self._todo and not self._ended:
                self._thread = threading.Thread(target=self._run, name="scorer", daemon=True)
                self._thread.start()
            self._wake.notify()

    def first(self, photo: str) -> None:
        """Look at this photo next: it is on screen."""
        with self._wake:
            if photo in self._todo:
                self._todo.move_to_end(photo, last=False)

    def suggestion(self, photo: str) -> Suggestion | None:
        """Return what the model says of a photo; None if it says nothing, or not yet."""
        return self._suggestions.get(photo)

    def open(self) -> int:
        """Return how many photos are still to be looked at."""
        return len(self._todo) if self._thread is not None and not self.problem else 0

    def similar(self, photo: str, count: int) -> list[tuple[str, str]]:
        """Return the sorted photos that look most like one, with their classes, the most similar first."""
        own = self._scores.get(photo)
        if own is None or own.problem:
            return []
        labels = self._deck.labelled()
        chosen = []
        for one in self._gallery.nearest(own.features):
            if one != photo and (name := labels.get(one)) is not None:
                chosen.append((one, name))
                if len(chosen) == count:
                    break
        return chosen

    def end(self) -> None:
        """Let the thread end after its batch."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        # Torch takes seconds to import; the page is there before.
        from bball_pl.studio.sort.networks import open_network

        store = PhotoStore(self._cache)
        try:
            network = self._compute.submit(open_network, self._models, self._deck.class_names).result()
            if network is None:
                self.problem = "no network"
                return
            self._recall(network, store)
            while (batch := self._batch()) is not None:
                self._look(network, store, batch)
        except BballError as error:
            self.problem = str(error)
            _log.warning("photos are sorted without suggestions: %s", error)
        except (RuntimeError, OSError, MemoryError) as error:
            self.problem = "the network failed"
            if not self._ended:
                _log.exception("photos are sorted without suggestions", exc_info=error)
        finally:
            store.close()

    def _batch(self) -> list[str] | None:
        """Return the next photos; None in the end."""
        with self._wake:
            while not self._todo and not self._ended:
                self._wake.wait()
            if self._ended:
                return None
            return [photo for photo, _ in zip(list(self._todo), range(_BATCH), strict=False)]

    def _recall(self, network: Network, store: PhotoStore) -> None:
        """Take what is known from earlier starts and from audits."""
        from bball_pl.studio.sort.networks import Score

        with self._wake:
            paths = {photo: path for photo in self._todo if (path := self._photos.path(photo)) is not None}
        sha256s = store.sha256s({path: signature(path) for path in paths.values()})
        problems = store.problems(sha256s.values())
        features = store.features(network.name, sha256s.values())
        answers = store.answers(network.name, sha256s.values())
        for photo, path in paths.items():
            sha256 = sha256s.get(path, "")
            if problem := problems.get(sha256):
                self._take(network, photo, Score(problem))
            elif sha256 in features and (sha256 in answers or not network.answers):
                logits = answers.get(sha256, np.zeros(0, np.float32))
                self._take(network, photo, Score("", logits, features[sha256]))

    def _look(self, network: Network, store: PhotoStore, batch: list[str]) -> None:
        paths = {photo: path for photo in batch if (path := self._photos.path(photo)) is not None}
        signatures = {path: signature(path) for path in paths.values()}
        found = self._compute.submit(network.look, list(paths.values())).result() if paths else []
        for (photo, _), (_, score) in zip(paths.items(), found, strict=True):
            self._take(network, photo, score)
        scores = {sha256: score for sha256, score in found if sha256}
        usable = {sha256: score for sha256, score in scores.items() if not score.problem}
        store.keep(
            files={path: (signatures[path], sha256) for path, (sha256, _) in zip(paths.values(), found, strict=True)},
            problems={sha256: score.problem for sha256, score in scores.items()},
            features={network.name: {sha256: score.features for sha256, score in usable.items()}},
            answers={network.name: {sha256: score.logits for sha256, score in usable.items() if len(score.logits)}},
        )
        with self._wake:
            for photo in batch:
                self._todo.pop(photo, None)  # one that is gone is not waited for

    def _take(self, network: Network, photo: str, score: Score) -> None:
        self._scores[photo] = score
        if not score.problem:
            self._gallery.add(photo, score.features)
        shares = network.probabilities(score.logits) if len(score.logits) else {}
        if shares:
            best, second = sorted(shares.values(), reverse=True)[:2]
            self._suggestions[photo] = Suggestion(shares, best - second)
            self.margins[photo] = best - second
        with self._wake:
            self._todo.pop(photo, None)
