"""Checkpoints that answer in the studio, loaded when somebody asks and kept while they are used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bball_pl.errors import RunError

if TYPE_CHECKING:
    from bball_pl.evaluate.calibration import Judge
    from bball_pl.evaluate.trained_model import Engine

#: Checkpoints in memory at once: two runs side by side, and the one that sorts.
_KEPT = 3


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory.

    Attributes:
        path: its file.
        sha256: of the file's bytes.
        engine: gives logits; to be used in the thread of the networks only.
        judge: makes answers of them, with the calibration if there is one.
    """

    path: Path
    sha256: str
    engine: Engine
    judge: Judge

    @property
    def class_names(self) -> list[str]:
        """In the order of the logits."""
        return self.engine.class_names


class Models:
    """Holds checkpoints.

    Args:
        current: the checkpoint that is used where none is named; None if there is none.
    """

    def __init__(self, current: Path | None) -> None:
        self.current = current
        self._loaded: OrderedDict[tuple[Path, int, int], Loaded] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, checkpoint: Path | None = None) -> Loaded:
        """Return a checkpoint, reading it if it is not in memory or its file has changed since.

        It takes seconds: call it in the thread of the networks.

        Args:
            checkpoint: its file; the current one unless given.

        Raises:
            RunError: if there is no current checkpoint, or the file cannot be read.
        """
        path = checkpoint or self.current
        if path is None:
            raise RunError("there is no checkpoint yet; make one with: python scripts/fit.py")
        try:
            stat = path.stat()
        except OSError as error:
            raise RunError(f"{path} cannot be read ({error.strerror})") from None
        key = path, stat.st_mtime_ns, stat.st_size
        with self._lock:
            if key not in self._loaded:
                for old in [own for own in self._loaded if own[0] == path]:
                    del self._loaded[old]
                self._loaded[key] = _read(path)
                while len(self._loaded) > _KEPT:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(key)
            return self._loaded[key]


def _read(path: Path) -> Loaded:
    # Torch takes seconds to import; the page is there before.
    from bball_pl.evaluate.calibration import Judge, file_sha256
    from bball_pl.evaluate.trained_model import Engine
    from bball_pl.model.classifier import MoveClassifier

    engine = Engine(MoveClassifier.from_checkpoint(path), batch_size=16)
    return Loaded(path, file_sha256(path), engine, Judge.of_checkpoint(path, engine.class_names))
