"""Photos for a page: registered by opaque ids, shrunk in threads, and uploads within limits."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from fastapi import HTTPException, Request, UploadFile

from bball_pl.errors import PhotoError
from bball_pl.photos.decode import decode


class Registry:
    """Which file an id stands for, and the trees that it must lie in.

    Ids are made from the place where the server first found the photo, so that a page which is still open knows its
    photos after a restart; they are looked up in the server's own list and never turned back into a path.
    """

    def __init__(self) -> None:
        self._places: dict[str, tuple[Path, tuple[str, ...]]] = {}
        self._lock = threading.Lock()

    def add(self, path: Path, *roots: Path, first: bytes = b"") -> str:
        """Enter a photo and return its id.

        Args:
            path: where it is.
            roots: the trees that it may lie in; it is not shown from anywhere else.
            first: what the id is made of; the path unless given.
        """
        own = hashlib.blake2b(first or os.fsencode(path.absolute()), digest_size=16).hexdigest()
        self.put(own, path, roots)
        return own

    def put(self, photo: str, path: Path, roots: Sequence[Path]) -> None:
        """Say where the photo of an id is."""
        trees = tuple(os.path.realpath(root).rstrip(os.sep) + os.sep for root in roots)
        with self._lock:
            self._places[photo] = path, trees

    def move(self, photo: str, path: Path) -> None:
        """Say where a photo is now, within the same trees."""
        with self._lock:
            if photo in self._places:
                self._places[photo] = path, self._places[photo][1]

    def known(self, photo: str) -> bool:
        """Return whether there is such an id."""
        return photo in self._places

    def path(self, photo: str) -> Path | None:
        """Return a photo's file; None if there is no such id, no such file, or a link leads out of its trees."""
        place = self._places.get(photo)
        if place is None:
            return None
        path, trees = place
        real = os.path.realpath(path)
        return path if real.startswith(trees) and os.path.isfile(real) else None  # noqa: PTH113


#: Most bytes of one photo: twice what the best phones write.
MAX_BYTES = 30_000_000
#: What a form puts around a file.
FORM_BYTES = 1_000_000
_PIECE = 1 << 16


async def read_upload(source: Request | UploadFile, limit_bytes: int = MAX_BYTES) -> bytes:
    """Return the bytes of a photo that is being sent.

    Args:
        source: a request whose whole body is the photo, or a file of a form.
        limit_bytes: most bytes that are taken.

    Raises:
        HTTPException: 413 as soon as there are more bytes than that; 422 if there are none.
    """
    if isinstance(source, Request):
        declared = source.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > limit_bytes:
            raise too_large(limit_bytes)
    content = bytearray()
    async for piece in _pieces(source):
        content += piece
        if len(content) > limit_bytes:
            raise too_large(limit_bytes)
    if not content:
        raise HTTPException(422, "empty file")
    return bytes(content)


def decode_upload(content: bytes) -> np.ndarray:
    """Decode a photo that was sent; call it in a thread.

    Returns:
        RGB uint8 `[H, W, 3]`, 0–255, upright.

    Raises:
        HTTPException: 422 with the reason, as in `bball_pl.photos.decode.decode`.
    """
    try:
        return decode(content)
    except PhotoError as error:
        raise HTTPException(422, str(error)) from None


def too_large(limit_bytes: int) -> HTTPException:
    """Return the answer to a body with too many bytes."""
    return HTTPException(413, f"more than {limit_bytes / 1e6:.0f} MB. Shrink the photo")


async def _pieces(source: Request | UploadFile) -> AsyncIterator[bytes]:
    if isinstance(source, Request):
        async for piece in source.stream():
            yield piece
    else:
        while piece := await source.read(_PIECE):
            yield piece


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
