"""Group-wise stratified assignment of photos to train, val and test."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from bball_pl.audit.measure import Seen
from bball_pl.photos.tree import SPLITS, Album

#: Orders that the groups are dealt out in; the most even result is taken.
_DEALS = 16
#: So much an order may differ from that by size: large groups first, or in the end none of them fits any more.
_JITTER = 0.3


def deal(sizes: np.ndarray, have: np.ndarray, shares: np.ndarray, seed: int) -> np.ndarray:
    """Return which split each group goes to.

    Each goes where its classes are missed most, the largest first; of several orders the most even result is taken. A
    class that a split would lack is moved there if some other split can spare a group of it.

    Args:
        sizes: photos of each group by class, `[groups, classes]`; a group has at least one photo.
        have: photos that the splits have already by class, `[splits, classes]`.
        shares: wanted of each class, `[splits]`, above 0; they add up to 1.
        seed: of the orders.

    Returns:
        int `[groups]`, 0 … splits - 1. Of equally good splits the first is taken: a class with a single group can be
        learned, but not only measured.
    """
    dealt = np.zeros(len(sizes), int)
    if not len(sizes):
        return dealt
    targets = shares[:, None] * (have.sum(0) + sizes.sum(0))
    generator = np.random.default_rng(seed)
    least = np.inf
    for _ in range(_DEALS):
        order = np.argsort(-sizes.sum(1) * (1 + _JITTER * generator.uniform(-1, 1, len(sizes))), kind="stable")
        tried = _in_order(order, sizes, have, targets)
        _fill_empty(tried, sizes, have)
        reached = have + np.array([sizes[tried == split].sum(0) for split in range(len(have))])
        # A class that is missing somewhere is worse than any unevenness.
        uneven = float((((reached - targets) ** 2) / np.maximum(targets, 1)).sum())
        uneven += float(sizes.sum() ** 2 + 1) * np.count_nonzero(reached == 0)
        if uneven < least:
            least, dealt = uneven, tried
    return dealt


def _in_order(order: np.ndarray, sizes: np.ndarray, have: np.ndarray, targets: np.ndarray) -> np.ndarray:
    reached, dealt = have.copy(), np.zeros(len(sizes), int)
    for group in order:
        missing = (targets - reached) / np.maximum(targets, 1)
        split = int(np.argmax(missing @ sizes[group]))
        dealt[group] = split
        reached[split] += sizes[group]
    return dealt


def _fill_empty(dealt: np.ndarray, sizes: np.ndarray, have: np.ndarray) -> None:
    """Move the smallest group that will do to each split that lacks a class, from where the class is twice."""
    for name in range(sizes.shape[1]):
        for split in range(len(have)):
            if have[split, name] or sizes[dealt == split, name].any():
                continue
            spare = [
                group
                for group in np.flatnonzero(sizes[:, name])
                if have[dealt[group], name] or np.count_nonzero(sizes[dealt == dealt[group], name]) > 1
            ]
            if spare:
                dealt[min(spare, key=lambda group: float(sizes[group].sum()))] = split


@dataclass(frozen=True)
class Settled:
    """A photo whose split was decided before.

    Attributes:
        path: below the dataset's folder, with forward slashes: `train/shoot/x.jpg`.
        sha256: of its bytes.
        group: its column of photos.csv.
    """

    path: str
    sha256: str
    group: str = ""

    @property
    def split(self) -> str:
        """Its folder: train, val or test."""
        return self.path.split("/", 1)[0]

    @property
    def class_name(self) -> str:
        """Its class folder."""
        return self.path.split("/")[1]


@dataclass
class Plan:
    """What a split will be.

    Attributes:
        places: by row of the album, the path below the dataset's folder; photos that are there already are not in it.
        groups: by SHA-256, what goes into the column `group`, for new photos and for those that are there.
        left_out: relative name and reason.
        counts: photos of each split by class, with those that are there.
        units: number of groups of each split, photos without one counted singly.
        notes: what was wanted and cannot be had.
    """

    places: dict[int, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    units: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def plan_split(
    album: Album,
    seen: Seen,
    clusters: Sequence[Sequence[int]],
    settled: Sequence[Settled],
    shares: Mapping[str, float],
    seed: int,
    taken: Collection[str] = (),
    banned: frozenset[str] = frozenset(),
) -> Plan:
    """Decide where the photos of an album go.

    Photos of one group, and copies of one picture, go to the same split. A photo that has a split keeps it, and draws
    the others of its unit there. The result depends on the photos, their groups and the seed, not on their order.

    Args:
        album: photos that are sorted into classes; the others are left out.
        seen: what is known of them, in their order.
        clusters: rows of photos that show the same picture. Rows from `len(album.photos)` on are those of `settled`.
        settled: photos that are in the dataset.
        shares: of the photos, by split; they add up to 1.
        seed: of the drawing.
        taken: paths in the dataset that files have already.
        banned: SHA-256 of photos that a person has taken out of the dataset.
    """
    plan = Plan(counts={split: Counter() for split in SPLITS})
    for own in settled:
        plan.counts[own.split][own.class_name] += 1
    rows = _usable_rows(album, seen, settled, banned, plan)
    units = _units(rows, album, seen, clusters, settled)
    fresh: list[list[int]] = []
    for unit in units:
        there = [settled[row - len(album.photos)] for row in unit if row >= len(album.photos)]
        new = [row for row in unit if row in rows]
        splits = sorted({own.split for own in there}, key=SPLITS.index)
        _name(unit, there, album, seen, plan)
        if album.has_splits:
            # A dataset already: what its maker decided stays.
            for row in new:
                if set(splits) <= {album.photos[row].split}:
                    _take(album.photos[row].split, [row], album, plan)
                else:
                    reason = f"belongs to photos that are in {' and in '.join(splits)} already"
                    plan.left_out.append((album.photos[row].relative, reason))
            new = [row for row in new if row in plan.places]
            splits = sorted({*splits, *(album.photos[row].split for row in new)}, key=SPLITS.index)
        elif len(splits) == 1:
            _take(splits[0], new, album, plan)
        elif splits:
            reason = f"belongs to photos that are in {' and in '.join(splits)} already"
            plan.left_out += [(album.photos[row].relative, reason) for row in new]
        else:
            fresh.append(new)
        plan.units.update(splits)
    decided = _deal(fresh, album, plan.counts, shares, seed, seen)
    for unit, split in zip(fresh, decided, strict=True):
        _take(split, unit, album, plan)
        plan.units[split] += 1
    _name_files(album, {*taken, *(own.path for own in settled)}, plan)
    plan.left_out.sort()
    if album.has_splits:
        plan.notes.append("the album has splits already, and they were kept.")
    else:
        by_class = {own: _units_of_class(own, units, album, settled) for own in album.class_names}
        plan.notes += _unmet(plan, shares, by_class)
    return plan


def _usable_rows(album: Album, seen: Seen, settled: Sequence[Settled], banned: frozenset[str], plan: Plan) -> set[int]:
    """Return the rows of new photos that can be used, and note why the others cannot."""
    there = {own.sha256: own for own in settled}
    labels: dict[str, set[str]] = defaultdict(set)
    for photo, sha256 in zip(album.photos, seen.sha256s, strict=True):
        labels[sha256].add(photo.class_name)
    first: set[str] = set()
    rows: set[int] = set()
    for row, photo in enumerate(album.photos):
        sha256 = seen.sha256s[row]
        if seen.facts[row].problem:
            why = seen.facts[row].problem
        elif sha256 in there:
            if photo.class_name and photo.class_name != there[sha256].class_name:
                plan.left_out.append((photo.relative, f"is in the dataset as {there[sha256].path}"))
            continue
        elif not photo.class_name:
            why = "not sorted into a class"
        elif sha256 in banned:
            why = "was taken out of the dataset into quarantine"
        elif len(labels[sha256] - {""}) > 1:
            why = f"the same photo lies under {' and '.join(sorted(labels[sha256] - {''}))}"
        elif sha256 in first:
            why = "a copy, byte for byte, of another photo"
        else:
            first.add(sha256)
            rows.add(row)
            continue
        plan.left_out.append((photo.relative, why))
    return rows


def _units(
    rows: set[int], album: Album, seen: Seen, clusters: Sequence[Sequence[int]], settled: Sequence[Settled]
) -> list[list[int]]:
    """Return what must stay together, as sorted rows: new ones and, from `len(album.photos)` on, settled ones."""
    count = len(album.photos)
    used = [*sorted(rows), *range(count, count + len(settled))]
    contents = {own.sha256 for own in settled}
    ties: list[tuple[Hashable, Hashable]] = [(cluster[0], row) for cluster in clusters for row in cluster[1:]]
    for row, own in enumerate(settled, start=count):
        ties += [(("content", own.sha256), row)] + ([(("group", own.group), row)] if own.group else [])
    for row, photo in enumerate(album.photos):
        # A photo that is not used any more still says which game a settled one is of.
        ties += [(("group", photo.group), row)] if photo.group else []
        ties += [(("content", seen.sha256s[row]), row)] if seen.sha256s[row] in contents else []
    linked = DisjointSet([*used, *(end for tie in ties for end in tie)])
    for one, other in ties:
        linked.merge(one, other)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for row in used:
        members[linked[row]].append(row)
    return list(members.values())


def _name(unit: Sequence[int], there: Sequence[Settled], album: Album, seen: Seen, plan: Plan) -> None:
    """Give a unit one name: the column `group` is what later stages keep together."""
    if len({own.split for own in there}) > 1:
        return  # a leak that was there: one name would hide which games they are of
    new = [row for row in unit if row < len(album.photos)]
    sha256s = [*(own.sha256 for own in there), *(seen.sha256s[row] for row in new)]
    names = sorted({own.group for own in there} - {""}) or sorted({album.photos[row].group for row in new} - {""})
    if not names and len(unit) > 1:
        names = [f"copies-{min(sha256s)[:12]}"]
    if names:
        plan.groups.update(dict.fromkeys(sha256s, names[0]))


def _take(split: str, rows: Sequence[int], album: Album, plan: Plan) -> None:
    for row in rows:
        plan.places[row] = split  # the whole path follows when all splits are known
        plan.counts[split][album.photos[row].class_name] += 1


def _deal(
    units: Sequence[Sequence[int]],
    album: Album,
    counts: Mapping[str, Counter[str]],
    shares: Mapping[str, float],
    seed: int,
    seen: Seen,
) -> list[str]:
    """Return the split of each unit."""
    splits = [split for split in SPLITS if shares.get(split, 0) > 0]
    names = list(dict.fromkeys([*album.class_names, *(name for own in counts.values() for name in own)]))
    sizes = np.zeros((len(units), len(names)))
    for place, unit in enumerate(units):
        for row in unit:
            sizes[place, names.index(album.photos[row].class_name)] += 1
    have = np.zeros((len(splits), len(names)))
    for place, split in enumerate(splits):
        have[place] = [counts[split][name] for name in names]
    # By content, so that neither names nor their order matter.
    keys = [f"{seed} {min(seen.sha256s[row] for row in unit)}" for unit in units]
    order = sorted(range(len(units)), key=lambda place: hashlib.sha256(keys[place].encode()).digest())
    dealt = deal(sizes[order], have, np.array([shares[split] for split in splits]), seed)
    by_place = dict(zip(order, dealt.tolist(), strict=True))
    return [splits[by_place[place]] for place in range(len(units))]


def _name_files(album: Album, names: Collection[str], plan: Plan) -> None:
    taken = {name.lower() for name in names}
    last: dict[str, int] = {}
    for row in sorted(plan.places):
        photo, split = album.photos[row], plan.places[row]
        stem = "".join(char if char.isprintable() and char not in '\\:*?"<>|' else "_" for char in photo.path.stem)
        plain = name = f"{split}/{photo.class_name}/{stem}{photo.path.suffix}"
        # Some file systems take X.jpg and x.jpg for one file.
        number = last.get(plain.lower(), 1)
        while name.lower() in taken:
            number += 1
            name = f"{split}/{photo.class_name}/{stem}-{number}{photo.path.suffix}"
        last[plain.lower()] = number
        taken.add(name.lower())
        plan.places[row] = name


def _units_of_class(name: str, units: Sequence[Sequence[int]], album: Album, settled: Sequence[Settled]) -> int:
    count = len(album.photos)
    classes = [
        {album.photos[row].class_name if row < count else settled[row - count].class_name for row in unit}
        for unit in units
    ]
    return sum(name in own for own in classes)


def _unmet(plan: Plan, shares: Mapping[str, float], units: Mapping[str, int]) -> list[str]:
    notes = []
    for name, groups in units.items():
        whole = sum(plan.counts[split][name] for split in SPLITS)
        for split, share in shares.items():
            count = plan.counts[split][name]
            if share <= 0 or not whole:
                continue
            few = f"its {whole} photos are of {groups} group{'' if groups == 1 else 's'} that cannot be divided"
            if not count:
                remedy = f"Add photos of {name} from elsewhere, or leave it out with --class_names"
                notes.append(f"{split} has no photo of {name}, and scripts/fit.py will refuse that: {few}. {remedy}.")
            elif abs(count / whole - share) > max(0.05, 2 / whole):
                notes.append(f"{split} has {count / whole:.0%} of {name}, wanted {share:.0%}: {few}.")
    return notes
