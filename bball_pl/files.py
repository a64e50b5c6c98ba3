"""Atomic files and folders: written under a temporary name, flushed to disk, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bball_pl.errors import RunError

#: Permissions that new files and folders do not get. They can only be read by setting them: once, before any thread.
UMASK = os.umask(0)
os.umask(UMASK)

#: Size in bytes and time of the last change in nanoseconds.
Signature = tuple[int, int]


def signature(path: Path) -> Signature:
    """Return size and time of the last change of a file; (-1, -1) if it cannot be read."""
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def has_control(name: str) -> bool:
    """Return whether a name or other text has a line break or another control character."""
    return any(unicodedata.category(sign) in {"Cc", "Zl", "Zp"} for sign in name)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` when the body ends without an exception.

    The temporary file lies in the same folder, because a rename is atomic only within one file system. It is flushed
    to disk before the rename: otherwise a power cut can leave the new name on an empty file. On an exception, Ctrl-C
    included, it is removed and `path` stays as it was. A missing folder is created.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}.", suffix=f".tmp{path.suffix}", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner can read; a result should follow the umask like any other file.
        temporary.chmod(0o666 & ~UMASK)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8 with Unix line ends, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


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
    """Yield a temporary folder beside `target`, which replaces `target` when the body ends without an exception.

    An older folder of that name is replaced as a whole. On an exception, Ctrl-C included, what was written
    is removed and the older folder stays.

    Raises:
        RunError: if the disk is full or the folder cannot be written.
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
    except Exception as error:
        reason = write_problem(error, folder)
        if reason is None:
            raise
        raise RunError(
            f"the export cannot be written: {reason}; make room, or pass --out DIR on another disk"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_problem(error: Exception, folder: Path) -> str | None:
    """Return why files could not be written, in one clause; None if the error is of another kind.

    Converters copy packages from the folder of temporary files, and report a full disk as an exception of their own:
    the disk is the fuller one of the two.

    Args:
        error: what was raised.
        folder: where the files were being written, with what was written so far.
    """
    full = any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT))
    if full:
        free, place = min((shutil.disk_usage(path).free, path) for path in (folder, Path(tempfile.gettempdir())))
        name = place.parent if place == folder else f"{place} (temporary files)"
        written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return f"the disk of {name} is full ({free / 1e6:.1f} MB free after {written / 1e6:.1f} MB of the files)"
    return str(error) if isinstance(error, OSError) else None


def _replace(folder: Path, target: Path) -> None:
    if not target.exists():
        folder.rename(target)
        return
    # A folder cannot be renamed over one that is not empty.
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent)) / target.name
    target.rename(old)
    folder.rename(target)
    shutil.rmtree(old.parent)
