"""Copies: candidate pairs by hash and features, laid over each other, and joined to clusters of one picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from joblib import cpu_count
from rich.console import Console
from scipy.cluster.hierarchy import DisjointSet

from bball_pl.audit.overlay import Overlay, Picture, overlay
from bball_pl.photos.measurements import hamming
from bball_pl.photos.tree import Photo
from bball_pl.terminal import progress

#: Most neighbours of a photo that are compared with it, by either measure. Copies of one picture are linked by chains:
#: not all pairs of a large cluster have to be compared.
_NEIGHBOURS = 8
#: Bits in which the hashes of copies may differ. Re-encoded copies differ in 0–3, brightened ones in up to 7.
_BITS = 8
#: Cosine of whitened features from which a pair is compared. Measured on the demo court: mirrored, cropped, shrunk,
#: brightened copies have 0.21 and more; half of all scenes have a neighbour above 0.25.
_LEAST_COSINE = 0.15
#: Up to this many photos all pairs are compared, in seconds: too few to tell common features from individual ones.
_FEW = 100
#: Directions of the features that are kept, and rows at once, so that memory grows with the photos and not with pairs.
_DIRECTIONS = 256
_ROWS = 512
#: Photos that the directions are computed from.
_SAMPLE = 20_000


def candidate_pairs(hashes: np.ndarray, mirrored: np.ndarray, features: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of photos that may be near-duplicates, the most alike first.

    Args:
        hashes: Difference hashes, uint64 `[N]`.
        mirrored: Difference hashes of the mirror images, uint64 `[N]`.
        features: Features of a frozen network, float `[N, F]`.

    Returns:
        Pairs of rows, the smaller first, each once.
    """
    alike: dict[tuple[int, int], float] = {}
    for one, other, cosine in _by_features(_whitened(features)):
        alike[min(one, other), max(one, other)] = cosine
    for one, other, bits in _by_hash(hashes, mirrored):
        pair = min(one, other), max(one, other)
        alike[pair] = max(alike.get(pair, -1.0), 1 - bits / _BITS / 2)
    return sorted(alike, key=lambda pair: (-alike[pair], pair))


def _by_hash(hashes: np.ndarray, mirrored: np.ndarray) -> Iterator[tuple[int, int, int]]:
    for start in range(0, len(hashes), _ROWS):
        rows = hashes[start : start + _ROWS, None]
        bits = np.minimum(hamming(rows, hashes[None]), hamming(rows, mirrored[None]))
        for row, others in zip(range(start, start + len(bits)), bits, strict=True):
            others[row] = _BITS + 1
            near = np.flatnonzero(others <= _BITS)
            for other in near[np.argsort(others[near], kind="stable")][:_NEIGHBOURS]:
                yield row, int(other), int(others[other])


def _by_features(features: np.ndarray) -> Iterator[tuple[int, int, float]]:
    few = len(features) <= _FEW
    most = len(features) - 1 if few else _NEIGHBOURS
    least = -1.0 if few else _LEAST_COSINE
    if most < 1:
        return
    for start in range(0, len(features), _ROWS):
        cosines = features[start : start + _ROWS] @ features.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -1
        nearest = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
        for row, neighbours in zip(rows, nearest, strict=True):
            for neighbour in neighbours:
                if start + row != neighbour and cosines[row, neighbour] >= least:
                    yield start + int(row), int(neighbour), float(cosines[row, neighbour])


def _whitened(features: np.ndarray) -> np.ndarray:
    """Return unit vectors float32 `[N, D]` in which no direction is common to many photos.

    Photos of one hall share most of their features. Dividing each direction by its deviation leaves the individual
    part; the weak directions of a small album are noise and are damped. Square roots first: a few features
    with large values would else decide (Arandjelović and Zisserman, Three things everyone should know to improve
    object retrieval, CVPR 2012).
    """
    values = features.astype(np.float32)
    values = np.sign(values) * np.sqrt(np.abs(values))
    sample = values
    if len(values) > _SAMPLE:
        sample = values[np.random.default_rng(0).choice(len(values), _SAMPLE, replace=False)]
    mean = sample.mean(0)
    sample = sample - mean
    strengths, directions = _principal_directions(sample)
    floor = max(float(strengths.sum()) / min(_DIRECTIONS, values.shape[1]) / 10, 1e-6)
    values = (values - mean) @ (directions / np.sqrt(np.maximum(strengths, 0) + floor))
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-6), np.float32)


def _principal_directions(sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances along the strongest directions, `[D]`, and the directions, `[F, D]`.

    Of fewer photos than features the products of photos are taken, a smaller matrix with the same strengths:
    1,280 features take 0.4 s, 100 photos 2 ms.

    Args:
        sample: Float32 `[N, F]`, each column of mean 0.
    """
    count, width = sample.shape
    if count >= width:
        strengths, directions = np.linalg.eigh(sample.T @ sample / count)
        return strengths[-_DIRECTIONS:], directions[:, -_DIRECTIONS:]
    strengths, photos = np.linalg.eigh(sample @ sample.T / count)
    strengths, photos = strengths[-_DIRECTIONS:], photos[:, -_DIRECTIONS:]
    kept = strengths > max(float(strengths[-1]) * 1e-6, 1e-12)  # the others are rounding
    strengths, photos = strengths[kept], photos[:, kept]
    return strengths, sample.T @ photos / np.sqrt(count * strengths)


#: Decoded pictures kept in memory: 140 kB each.
_READY = 1200
#: Pairs that are compared before the clusters are looked at again.
_AT_ONCE = 64


@dataclass(frozen=True)
class Copies:
    """The photos that show the same picture.

    Attributes:
        clusters: Two or more photos each.
        overlays: How linked pairs lie over each other, by the pair's paths.
    """

    clusters: Sequence[Sequence[Photo]] = ()
    overlays: Mapping[frozenset[Path], Overlay] = field(default_factory=dict)

    def overlay(self, one: Photo, other: Photo) -> Overlay | None:
        """Return how two photos lie over each other; None if they were not compared or are linked by others only."""
        return self.overlays.get(frozenset({one.path, other.path}))


def _picture(grey: bytes) -> Picture:
    return Picture(np.asarray(cv2.imdecode(np.frombuffer(grey, np.uint8), cv2.IMREAD_GRAYSCALE)))


def find_copies(photos: Sequence[Photo], console: Console | None = None) -> Copies:
    """Find the photos that show the same picture.

    A file that cannot be used is in no cluster, unless another file has the same bytes.

    Args:
        photos: From `measure_photos`.
        console: Where progress is shown; None shows nothing.
    """
    first: dict[str, int] = {}
    linked = DisjointSet(index for index, photo in enumerate(photos) if photo.sha256)
    for index in linked:
        linked.merge(first.setdefault(photos[index].sha256, index), index)
    overlays: dict[frozenset[Path], Overlay] = {}
    # Copies of the same bytes would be each other's neighbours and hide all others.
    different = [index for index in first.values() if photos[index].usable]
    if len(different) > 1:
        for one, other, found in _linked_pairs([photos[index] for index in different], console):
            linked.merge(different[one], different[other])
            overlays[frozenset({photos[different[one]].path, photos[different[other]].path})] = found
    clusters = [[photos[index] for index in sorted(cluster)] for cluster in linked.subsets() if len(cluster) > 1]
    return Copies(clusters, overlays)


def _linked_pairs(photos: Sequence[Photo], console: Console | None) -> Iterator[tuple[int, int, Overlay]]:
    """Yield the indices of pairs that lie over each other, the most alike first."""
    measured = [photo.measurements for photo in photos if photo.measurements is not None]
    hashes, mirrored = (
        np.array([getattr(photo, name) for photo in measured], np.uint64) for name in ("dhash", "mirrored")
    )
    pairs = candidate_pairs(hashes, mirrored, np.stack([np.asarray(photo.short) for photo in measured]))
    linked = DisjointSet(range(len(photos)))
    ready = lru_cache(_READY)(_picture)

    def compared(pair: tuple[int, int]) -> Overlay | None:
        one, other = pair
        alike = min(hamming(hashes[one], hashes[other]), hamming(hashes[one], mirrored[other])) <= _BITS
        return overlay(ready(measured[one].grey), ready(measured[other].grey), bool(alike))

    with (
        progress(console) as bar,
        ThreadPoolExecutor(cpu_count()) as pool,
    ):
        task = bar.add_task("comparing photos", total=len(pairs))
        for start in range(0, len(pairs), _AT_ONCE):
            # Photos that are linked already are not compared: a cluster of n costs about n comparisons, not n².
            part = [pair for pair in pairs[start : start + _AT_ONCE] if not linked.connected(*pair)]
            for (one, other), found in zip(part, pool.map(compared, part), strict=True):
                if found is not None:
                    linked.merge(one, other)
                    yield one, other, found
            bar.update(task, completed=min(start + _AT_ONCE, len(pairs)))
