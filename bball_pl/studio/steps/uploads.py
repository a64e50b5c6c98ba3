"""Uploads: photos and zip files from the browser, written piece by piece into a folder for `bball collect`.

A path on this machine is never taken from a browser: what is collected in the studio has been uploaded to it. An upload
lies in a hidden folder until it is whole, so no command reads half of one.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import time
import unicodedata
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool

from bball_pl.collect.names import folder_name
from bball_pl.errors import ConfigError, DatasetError
from bball_pl.files import folder_name_problem
from bball_pl.moves import UNSORTED
from bball_pl.photos.photos_csv import QUARANTINE
from bball_pl.photos.tree import IMAGE_SUFFIXES, is_litter

ZIP = ".zip"
#: Files that are taken.
SUFFIXES = IMAGE_SUFFIXES | {ZIP}
#: Most bytes of a photo, of a zip file and of an upload, and most files of an upload.
MAX_PHOTO, MAX_ZIP, MAX_UPLOAD, MAX_FILES = 50_000_000, 8_000_000_000, 30_000_000_000, 30_000
#: Bytes that stay free on the disk.
_RESERVE = 500_000_000
#: Most folders of a name, and most bytes of each part.
_MAX_DEPTH, _MAX_PART = 8, 100
#: Seconds without a piece after which an upload that was not finished is removed.
_ABANDONED = 3600.0
_PARTIAL = ".partial"


class NoUploadError(Exception):
    """An upload that does not exist: it was finished, discarded, or cut short by a restart."""


class OffsetError(Exception):
    """A piece that does not continue its file."""


@dataclass(frozen=True)
class Upload:
    """An upload that is whole, and not collected yet.

    Attributes:
        id: Number of the upload, as text.
        folder: Folder to collect; its name is that of the collection.
        files: Number of files.
        size: Bytes.
    """

    id: str
    folder: Path
    files: int
    size: int


@dataclass
class _Open:
    """An upload that is arriving."""

    folder: Path
    paths: dict[int, Path] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    whole: set[int] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    total: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Uploads:
    """The uploads of a project.

    Args:
        home: Folder of the uploads.
        reserved: Names that a collection must not have, because they are classes.
    """

    def __init__(self, home: Path, reserved: frozenset[str]) -> None:
        self.home = home
        self._reserved = reserved | {UNSORTED, QUARANTINE}
        self._open: dict[str, _Open] = {}

    def waiting(self) -> list[Upload]:
        """Return the uploads that are whole, oldest first."""
        found = []
        for folder in sorted(self._numbered(), key=lambda folder: int(folder.name)):
            # A job that has collected it may be removing it at this moment.
            with suppress(OSError):
                for collection in sorted(path for path in folder.iterdir() if path.is_dir())[:1]:
                    files, size = folder_size(collection)
                    found.append(Upload(folder.name, collection, files, size))
        return found

    def next_number(self) -> str:
        """Return the number that the next upload gets."""
        taken = [path.name.removeprefix(".").removesuffix(_PARTIAL) for path in self._entries()]
        return str(max((int(name) for name in taken if name.isascii() and name.isdecimal()), default=0) + 1)

    def collection(self, name: str) -> str:
        """Return a name as that of a collection: letters, digits, - and _.

        Raises:
            ConfigError: if it is empty, or the name of a class, which would sort every photo of the collection.
        """
        if not name.strip():
            raise ConfigError("the collection has no name; give it one, such as league")
        clean = folder_name(name)
        if clean in self._reserved:
            raise ConfigError(f"a collection cannot be called {clean}, which is a class here; use another name")
        return clean

    def begin(self, name: str) -> str:
        """Begin an upload and return its number.

        Args:
            name: Name of the collection.

        Raises:
            ConfigError: as in `collection`.
            DatasetError: if nothing can be written.
        """
        collection = self.collection(name)
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            self._remove_abandoned()
            while True:
                number = self.next_number()
                with suppress(FileExistsError):
                    (self.home / f".{number}{_PARTIAL}").mkdir()
                    break
            folder = self.home / f".{number}{_PARTIAL}" / collection
            folder.mkdir()
        except OSError as error:
            raise _cannot_write(error) from error
        self._open[number] = _Open(folder)
        return number

    async def write(
        self, number: str, file: int, name: str, offset: int, last: bool, content: AsyncIterator[bytes]
    ) -> None:
        """Write a piece of a file as it arrives.

        Args:
            number: Number of the upload.
            file: Number of the file within the upload.
            name: Relative name of the file in the browser, with the folders that it lies in.
            offset: Bytes of the file before this piece; a piece that was cut short is sent again with the same one.
            last: Whether the file ends with this piece.
            content: Bytes of the piece.

        Raises:
            NoUploadError: if the upload is not open.
            OffsetError: if pieces before this one are missing.
            DatasetError: if the file is of another kind or too large, or cannot be written.
        """
        upload = self._opened(number)
        async with upload.lock:
            if self._open.get(number) is not upload:
                raise NoUploadError
            limit = _limit(name)
            if file not in upload.paths:
                if len(upload.paths) >= MAX_FILES:
                    raise DatasetError(f"more than {MAX_FILES} files; upload them in two parts")
                upload.paths[file] = _free_path(upload, name)
                upload.sizes[file] = 0
            if offset > upload.sizes[file] or file in upload.whole:
                raise OffsetError
            others = upload.total - upload.sizes[file]
            size = offset
            path = _part(upload, file)
            try:
                with await run_in_threadpool(_open_at, path, offset) as opened:
                    async for piece in content:
                        size += len(piece)
                        if size > limit or others + size > MAX_UPLOAD:
                            raise DatasetError(f"{name} is larger than {min(limit, MAX_UPLOAD) / 1e6:,.0f} MB")
                        await run_in_threadpool(opened.write, piece)
                upload.sizes[file], upload.total = size, others + size
                if last:
                    await run_in_threadpool(_place, path, upload.paths[file])
                    upload.whole.add(file)
                os.utime(upload.folder.parent)
            except OSError as error:
                raise _cannot_write(error) from error

    async def finish(self, number: str) -> Upload:
        """Make an upload visible as a whole, and return it.

        Raises:
            NoUploadError: if the upload is not open.
            DatasetError: if it is empty, a file is not whole, or it cannot be written.
        """
        upload = self._opened(number)
        if not upload.whole:
            raise DatasetError("nothing was uploaded; choose photos, a folder of photos or a zip file")
        if len(upload.whole) < len(upload.paths):
            raise DatasetError(f"{len(upload.paths) - len(upload.whole)} files have not arrived; send them again")
        folder = self.home / number
        try:
            async with upload.lock:
                await run_in_threadpool(upload.folder.parent.rename, folder)
        except OSError as error:
            raise _cannot_write(error) from error
        self._open.pop(number, None)
        return Upload(number, folder / upload.folder.name, len(upload.whole), upload.total)

    async def discard(self, number: str) -> None:
        """Remove an upload, whether it is whole or not.

        Raises:
            NoUploadError: if there is none.
        """
        upload = self._open.pop(number, None)
        if upload is not None:
            async with upload.lock:  # a piece may be arriving
                await run_in_threadpool(shutil.rmtree, upload.folder.parent, ignore_errors=True)
        elif (folder := self.home / number) in self._numbered():
            await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)
        else:
            raise NoUploadError

    def _opened(self, number: str) -> _Open:
        upload = self._open.get(number)
        if upload is None or not upload.folder.is_dir():
            raise NoUploadError
        return upload

    def _entries(self) -> list[Path]:
        try:
            return list(self.home.iterdir())
        except OSError:
            return []

    def _numbered(self) -> list[Path]:
        return [path for path in self._entries() if path.name.isascii() and path.name.isdecimal() and path.is_dir()]

    def _remove_abandoned(self) -> None:
        for path in self._entries():
            with suppress(OSError):
                # Not at once: this studio or another one of the project may be receiving it.
                if path.name.endswith(_PARTIAL) and time.time() - path.stat().st_mtime > _ABANDONED:
                    self._open.pop(path.name.removeprefix(".").removesuffix(_PARTIAL), None)
                    shutil.rmtree(path, ignore_errors=True)


def folder_size(folder: Path) -> tuple[int, int]:
    """Return the number of files in a folder, at any depth, and their bytes.

    Raises:
        OSError: if it is removed meanwhile.
    """
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def _limit(name: str) -> int:
    """Return the most bytes of a file.

    Raises:
        DatasetError: if it is neither a photo nor a zip file by its name.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    suffix = Path(last).suffix.lower()
    if suffix not in SUFFIXES or is_litter(last):
        raise DatasetError(f"{last[:80]} is neither a photo nor a zip file")
    return MAX_ZIP if suffix == ZIP else MAX_PHOTO


