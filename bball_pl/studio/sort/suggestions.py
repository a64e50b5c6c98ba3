"""Suggestions for Sort: a background thread runs a network on the photos of the queue, those on screen first."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bball_pl.errors import BballError, PhotoError
from bball_pl.files import signature
from bball_pl.moves import NO_MOVE
from bball_pl.photos.decode import decode, read_photo
from bball_pl.photos.measurements import SHORT_SIDE, squashed
from bball_pl.photos.store import PhotoStore
from bball_pl.studio.pictures import PhotoIds, room_for
from bball_pl.studio.sort.queue import Order, SortQueue

if TYPE_CHECKING:
    import torch

    from bball_pl.evaluate.calibration import Answer
    from bball_pl.evaluate.trained_model import TrainedModel
    from bball_pl.studio.state import Models
    from bball_pl.wording import Language

_BATCH = 16
#: Rows of features that are allocated at once.
_ROWS = 2048
_log = logging.getLogger("bball_pl.studio")


@dataclass(frozen=True)
class Score:
    """Output of a network for one photo.

    Attributes:
        problem: Reason why the photo cannot be used; empty if it can.
        logits: float32 `[classes]`; empty for a network without an answer.
        features: float16 or float32 `[features]`.
    """

    problem: str
    logits: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    features: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass(frozen=True)
class Suggestion:
    """Prediction of the model for one photo.

    Attributes:
        probabilities: Probability by class, 0–1.
        margin: Difference between the two highest probabilities, 0–1; a low one is informative.
        label: Answer by the model's decision rule: a class, or "unsure" below its threshold.
    """

    probabilities: dict[str, float]
    margin: float
    label: str


class FeatureIndex:
    """Nearest neighbours among the features of many photos. Thread-safe."""

    def __init__(self) -> None:
        self._photos: list[str] = []
        self._rows: dict[str, int] = {}
        self._blocks: list[np.ndarray] = []
        self._lock = threading.Lock()

    def add(self, photo_id: str, features: np.ndarray) -> None:
        """Add a photo, or replace its features, `[features]` of any length."""
        values = features.astype(np.float32)
        unit = values / max(float(np.linalg.norm(values)), 1e-9)
        with self._lock:
            row = self._rows.setdefault(photo_id, len(self._photos))
            if row == len(self._photos):
                self._photos.append(photo_id)
                if row % _ROWS == 0:
                    # float32: products of float16 are slow.
                    self._blocks.append(np.zeros((_ROWS, len(features)), np.float32))
            self._blocks[row // _ROWS][row % _ROWS] = unit

    def nearest(self, features: np.ndarray) -> list[str]:
        """Return the ids of all photos by cosine similarity to `[features]`, most similar first."""
        query = features.astype(np.float32)
        with self._lock:
            photos, blocks = self._photos[:], self._blocks[:]
        if not photos:
            return []
        cosines = np.concatenate([block @ query for block in blocks])[: len(photos)]
        return [photos[row] for row in np.argsort(-cosines, kind="stable")]


class Network(Protocol):
    """Interface of a network that scores photos.

    Attributes:
        name: Key of its results in the store; changes with its weights.
        answers: Whether it gives logits, not features alone.
        seen: What it was trained on, as sentences by language; empty for a network without an answer.
    """

    name: str
    answers: bool
    seen: dict[Language, dict[str, str]]

    def score(self, paths: Sequence[Path]) -> list[tuple[str, Score]]:
        """Return SHA-256 and score of every photo; the SHA-256 is empty for an unreadable file."""

    def answer(self, logits: np.ndarray) -> Answer | None:
        """Return the answer of logits `[classes]`; None for a network that knows other classes, or none."""


class RunNetwork:
    """The classifier of a run.

    Args:
        model: The trained model.
        class_names: Classes of the queue; a classifier of other classes gives no probabilities.
    """

    def __init__(self, model: TrainedModel, class_names: Sequence[str]) -> None:
        from bball_pl.evaluate.origin import seen_photos

        self.name, self.answers = model.sha256, True
        self.seen = seen_photos(model.checkpoint, model.data, model.trained)
        self._model = model
        # Models of the three moves exist with and without the class `none`.
        self._same_classes = {*model.class_names, NO_MOVE.name} == {*class_names, NO_MOVE.name}

    def score(self, paths: Sequence[Path]) -> list[tuple[str, Score]]:
        """Return logits, and as features the input of the last layer."""
        import torch

        features: list[torch.Tensor] = []
        sha256s: dict[Path, str] = {}

        def load(path: Path) -> np.ndarray:
            content = read_photo(path)
            sha256s[path] = hashlib.sha256(content).hexdigest()
            with room_for(content):
                # Resized here, while no other large photo is in memory; to do it again changes nothing.
                return self._model.spec.resize(decode(content))

        head = self._model.network.head
        hook = head.register_forward_pre_hook(
            lambda _, given: features.append(given[0].detach().flatten(1).float().cpu())
        )
        try:
            answers = list(self._model.logits(paths, load))
        finally:
            hook.remove()
        rows = iter(torch.cat(features).numpy()) if features else iter(())
        return [
            (
                sha256s.get(path, ""),
                Score(str(answer)) if isinstance(answer, PhotoError) else Score("", answer, next(rows)),
            )
            for path, answer in answers
        ]

    def answer(self, logits: np.ndarray) -> Answer | None:
        """Return the calibrated answer; None for a classifier of other classes."""
        if not self._same_classes or len(logits) != len(self._model.class_names):
            return None
        return self._model.rule.answer(self._model.rule.probabilities(logits))


class FrozenNetwork:
    """A frozen network with ImageNet weights, for a start without a run; shares its features with the audit."""

    def __init__(self) -> None:
        from bball_pl.audit.measure import frozen_features, short_network

        self.name, self.answers = short_network(), False
        self.seen: dict[Language, dict[str, str]] = {}
        self._features = frozen_features(SHORT_SIDE)

    def score(self, paths: Sequence[Path]) -> list[tuple[str, Score]]:
        """Return features without logits."""
        found: list[tuple[str, str]] = []
        small: list[np.ndarray] = []
        for path in paths:
            sha256, problem = "", ""
            try:
                content = read_photo(path)
                sha256 = hashlib.sha256(content).hexdigest()
                with room_for(content):
                    small.append(squashed(decode(content), SHORT_SIDE))
            except PhotoError as error:
                problem = str(error)
            found.append((sha256, problem))
        rows = iter(self._features.short(np.stack(small)) if small else ())
        return [(sha256, Score(problem) if problem else Score("", features=next(rows))) for sha256, problem in found]

    def answer(self, logits: np.ndarray) -> Answer | None:
        """Return nothing: the network knows no moves."""
        return None


def open_network(models: Models, class_names: Sequence[str]) -> Network | None:
    """Return the current checkpoint's network, else a frozen one, or None if its weights are not installed."""
    if models.current is not None:
        return RunNetwork(models.load(), class_names)
    try:
        return FrozenNetwork()
    except (BballError, ImportError):
        return None


class Scorer:
    """Background thread that scores the photos of a queue, those on screen first.

    Args:
        queue: Photos to score.
        photos: Gives the files of the ids.
        models: The current checkpoint.
        compute: Thread in which networks run; other requests get their turn between two batches.
        cache: Folder of the photo store.

    Attributes:
        ranks: By order, a number for each photo with a suggestion, by id; the lowest is shown first.
        none: Probability of `none`, 0–1, by id, of the photos that the model answers with it.
        seen: What the model was trained on, as sentences by language; empty until it is open, or without one.
        problem: Reason why scoring stopped; empty while it works.
    """

    def __init__(
        self, queue: SortQueue, photos: PhotoIds, models: Models, compute: ThreadPoolExecutor, cache: Path
    ) -> None:
        self._queue, self._photos, self._models, self._compute = queue, photos, models, compute
        self._cache = cache
        self._scores: dict[str, Score] = {}
        self._suggestions: dict[str, Suggestion] = {}
        self.ranks: dict[Order, dict[str, float]] = {"doubt": {}, "none": {}, "album": {}}
        self.seen: dict[Language, dict[str, str]] = {}
        self.none: dict[str, float] = {}
        self._index = FeatureIndex()
        self._todo: OrderedDict[str, None] = OrderedDict()
        self._wake = threading.Condition()
        self._ended = False
        self._thread: threading.Thread | None = None
        self.problem = ""

    def begin(self, photos: list[str]) -> None:
        """Score these photos unless they are scored already; the first call starts the thread."""
        with self._wake:
            for photo_id in photos:
                if photo_id not in self._scores:
                    self._todo[photo_id] = None
            if self._thread is None and self._todo and not self._ended:
                self._thread = threading.Thread(target=self._run, name="scorer", daemon=True)
                self._thread.start()
            self._wake.notify()

    def prioritise(self, photo_id: str) -> None:
        """Score this photo next, because it is on screen."""
        with self._wake:
            if photo_id in self._todo:
                self._todo.move_to_end(photo_id, last=False)

    def suggestion(self, photo_id: str) -> Suggestion | None:
        """Return the prediction for a photo; None if there is none, or none yet."""
        return self._suggestions.get(photo_id)

    def without_move(self) -> list[str]:
        """Return the ids of the photos that the model answers with `none`, the surest first, sorted ones included."""
        shares = self.none.copy()
        return sorted(shares, key=shares.__getitem__, reverse=True)

    def pending(self) -> int:
        """Return the number of photos that are still to be scored."""
        return len(self._todo) if self._thread is not None and not self.problem else 0

    def similar(self, photo_id: str, count: int) -> list[tuple[str, str]]:
        """Return id and class of the sorted photos most similar to one, most similar first."""
        score = self._scores.get(photo_id)
        if score is None or score.problem:
            return []
        labels = self._queue.labels()
        nearest = (near for near in self._index.nearest(score.features) if near != photo_id and near in labels)
        return [(near, labels[near]) for near, _ in zip(nearest, range(count), strict=False)]

    def end(self) -> None:
        """End the thread after its batch."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        store = PhotoStore(self._cache)
        try:
            network = self._compute.submit(open_network, self._models, self._queue.class_names).result()
            if network is None:
                self.problem = "no network"
                return
            self.seen = network.seen
            self._recall(network, store)
            while (batch := self._batch()) is not None:
                self._score(network, store, batch)
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
        """Return the ids of the next photos, waiting for some; None at the end."""
        with self._wake:
            while not self._todo and not self._ended:
                self._wake.wait()
            if self._ended:
                return None
            return [photo_id for photo_id, _ in zip(list(self._todo), range(_BATCH), strict=False)]

    def _recall(self, network: Network, store: PhotoStore) -> None:
        """Take the results of earlier starts and of audits from the store."""
        with self._wake:
            paths = {photo_id: path for photo_id in self._todo if (path := self._photos.path(photo_id)) is not None}
        sha256s = store.sha256s({path: signature(path) for path in paths.values()})
        problems = store.problems(sha256s.values())
        features = store.features(network.name, sha256s.values())
        answers = store.answers(network.name, sha256s.values())
        for photo_id, path in paths.items():
            sha256 = sha256s.get(path, "")
            if problem := problems.get(sha256):
                self._take(network, photo_id, Score(problem))
            elif sha256 in features and (sha256 in answers or not network.answers):
                logits = answers.get(sha256, np.zeros(0, np.float32))
                self._take(network, photo_id, Score("", logits, features[sha256]))

    def _score(self, network: Network, store: PhotoStore, batch: list[str]) -> None:
        paths = {photo_id: path for photo_id in batch if (path := self._photos.path(photo_id)) is not None}
        signatures = {path: signature(path) for path in paths.values()}
        found = self._compute.submit(network.score, list(paths.values())).result() if paths else []
        for photo_id, (_, score) in zip(paths, found, strict=True):
            self._take(network, photo_id, score)
        scores = {sha256: score for sha256, score in found if sha256}
        usable = {sha256: score for sha256, score in scores.items() if not score.problem}
        store.keep(
            files={path: (signatures[path], sha256) for path, (sha256, _) in zip(paths.values(), found, strict=True)},
            problems={sha256: score.problem for sha256, score in scores.items()},
            features={network.name: {sha256: score.features for sha256, score in usable.items()}},
            answers={network.name: {sha256: score.logits for sha256, score in usable.items() if len(score.logits)}},
        )
        with self._wake:
            for photo_id in batch:
                self._todo.pop(photo_id, None)  # photos without a file included

    def _take(self, network: Network, photo_id: str, score: Score) -> None:
        self._scores[photo_id] = score
        if not score.problem:
            self._index.add(photo_id, score.features)
        answer = network.answer(score.logits) if len(score.logits) else None
        if answer is not None:
            shares = answer.probabilities
            best, second = sorted(shares.values(), reverse=True)[:2]
            self._suggestions[photo_id] = Suggestion(shares, best - second, answer.label)
            self.ranks["doubt"][photo_id] = best - second
            if answer.label == NO_MOVE.name:
                self.none[photo_id] = shares[NO_MOVE.name]
            if NO_MOVE.name in shares:
                self.ranks["none"][photo_id] = 1 - shares[NO_MOVE.name]
        with self._wake:
            self._todo.pop(photo_id, None)
