"""A list of photos as tensors: read from the cache, augmented for training, marked with their place in the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from bball_pl.data.augment import Augment, photo_seed
from bball_pl.data.cache import PhotoCache
from bball_pl.data.folder import Photo
from bball_pl.data.sampler import Key
from bball_pl.preprocess import PreprocessSpec


class PhotoBatch(NamedTuple):
    """Photos on their way to the network.

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

    Items are asked for by (epoch, position), as the samplers of this package do, because a worker that lives for the
    whole run has no other way to learn the epoch.

    Args:
        photos: in the order of their indices.
        cache: where the pre-shrunk photos are.
        spec: gives the size of the cache's entries, which is also the size of the items without `augment`.
        augment: applied to each photo; None leaves photos as `spec.resize` makes them.
        size: side of the items, in pixels.
        seed: of the augmentation.
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

    The batch is a view on the stacked pixels, which is exactly torch's channels_last: no copy here and none on the way
    into the network.
    """
    batch: PhotoBatch = default_collate(items)
    return batch._replace(images=batch.images.permute(0, 3, 1, 2))
