"""Annotated copies of photos and videos: a bar with the answer, its confidence and the most probable classes."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bball_pl.errors import ConfigError, PhotoError
from bball_pl.evaluate.calibration import UNSURE, Answer
from bball_pl.files import atomic_path
from bball_pl.moves import MOVES
from bball_pl.photos.decode import decode
from bball_pl.photos.video import Video
from bball_pl.predict.sources import Found, Source
from bball_pl.predict.timeline import clock

_PAPER, _INK, _DIM = (18, 20, 24), (236, 234, 228), (150, 152, 156)
_BALL, _TRACK = (238, 122, 40), (52, 56, 64)

#: Layout of the bar for a picture of 640 px; it is scaled in proportion.
_WIDTH, _HEIGHT = 640, 88
_ROWS = 3

#: Wider pictures are shrunk and narrower ones enlarged before the bar is added: copies are only for viewing.
_LARGEST, _SMALLEST = 1920, 320

#: Opacity of the bar over a frame; some of the play stays visible.
_OPACITY = 0.82


def with_bar(photo: np.ndarray, answer: Answer) -> np.ndarray:
    """Return a photo with its answer in a bar below it, which covers nothing.

    Args:
        photo: RGB uint8 `[H, W, 3]`, 0–255.
        answer: answer to the photo.

    Returns:
        RGB uint8, 320 to 1920 px wide; the photo is 1920 px high at most and keeps its proportions.
    """
    height, width = photo.shape[:2]
    scale = min(_LARGEST / max(height, width), max(1.0, _SMALLEST / width))
    if scale != 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    if photo.shape[1] < _SMALLEST:
        # A very narrow picture was shrunk to its height, but the bar needs its width.
        missing = _SMALLEST - photo.shape[1]
        photo = cv2.copyMakeBorder(photo, 0, 0, missing // 2, missing - missing // 2, cv2.BORDER_CONSTANT, value=_PAPER)
    width = photo.shape[1]
    return np.concatenate([photo, answer_bar(width, answer, max(0.75, width / _WIDTH))])


def lay_over(frame: np.ndarray, bar: np.ndarray) -> None:
    """Draw a bar over the lower edge of a frame, in place; both uint8 `[H, W, 3]`, of the same width."""
    part = frame[-len(bar) :]
    cv2.addWeighted(bar, _OPACITY, part, 1 - _OPACITY, 0, dst=part)


def frame_bar(height: int, width: int, answer: Answer, seconds: float) -> np.ndarray:
    """Return the bar for a frame of a size in pixels: RGB uint8 `[h, width, 3]`, h a fifth of the height at most."""
    unit = min(width / _WIDTH, height / (5 * _HEIGHT))
    return answer_bar(width, answer, unit, clock(seconds))


def answer_bar(width: int, answer: Answer, unit: float, corner: str = "") -> np.ndarray:
    """Draw a bar.

    Args:
        width: width of the bar, in pixels.
        answer: answer to show.
        unit: scale of its content; 1 suits a width of 640 px.
        corner: short text at its right end, such as the time.

    Returns:
        RGB uint8 `[88 * unit, width, 3]`, 0–255.
    """
    height = max(1, round(_HEIGHT * unit))
    image = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(image)
    names = list(answer.probabilities)
    unsure = answer.label == UNSURE
    label = UNSURE if unsure else _latin(answer.label, names)
    note = f"most likely {_latin(answer.predicted, names)}" if unsure else f"{answer.confidence:.0%} confident"
    left, middle, right = 16 * unit, 0.44 * width, width - 16 * unit
    if corner:
        room = 64 * unit
        _fitted(pen, (right, 12 * unit), corner, 15 * unit, room, _DIM, "ra")
        right -= room + 12 * unit
    _fitted(pen, (left, 8 * unit), label, 38 * unit, middle - left - 8 * unit, _DIM if unsure else _INK, "la")
    _fitted(pen, (left, 58 * unit), note, 17 * unit, middle - left - 8 * unit, _DIM, "la")
    track, end = middle + 92 * unit, right - 48 * unit
    for row, (name, share) in enumerate(answer.ranking[:_ROWS]):
        top = (10 + 24 * row) * unit
        sure = row == 0 and not unsure
        colour = _INK if row == 0 else _DIM
        _fitted(pen, (middle, top), _latin(name, names), 16 * unit, track - middle - 8 * unit, colour, "la")
        low, high = top + 4 * unit, top + 16 * unit
        pen.rectangle((track, low, end, high), fill=_TRACK)
        if (end - track) * share >= 1:
            pen.rectangle((track, low, track + (end - track) * share, high), fill=_BALL if sure else _DIM)
        _fitted(pen, (right, top), f"{share:.0%}", 16 * unit, 46 * unit, colour, "ra")
    return np.array(image)


def _fitted(
    pen: ImageDraw.ImageDraw,
    position: tuple[float, float],
    text: str,
    size: float,
    room: float,
    colour: tuple[int, int, int],
    anchor: str,
) -> None:
    """Write a text, smaller than `size` where it would be wider than `room`."""
    width = pen.textlength(text, font=_font(size))
    font = _font(size * min(1.0, room / width)) if width > 0 else _font(size)
    pen.text(position, text, fill=colour, font=font, anchor=anchor)


@lru_cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(1.0, size))


def _latin(name: str, names: list[str]) -> str:
    """Return a class name in letters of Pillow's font, which draws boxes for all others."""
    english = {move.chinese: move.name for move in MOVES}.get(name, name)
    # The font has Latin letters with accents: those below U+0180.
    return english if all(letter < "\u0180" for letter in english) else f"class {names.index(name) + 1}"


