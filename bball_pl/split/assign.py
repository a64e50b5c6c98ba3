"""Group-wise stratified assignment of photos to train, val and test."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from bball_pl.photos.tree import SPLITS, Photo, PhotoTree

#: Number of orders in which the groups are assigned; the most even result is taken.
_DEALS = 16
#: Most test photos of a class that say nothing of it: the interval is wider than half of all.
_NO_MEASURE = 3
#: Jitter of an order against that by size: large groups come first, or none of them fits in the end.
_JITTER = 0.3


def deal(sizes: np.ndarray, have: np.ndarray, shares: np.ndarray, seed: int) -> np.ndarray:
    """Return the split of each group.

    Each goes where its classes are missed most, the largest first; of several orders the most even result is taken. A
    class that a split would lack gets a group from a split that can spare one.

    Args:
        sizes: Photos of each group by class, `[groups, classes]`; a group has at least one photo.
        have: Photos that the splits have already by class, `[splits, classes]`.
        shares: Wanted share of each class, `[splits]`, above 0; they add up to 1.
        seed: Random seed of the orders.

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
    """Move the smallest possible group to each split that lacks a class, from a split with two groups of it."""
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


@dataclass
class Unit:
    """Photos that stay together: a group, copies of one picture, or a single photo.

    Attributes:
        new: Photos that are not in the dataset yet.
        settled: Photos that are.
    """

    new: list[Photo] = field(default_factory=list)
    settled: list[Photo] = field(default_factory=list)

    @property
    def class_names(self) -> set[str]:
        """The classes of its photos."""
        return {photo.class_name for photo in (*self.new, *self.settled)}

    @property
    def for_training(self) -> bool:
        """Whether one of its photos is for training only: then all of them are, or a copy would be measured on."""
        return any(photo.for_training for photo in (*self.new, *self.settled))

    @property
    def splits(self) -> list[str]:
        """The splits of the settled photos."""
        return sorted({photo.split for photo in self.settled}, key=SPLITS.index)


