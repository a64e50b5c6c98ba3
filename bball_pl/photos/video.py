"""Video decoding: upright frames with their times, one at a time, decoded only if sampled."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Semaphore

import cv2
import numpy as np

from bball_pl.errors import PhotoError

# Errors are reported in one line; FFmpeg's log would mix with the answers on the terminal. OpenCV reads this variable
# once, when it opens the first video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

#: Frames of one video that may be in memory in full size, until threads have shrunk them: eight of 4K are 200 MB.
_MAX_FRAMES = 8

#: Share of the nominal length above which a video counts as complete: containers round, and estimate missing lengths.
_COMPLETE = 0.9


@dataclass(eq=False)
class Frame:
    """One frame, whose pixels can be taken once, so that only a few frames are in memory.

    Attributes:
        index: Index among all frames of the video, from 0.
        seconds: Time since the first frame.
    """

    index: int
    seconds: float
    _pixels: np.ndarray | None
    _slots: Semaphore

    def take(self) -> np.ndarray:
        """Return the pixels, RGB uint8 `[H, W, 3]`, 0–255, upright, and release them.

        Raises:
            RuntimeError: if they were taken before.
        """
        pixels, self._pixels = self._pixels, None
        self._slots.release()
        if pixels is None:
            raise RuntimeError(f"frame {self.index} was taken before")
        rgb: np.ndarray = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        return rgb


class Video:
    """A video file, read from its beginning by each call of `samples` or `read`.

    Args:
        path: The file.

    Attributes:
        frames: Number of frames read by the last call.
        seconds: End of the last frame.
        rate: Frames per second: the file's nominal rate, or the mean rate if the times of the frames contradict it.

    Example:
        for frame in Video(Path("game.mp4")).samples(fps=2):
            pixels = frame.take()
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.frames = 0
        self.seconds = 0.0
        self.rate = 0.0

    def samples(self, fps: float) -> Iterator[Frame]:
        """Yield at most `fps` frames per second, evenly spaced in time.

        Phones record at a varying rate, so the first frame of every 1/fps of a second is taken, not every n-th frame.

        Raises:
            PhotoError: at once if the file cannot be opened or has no frame; after the last frame if the video is
                truncated. Frames yielded before are valid.
        """
        slots = Semaphore(_MAX_FRAMES)
        slot = -1
        with closing(self.read()) as frames:
            for index, seconds, capture in frames:
                # The millionth keeps frames that start a slot in it despite rounding errors.
                if math.floor(seconds * fps + 1e-6) == slot:
                    continue
                good, pixels = capture.retrieve()
                if good:
                    slot = math.floor(seconds * fps + 1e-6)
                    slots.acquire()
                    yield Frame(index, seconds, pixels, slots)
        if slot < 0:
            raise PhotoError("no frame can be decoded")

    def read(self) -> Generator[tuple[int, float, cv2.VideoCapture], None, None]:
        """Yield index, seconds since the first frame, and the capture whose `retrieve()` decodes the frame.

        Raises:
            PhotoError: as in `samples`.
        """
        capture = _open(self._path)
        try:
            nominal = capture.get(cv2.CAP_PROP_FPS)
            nominal = nominal if 0 < nominal < 1000 else 25.0
            nominal_frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
            index, start, seconds = 0, 0.0, 0.0
            while capture.grab():
                position = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                if index == 0:
                    start = position if math.isfinite(position) else 0.0
                else:
                    # Some files have no times, or repeat one: then the nominal rate is used.
                    later = position - start
                    seconds = later if later > seconds else seconds + 1 / nominal
                yield index, seconds, capture
                index += 1
                self.frames, self.seconds = index, seconds + 1 / nominal
        except cv2.error as error:
            raise PhotoError(f"cannot be decoded ({error.err})") from error
        finally:
            capture.release()
        if index == 0:
            raise PhotoError("no frame can be decoded")
        mean = (index - 1) / seconds if seconds > 0 else nominal
        self.rate = nominal if abs(mean / nominal - 1) < 0.01 else mean
        # Both must be short: the number of frames is estimated for varying rates, and the length without times.
        if index < _COMPLETE * nominal_frames and self.seconds < _COMPLETE * nominal_frames / nominal:
            raise PhotoError(
                f"ends after {self.seconds:.1f} of {nominal_frames / nominal:.1f} s: truncated or damaged. Only that "
                "part is used"
            )


def _open(path: Path) -> cv2.VideoCapture:
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise PhotoError("empty file")
    except OSError as error:
        raise PhotoError(f"cannot be read ({error.strerror})") from error
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    # An absolute path, because FFmpeg reads `a:b.mp4` as a protocol; FFmpeg only, because another backend reads `%02d`
    # as a numbered series.
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        capture.release()
        raise PhotoError("not a readable video: truncated, damaged, or of an unsupported format")
    # Phones store upright videos sideways, with a rotation tag.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture
