"""Photos on this disk: folders, zip files, videos and what a phone exports."""

from __future__ import annotations

import functools
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from bball_pl.collect.sanitise import sniff
from bball_pl.collect.source import CollectError, Find, LeftOut, NotTakenError
from bball_pl.errors import PhotoError
from bball_pl.photos.tree import is_litter
from bball_pl.photos.video import Video

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".wmv", ".ogv"}
)

# Cuts are looked for at this rate: a scene that is shorter than an eighth of a second shows nothing.
_LOOKS_PER_SECOND = 8.0
# A cut changes the picture as a whole. A pan changes it as well, but steadily, so the change must also stand out from
# the changes before it.
_LEAST_CHANGE = 20.0
_TIMES_USUAL = 3.0

#: Number of the frame, seconds since the first one, RGB uint8 `[H, W, 3]`.
_Moment = tuple[int, float, np.ndarray]


class Clips:
    """Video files of this machine.

    Args:
        paths: videos, and folders, which are searched to any depth.
        per_second: frames taken per second.
        scenes: take the first frame of every scene instead.
        author: who filmed.
        licence: what the author allows.
    """

    name = "video"

    def __init__(
        self,
        paths: Sequence[Path],
        per_second: float = 1.0,
        scenes: bool = False,
        author: str = "",
        licence: str = "",
    ) -> None:
        if not 0 < per_second <= 60:
            raise CollectError(f"--per_second is {per_second:g}; expected a number above 0, 60 at most.")
        if missing := [str(path) for path in paths if not path.exists()]:
            raise CollectError(f"{', '.join(missing)} is not there. Name videos, or folders with videos.")
        self._files = [file for path in paths for file in _videos(path.resolve())]
        if not self._files:
            raise CollectError("there is no video. Name videos, or folders with videos.")
        self.expected: int | None = None
        self._per_second = per_second
        self._scenes = scenes
        self._author = author
        self._licence = licence

    def finds(self) -> Iterator[Find | LeftOut]:
        """Yield the frames of one clip after the other, in the order of time."""
        for file in self._files:
            size = file.stat().st_size
            moments = self._scene_starts(file) if self._scenes else self._evenly(file)
            try:
                for index, seconds, pixels in moments:
                    yield self._find(file, size, index, seconds, pixels)
            except PhotoError as error:
                # It may have ended early; what came before is good.
                yield LeftOut(f"{file}|{size}", file.stem, file.name, str(error))

    def _find(self, file: Path, size: int, index: int, seconds: float, pixels: np.ndarray) -> Find:
        return Find(
            key=f"{file}|{size}|{index}",
            title=f"{file.stem}-{seconds:08.2f}s",
            group=f"video:{file.name}:{size}",
            album=file.stem,
            read=functools.partial(_jpeg, pixels),
            source_url=f"{file.name}#t={seconds:.2f}",
            author=self._author,
            licence=self._licence,
        )

    def _evenly(self, file: Path) -> Iterator[_Moment]:
        for frame in Video(file).samples(self._per_second):
            yield frame.index, frame.seconds, frame.take()

    def _scene_starts(self, file: Path) -> Iterator[_Moment]:
        before: np.ndarray | None = None
        usual = 0.0
        for frame in Video(file).samples(_LOOKS_PER_SECOND):
            pixels = frame.take()
            small = cv2.resize(pixels, (32, 18), interpolation=cv2.INTER_AREA).astype(np.float32)
            change = float(np.abs(small - before).mean()) if before is not None else 0.0
            if before is None or change >= max(_LEAST_CHANGE, _TIMES_USUAL * usual):
                yield frame.index, frame.seconds, pixels
            else:
                usual = 0.8 * usual + 0.2 * change
            before = small


def _videos(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for place, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not is_litter(name))
        for name in sorted(names):
            if Path(name).suffix.lower() in VIDEO_SUFFIXES and not is_litter(name):
                yield Path(place) / name


def _jpeg(pixels: np.ndarray) -> bytes:
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return bytes(data)


# What phones and systems put beside photos: nobody misses it.
_SIDECARS = frozenset({".json", ".aae", ".xmp", ".thm", ".csv", ".txt", ".md", ".html", ".ini", ".db", ".plist"})
_SIDECAR_NAMES = frozenset({"readme", "licence", "license"})
_ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


