"""Copies: candidate pairs by hash and features, laid over each other, and joined to clusters of one picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from joblib import cpu_count
from rich.console import Console
from rich.progress import Progress
from scipy.cluster.hierarchy import DisjointSet

from bball_pl.photos.measurements import hamming
from bball_pl.photos.tree import Photo

#: Long side of the first, rough comparison, in pixels.
_ROUGH_SIDE = 48
#: Margin around the middle part of a picture that is searched in the other one: a crop of either still shows it.
_MARGIN = 0.2
#: Scales of the search, as powers of e: crops to 70 % of either side, in steps of 6 %.
_SCALES = np.exp(0.06 * np.arange(-6, 7))
#: Correlation from which a rough match is looked at closely. Measured on the demo court: copies 0.89 and more, 99 % of
#: the most alike photos of one game 0.86 and less, half of them 0.6.
_ROUGH = 0.8
#: Side of the compared squares, in pixels of the fine picture, and the deviation below which a square is noise.
_SQUARE = 16
_CONTRAST = 4.0
#: Fewest squares for a verdict.
_FEWEST_SQUARES = 6
#: Least correlation of the worst tenth of the squares. Copies have 0.89 and more, other photos
#: of the same game 0.3 and less: their background may agree, but never the players.
_AGREEMENT = 0.6
#: No mask. Typed Any: the stubs of some OpenCV releases demand one.
_EVERYWHERE: Any = None
#: Share of the smaller picture that must lie within the other.
_INSIDE = 0.6


class _Match(NamedTuple):
    """A rough match: mirrored or not, and the map from pixels of one to pixels of the other, both `_ROUGH_SIDE`."""

    correlation: float
    mirrored: bool
    warp: np.ndarray


@dataclass(frozen=True)
class Overlay:
    """Alignment of two copies of one picture.

    Attributes:
        agreement: Correlation of the worst tenth of their squares, up to 1.
        overlap: Share of the larger picture that both show, 0–1.
        mirrored: Whether one is the mirror image of the other.
    """

    agreement: float
    overlap: float
    mirrored: bool


class Picture:
    """A picture at the two sizes of the comparison.

    Args:
        grey: uint8 `[h, w]`, 0–255.
    """

    def __init__(self, grey: np.ndarray) -> None:
        self.fine = grey.astype(np.float32)
        height, width = grey.shape
        scale = min(1.0, _ROUGH_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        self.rough = np.asarray(cv2.resize(self.fine, size, interpolation=cv2.INTER_AREA))


def overlay(one: Picture, other: Picture) -> Overlay | None:
    """Align two pictures; None unless they show the same throughout.

    A rough search by normalised correlation over position, scale and mirror image gives a start, which is refined to
    an affine map (Evangelidis and Psarakis, Parametric image alignment using enhanced correlation coefficient
    maximization, PAMI 30, 2008). The correlation of small squares then decides: brightness and contrast do not
    matter, a player who stands elsewhere does.
    """
    match = max(_rough_matches(one, other), key=lambda match: match.correlation, default=None)
    if match is None or match.correlation < _ROUGH:
        return None
    moving = np.ascontiguousarray(other.fine[:, ::-1]) if match.mirrored else other.fine
    warp = _to_fine(match.warp, one, other)
    try:
        # 3: smoothed by a Gaussian of 3 pixels, so that the start need not be exact.
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
        _, warp = cv2.findTransformECC(one.fine, moving, warp, cv2.MOTION_AFFINE, criteria, _EVERYWHERE, 3)
    except cv2.error:
        return None  # no convergence: the start was no match
    return _compared(one.fine, moving, warp, match.mirrored)


def _rough_matches(one: Picture, other: Picture) -> Iterator[_Match]:
    field = one.rough
    for mirrored in (False, True):
        moving = np.ascontiguousarray(other.rough[:, ::-1]) if mirrored else other.rough
        height, width = moving.shape
        top, left = int(_MARGIN * height), int(_MARGIN * width)
        middle = moving[top : height - top, left : width - left]
        for scale in _SCALES:
            size = round(middle.shape[1] * scale), round(middle.shape[0] * scale)
            if not (8 <= size[0] <= field.shape[1] and 8 <= size[1] <= field.shape[0]):
                continue
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            surface = cv2.matchTemplate(field, cv2.resize(middle, size, interpolation=way), cv2.TM_CCOEFF_NORMED)
            _, correlation, _, (x, y) = cv2.minMaxLoc(surface)
            across, down = middle.shape[1] / size[0], middle.shape[0] / size[1]
            warp = np.array([[across, 0, left - x * across], [0, down, top - y * down]], np.float32)
            yield _Match(correlation, mirrored, warp)


def _to_fine(warp: np.ndarray, one: Picture, other: Picture) -> np.ndarray:
    """Return a map between rough pictures as one between fine ones, float32 `[2, 3]`."""
    from_one = one.rough.shape[1] / one.fine.shape[1], one.rough.shape[0] / one.fine.shape[0]
    to_other = other.fine.shape[1] / other.rough.shape[1], other.fine.shape[0] / other.rough.shape[0]
    fine = warp * np.array(to_other, np.float32)[:, None]
    fine[:, :2] *= from_one
    return np.ascontiguousarray(fine, np.float32)


def _compared(one: np.ndarray, moving: np.ndarray, warp: np.ndarray, mirrored: bool) -> Overlay | None:
    height, width = one.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(moving, warp, (width, height), flags=flags)
    inside = cv2.warpAffine(np.ones_like(moving), warp, (width, height), flags=flags) > 0.999
    stretch = abs(float(np.linalg.det(warp[:, :2].astype(np.float64))))
    if stretch < 1e-3:
        return None
    areas = one.size, moving.size / stretch  # both in pixels of `one`
    shared = float(inside.sum())
    if shared / min(areas) < _INSIDE:
        return None
    agreement = _agreement(cv2.GaussianBlur(one, (0, 0), 1), cv2.GaussianBlur(laid, (0, 0), 1), inside)
    if agreement is None or agreement < _AGREEMENT:
        return None
    return Overlay(agreement, min(1.0, shared / max(areas)), mirrored)


def _agreement(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> float | None:
    """Return the correlation that nine tenths of the squares exceed; None if too few of them show anything."""
    correlations = []
    for top in range(0, one.shape[0] - _SQUARE + 1, _SQUARE // 2):
        for left in range(0, one.shape[1] - _SQUARE + 1, _SQUARE // 2):
            square = slice(top, top + _SQUARE), slice(left, left + _SQUARE)
            if not inside[square].all():
                continue
            first, second = one[square] - one[square].mean(), other[square] - other[square].mean()
            varies = float(np.sqrt(np.mean(first**2))), float(np.sqrt(np.mean(second**2)))
            # Smooth in one and structured in the other is a difference; smooth in both says nothing.
            if max(varies) >= 2 * _CONTRAST or min(varies) >= _CONTRAST:
                correlations.append(float(np.mean(first * second)) / max(varies[0] * varies[1], 1e-6))
    if len(correlations) < _FEWEST_SQUARES:
        return None
    return float(np.quantile(correlations, 0.1))


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
    covariance = sample.T @ sample / len(sample)
    strengths, directions = np.linalg.eigh(covariance)
    strengths, directions = strengths[-_DIRECTIONS:], directions[:, -_DIRECTIONS:]
    floor = max(float(strengths.mean()) / 10, 1e-6)
    values = (values - mean) @ (directions / np.sqrt(np.maximum(strengths, 0) + floor))
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-6), np.float32)


#: Decoded pictures kept in memory: 80 kB each.
_READY = 2000
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
        return overlay(*(ready(measured[index].grey) for index in pair))

    with (
        Progress(console=console, disable=console is None or not console.is_terminal, transient=True) as progress,
        ThreadPoolExecutor(cpu_count()) as pool,
    ):
        task = progress.add_task("comparing photos", total=len(pairs))
        for start in range(0, len(pairs), _AT_ONCE):
            # Photos that are linked already are not compared: a cluster of n costs about n comparisons, not n².
            part = [pair for pair in pairs[start : start + _AT_ONCE] if not linked.connected(*pair)]
            for (one, other), found in zip(part, pool.map(compared, part), strict=True):
                if found is not None:
                    linked.merge(one, other)
                    yield one, other, found
            progress.update(task, completed=min(start + _AT_ONCE, len(pairs)))


def _picture(grey: bytes) -> Picture:
    return Picture(np.asarray(cv2.imdecode(np.frombuffer(grey, np.uint8), cv2.IMREAD_GRAYSCALE)))
