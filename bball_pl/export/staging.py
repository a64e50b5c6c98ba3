"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bball_pl.errors import RunError


class Staging:
    """A folder under construction.

    Attributes:
        folder: where to write.
        target: what it becomes in the end; may be changed until then.
    """

    def __init__(self, folder: Path, target: Path) -> None:
        self.folder, self.target = folder, target


@contextmanager
def staged_folder(target: Path) -> Iterator[Staging]:
    """Yield a temporary folder beside `target` that takes its place when the body ends without an exception.

    An older folder at that place is replaced at once and as a whole. On an exception, Ctrl-C included, what was written
    is removed and the older folder stays.

    Raises:
        RunError: if the disk is full or the place cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    except OSError as error:
        raise RunError(
            f"{target.parent} cannot be written ({error.strerror}). Pass --out DIR on another disk."
        ) from error
    staging = Staging(folder, target)
    try:
        yield staging
        for path in folder.rglob("*"):
            if path.is_file():
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        folder.chmod(0o755)
        _replace(folder, staging.target)
    except OSError as error:
        raise RunError(
            f"the export cannot be written ({error}). Make room, or pass --out DIR on another disk."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace(folder: Path, target: Path) -> None:
    if not target.exists():
        folder.rename(target)
        return
    # A folder cannot be renamed over one that is not empty.
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent)) / target.name
    target.rename(old)
    folder.rename(target)
    shutil.rmtree(old.parent)
