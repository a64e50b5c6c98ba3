"""Frames of videos: so many per second, or one for every scene. The frames of a clip resemble each other: one group."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from bball_pl.collect.finds import CollectError, Find, LeftOut
from bball_pl.errors import PhotoError
from bball_pl.video import Video

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
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith("."):
                yield Path(place) / name


def _jpeg(pixels: np.ndarray) -> bytes:
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return bytes(data)
