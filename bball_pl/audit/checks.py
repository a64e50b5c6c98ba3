"""The checks of an audit: kinds of findings, and the rules for single photos, pairs, groups, classes and licences."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from bball_pl.audit.copies import Overlay
from bball_pl.audit.measure import Seen
from bball_pl.photos.measurements import Limits
from bball_pl.photos.tree import SPLITS, Album, AlbumPhoto

Kind = Literal[
    "unreadable",
    "leak_copy",
    "leak_group",
    "two_classes",
    "exact_duplicate",
    "near_duplicate",
    "doubtful_label",
    "tiny",
    "blurred",
    "dark",
    "empty_class",
    "imbalance",
    "no_licence",
    "no_author",
    "restricted_licence",
]

#: In the order in which they are told.
KINDS: tuple[Kind, ...] = get_args(Kind)
#: What `--fix` moves unless told otherwise: here no person has to decide anything.
FIXED: tuple[Kind, ...] = ("unreadable", "leak_copy", "exact_duplicate")
#: So many times as many photos as another class has, from which on classes are of unequal size.
IMBALANCE = 3.0
#: What concerns single files, so that moving them away mends it.
MOVABLE: tuple[Kind, ...] = KINDS[: KINDS.index("empty_class")]


@dataclass(frozen=True)
class About:
    """What is to be said of a kind.

    Attributes:
        title: a few words.
        meaning: what it does to a model.
        advice: what to do.
    """

    title: str
    meaning: str
    advice: str


ABOUT: dict[Kind, About] = {
    "unreadable": About(
        "cannot be read", "training stops at such a file", "replace the file, or move it away with --fix"
    ),
    "leak_copy": About(
        "same picture in two splits",
        "what is measured on was trained or chosen on: the figures look better than they are",
        "keep the copy that is measured on; --fix moves the others",
    ),
    "leak_group": About(
        "game or album in two splits",
        "photos of one game share players and hall, which a model learns by heart",
        "move one side to the other split, or make the splits anew with scripts/split.py",
    ),
    "two_classes": About(
        "same picture in two classes", "one of the labels is wrong", "decide, and remove the other copy"
    ),
    "exact_duplicate": About(
        "same file twice", "it counts twice, in training and in the figures", "keep one; --fix moves the others"
    ),
    "near_duplicate": About(
        "same picture, changed", "it counts twice, and a split may divide the copies", "keep the largest"
    ),
    "doubtful_label": About(
        "label in doubt",
        "a model that has not seen the photo's game is confident of another class",
        "look, and move the photo to the right class or leave it",
    ),
    "tiny": About("tiny", "the ball is hardly a pixel wide", "collect it larger, or leave it out"),
    "blurred": About("blurred", "the move may not be seen", "leave it out if you cannot tell the move"),
    "dark": About("dark", "the move may not be seen", "leave it out if you cannot tell the move"),
    "empty_class": About("class without photos", "training refuses it", "add photos, or name the classes"),
    "imbalance": About("classes of unequal size", "the large class is preferred", "collect more of the small one"),
    "no_licence": About(
        "licence not known", "you may not be allowed to publish what was made of it", "ask, or leave the photo out"
    ),
    "no_author": About("author not known", "most licences ask for the author's name", "find out who took it"),
    "restricted_licence": About(
        "licence restricts use",
        "NC bars commercial use, ND changed copies, which training makes",
        "leave it out unless your use is allowed",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: of the finding.
        path: relative name of the photo, or of the class folder; empty if it concerns the whole tree.
        severity: 0–1, within the kind.
        why: a few words.
        other: relative name of the other photo, if it takes two.
        class_name: of the photo now; empty if it has none.
        suggested: class that is more likely; empty if there is none.
        action: `quarantine` if moving this file away mends it, `look` if a person has to decide, else empty.
    """

    kind: Kind
    path: str
    severity: float
    why: str
    other: str = ""
    class_name: str = ""
    suggested: str = ""
    action: Literal["quarantine", "look", ""] = ""


#: Licences that do not ask for the author's name, as photos.csv and Commons write them.
_NAMELESS = ("cc0", "cc-0", "cc-pdm", "pdm", "pd", "public-domain", "licenseref-public-domain")
#: Words of licences that bar commercial use or changed copies.
_RESTRICTED = frozenset({"nc", "nd", "noncommercial", "noderivatives", "noderivs"})


