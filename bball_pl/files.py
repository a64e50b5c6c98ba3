"""Atomic files and folders: written under a temporary name, flushed to disk, then renamed.

One rule holds for every output: a regular file is replaced whole or stays as it is; what is not a regular file (device,
FIFO, standard output) is written through and never replaced; behind a link it is the link's target that is written; and
a file that a user names is replaced only by one of its kind.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
import stat
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bball_pl.errors import ConfigError, RunError

#: Permissions that new files and folders do not get. They can only be read by setting them: once, before any thread.
UMASK = os.umask(0)
os.umask(UMASK)

#: Beginning of the text that Git LFS puts in the place of a file until `git lfs pull` fetches it.
LFS_POINTER = b"version https://git-lfs."

#: Size in bytes and time of the last change in nanoseconds.
Signature = tuple[int, int]


def signature(path: Path) -> Signature:
    """Return size and time of the last change of a file; (-1, -1) if it cannot be read."""
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def is_lfs_pointer(path: Path) -> bool:
    """Return whether a file is a pointer of Git LFS instead of its content."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(LFS_POINTER)) == LFS_POINTER
    return False


def has_control(name: str) -> bool:
    """Return whether a name or other text has a line break or another control character."""
    return any(unicodedata.category(sign) in {"Cc", "Zl", "Zp"} for sign in name)


#: Signs that a file system of a usual computer does not take in a name.
_REFUSED_SIGNS = frozenset('/\\:*?"<>|')


def folder_name_problem(name: str) -> str:
    """Return why a text cannot name a folder on every usual system, in one clause; empty if it can.

    The app decides by the same rule (`FolderName` in ios/), and both are held against the same vectors. It names
    categories of Unicode, not a function of either language: what Foundation calls control characters, Python does not.
    Invisible signs (category Cf: joiners, direction marks, a byte order mark) are refused because two classes that
    differ in them alone look the same; emoji that are joined of several are among them.
    """
    categories = [unicodedata.category(sign) for sign in name]
    if not name:
        return "it is empty"
    if any(category in {"Cc", "Cf", "Cs", "Zl", "Zp"} for category in categories):
        return "it has a line break, a control character or an invisible sign"
    if "Zs" in {categories[0], categories[-1]}:
        return "it begins or ends with a space"
    if "." in {name[0], name[-1]}:
        return "it begins or ends with a dot"
    if found := sorted(_REFUSED_SIGNS & set(name)):
        return f"it has {' '.join(found)}"
    return "it is longer than 200 bytes" if len(name.encode()) > 200 else ""


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path, whose file becomes `path` when the body ends without an exception.

    The temporary file lies in the folder of `path`, because a rename is atomic only within one file system. It is
    flushed to disk before the rename, and the folder after it: otherwise a power cut can leave the new name on an empty
    file, or the old one. On an exception, Ctrl-C included, it is removed and `path` stays as it was. A missing folder
    is created. If `path` is a link, its target is replaced, and the link stays.

    A device, a FIFO or an open stream (`/dev/stdout`) is written through at the end, from a file in the folder for
    temporary files: renamed over, it would be gone for every other program.

    Raises:
        IsADirectoryError: if `path` is a folder.
        OSError: if the file cannot be written.
    """
    path = Path(path)
    if _is_written_through(path):
        with tempfile.TemporaryDirectory(prefix="bball-") as folder:
            temporary = Path(folder) / f"output{path.suffix}"
            temporary.touch()
            yield temporary
            with temporary.open("rb") as source, _open_through(path) as target:
                shutil.copyfileobj(source, target)
        return
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
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
        _flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed writers of `path` have left; call it only where nobody else writes it."""
    for leftover in path.parent.glob(f".{glob.escape(path.stem[:40])}.*.tmp{glob.escape(path.suffix)}"):
        leftover.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    # Not every system lets folders be opened or flushed; the file itself is on disk by now.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