#: Marks a folder of annotated copies, which may be replaced.
_MARK = ".annotated_by_predict"


class Annotator:
    """Writer of annotated copies, in a folder that mirrors the common folder of the sources.

    A photo becomes a JPEG, a video an MP4 without sound; a name gets that suffix if it has another one, and a number if
    it is taken.

    Args:
        folder: new, empty, or of an earlier annotator: nothing else is ever replaced.
        found: photos and videos that may be annotated.

    Raises:
        ConfigError: if the folder holds other files or one of the sources, or cannot be created.
    """

    def __init__(self, folder: Path, found: Found) -> None:
        _require_replaceable(folder)
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
            PhotoError: if the photo can no longer be read.
            ConfigError: if the copy cannot be written.
        """
        picture = with_bar(decode(source.path), answer)
        with _writing(self._folder), atomic_path(self._folder / self._targets[source]) as temporary:
            Image.fromarray(picture).save(temporary, "JPEG", quality=90)

    def video(self, source: Source, video: Video, starts: Sequence[int], answers: Sequence[Answer]) -> None:
        """Write the annotated copy of a video, with its size and rate and all frames that can be decoded.

        Args:
            source: the video.
            video: its frames, which were read to the end before.
            starts: numbers of the answered frames, rising; an answer is shown until the next one.
            answers: smoothed answers to these frames.

        Raises:
            PhotoError: if the video can no longer be read, or no encoder accepts its size.
            ConfigError: if the copy cannot be written.
        """
        rate = video.rate
        with _writing(self._folder), atomic_path(self._folder / self._targets[source]) as temporary:
            _write_video(temporary, video, rate, starts, answers)


def target_names(sources: Sequence[Source]) -> list[Path]:
    """Return a relative name for each source's copy, without `..`, unique even on file systems that ignore case."""
    paths = [Path(os.path.abspath(source.path)) for source in sources]  # noqa: PTH100, links keep their names
    anchors = {path.anchor for path in paths}
    # On Windows files on two drives have no common folder.
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
    # An answer is shown over many frames: its bar is redrawn each tenth of a second, for its clock.
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
                current = max(0, bisect_right(starts, index) - 1)
                if drawn != (current, int(seconds * 10)):
                    drawn = current, int(seconds * 10)
                    bar = frame_bar(height, width, answers[current], seconds)[..., ::-1]
                lay_over(frame, bar)
                writer.write(frame)
    except PhotoError:
        # A truncated video is already listed as a failure; its copy ends early as well.
        if writer is None:
            raise
    finally:
        if writer is not None:
            writer.release()


def _open_writer(path: Path, rate: float, width: int, height: int) -> cv2.VideoWriter:
    # OpenCV's packages lack H.264; all players except browsers support MPEG-4.
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
    if not writer.isOpened():
        raise PhotoError(f"no annotated copy: frames of {width} × {height} at {rate:.2f} a second cannot be encoded")
    return writer


def _require_replaceable(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--annotate {folder} is a file; pass a folder")
    if folder.is_dir() and not (folder / _MARK).exists() and any(folder.iterdir()):
        raise ConfigError(
            f"--annotate {folder} holds files that are not annotated copies; pass a new or an empty folder"
        )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"--annotate {folder} cannot be written ({error.strerror})") from error