@dataclass(frozen=True)
class Copies:
    """Which photos show the same picture.

    Attributes:
        clusters: rows, two or more each.
        overlays: how linked pairs of rows lie over each other, the smaller row first.
    """

    clusters: Sequence[Sequence[int]] = ()
    overlays: Mapping[tuple[int, int], Overlay] = field(default_factory=dict)


def check_quality(album: Album, seen: Seen, limits: Limits) -> Iterator[Finding]:
    """Yield what cannot be used, and what is tiny, blurred or dark."""
    for photo, facts in zip(album.photos, seen.facts, strict=True):
        if facts.quality is None:
            yield Finding("unreadable", photo.relative, 1.0, facts.problem, "", photo.class_name, "", "quarantine")
            continue
        quality = facts.quality
        share: dict[str, float] = {
            "tiny": 1 - min(quality.width, quality.height) / max(limits.side, 1),
            "blurred": (quality.blur - limits.blur) / max(1 - limits.blur, 1e-6),
            "dark": 1 - quality.light / max(limits.light, 1e-6),
        }
        for kind, why in quality.problems(limits):
            severity = min(max(share[kind], 0.0), 1.0)
            yield Finding(_quality_kind(kind), photo.relative, severity, why, "", photo.class_name, "", "look")


def check_copies(album: Album, seen: Seen, copies: Copies) -> Iterator[Finding]:
    """Yield the photos of each cluster that are too many.

    Of copies in several splits those in test stay, else those in val; of copies in one split the best stays. Copies
    with different labels are left to a person, whatever their splits: which of them is right is not known.
    """
    for cluster in copies.clusters:
        rows = [row for row in cluster if not seen.facts[row].problem]
        if len(rows) > 1:
            yield from _too_many(album, seen, rows, copies.overlays)


def check_groups(album: Album, copied: Collection[str] = ()) -> Iterator[Finding]:
    """Yield the photos of groups that two splits share: those of the side with fewer of them.

    Args:
        album: the photos.
        copied: relative names of photos whose copies in other splits are told of already: what they share with a group
            is the copy.
    """
    by_group: dict[str, list[AlbumPhoto]] = defaultdict(list)
    for photo in album.photos:
        if photo.group and photo.split and photo.relative not in copied:
            by_group[photo.group].append(photo)
    for group, photos in sorted(by_group.items()):
        counts = Counter(photo.split for photo in photos)
        if len(counts) < 2:
            continue
        keep = max(counts, key=lambda split: (counts[split], SPLITS.index(split)))
        told = ", ".join(f"{counts[split]} in {split}" for split in SPLITS if split in counts)
        stays = next(photo for photo in photos if photo.split == keep)
        for photo in photos:
            if photo.split != keep:
                why = f"group {group}: {told}"
                severity = counts[photo.split] / len(photos)
                yield Finding("leak_group", photo.relative, severity, why, stays.relative, photo.class_name, "", "look")


def check_classes(album: Album, seen: Seen, ratio: float) -> Iterator[Finding]:
    """Yield classes of a split, or of a tree without splits, that have no usable photo or far fewer than another."""
    labelled = [album.photos[row] for row in seen.usable if album.photos[row].class_name]
    if not labelled or len(album.class_names) < 2:
        return
    for split in album.splits if album.has_splits else [""]:
        counts = dict.fromkeys(album.class_names, 0)
        for photo in labelled:
            if photo.split == split:
                counts[photo.class_name] += 1
        largest = max(counts, key=lambda name: counts[name])
        for name, count in counts.items():
            place = f"{split}/{name}".strip("/")
            if not count:
                yield Finding("empty_class", place, 1.0, "no photo that can be used", "", name)
            elif counts[largest] > ratio * count:
                times = counts[largest] / count
                why = f"{count} photos; {largest} has {counts[largest]}, {times:.1f} times as many"
                yield Finding("imbalance", place, 1 - count / counts[largest], why, "", name)


