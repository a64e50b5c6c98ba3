"""Photos made small for a page: decoded and encoded in threads, kept in memory, and ready before they are asked for."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from bball_pl.decode import decode
from bball_pl.errors import PhotoError
from bball_pl.studio.registry import Registry

Size = Literal["display", "thumb"]

#: Long side in pixels and JPEG quality.
_FORMS: dict[Size, tuple[int, int]] = {"display": (1600, 85), "thumb": (320, 78)}
#: Bytes of JPEG that are kept.
_MEMORY = 128_000_000
# A photo of 150 megapixels is 450 MB while it is decoded: few at once.
_THREADS = 2

_Key = tuple[str, Size, int, int]


class GoneError(PhotoError):
    """A photo that is not where it was."""


class Pictures:
    """Makes and keeps JPEGs of registered photos.

    Args:
        photos: says where they are.
    """

    def __init__(self, photos: Registry) -> None:
        self._photos = photos
        self._threads = ThreadPoolExecutor(_THREADS, "picture")
        self._made: OrderedDict[_Key, Future[bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def picture(self, photo: str, size: Size) -> Future[bytes]:
        """Return a photo's JPEG, which may still be in the making.

        The future raises `GoneError` if the photo is not there, another `PhotoError` if it cannot be decoded.
        """
        path = self._photos.path(photo)
        if path is None:
            return _failed(GoneError("not there any more"))
        try:
            stat = path.stat()
        except OSError as error:
            return _failed(GoneError(f"cannot be read ({error.strerror})"))
        key = photo, size, stat.st_mtime_ns, stat.st_size
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
            future = self._threads.submit(_make, path, size)
            self._made[key] = future
        future.add_done_callback(lambda done: self._count(key, done))
        return future

    def prepare(self, photo: str, size: Size = "display") -> None:
        """Begin to make a photo's JPEG, because it will be asked for soon."""
        self.picture(photo, size)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _count(self, key: _Key, done: Future[bytes]) -> None:
        with self._lock:
            if done.cancelled() or done.exception() is not None:
                # A photo that could not be read may be whole the next time.
                self._made.pop(key, None)
                return
            self._bytes += len(done.result())
            while self._bytes > _MEMORY and len(self._made) > 1:
                oldest = next(iter(self._made))
                if not self._made[oldest].done():
                    break
                self._bytes -= len(self._made.pop(oldest).result())


def encode(pixels: np.ndarray, size: Size = "display") -> bytes:
    """Return a JPEG without any metadata.

    Args:
        pixels: RGB uint8 `[H, W, 3]`, 0–255.
        size: display for at most 1600 pixels on the long side, thumb for at most 320.
    """
    side, quality = _FORMS[size]
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        shape = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA)
    good, encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise PhotoError("cannot be encoded")
    return encoded.tobytes()


def _make(path: Path, size: Size) -> bytes:
    try:
        return encode(decode(path), size)
    except PhotoError:
        if not os.path.isfile(path):  # noqa: PTH113
            raise GoneError("not there any more") from None
        raise


def _failed(error: PhotoError) -> Future[bytes]:
    future: Future[bytes] = Future()
    future.set_exception(error)
    return future