def _free_path(upload: _Open, name: str) -> Path:
    """Return the path of a new file below the upload's folder; its name is made of that in the browser."""
    parts = [_clean(part) for part in name.replace("\\", "/").split("/") if part.strip(". \t")]
    path = upload.folder.joinpath(*parts[-_MAX_DEPTH:])
    stem, suffix = path.stem, path.suffix
    count = 2
    # On many disks a.jpg and A.JPG are one file.
    while (key := str(path).casefold()) in upload.taken:
        path = path.with_name(f"{stem}-{count}{suffix}")
        count += 1
    upload.taken.add(key)
    return path


def _clean(part: str) -> str:
    """Return a part of a name as one that every file system takes."""
    kept = "".join(
        "-" if sign in '/\\:*?"<>|' else sign
        for sign in unicodedata.normalize("NFC", part)
        if unicodedata.category(sign)[0] not in "C" and unicodedata.category(sign) not in {"Zl", "Zp"}
    ).strip(". ")
    stem, suffix = os.path.splitext(kept)  # noqa: PTH122 - a name, not a path
    if len(suffix.encode()) > 10:
        stem, suffix = kept, ""
    stem = stem.encode()[: _MAX_PART - len(suffix.encode())].decode("utf-8", "ignore").strip(". ")
    clean = f"{stem or 'unnamed'}{suffix}"
    return folder_name(part) if folder_name_problem(clean) else clean


def _part(upload: _Open, file: int) -> Path:
    return upload.folder.parent / f"part-{file}"


def _open_at(path: Path, offset: int) -> BinaryIO:
    """Open a file to write from an offset on; what a piece that was cut short has left there is removed."""
    free = shutil.disk_usage(path.parent).free
    if free < _RESERVE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    opened = path.open("r+b" if path.exists() else "w+b")
    opened.seek(offset)
    opened.truncate()
    return opened


def _place(part: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part.rename(path)


def _cannot_write(error: OSError) -> DatasetError:
    return DatasetError(
        f"the upload cannot be written ({error.strerror}); make room on the disk of the data, and retry"
    )
