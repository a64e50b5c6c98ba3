"""Annotated copies of photos and videos in a folder of their own."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bball_pl.decode import decode
from bball_pl.errors import ConfigError, PhotoError
from bball_pl.evaluate.predict.drawing import frame_bar, lay_over, with_bar
from bball_pl.evaluate.predict.judge import Answer
from bball_pl.evaluate.predict.sources import Found, Source
from bball_pl.files import atomic_path
from bball_pl.video import Video

#: Marks a folder whose pictures were drawn here and may be drawn again.
_MARK = ".annotated_by_predict"


class Annotator:
    """Writes annotated copies, each below one folder as its source lies below the folder that all sources share.

    A photo becomes a JPEG, a video an MP4 without sound; a name gets that suffix if it has another one, and a number if
    it would be there twice.

    Args:
        folder: new, empty, or filled by an annotator before: nothing else is ever replaced.
        found: everything that may be annotated.

    Raises:
        ConfigError: if the folder holds other files, or one of the sources, or cannot be made.
    """

    def __init__(self, folder: Path, found: Found) -> None:
        _require_own(folder)
        self._targets = dict(zip(found.sources, target_names(found.sources), strict=True))
        real = found.real_paths
        for source, target in self._targets.items():
            if os.path.realpath(folder / target) in real:
                raise ConfigError(
                    f"--annotate {folder} would write over {source.name}, which is a source; pass a new folder"
                )
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _MARK).touch()
        self._folder = folder

    def photo(self, source: Source, answer: Answer) -> None:
        """Write the annotated copy of a photo.

        Raises:
            PhotoError: if the photo cannot be read any more.
            ConfigError: if the copy cannot be written.
        """
        picture = with_bar(decode(source.path), answer)
        with _writing(self._folder), atomic_path(self._folder / self._targets[source]) as temporary:
            Image.fromarray(picture).save(temporary, "JPEG", quality=90)

    def video(self, source: Source, video: Video, starts: Sequence[int], answers: Sequence[Answer]) -> None:
        """Write the annotated copy of a video: its size, its rate, and every frame that can be decoded.

        Args:
            source: the video's name.
            video: its frames, which were read to the end before.
            starts: numbers of the frames that were answered, rising; an answer holds until the next one.
            answers: to them, smoothed.

        Raises:
            PhotoError: if the video cannot be read any more, or no encoder takes its size.
            ConfigError: if the copy cannot be written.
        """
        rate = video.rate
        with _writing(self._folder), atomic_path(self._folder / self._targets[source]) as temporary:
            _write_video(temporary, video, rate, starts, answers)


def target_names(sources: Sequence[Source]) -> list[Path]:
    """Return a relative name for each source's copy, none twice, none with `..`, also where case does not count."""
    paths = [Path(os.path.abspath(source.path)) for source in sources]  # noqa: PTH100, links keep their names
    anchors = {path.anchor for path in paths}
    # Windows: what lies on two drives has no folder in common.
    shared = Path(os.path.commonpath([path.parent for path in paths])) if len(anchors) == 1 else None
    names: list[Path] = []
    taken: set[str] = set()
    for source, path in zip(sources, paths, strict=True):
        name = path.relative_to(shared) if shared is not None else path.relative_to(path.anchor)
        kept, suffix = ({".mp4"}, ".mp4") if source.is_video else ({".jpg", ".jpeg"}, ".jpg")
        if name.suffix.lower() not in kept:
            name = name.with_name(name.name + suffix)
        unique, number = name, 1
        while str(unique).casefold() in taken:
            number += 1
            unique = name.with_stem(f"{name.stem} ({number})")
        taken.add(str(unique).casefold())
        names.append(unique)
    return names


def _write_video(path: Path, video: Video, rate: float, starts: Sequence[int], answers: Sequence[Answer]) -> None:
    writer: cv2.VideoWriter | None = None
    # One answer is on the screen for many frames: its bar is drawn once a tenth of a second, for the clock in it.
    drawn: tuple[int, int] | None = None
    bar = np.empty(0, np.uint8)
    try:
        with closing(video.read()) as frames:
            for index, seconds, capture in frames:
                good, frame = capture.retrieve()
                if not good:
                    continue
                height, width = frame.shape[:2]
                if writer is None:
                    writer = _open_writer(path, rate, width, height)
                place = max(0, bisect_right(starts, index) - 1)
                if drawn != (place, int(seconds * 10)):
                    drawn = place, int(seconds * 10)
                    bar = frame_bar(height, width, answers[place], seconds)[..., ::-1]
                lay_over(frame, bar)
                writer.write(frame)
    except PhotoError:
        # A video that ends early was listed as a failure when it was answered; its copy ends early as well.
        if writer is None:
            raise
    finally:
        if writer is not None:
            writer.release()


def _open_writer(path: Path, rate: float, width: int, height: int) -> cv2.VideoWriter:
    # H.264 is not in OpenCV's own packages; every player but a browser takes MPEG-4.
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
    if not writer.isOpened():
        raise PhotoError(f"no annotated copy: frames of {width} × {height} at {rate:.2f} a second cannot be encoded")
    return writer


def _require_own(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--annotate {folder} is a file; pass a folder")
    if folder.is_dir() and not (folder / _MARK).exists() and any(folder.iterdir()):
        raise ConfigError(f"--annotate {folder} holds files that were not drawn here; pass a new or an empty folder")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"--annotate {folder} cannot be written ({error.strerror})") from error
