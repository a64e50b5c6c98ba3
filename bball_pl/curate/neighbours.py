"""Which pairs of photos may show the same picture: few enough to compare, and hardly one missed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bball_pl.dhash import hamming

#: Most neighbours of a photo that are compared with it, by either measure. Copies of one picture are linked by chains:
#: not all pairs of a large cluster have to be compared.
_NEIGHBOURS = 8
#: Bits in which the hashes of copies may differ. Re-encoded copies differ in 0–3, brightened ones in up to 7.
_BITS = 8
#: Cosine of whitened features from which a pair is compared. Measured on the demo court: mirrored, cropped, shrunk,
#: brightened copies have 0.21 and more; half of all scenes have a neighbour above 0.25.
_LEAST_COSINE = 0.15
#: Albums of so few photos are compared pair by pair, in a few seconds: what is common to them cannot be told from what
#: is theirs alone.
_FEW = 100
#: Directions of the features that are kept, and rows at once, so that memory grows with the photos and not with pairs.
_DIRECTIONS = 256
_ROWS = 512
#: Photos that the directions are computed from.
_SAMPLE = 20_000


def candidate_pairs(hashes: np.ndarray, mirrored: np.ndarray, features: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of photos that may be near-duplicates, the most alike first.

    Args:
        hashes: difference hashes, uint64 `[N]`.
        mirrored: those of the mirror images, uint64 `[N]`.
        features: of a frozen network, float `[N, F]`.

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
        own = np.arange(len(cosines))
        cosines[own, start + own] = -1
        nearest = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
        for row, others in zip(own, nearest, strict=True):
            for other in others:
                if start + row != other and cosines[row, other] >= least:
                    yield start + int(row), int(other), float(cosines[row, other])


def _whitened(features: np.ndarray) -> np.ndarray:
    """Return unit vectors float32 `[N, D]` in which no direction is common to many photos.

    Photos of one hall share most of what a network sees. Dividing each direction by its deviation leaves what is
    theirs alone; the weak directions of a small album are noise and are held back. Square roots first: a few features
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
    covariance = sample.T @ sample / len(sample)
    strengths, directions = np.linalg.eigh(covariance)
    strengths, directions = strengths[-_DIRECTIONS:], directions[:, -_DIRECTIONS:]
    floor = max(float(strengths.mean()) / 10, 1e-6)
    values = (values - mean) @ (directions / np.sqrt(np.maximum(strengths, 0) + floor))
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-6), np.float32)
