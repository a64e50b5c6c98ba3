"""Photos for a page: opaque ids, JPEGs in display and thumbnail size, and size-limited uploads."""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from fastapi import HTTPException, Request

from bball_pl.errors import PhotoError
from bball_pl.photos.decode import decode, decode_reduced, megapixels_of, read_photo

#: Most bytes of one photo: twice what current phones write.
MAX_BYTES = 30_000_000

Size = Literal["display", "thumb"]

#: Long side in pixels and JPEG quality.
_FORMATS: dict[Size, tuple[int, int]] = {"display": (1600, 85), "thumb": (320, 78)}
#: Most bytes of JPEGs kept in memory.
_CACHE_BYTES = 128_000_000
_THREADS = 2
#: Photos of more megapixels are decoded one at a time: one of 150 takes 1.1 GB meanwhile.
_LARGE_MEGAPIXELS = 24
#: After photos of more megapixels memory is given back.
_SMALL_MEGAPIXELS = 4
_large = threading.Lock()

_Key = tuple[str, Size, int, int]


class PhotoIds:
    """Ids of photos, with the file of each and the folder trees that the file must be in. Thread-safe.

    An id is a hash of the path at which the server first found the photo, so that an open page still knows its photos
    after a restart. Ids are looked up in this table and never turned back into a path.
    """

    def __init__(self) -> None:
        self._files: dict[str, tuple[Path, tuple[str, ...]]] = {}
        self._lock = threading.Lock()

    def add(self, path: Path, *roots: Path, seed: bytes = b"") -> str:
        """Register a photo and return its id.

        Args:
            path: file of the photo.
            roots: folder trees that the file may be in; it is not shown from anywhere else.
            seed: bytes that are hashed to the id. Default: the path.
        """
        photo_id = hashlib.blake2b(seed or os.fsencode(path.absolute()), digest_size=16).hexdigest()
        self.put(photo_id, path, roots)
        return photo_id

    def put(self, photo_id: str, path: Path, roots: Sequence[Path]) -> None:
        """Set the file and the folder trees of an id."""
        trees = tuple(os.path.realpath(root).rstrip(os.sep) + os.sep for root in roots)
        with self._lock:
            self._files[photo_id] = path, trees

    def move(self, photo_id: str, path: Path) -> None:
        """Set the new path of a known photo within the same trees."""
        with self._lock:
            if photo_id in self._files:
                self._files[photo_id] = path, self._files[photo_id][1]

    def known(self, photo_id: str) -> bool:
        """Return whether the id was issued."""
        return photo_id in self._files

    def path(self, photo_id: str) -> Path | None:
        """Return a photo's file; None for an unknown id, a missing file, or a link that leads out of its trees."""
        known = self._files.get(photo_id)
        if known is None:
            return None
        path, trees = known
        real = os.path.realpath(path)
        return path if real.startswith(trees) and os.path.isfile(real) else None  # noqa: PTH113


async def read_upload(request: Request, limit_bytes: int = MAX_BYTES) -> bytes:
    """Return the body of a request, which is a photo.

    Raises:
        HTTPException: 413 as soon as there are more than `limit_bytes` bytes; 422 for an empty body.
    """
    too_large = HTTPException(413, f"more than {limit_bytes / 1e6:.0f} MB. Shrink the photo")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit_bytes:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit_bytes:
            raise too_large
    if not content:
        raise HTTPException(422, "empty file")
    return bytes(content)


@contextmanager
def room_for(content: bytes) -> Iterator[None]:
    """Wait, if a photo is large, until no other large one is in memory; give memory back to the system at the end.

    Args:
        content: bytes of a photo's file, which may be damaged.
    """
    megapixels = megapixels_of(content)
    with _large if megapixels > _LARGE_MEGAPIXELS else nullcontext():
        try:
            yield
        finally:
            if megapixels > _SMALL_MEGAPIXELS:
                release_memory()


def release_memory() -> None:
    """Give memory that is free, but kept by the C library for each thread, back to the system.

    Without it the studio held 3 GB after 24 large photos. Only glibc keeps that much, and only it has the function.
    """
    if (trim := _malloc_trim()) is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], object] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None


def decode_upload(content: bytes) -> np.ndarray:
    """Decode an uploaded photo; blocking, so to be called in a thread.

    Returns:
        RGB uint8 `[H, W, 3]`, 0–255, upright.

    Raises:
        HTTPException: 422 with the reason, as in `bball_pl.photos.decode.decode`.
    """
    try:
        return decode(content)
    except PhotoError as error:
        raise HTTPException(422, str(error)) from None


class PhotoMissingError(PhotoError):
    """A photo whose file no longer exists."""


class Pictures:
    """JPEGs of registered photos, made in threads and cached.

    Args:
        photos: gives the files of the ids.
    """

    def __init__(self, photos: PhotoIds) -> None:
        self._photos = photos
        self._threads = ThreadPoolExecutor(_THREADS, "picture")
        self._cache: OrderedDict[_Key, Future[bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def picture(self, photo_id: str, size: Size = "display") -> Future[bytes]:
        """Return a photo's JPEG as a future; a call whose result is not used prepares the picture.

        The future raises `PhotoMissingError` if the file does not exist, and another `PhotoError` if it cannot be
        decoded.
        """
        path = self._photos.path(photo_id)
        if path is None:
            return _failed(PhotoMissingError("this photo no longer exists"))
        try:
            stat = path.stat()
        except OSError as error:
            return _failed(PhotoMissingError(f"cannot be read ({error.strerror})"))
        key = photo_id, size, stat.st_mtime_ns, stat.st_size
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
            future = self._threads.submit(_make, path, size)
            self._cache[key] = future
        future.add_done_callback(lambda done: self._trim(key, done))
        return future

    def close(self) -> None:
        """End the threads after the pictures in progress."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _trim(self, key: _Key, done: Future[bytes]) -> None:
        with self._lock:
            if done.cancelled() or done.exception() is not None:
                # Not cached: a file that was unreadable may be complete on the next request.
                self._cache.pop(key, None)
                return
            self._bytes += len(done.result())
            while self._bytes > _CACHE_BYTES and len(self._cache) > 1:
                oldest = next(iter(self._cache))
                if not self._cache[oldest].done():
                    break
                self._bytes -= len(self._cache.pop(oldest).result())


def encode(pixels: np.ndarray, size: Size = "display") -> bytes:
    """Return a JPEG without metadata.

    Args:
        pixels: RGB uint8 `[H, W, 3]`, 0–255.
        size: display for at most 1600 pixels on the long side, thumb for at most 320.
    """
    side, quality = _FORMATS[size]
    pixels = shrink(pixels, side)
    good, encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise PhotoError("cannot be encoded")
    return encoded.tobytes()


def shrink(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return pixels `[H, W, 3]` scaled down so that the long side is at most `side`."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA)


def _make(path: Path, size: Size) -> bytes:
    try:
        content = read_photo(path)
        with room_for(content):
            return encode(decode_reduced(content, _FORMATS[size][0]), size)
    except PhotoError:
        if not os.path.isfile(path):  # noqa: PTH113
            raise PhotoMissingError("this photo no longer exists") from None
        raise


def _failed(error: PhotoError) -> Future[bytes]:
    future: Future[bytes] = Future()
    future.set_exception(error)
    return future
