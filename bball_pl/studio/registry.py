"""Photos that the page may see, by an opaque id: no path from a browser ever reaches the disk."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path


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