@dataclass
class Plan:
    """Assignment of photos to splits.

    Attributes:
        names: Name below the dataset's folder of each photo that comes into it.
        groups: Column `group` of photos.csv by SHA-256, for new and for settled photos.
        left_out: Relative name and reason of each photo that is left out.
        counts: Photos of each split by class, settled ones included.
        units: Number of units of each split.
        notes: Constraints that could not be met.
    """

    names: dict[Photo, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    units: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def take(self, split: str, photos: Iterable[Photo]) -> None:
        """Assign new photos to a split; their names follow when all splits are known."""
        for photo in photos:
            self.names[photo] = split
            self.counts[split][photo.class_name] += 1

    def leave_out(self, photos: Iterable[Photo], why: str) -> None:
        """Leave photos out for a reason."""
        self.left_out += [(photo.relative, why) for photo in photos]


def plan_split(
    tree: PhotoTree,
    settled: Sequence[Photo],
    clusters: Sequence[Sequence[Photo]],
    shares: Mapping[str, float],
    seed: int,
    taken: Collection[str] = (),
    banned: frozenset[str] = frozenset(),
) -> Plan:
    """Assign the photos of a tree to the splits of a dataset.

    Photos of one group, and copies of one picture, go to the same split. A photo that has a split keeps it, and the
    rest of its unit joins it. A photo for training only goes to train, and the rest of its unit joins it. The result
    depends on the photos, their groups and the seed, not on their order.

    Args:
        tree: Measured photos; those without a class are left out.
        settled: Photos that are in the dataset.
        clusters: Photos, new or settled, that show the same picture.
        shares: Share of the photos by split; they add up to 1.
        seed: Random seed of the assignment.
        taken: Names in the dataset that files have already.
        banned: SHA-256 of photos that a person has taken out of the dataset.
    """
    plan = Plan(counts={split: Counter() for split in SPLITS})
    for photo in settled:
        plan.counts[photo.split][photo.class_name] += 1
    units = _units(tree, _new_photos(tree, settled, banned, plan), settled, clusters)
    fresh: list[Unit] = []
    for unit in units:
        splits = unit.splits
        why = f"belongs to photos that are in {' and in '.join(splits)} already"
        if unit.for_training and set(splits) - {"train"}:
            # It shows what a photo shows that is measured on: it is not trained on.
            plan.leave_out((photo for photo in unit.new if photo.for_training), why)
            unit.new = [photo for photo in unit.new if not photo.for_training]
        elif unit.for_training:
            splits, why = ["train"], "is for training only, or belongs to such a photo"
        _name_group(unit, plan)
        if tree.has_splits:
            # A dataset already: what its maker decided stays.
            kept = [photo for photo in unit.new if set(splits) <= {photo.split}]
            for photo in kept:
                plan.take(photo.split, [photo])
            plan.leave_out((photo for photo in unit.new if photo not in plan.names), why)
            plan.units.update({*splits, *(photo.split for photo in kept)})
        elif not splits:
            fresh.append(unit)
        elif len(splits) == 1:
            plan.take(splits[0], unit.new)
            plan.units.update(splits)
        else:
            plan.leave_out(unit.new, why)
            plan.units.update(splits)
    for unit, split in zip(fresh, _deal(fresh, tree, plan.counts, shares, seed), strict=True):
        plan.take(split, unit.new)
        plan.units[split] += 1
    _name_files(plan, {*taken, *(photo.relative for photo in settled)})
    plan.left_out.sort()
    if tree.has_splits:
        plan.notes.append("the album has splits already, and they were kept.")
    else:
        of_class = Counter(name for unit in units for name in unit.class_names)
        plan.notes += _unmet(plan, shares, {name: of_class[name] for name in tree.class_names})
    return plan


def _new_photos(tree: PhotoTree, settled: Sequence[Photo], banned: frozenset[str], plan: Plan) -> list[Photo]:
    """Return the new photos that can be used, and leave the others out with their reasons."""
    in_dataset = {photo.sha256: photo for photo in settled}
    labels: dict[str, set[str]] = defaultdict(set)
    for photo in tree.photos:
        labels[photo.sha256] |= {photo.class_name} - {""}
    new: dict[str, Photo] = {}
    for photo in tree.photos:
        twin = in_dataset.get(photo.sha256)
        if not photo.usable:
            why = photo.measurements.problem if photo.measurements is not None else "not measured"
        elif twin is not None:
            if photo.class_name in {"", twin.class_name}:
                continue
            why = f"is in the dataset as {twin.relative}"
        elif not photo.class_name:
            why = "not sorted into a class"
        elif photo.sha256 in banned:
            why = "was taken out of the dataset into quarantine"
        elif len(labels[photo.sha256]) > 1:
            why = f"the same photo lies under {' and '.join(sorted(labels[photo.sha256]))}"
        elif photo.sha256 in new:
            why = "a copy, byte for byte, of another photo"
        else:
            new[photo.sha256] = photo
            continue
        plan.leave_out([photo], why)
    return list(new.values())


def _units(
    tree: PhotoTree, new: Sequence[Photo], settled: Sequence[Photo], clusters: Sequence[Sequence[Photo]]
) -> list[Unit]:
    contents = {photo.sha256 for photo in settled}
    ties: list[tuple[Hashable, Photo]] = [(cluster[0], photo) for cluster in clusters for photo in cluster[1:]]
    # A photo that is not used any more still says which game a settled one is of.
    for photo in (*tree.photos, *settled):
        ties += [(("group", photo.group), photo)] if photo.group else []
        ties += [(("content", photo.sha256), photo)] if photo.sha256 in contents else []
    linked = DisjointSet([*new, *settled, *(end for tie in ties for end in tie)])
    for one, other in ties:
        linked.merge(one, other)
    units: dict[Hashable, Unit] = defaultdict(Unit)
    for photo in new:
        units[linked[photo]].new.append(photo)
    for photo in settled:
        units[linked[photo]].settled.append(photo)
    return list(units.values())


#: Beginning of the groups that a split makes of copies.
_OF_COPIES = "copies-"


def named_group(photo: Photo) -> str:
    """Return the group that a photo of a dataset names; empty without one, also if copies alone tie it to another."""
    return "" if photo.group.startswith(_OF_COPIES) else photo.group


def _name_group(unit: Unit, plan: Plan) -> None:
    """Give a unit one name: the column `group` is what later stages keep together."""
    if len(unit.splits) > 1:
        return  # an old leak: one name would hide which games the photos are of
    sha256s = [photo.sha256 for photo in (*unit.settled, *unit.new)]
    names = sorted({photo.group for photo in unit.settled} - {""}) or sorted({photo.group for photo in unit.new} - {""})
    if not names and len(sha256s) > 1:
        names = [f"{_OF_COPIES}{min(sha256s)[:12]}"]
    if names:
        plan.groups.update(dict.fromkeys(sha256s, names[0]))


def _deal(
    units: Sequence[Unit],
    tree: PhotoTree,
    counts: Mapping[str, Counter[str]],
    shares: Mapping[str, float],
    seed: int,
) -> list[str]:
    """Return the split of each unit of new photos."""
    splits = [split for split in SPLITS if shares.get(split, 0) > 0]
    names = list(dict.fromkeys([*tree.class_names, *(name for count in counts.values() for name in count)]))
    sizes = np.zeros((len(units), len(names)))
    for index, unit in enumerate(units):
        for photo in unit.new:
            sizes[index, names.index(photo.class_name)] += 1
    have = np.array([[counts[split][name] for name in names] for split in splits], float)
    # By content, so that neither names nor their order matter.
    keys = [f"{seed} {min(photo.sha256 for photo in unit.new)}" for unit in units]
    order = sorted(range(len(units)), key=lambda index: hashlib.sha256(keys[index].encode()).digest())
    dealt = deal(sizes[order], have, np.array([shares[split] for split in splits]), seed)
    by_index = dict(zip(order, dealt.tolist(), strict=True))
    return [splits[by_index[index]] for index in range(len(units))]


def _name_files(plan: Plan, names: Collection[str]) -> None:
    taken = {name.lower() for name in names}
    last: dict[str, int] = {}
    for photo in sorted(plan.names, key=lambda photo: photo.relative):
        split, suffix = plan.names[photo], photo.path.suffix
        stem = "".join(char if char.isprintable() and char not in '\\:*?"<>|' else "_" for char in photo.path.stem)
        plain = name = f"{split}/{photo.class_name}/{stem}{suffix}"
        # Some file systems take X.jpg and x.jpg for one file.
        number = last.get(plain.lower(), 1)
        while name.lower() in taken:
            number += 1
            name = f"{split}/{photo.class_name}/{stem}-{number}{suffix}"
        last[plain.lower()] = number
        taken.add(name.lower())
        plan.names[photo] = name


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
                notes.append(f"{split} has no photo of {name}, and bball fit will refuse that: {few}. {remedy}.")
            elif abs(count / whole - share) > max(0.05, 2 / whole):
                notes.append(f"{split} has {count / whole:.0%} of {name}, wanted {share:.0%}: {few}.")
            if split == "test" and 0 < count <= _NO_MEASURE:
                # Wilson's interval of n right answers of n begins at n / (n + 1.96²).
                least = count / (count + 1.96**2)
                notes.append(
                    f"test has {count} photo{'' if count == 1 else 's'} of {name}, which measures nothing: even if all "
                    f"are answered rightly, the 95 % interval begins at {least:.0%}. Add photos of {name}."
                )
    return notes
