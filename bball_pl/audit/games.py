"""Proposed games: photos that name none and have the same colours of hall and jerseys, for a person to confirm."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from scipy.cluster.hierarchy import fcluster, linkage

from bball_pl.errors import PhotoError
from bball_pl.files import signature
from bball_pl.photos.decode import decode, read_photo
from bball_pl.photos.store import PhotoStore, in_batches
from bball_pl.photos.tree import Photo

#: Name of the colours in the store.
_NETWORK = "colours"
#: Size that photos are shrunk to, bins of each of the two axes of colour, and the range of the axes in 8-bit CIELAB.
_SIZE = (96, 64)
_BINS = 24
_RANGE = (64, 192)
#: Largest mean distance of colours within a proposal. Measured on 1,000 rendered photos of 34 games: 483 are in 119
#: proposals, 0.99 of the pairs in them are of one game; of 172 real photos from many places 31 are in 9 proposals. The
#: features that find copies put the wrong ones together: the most alike photo is of the same game for 0.37 of the
#: photos, by colours for 0.98.
_APART = 0.1
#: Photos that were taken this much apart are not of one game.
_HOURS = 6
#: Fewest photos of a proposal, and most photos that are compared with each other: 3,000 take 40 MB.
_FEWEST = 3
_MOST = 3_000
_BATCH = 32


@dataclass(frozen=True)
class Proposal:
    """Photos that may be of one game.

    Attributes:
        name: Name of the group that they would get; it depends on their bytes alone.
        photos: Three or more.
    """

    name: str
    photos: Sequence[Photo]


def colours(pixels: np.ndarray) -> np.ndarray:
    """Return the square roots of the shares of colours in a photo, without their lightness.

    Args:
        pixels: RGB uint8 `[H, W, 3]`, 0–255.

    Returns:
        float16 `[576]`; the scalar product of two is 1 for the same colours and 0 for none in common (Bhattacharyya).
    """
    small = cv2.resize(pixels, _SIZE, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    counts, _, _ = np.histogram2d(lab[..., 1].ravel(), lab[..., 2].ravel(), _BINS, [_RANGE, _RANGE])
    return np.asarray(np.sqrt(counts.ravel() / max(counts.sum(), 1)), np.float16)


def with_checksums(photos: Sequence[Photo], store: PhotoStore, console: Console | None = None) -> list[Photo]:
    """Return photos with the checksums of their bytes, reading only those that the store does not know.

    Args:
        photos: In any order; one that cannot be read stays without a checksum.
        store: Updated batch by batch.
        console: Shows progress; None shows nothing.
    """
    signatures = {photo.path: signature(photo.path) for photo in photos}
    sha256s = store.sha256s(signatures)

    def read(path: Path) -> tuple[Path, str]:
        try:
            return path, hashlib.sha256(read_photo(path)).hexdigest()
        except PhotoError:
            return path, ""

    todo = [path for path in signatures if path not in sha256s]
    for batch in in_batches(read, todo, _BATCH, "reading photos", console):
        store.keep(files={path: (signatures[path], sha256) for path, sha256 in batch})
        sha256s |= dict(batch)
    return [replace(photo, sha256=sha256s[photo.path]) for photo in photos]


def propose_games(
    photos: Sequence[Photo], store: PhotoStore, refused: Collection[str] = (), console: Console | None = None
) -> list[Proposal]:
    """Propose which photos are of one game, the largest proposals first.

    Args:
        photos: With checksums. Those that can be decoded and name no game are looked at, of more than 3,000 the first.
        store: Colours are kept there.
        refused: Names of proposals that a person has refused.
        console: Shows progress; None shows nothing.
    """
    alone = {photo.sha256: photo for photo in photos if photo.sha256 and not photo.group}
    values = _colours_of(list(alone.values())[:_MOST], store, console)
    members = [alone[sha256] for sha256 in values]
    if len(members) < _FEWEST:
        return []
    stacked = np.stack(list(values.values())).astype(np.float32)
    distances = 1 - np.clip(stacked @ stacked.T, 0, 1)
    hours = np.array([_hours(photo) for photo in members])
    # Not a number where a time is not known, which is never above.
    distances[np.abs(hours[:, None] - hours) > _HOURS] = 1
    clusters = fcluster(linkage(distances[np.triu_indices(len(members), 1)], "average"), _APART, "distance")
    found = []
    for number in np.unique(clusters):
        together = [members[index] for index in np.flatnonzero(clusters == number)]
        name = _name(together)
        if len(together) >= _FEWEST and name not in refused:
            found.append(Proposal(name, together))
    return sorted(found, key=lambda proposal: (-len(proposal.photos), proposal.name))


def _colours_of(photos: Sequence[Photo], store: PhotoStore, console: Console | None) -> dict[str, np.ndarray]:
    """Return the colours by SHA-256, in the order of the photos, of those that can be decoded."""
    known = store.features(_NETWORK, [photo.sha256 for photo in photos])

    def read(photo: Photo) -> tuple[str, np.ndarray | None]:
        try:
            return photo.sha256, colours(decode(photo.path))
        except PhotoError:
            return photo.sha256, None

    todo = [photo for photo in photos if photo.sha256 not in known]
    for batch in in_batches(read, todo, _BATCH, "measuring colours", console):
        measured = {sha256: values for sha256, values in batch if values is not None}
        store.keep(features={_NETWORK: measured})
        known |= measured
    return {photo.sha256: known[photo.sha256] for photo in photos if photo.sha256 in known}


def _name(photos: Sequence[Photo]) -> str:
    return f"game-{hashlib.sha256(' '.join(sorted(photo.sha256 for photo in photos)).encode()).hexdigest()[:12]}"


def _hours(photo: Photo) -> float:
    """Return when a photo was taken by its row, in hours; not a number where that is not known."""
    try:
        # Without its zone: the clock of the hall is what counts.
        taken = datetime.fromisoformat(photo.row.get("time", "")).replace(tzinfo=None)
    except ValueError:
        return float("nan")
    return (taken - datetime(1970, 1, 1)).total_seconds() / 3600
