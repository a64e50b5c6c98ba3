"""Frames of a video: upright, with their times, decoded only where they are wanted, one at a time."""

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

# Why a file cannot be read is said in one line; FFmpeg's own remarks would stand between the answers. OpenCV reads this
# once, when it first opens a video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

#: Frames of one video in full size that may wait for the threads that shrink them: eight of 4K are 200 MB.
_WAITING = 8

#: Share of the promised length that a whole video has: containers round, and estimate where they do not know.
_WHOLE = 0.9


@dataclass(eq=False)
class Frame:
    """One frame; its pixels can be taken once, so that no more than a few are held.

    Attributes:
        index: counted from 0 over all frames of the video.
        seconds: since the first frame.
    """

    index: int
    seconds: float
    _pixels: np.ndarray | None
    _places: Semaphore

    def take(self) -> np.ndarray:
        """Return the pixels, RGB uint8 `[H, W, 3]`, 0–255, upright, and forget them."""
        pixels, self._pixels = self._pixels, None
        self._places.release()
        if pixels is None:
            raise RuntimeError(f"frame {self.index} was taken before")
        rgb: np.ndarray = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        return rgb


class Video:
    """A video file that is read from its beginning, as often as is asked.

    Args:
        path: its file.

    Attributes:
        frames: number of frames that were read last time.
        seconds: end of the last of them.
        rate: frames per second: what the file says, or the mean where the times of the frames say otherwise.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.frames = 0
        self.seconds = 0.0
        self.rate = 0.0

    def samples(self, fps: float) -> Iterator[Frame]:
        """Yield at most `fps` frames per second, evenly by their times, not by their numbers.

        Phones record with a varying rate, so the first frame of every 1/fps of a second is taken.

        Raises:
            PhotoError: at once if the file cannot be opened or has no frame; at the end if it has ended early. What
                was yielded before is good.
        """
        places = Semaphore(_WAITING)
        slot = -1
        with closing(self.read()) as frames:
            for index, seconds, capture in frames:
                # The millionth keeps frames that lie on the border, but for rounding, on the right side.
                if math.floor(seconds * fps + 1e-6) == slot:
                    continue
                good, pixels = capture.retrieve()
                if good:
                    slot = math.floor(seconds * fps + 1e-6)
                    places.acquire()
                    yield Frame(index, seconds, pixels, places)
        if slot < 0:
            raise PhotoError("no frame of it can be decoded")

    def read(self) -> Generator[tuple[int, float, cv2.VideoCapture], None, None]:
        """Go from frame to frame and yield number, seconds since the first frame, and where to `retrieve()` it.

        Raises:
            PhotoError: as in `samples`.
        """
        capture = _open(self._path)
        try:
            nominal = capture.get(cv2.CAP_PROP_FPS)
            nominal = nominal if 0 < nominal < 1000 else 25.0
            promised = capture.get(cv2.CAP_PROP_FRAME_COUNT)
            index, start, seconds = 0, 0.0, 0.0
            while capture.grab():
                position = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                if index == 0:
                    start = position if math.isfinite(position) else 0.0
                else:
                    # Some files have no times, or the same one twice: then the rate must do.
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
            raise PhotoError("no frame of it can be decoded")
        mean = (index - 1) / seconds if seconds > 0 else nominal
        self.rate = nominal if abs(mean / nominal - 1) < 0.01 else mean
        # Both must be short: numbers of frames are guessed where the rate varies, and lengths where there are no times.
        if index < _WHOLE * promised and self.seconds < _WHOLE * promised / nominal:
            raise PhotoError(
                f"ends after {self.seconds:.1f} of {promised / nominal:.1f} s: truncated or damaged. Only that part "
                "is answered"
            )


def _open(path: Path) -> cv2.VideoCapture:
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise PhotoError("empty file")
    except OSError as error:
        raise PhotoError(f"cannot be read ({error.strerror})") from error
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    # An absolute name, and FFmpeg only: it would take `a:b.mp4` for a protocol, another backend `%02d` for a series.
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        capture.release()
        raise PhotoError("not a video that can be read: truncated, damaged, or of an unknown kind")
    # Phones store upright videos lying on their side, with a note.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture
