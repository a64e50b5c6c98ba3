"""Networks for Sort: the run's own, or a frozen one that only finds similar photos."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from bball_pl.audit.measure import FrozenFeatures, short_network
from bball_pl.errors import BballError, PhotoError
from bball_pl.photos.decode import decode, read_photo
from bball_pl.photos.measurements import SHORT_SIDE, squashed
from bball_pl.studio.models import Loaded, Models


@dataclass(frozen=True)
class Score:
    """Output of a network for one photo.

    Attributes:
        problem: Why the photo cannot be used; empty if it can.
        logits: float32 `[classes]`; empty for a network without an answer.
        features: float16 or float32 `[features]`.
    """

    problem: str
    logits: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    features: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


class Network(Protocol):
    """Looks at photos.

    Attributes:
        name: Changes with its answers; the store keeps them by this name.
        answers: Whether it gives logits, not features alone.
    """

    name: str
    answers: bool

    def look(self, paths: Sequence[Path]) -> list[tuple[str, Score]]:
        """Return SHA-256 and score of every photo; the first is empty where a file cannot be read."""

    def probabilities(self, logits: np.ndarray) -> dict[str, float]:
        """Return probabilities by class; nothing if it does not answer."""


class Classifier:
    """The classifier of a run.

    Args:
        loaded: its checkpoint.
        class_names: what is sorted into; a classifier of other classes has no opinion on them.
    """

    def __init__(self, loaded: Loaded, class_names: Sequence[str]) -> None:
        self.name, self.answers = loaded.sha256, True
        self._loaded = loaded
        self._knows = set(loaded.class_names) == set(class_names)

    def look(self, paths: Sequence[Path]) -> list[tuple[str, Score]]:
        """Answer photos; the features are what the last layer sees."""
        engine = self._loaded.engine
        seen: list[torch.Tensor] = []
        sha256s: dict[Path, str] = {}

        def load(path: Path) -> np.ndarray:
            content = read_photo(path)
            sha256s[path] = hashlib.sha256(content).hexdigest()
            return decode(content)

        head = engine.classifier.network.head
        hook = head.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().flatten(1).float().cpu()))
        try:
            answers = list(engine.run(paths, load))
        finally:
            hook.remove()
        rows = iter(torch.cat(seen).numpy()) if seen else iter(())
        return [
            (
                sha256s.get(path, ""),
                Score(str(answer)) if isinstance(answer, PhotoError) else Score("", answer, next(rows)),
            )
            for path, answer in answers
        ]

    def probabilities(self, logits: np.ndarray) -> dict[str, float]:
        """Return calibrated probabilities by class; nothing for a classifier of other classes."""
        if not self._knows or len(logits) != len(self._loaded.class_names):
            return {}
        shares = self._loaded.judge.probabilities(logits)
        return dict(zip(self._loaded.class_names, map(float, shares), strict=True))


class Seer:
    """A frozen network with ImageNet weights, where there is no run yet; an audit has computed its features already."""

    def __init__(self) -> None:
        self.name, self.answers = short_network(), False
        self._features = FrozenFeatures(SHORT_SIDE)

    def look(self, paths: Sequence[Path]) -> list[tuple[str, Score]]:
        """Return features without answers."""
        found: list[tuple[str, str]] = []
        small: list[np.ndarray] = []
        for path in paths:
            sha256, problem = "", ""
            try:
                content = read_photo(path)
                sha256 = hashlib.sha256(content).hexdigest()
                small.append(squashed(decode(content), SHORT_SIDE))
            except PhotoError as error:
                problem = str(error)
            found.append((sha256, problem))
        rows = iter(self._features.short(np.stack(small)) if small else ())
        return [(sha256, Score(problem) if problem else Score("", features=next(rows))) for sha256, problem in found]

    def probabilities(self, logits: np.ndarray) -> dict[str, float]:
        """Return nothing: it knows no moves."""
        return {}


def open_network(models: Models, class_names: Sequence[str]) -> Network | None:
    """Return the network that looks at photos; None if there is none. It takes seconds.

    Args:
        models: whose current checkpoint it is.
        class_names: what is sorted into.
    """
    if models.current is not None:
        return Classifier(models.load(), class_names)
    try:
        return Seer()
    except (BballError, ImportError):
        return None  # its weights are not installed
