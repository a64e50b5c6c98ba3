"""Which photos look most like one: cosines of features."""

from __future__ import annotations

import threading

import numpy as np

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
            features: `[features]`, of length 1.
        """
        with self._lock:
            row = self._rows.setdefault(photo, len(self._photos))
            if row == len(self._photos):
                self._photos.append(photo)
                if row % _ROWS == 0:
                    # float32: products of float16 are slow.
                    self._blocks.append(np.zeros((_ROWS, len(features)), np.float32))
            self._blocks[row // _ROWS][row % _ROWS] = features

    def nearest(self, features: np.ndarray) -> list[str]:
        """Return all photos, the most similar first.

        Args:
            features: `[features]`, of length 1.
        """
        wanted = features.astype(np.float32)
        with self._lock:
            photos, blocks = self._photos[:], self._blocks[:]
        if not photos:
            return []
        cosines = np.concatenate([block @ wanted for block in blocks])[: len(photos)]
        return [photos[row] for row in np.argsort(-cosines, kind="stable")]