class Local:
    """Folders, zip files and single photos of this machine. They are copied; the originals stay as they are.

    Args:
        paths: folders, which are searched to any depth, zip files, also inside the folders, and photos.
        author: who took the photos.
        licence: what the author allows.
        group: "folder": the photos of one folder are a group; "day": those of one folder and one day, for a phone
            that puts all games into one folder.
        max_bytes: size of the largest photo.
    """

    name = "local"

    def __init__(
        self,
        paths: Sequence[Path],
        author: str = "",
        licence: str = "",
        group: str = "folder",
        max_bytes: int = 50_000_000,
    ) -> None:
        if not paths:
            raise CollectError("nothing to collect: name folders, zip files or photos.")
        if missing := [str(path) for path in paths if not path.exists()]:
            raise CollectError(f"{', '.join(missing)} is not there. Name folders, zip files or photos.")
        self.expected: int | None = None
        self._paths = paths
        self._author = author
        self._licence = licence
        self._by_day = group == "day"
        self._max_bytes = max_bytes

    def finds(self) -> Iterator[Find | LeftOut]:
        """Yield the photos in the order of their names."""
        for path in self._paths:
            root = path.resolve()
            for file in _files(root) if root.is_dir() else [root]:
                inside = file.relative_to(root.parent)
                if file.suffix.lower() == ".zip":
                    yield from self._zip(file, inside)
                else:
                    yield from self._file(file, inside)

    def _file(self, file: Path, inside: Path) -> Iterator[Find | LeftOut]:
        try:
            facts = file.stat()
            with file.open("rb") as opened:
                start = opened.read(16)
        except OSError as error:
            yield LeftOut(str(file), file.stem, inside.as_posix(), f"cannot be read ({error.strerror})")
            return
        # A phone counts from 1 again after a reset: the name alone does not name the photo.
        key = f"{file}|{facts.st_size}|{facts.st_mtime_ns}"
        read = functools.partial(_read, file, self._max_bytes)
        yield from self._judge(key, inside, start, read)

    def _zip(self, file: Path, inside: Path) -> Iterator[Find | LeftOut]:
        try:
            with zipfile.ZipFile(file) as opened:
                for info in sorted(opened.infolist(), key=lambda info: info.filename):
                    # The name is shown and never used as a path.
                    parts = [
                        part for part in info.filename.replace("\\", "/").split("/") if part not in {"", ".", ".."}
                    ]
                    if info.is_dir() or not parts or any(map(is_litter, parts)):
                        continue
                    key = f"{file}|{info.filename}|{info.CRC}"
                    yield from self._member(opened, info, key, inside.joinpath(*parts))
        except _ZIP_DAMAGE as error:
            yield LeftOut(str(file), file.stem, inside.as_posix(), f"a damaged zip file ({type(error).__name__})")

    def _member(self, opened: zipfile.ZipFile, info: zipfile.ZipInfo, key: str, name: Path) -> Iterator[Find | LeftOut]:
        if info.flag_bits & 1:
            yield LeftOut(key, name.stem, name.as_posix(), "encrypted in its zip file")
            return
        try:
            with opened.open(info) as member:
                start = member.read(16)
                # Read here, one after the other: opening the zip file again for each would read its whole list again.
                # The size that the list tells is a claim, so the count decides.
                wanted = sniff(start) is not None
                content = start + member.read(self._max_bytes + 1 - len(start)) if wanted else start
        except _ZIP_DAMAGE:
            yield LeftOut(key, name.stem, name.as_posix(), "damaged in its zip file")
            return
        yield from self._judge(key, name, start, functools.partial(_limited, content, self._max_bytes))

    def _judge(self, key: str, inside: Path, start: bytes, read: functools.partial[bytes]) -> Iterator[Find | LeftOut]:
        suffix = inside.suffix.lower()
        if sniff(start) is None:
            if suffix not in _SIDECARS and inside.name.lower() not in _SIDECAR_NAMES:
                why = "a video: use the source `video`" if suffix in VIDEO_SUFFIXES else "not a photo"
                yield LeftOut(key, inside.stem, inside.as_posix(), why)
            return
        folder = inside.parent.as_posix()
        yield Find(
            key=key,
            title=inside.stem,
            group=f"local:{folder}",
            album=folder,
            read=read,
            by_day=self._by_day,
            source_url=inside.as_posix(),
            author=self._author,
            licence=self._licence,
        )


def _files(folder: Path) -> Iterator[Path]:
    # Links to folders are not followed: one to a folder above would go on for ever.
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_litter(name))
        yield from (Path(place) / name for name in sorted(names) if not is_litter(name))


def _read(file: Path, limit: int) -> bytes:
    try:
        with file.open("rb") as opened:
            return _limited(opened.read(limit + 1), limit)
    except OSError as error:
        raise NotTakenError(f"cannot be read ({error.strerror})", final=False) from None


def _limited(content: bytes, limit: int) -> bytes:
    if len(content) > limit:
        raise NotTakenError(f"larger than {limit / 1e6:.0f} MB", final=True)
    return content
