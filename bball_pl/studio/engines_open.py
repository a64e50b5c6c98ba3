"""The engines that are open: kept while they are used, opened again when their files change."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from bball_pl.evaluate.calibration import calibration_file
from bball_pl.studio.engines import CheckpointEngine, FileEngine
from bball_pl.studio.engines_exports import ExportedFile
from bball_pl.studio.models import Models

#: Checkpoints in memory at once, and exported files: one of each format.
_CHECKPOINTS, _FILES = 2, 4

_Stamp = tuple[tuple[str, int, int], ...]


class OpenEngines:
    """Holds engines; to be used in the thread of the networks only.

    Args:
        models: holds the checkpoints.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._checkpoints: OrderedDict[Path, tuple[_Stamp, CheckpointEngine]] = OrderedDict()
        self._files: OrderedDict[Path, tuple[_Stamp, FileEngine]] = OrderedDict()

    def checkpoint(self, path: Path) -> CheckpointEngine:
        """Return a checkpoint's engine.

        Raises:
            RunError: if the checkpoint or the calibration beside it cannot be read.
        """
        stamp = _stamp(path, calibration_file(path))
        known = self._checkpoints.get(path)
        if known is None or known[0] != stamp:
            known = stamp, CheckpointEngine(self._models.load(path))
            self._checkpoints[path] = known
        self._checkpoints.move_to_end(path)
        while len(self._checkpoints) > _CHECKPOINTS:
            self._checkpoints.popitem(last=False)
        return known[1]

    def file(self, exported: ExportedFile) -> FileEngine:
        """Return an exported file's engine.

        Raises:
            VerificationError: if the file cannot be read, or does not say how photos are to be handed to it.
            ConfigError: if the packages that its format needs are not installed.
        """
        path = exported.path
        stamp = _stamp(*(sorted(path.rglob("*")) if path.is_dir() else [path]))
        known = self._files.get(path)
        if known is None or known[0] != stamp:
            self._drop(path)
            known = stamp, FileEngine(path, exported.fp16)
            self._files[path] = known
        self._files.move_to_end(path)
        while len(self._files) > _FILES:
            self._drop(next(iter(self._files)))
        return known[1]

    def _drop(self, path: Path) -> None:
        known = self._files.pop(path, None)
        if known is not None:
            known[1].close()


def _stamp(*paths: Path) -> _Stamp:
    """Return name, time of change in ns and bytes of the files that are there: equal stamps, equal content."""
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((path.name, status.st_mtime_ns, status.st_size))
    return tuple(found)
