"""Trained models in the studio's memory: opened on demand, kept while they are used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from bball_pl.errors import RunError

if TYPE_CHECKING:
    from bball_pl.evaluate.trained_model import TrainedModel

#: Models in memory at once: two runs compared in Try, and the one that suggests classes in Sort.
_KEPT = 3

#: Name, time of change in ns and size in bytes of each of several files.
Stamp = tuple[tuple[str, int, int], ...]


class Models:
    """Trained models by the path of their checkpoint.

    Args:
        current: checkpoint for requests that name none; None if there is none.
    """

    def __init__(self, current: Path | None) -> None:
        self.current = current
        self._opened: OrderedDict[Path, tuple[Stamp, TrainedModel]] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, checkpoint: Path | None = None) -> TrainedModel:
        """Return a trained model; it is opened again when its checkpoint or its calibration has changed.

        Opening takes seconds: call it in the thread of the networks.

        Args:
            checkpoint: its file. Default: the current one.

        Raises:
            RunError: if there is no current checkpoint, or the checkpoint or its calibration cannot be read.
        """
        # Torch takes seconds to import; the page is served before.
        from bball_pl.evaluate.calibration import calibration_file
        from bball_pl.evaluate.trained_model import TrainedModel

        path = checkpoint or self.current
        if path is None:
            raise RunError("there is no checkpoint yet; make one with: bball fit")
        files = stamp(path, calibration_file(path))
        with self._lock:
            known = self._opened.get(path)
            if known is None or known[0] != files:
                known = files, TrainedModel.open(path, batch_size=16)
                self._opened[path] = known
            self._opened.move_to_end(path)
            while len(self._opened) > _KEPT:
                self._opened.popitem(last=False)
            return known[1]


def stamp(*paths: Path) -> Stamp:
    """Return the stamp of the files that exist: equal stamps mean equal content."""
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((path.name, status.st_mtime_ns, status.st_size))
    return tuple(found)
