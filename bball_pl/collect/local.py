"""Sources `local` and `video`: photos in folders and zip files of this machine, and frames of its videos."""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from bball_pl.collect.app import ZIP_DAMAGE, is_corrections
from bball_pl.collect.sanitise import sniff
from bball_pl.collect.source import Candidate, CollectError, LeftOut, SkippedError
from bball_pl.collect.zip_names import check_encoding, member_names
from bball_pl.errors import PhotoError
from bball_pl.files import LFS_POINTER
from bball_pl.photos.decode import LFS_REASON
from bball_pl.photos.tree import is_litter, walk
from bball_pl.photos.video import Video

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".wmv", ".ogv"}
)

#: Frames per second that are searched for cuts: scenes shorter than an eighth of a second are ignored.
_CUT_FPS = 8.0
#: A cut changes the whole picture by this many levels on average. A pan does so as well, but steadily: the change of a
#: cut is also this many times the recent average.
_MIN_CHANGE = 20.0
_MIN_CHANGE_RATIO = 3.0

#: Index of a frame, seconds since the first one, and RGB uint8 `[H, W, 3]`.
_Frame = tuple[int, float, np.ndarray]


class Clips:
    """Frames of video files.

    Args:
        paths: Videos, and folders, which are searched recursively.
        per_second: Frames taken per second.
        scenes: Take the first frame of each scene instead.
        author: Name of the videographer.
        licence: Licence that the author grants.
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
            raise CollectError(f"{', '.join(missing)} does not exist. Name videos, or folders with videos.")
        self._files = [
            file
            for path in map(Path.resolve, paths)
            for file in (_files(path) if path.is_dir() else [path])
            if file == path or isinstance(file, LeftOut) or file.suffix.lower() in VIDEO_SUFFIXES
        ]
        if all(isinstance(file, LeftOut) for file in self._files):
            raise CollectError("no video found. Name videos, or folders with videos.")
        self.expected: int | None = None
        self._per_second = per_second
        self._scenes = scenes
        self._author = author
        self._licence = licence

    def items(self) -> Iterator[Candidate | LeftOut]:
        """Yield the frames clip by clip, in the order of time."""
        for file in self._files:
            if isinstance(file, LeftOut):
                yield file
                continue
            size, count = file.stat().st_size, 0
            frames = self._scene_starts(file) if self._scenes else self._evenly(file)
            try:
                for index, seconds, pixels in frames:
                    count += 1
                    yield self._candidate(file, size, index, seconds, pixels)
            except PhotoError as error:
                # The clip may be truncated; frames before that are valid.
                yield LeftOut(f"{file}|{size}", file.stem, file.name, str(error), is_source=not count)

    def _candidate(self, file: Path, size: int, index: int, seconds: float, pixels: np.ndarray) -> Candidate:
        return Candidate(
            key=f"{file}|{size}|{index}",
            title=f"{file.stem}-{seconds:08.2f}s",
            group=f"video:{file.name}:{size}",
            album=file.stem,
            read=functools.partial(_jpeg, pixels),
            source_url=f"{file.name}#t={seconds:.2f}",
            author=self._author,
            licence=self._licence,
        )

    def _evenly(self, file: Path) -> Iterator[_Frame]:
        for frame in Video(file).samples(self._per_second):
            yield frame.index, frame.seconds, frame.take()

    def _scene_starts(self, file: Path) -> Iterator[_Frame]:
        previous: np.ndarray | None = None
        average = 0.0
        for frame in Video(file).samples(_CUT_FPS):
            pixels = frame.take()
            small = cv2.resize(pixels, (32, 18), interpolation=cv2.INTER_AREA).astype(np.float32)
            change = float(np.abs(small - previous).mean()) if previous is not None else 0.0
            if previous is None or change >= max(_MIN_CHANGE, _MIN_CHANGE_RATIO * average):
                yield frame.index, frame.seconds, pixels
            else:
                average = 0.8 * average + 0.2 * change
            previous = small


def _jpeg(pixels: np.ndarray) -> bytes:
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return bytes(data)


# Files that phones and systems put beside photos; not worth a line in left_out.csv.
_SIDECARS = frozenset({".json", ".aae", ".xmp", ".thm", ".csv", ".txt", ".md", ".html", ".ini", ".db", ".plist"})
_SIDECAR_NAMES = frozenset({"readme", "licence", "license"})


class Local:
    """Photos in folders and zip files, and single photos. They are copied; the originals stay as they are.

    Args:
        paths: Folders, which are searched recursively, also for zip files; zip files; photos.
        author: Photographer.
        licence: Licence that the author grants.
        group: "folder" makes the photos of one folder a group; "day" those of one folder and one day, for a phone that
            stores all games in one folder.
        max_bytes: Size of the largest photo.
        zip_encoding: As in `member_names`.
    """

    name = "local"

    def __init__(
        self,
        paths: Sequence[Path],
        author: str = "",
        licence: str = "",
        group: str = "folder",
        max_bytes: int = 50_000_000,
        zip_encoding: str = "auto",
    ) -> None:
        check_encoding(zip_encoding)
        if not paths:
            raise CollectError("nothing to collect: name folders, zip files or photos.")
        if missing := [str(path) for path in paths if not path.exists()]:
            raise CollectError(f"{', '.join(missing)} does not exist. Name folders, zip files or photos.")
        self.expected: int | None = None
        self._paths = paths
        self._author = author
        self._licence = licence
        self._by_day = group == "day"
        self._max_bytes = max_bytes
        self._zip_encoding = zip_encoding

    def items(self) -> Iterator[Candidate | LeftOut]:
        """Yield the photos in the order of their names."""
        for path in self._paths:
            root = path.resolve()
            for file in _files(root) if root.is_dir() else [root]:
                if isinstance(file, LeftOut):
                    yield file
                    continue
                inside = file.relative_to(root.parent)
                if file.suffix.lower() == ".zip":
                    yield from self._zip(file, inside)
                else:
                    yield from self._file(file, inside)

    def _file(self, file: Path, inside: Path) -> Iterator[Candidate | LeftOut]:
        try:
            status = file.stat()
            with file.open("rb") as opened:
                start = opened.read(32)
        except OSError as error:
            yield LeftOut(str(file), file.stem, inside.as_posix(), f"cannot be read ({error.strerror})")
            return
        # Not the name alone: after a reset a phone numbers its photos from 1 again.
        key = f"{file}|{status.st_size}|{status.st_mtime_ns}"
        read = functools.partial(_read, file, self._max_bytes)
        yield from self._inspect(key, inside, start, read)

    def _zip(self, file: Path, inside: Path) -> Iterator[Candidate | LeftOut]:
        try:
            with zipfile.ZipFile(file) as opened:
                if is_corrections(opened):
                    # Here they would lose their classes and come into test.
                    reason = "corrections of the app: use the source `app`"
                    yield LeftOut(str(file), file.stem, inside.as_posix(), reason)
                    return
                names = member_names(opened, self._zip_encoding)
                for info in sorted(opened.infolist(), key=lambda info: info.filename):
                    # The name is displayed only, never used as a path.
                    parts = [
                        part
                        for part in names[info.filename].replace("\\", "/").split("/")
                        if part not in {"", ".", ".."}
                    ]
                    if info.is_dir() or not parts or any(map(is_litter, parts)):
                        continue
                    key = f"{file}|{info.filename}|{info.CRC}"
                    yield from self._member(opened, info, key, inside.joinpath(*parts))
        except ZIP_DAMAGE as error:
            reason = f"damaged zip file ({type(error).__name__})"
            yield LeftOut(str(file), file.stem, inside.as_posix(), reason, is_source=True)

    def _member(
        self, opened: zipfile.ZipFile, info: zipfile.ZipInfo, key: str, name: Path
    ) -> Iterator[Candidate | LeftOut]:
        if info.flag_bits & 1:
            yield LeftOut(key, name.stem, name.as_posix(), "encrypted in its zip file")
            return
        try:
            with opened.open(info) as member:
                start = member.read(32)
                # Read here, not in a worker, which would have to open the zip file and read its directory again. The
                # size in the directory may be wrong: the number of bytes read decides.
                is_photo = sniff(start) is not None
                content = start + member.read(self._max_bytes + 1 - len(start)) if is_photo else start
        except ZIP_DAMAGE:
            yield LeftOut(key, name.stem, name.as_posix(), "damaged in its zip file")
            return
        yield from self._inspect(key, name, start, functools.partial(_limited, content, self._max_bytes))

    def _inspect(
        self, key: str, inside: Path, start: bytes, read: functools.partial[bytes]
    ) -> Iterator[Candidate | LeftOut]:
        suffix = inside.suffix.lower()
        if sniff(start) is None:
            if suffix not in _SIDECARS and inside.name.lower() not in _SIDECAR_NAMES:
                reason = "a video: use the source `video`" if suffix in VIDEO_SUFFIXES else "not a photo"
                reason = LFS_REASON if start.startswith(LFS_POINTER) else reason
                yield LeftOut(key, inside.stem, inside.as_posix(), reason)
            return
        folder = inside.parent.as_posix()
        yield Candidate(
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


def _files(folder: Path) -> Iterator[Path | LeftOut]:
    """Yield the files of a folder, to any depth, and then the folders that cannot be listed."""
    unlisted: list[LeftOut] = []

    def failed(path: Path, error: OSError) -> None:
        reason = f"the folder cannot be listed ({error.strerror})"
        unlisted.append(LeftOut(str(path), path.name, str(path), reason, is_source=True))

    yield from walk(folder, failed=failed)
    yield from unlisted


def _read(file: Path, limit: int) -> bytes:
    try:
        with file.open("rb") as opened:
            return _limited(opened.read(limit + 1), limit)
    except OSError as error:
        raise SkippedError(f"cannot be read ({error.strerror})", final=False) from None


def _limited(content: bytes, limit: int) -> bytes:
    if len(content) > limit:
        raise SkippedError(f"larger than {limit / 1e6:.0f} MB", final=True)
    return content
