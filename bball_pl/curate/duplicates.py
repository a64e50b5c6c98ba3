"""Clusters of photos that show the same picture, byte for byte or re-cropped, re-encoded, mirrored or brightened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import cv2
import numpy as np
from joblib import cpu_count

from bball_pl.curate.alignment import Overlay, Picture, overlay
from bball_pl.curate.facts import Facts
from bball_pl.curate.neighbours import candidate_pairs
from bball_pl.linked import Linked

#: Pictures that are ready to be compared and kept in memory: 80 kB each.
_READY = 2000
#: Pairs that are compared between two looks at what hangs together by now.
_AT_ONCE = 64


def find_clusters(
    sha256s: Sequence[str],
    facts: Sequence[Facts],
    advance: Callable[[int, int], None] | None = None,
    overlays: dict[tuple[int, int], Overlay] | None = None,
) -> list[list[int]]:
    """Find the photos that show the same picture.

    Args:
        sha256s: of the photos' bytes; empty where a file could not be read.
        facts: of the photos, in the same order.
        advance: is called with the number of pairs that are done and of all.
        overlays: gets how the pairs of rows that were linked lie over each other, the smaller row first.

    Returns:
        Clusters of two or more rows, in their order. A file that cannot be used is in none, unless its bytes are there
        twice.
    """
    first: dict[str, int] = {}
    linked = Linked()
    for row, sha256 in enumerate(sha256s):
        if sha256:
            linked.link(first.setdefault(sha256, row), row)
    # Copies of the same bytes would be each other's neighbours and hide all others.
    rows = [row for row in first.values() if not facts[row].problem]
    if len(rows) > 1:
        _link_near(rows, facts, linked, advance, {} if overlays is None else overlays)
    return clusters_of(linked, (row for row, sha256 in enumerate(sha256s) if sha256))


def clusters_of(linked: Linked, rows: Iterable[int]) -> list[list[int]]:
    """Return the clusters of two or more of `rows`, in the order of their first rows."""
    members: dict[Hashable, list[int]] = defaultdict(list)
    for row in rows:
        members[linked.root(row)].append(row)
    return [sorted(cluster) for cluster in members.values() if len(cluster) > 1]


def _link_near(
    rows: Sequence[int],
    facts: Sequence[Facts],
    linked: Linked,
    advance: Callable[[int, int], None] | None,
    overlays: dict[tuple[int, int], Overlay],
) -> None:
    own = [facts[row] for row in rows]
    hashes, mirrored = (np.array([getattr(photo, name) for photo in own], np.uint64) for name in ("dhash", "mirrored"))
    pairs = candidate_pairs(hashes, mirrored, np.stack([np.asarray(photo.short) for photo in own]))
    ready = lru_cache(_READY)(_picture)

    def laid(pair: tuple[int, int]) -> Overlay | None:
        return overlay(*(ready(own[place].grey) for place in pair))

    with ThreadPoolExecutor(cpu_count()) as pool:
        for start in range(0, len(pairs), _AT_ONCE):
            part = pairs[start : start + _AT_ONCE]
            # What hangs together already need not be compared: a cluster of n costs about n comparisons, not n².
            part = [pair for pair in part if linked.root(rows[pair[0]]) != linked.root(rows[pair[1]])]
            for (one, other), found in zip(part, pool.map(laid, part), strict=True):
                if found is not None:
                    linked.link(rows[one], rows[other])
                    overlays[min(rows[one], rows[other]), max(rows[one], rows[other])] = found
            if advance is not None:
                advance(min(start + _AT_ONCE, len(pairs)), len(pairs))


def _picture(grey: bytes) -> Picture:
    return Picture(np.asarray(cv2.imdecode(np.frombuffer(grey, np.uint8), cv2.IMREAD_GRAYSCALE)))