#: Open streams of this process by the names that Unix gives them.
_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
_STREAM = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")


def _stream(path: Path) -> int | None:
    name = os.path.abspath(path)  # noqa: PTH100 - not resolved: the link is what names the stream
    numbered = _STREAM.fullmatch(name)
    return int(numbered[1]) if numbered else _STREAMS.get(name)


def _is_written_through(path: Path) -> bool:
    if _stream(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _open_through(path: Path) -> BinaryIO:
    number = _stream(path)
    if number is None:
        return path.open("wb")
    # Opened by its name, a stream that a shell sent into a file would be written from that file's start.
    sys.stdout.flush()
    return os.fdopen(os.dup(number), "wb")


#: Beginnings of files by what they are.
_KINDS = (
    (0, b"\xff\xd8\xff", "a JPEG photo"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (4, b"ftyp", "a photo or video (HEIC, AVIF, MP4)"),
    (0, b"PK\x03\x04", "a checkpoint or zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"%PDF", "a PDF document"),
    (0, b"SQLite format 3\0", "a database"),
    (8, b"{", "a file of weights"),
)


def _kind(content: bytes) -> str:
    """Return what a file is, judged by its first bytes; texts are told apart by their beginning."""
    for position, magic, name in _KINDS:
        binary = b"\0" in content[:8] or position != 8
        if binary and content[position:].startswith(magic):
            return name
    text = content[:512].decode("utf-8", "replace").lstrip("\ufeff")
    # One odd character may be the last one, cut in two.
    if "\0" in text or text.count("\ufffd") > 1:
        return "a binary file"
    if text.lstrip().startswith("{"):
        key = re.match(r'\{\s*("[^"]*")?', text.lstrip())
        return f"JSON that begins with {key[1] if key else text[:20]}"
    first = text.partition("\n")[0]
    return f"a text that begins with {','.join(first.split(',')[:2])[:40]!r}"


def refuse_other_kind(path: Path, content: bytes, option: str = "--out", force: bool = False) -> None:
    """Refuse to replace a user's file by one of another kind; call it before the work whose result is written.

    Args:
        path: file that a user has named for an output; it need not exist.
        content: beginning of what will be written.
        option: the option that named it, for the message.
        force: replace it all the same.

    Raises:
        ConfigError: if `path` is a folder, or a regular file of another kind that is not empty and `force` is false.
    """
    if path.is_dir():
        raise ConfigError(f"{option} {path} is a folder; pass the name of a file")
    if force or not path.is_file() or _is_written_through(path):
        return
    with path.open("rb") as file:
        found = file.read(512)
    if found and _kind(found) != _kind(content):
        raise ConfigError(
            f"{option} {path} is {_kind(found)}, which would be replaced; pass another name, or --force to replace it"
        )


def require_folder(path: Path, option: str = "--out") -> Path:
    """Return the folder that a user has named for outputs, which need not exist.

    Raises:
        ConfigError: if it is a file, or would lie in one.
    """
    found = next((each for each in (path, *path.absolute().parents) if each.exists()), path)
    if found.exists() and not found.is_dir():
        raise ConfigError(f"{option} {path}: {found} is a file; pass a folder")
    return path


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

    An older folder of that name is replaced as a whole; behind a link it is the link's target. On an exception, Ctrl-C
    included, what was written is removed and the older folder stays.

    Raises:
        RunError: if the disk is full or the folder cannot be written.
    """
    target = Path(os.path.realpath(target))
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
        folder: where the files were being written, with what was written so far; it need not exist any more.
    """
    full = any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT))
    if full:
        parent = next(path for path in folder.absolute().parents if path.is_dir())
        temporary = Path(tempfile.gettempdir())
        free, name = shutil.disk_usage(parent).free, str(parent)
        if temporary.stat().st_dev != parent.stat().st_dev and shutil.disk_usage(temporary).free < free:
            free, name = shutil.disk_usage(temporary).free, f"{temporary} (temporary files)"
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
