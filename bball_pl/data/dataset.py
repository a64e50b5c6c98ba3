"""Photos as tensors: the cache of resized photos, the dataset with augmentation, and batches."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from bball_pl.data.augmentation import Augment, photo_seed
from bball_pl.data.sampler import Key
from bball_pl.errors import DatasetError, PhotoError
from bball_pl.photos.decode import DECODE_VERSION, decode
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.photos.tree import Photo

#: Version of the entries; increase it when their format or the resizing changes.
_FORMAT = 1


class PhotoCache:
    """Photos made square by a spec, kept as raw `.npy` files under a key of their content.

    An entry lies at `<folder>/<spec>/<first two digits>/<sha256>.npy`. Raw, because decoding even a small JPEG again
    costs 2 ms and reading raw pixels 0.1 ms; at 299 px an entry takes 0.27 MB, enlarged for crops 0.42 MB. Deleting the
    folder is always safe: missing and damaged entries are rebuilt on demand.

    Args:
        folder: folder of the entries; None keeps none and decodes each time.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self.folder = None if folder is None else Path(folder)

    def entry(self, sha256: str, spec: PreprocessSpec) -> Path | None:
        """Return the path of a photo's entry, which need not exist; None without a cache folder."""
        if self.folder is None:
            return None
        # Mean and std are applied after the cache, so they are not part of the key.
        name = f"v{_FORMAT}.{DECODE_VERSION}-{spec.size}-{spec.fit}-{spec.interpolation}"
        # 256 folders: a directory with tens of thousands of files is slow on network disks.
        return self.folder / name / sha256[:2] / f"{sha256}.npy"

    def load(self, path: str | os.PathLike[str], sha256: str, spec: PreprocessSpec) -> np.ndarray:
        """Return a photo as `spec.resize` makes it, from its entry if that is valid, else from the photo.

        Args:
            path: the photo's file.
            sha256: SHA-256 of the photo's bytes when the dataset was scanned.
            spec: gives size, fit and interpolation.

        Returns:
            RGB uint8 `[size, size, 3]`, 0–255, writable.

        Raises:
            PhotoError: if no valid entry exists and the photo cannot be decoded.
            DatasetError: if the photo's bytes have changed since the scan, or the entry cannot be written.
        """
        entry = self.entry(sha256, spec)
        if entry is not None and (stored := _read_entry(entry, spec.size)) is not None:
            return stored
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise PhotoError(f"{path}: cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise DatasetError(f"{path} has changed since the start of the run. Start the run again.")
        try:
            return self.store(content, sha256, spec)
        except PhotoError as error:
            raise PhotoError(f"{path}: {error}") from error

    def holds(self, sha256: str, spec: PreprocessSpec) -> bool:
        """Return whether an entry of the right length exists; without a cache folder always true."""
        entry = self.entry(sha256, spec)
        try:
            return entry is None or entry.stat().st_size == len(_header(spec.size)) + 3 * spec.size**2
        except OSError:
            return False

    def store(self, content: bytes, sha256: str, spec: PreprocessSpec) -> np.ndarray:
        """Decode a photo's bytes, make it square, write its entry and return the pixels as `load` does.

        Raises:
            PhotoError: if the bytes cannot be decoded.
            DatasetError: if the entry cannot be written.
        """
        pixels = np.array(spec.resize(decode(content)))
        entry = self.entry(sha256, spec)
        if entry is not None:
            _write_entry(entry, pixels)
        return pixels


@lru_cache
def _header(size: int) -> bytes:
    # The header that np.save writes: entries can be opened with np.load, and comparing it checks shape and type.
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (size, size, 3)})
    return buffer.getvalue()


def _read_entry(entry: Path, size: int) -> np.ndarray | None:
    header = _header(size)
    try:
        stored = np.fromfile(entry, np.uint8)
    except OSError:
        return None
    if stored.size != len(header) + 3 * size**2 or stored[: len(header)].tobytes() != header:
        return None
    return stored[len(header) :].reshape(size, size, 3)


def _write_entry(entry: Path, pixels: np.ndarray) -> None:
    # Several processes may build one entry at once: each writes a separate temporary file, the renames are atomic and
    # the contents equal. No fsync, unlike files.atomic_path: it would cost more than decoding, and an entry truncated
    # by a power cut is detected by its length and rebuilt.
    temporary = entry.with_name(f".{entry.stem}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(_header(pixels.shape[0]))
            file.write(pixels.data)
        temporary.replace(entry)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise DatasetError(
            f"the photo cache cannot be written: {entry.parent} ({error.strerror}). "
            "Pass --data.cache_dir DIR on a disk with room, or --data.cache false."
        ) from error


class PhotoBatch(NamedTuple):
    """A batch of photos.

    Attributes:
        images: RGB `[B, 3, S, S]` in channels_last memory format: uint8 0–255 from the loader, float32 normalised
            after `PhotoDataModule.on_after_batch_transfer`.
        targets: int64 `[B]`, index of each photo's class.
        indices: int64 `[B]`, position in the list of photos; -1 marks padding that metrics must drop.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor


class PhotoDataset(Dataset[PhotoBatch]):
    """Photos of one split.

    Items are indexed by (epoch, position), as the samplers of this package do, because a worker process that lives for
    the whole run has no other way to learn the epoch.

    Args:
        photos: photos in the order of their indices.
        cache: cache of the resized photos.
        spec: gives the size of the cache's entries, which is also the size of the items without `augment`.
        augment: applied to each photo; None leaves photos as `spec.resize` makes them.
        size: side of the items, in pixels.
        seed: random seed of the augmentation.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        cache: PhotoCache,
        spec: PreprocessSpec,
        size: int,
        augment: Augment | None = None,
        seed: int = 0,
    ) -> None:
        self.photos, self.cache, self.spec, self.size = list(photos), cache, spec, size
        self.augment, self.seed = augment, seed

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, key: Key) -> PhotoBatch:
        """Return one photo: images uint8 `[size, size, 3]`, 0–255, target and index without a batch dimension.

        Position -1 gives a black photo of class 0 with the index -1.

        Raises:
            PhotoError: if the photo is not in the cache and can no longer be decoded.
            DatasetError: as in `PhotoCache.load`.
        """
        epoch, position = key
        if position < 0:
            pixels, target = np.zeros((self.size, self.size, 3), np.uint8), 0
        else:
            photo = self.photos[position]
            pixels, target = self.cache.load(photo.path, photo.sha256, self.spec), photo.target
            if self.augment is not None:
                pixels = self.augment(pixels, photo_seed(self.seed, epoch, photo.sha256))
        return PhotoBatch(torch.from_numpy(pixels), torch.tensor(target), torch.tensor(position))


def collate(items: list[PhotoBatch]) -> PhotoBatch:
    """Stack items of `[S, S, 3]` to a batch of `[B, 3, S, S]`.

    The batch is a view of the stacked pixels in torch's channels_last format: nothing is copied here or on the way into
    the network.
    """
    batch: PhotoBatch = default_collate(items)
    return batch._replace(images=batch.images.permute(0, 3, 1, 2))