def check_licences(album: Album) -> Iterator[Finding]:
    """Yield photos whose licence or author is not known, or whose licence restricts what may be done."""
    if not album.has_table:
        why = f"there is no photos.csv: nothing is known of where these {len(album.photos)} photos are from"
        yield Finding("no_licence", "", 1.0, why)
        return
    for photo in album.photos:
        row = photo.row
        licence = "-".join(re.findall(r"[\w.]+", row.get("licence", "").lower()))
        found: tuple[Kind, float, str] | None = None
        if not row:
            found = "no_licence", 1.0, "it has no row in photos.csv"
        elif not row.get("licence"):
            found = "no_licence", 0.9, f"photos.csv names no licence (source: {row.get('source') or 'not known'})"
        elif not _RESTRICTED.isdisjoint(licence.split("-")):
            found = "restricted_licence", 0.8, row["licence"]
        elif not (row.get("author") or row.get("attribution")) and not licence.startswith(_NAMELESS):
            found = "no_author", 0.5, f"{row['licence']} without a name"
        if found is not None:
            yield Finding(found[0], photo.relative, found[1], found[2], "", photo.class_name)


def _quality_kind(kind: str) -> Literal["tiny", "blurred", "dark"]:
    return "tiny" if kind == "tiny" else "blurred" if kind == "blurred" else "dark"


def _too_many(
    album: Album, seen: Seen, rows: Sequence[int], overlays: Mapping[tuple[int, int], Overlay]
) -> Iterator[Finding]:
    photos = album.photos
    classes = {photos[row].class_name for row in rows} - {""}
    contradiction = len(classes) > 1
    ranked = sorted(rows, key=lambda row: _worth(album, seen, row), reverse=True)
    best = ranked[0]
    entries = Counter(_entry(photos[row]) for row in rows)
    for row in ranked:
        photo = photos[row]
        if contradiction:
            other = next(own for own in ranked if photos[own].class_name != photo.class_name)
            why = f"{_alike(seen, row, other, overlays)} as one in {photos[other].class_name or 'no class'}"
            yield Finding("two_classes", photo.relative, 1.0, why, photos[other].relative, photo.class_name, "", "look")
        if row == best:
            continue
        same = seen.sha256s[row] == seen.sha256s[best]
        kind: Kind = "exact_duplicate" if same else "near_duplicate"
        if photo.split != photos[best].split:
            kind = "leak_copy"
        elif contradiction:
            continue
        # The copy that it is like may not be the one that stays: copies of copies hang together as well.
        other = best if same else _linked(row, best, ranked, overlays)
        measured = photos[best].split if kind == "leak_copy" else ""
        why = _alike(seen, row, other, overlays) + (f"; {measured} has it as well" if measured else "")
        severity = 1.0 if same else 0.9
        linked = entries[_entry(photo)] > 1
        if linked:
            # Moving it away would take it from both places.
            why = "the same file, seen through a link to its folder"
        action: Literal["look", "quarantine"] = "look" if contradiction or linked else "quarantine"
        yield Finding(kind, photo.relative, severity, why, photos[other].relative, photo.class_name, "", action)


def _entry(photo: AlbumPhoto) -> tuple[str, str]:
    """Return the folder that a file really lies in, and its name there; a file that is a link is one of its own."""
    return os.path.realpath(photo.path.parent), photo.path.name


def _worth(album: Album, seen: Seen, row: int) -> tuple[int, bool, int, bool, int]:
    """Return what decides which copy stays: split, label, size, whether its origin is known, and the name."""
    photo, quality = album.photos[row], seen.facts[row].quality
    rank = SPLITS.index(photo.split) if photo.split else 0
    pixels = quality.width * quality.height if quality is not None else 0
    return rank, bool(photo.class_name), pixels, bool(photo.row), -row


def _linked(row: int, best: int, ranked: Sequence[int], overlays: Mapping[tuple[int, int], Overlay]) -> int:
    linked = (own for own in ranked if own != row and (min(row, own), max(row, own)) in overlays)
    direct = (min(row, best), max(row, best)) in overlays
    return best if direct else next(linked, best)


def _alike(seen: Seen, row: int, other: int, overlays: Mapping[tuple[int, int], Overlay]) -> str:
    if seen.sha256s[row] == seen.sha256s[other]:
        return "the same bytes"
    overlay = overlays.get((min(row, other), max(row, other)))
    if overlay is None:
        return "the same picture"
    told = ["the same picture"] + (["mirrored"] if overlay.mirrored else [])
    if overlay.overlap < 0.97:
        told.append(f"{100 * overlay.overlap:.0f} % of it")
    return ", ".join(told)
