"""The checks of an audit: kinds of findings, and the rules for single photos, pairs, groups, classes and licences."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from bball_pl.photos.tree import SPLITS, Photo

if TYPE_CHECKING:
    from bball_pl.audit.audit import Audit
    from bball_pl.audit.copies import Copies

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

#: In the order of the report.
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Kinds that `--fix` moves by default: no person has to decide anything.
FIXED: tuple[Kind, ...] = ("unreadable", "leak_copy", "exact_duplicate")
#: Default ratio of the largest to the smallest class above which an imbalance is reported.
IMBALANCE = 3.0
#: Kinds that concern single files, so that moving them away mends the dataset.
MOVABLE: tuple[Kind, ...] = KINDS[: KINDS.index("empty_class")]


@dataclass(frozen=True)
class About:
    """Texts about a kind of finding.

    Attributes:
        title: Name in a few words.
        meaning: Effect on a model.
        advice: Remedy.
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
        "move one side to the other split, or make the splits anew with bball split",
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
    """A fault of a photo, of a class or of the whole tree.

    Attributes:
        kind: Kind of the finding.
        path: Relative name of the photo, or of the class folder; empty if it concerns the whole tree.
        severity: 0–1, within the kind.
        why: The reason in a few words.
        counterpart: Relative name of the other photo, if it takes two.
        class_name: Class of the photo now; empty if it has none.
        suggested: Class that is more likely; empty if there is none.
        action: `quarantine` if moving this file away mends it, `look` if a person has to decide, else empty.
    """

    kind: Kind
    path: str
    severity: float
    why: str
    counterpart: str = ""
    class_name: str = ""
    suggested: str = ""
    action: Literal["quarantine", "look", ""] = ""


#: Licences that do not ask for the author's name, as photos.csv and Commons write them.
_NAMELESS = ("cc0", "cc-0", "cc-pdm", "pdm", "pd", "public-domain", "licenseref-public-domain")
#: Words of licences that bar commercial use or changed copies.
_RESTRICTED = frozenset({"nc", "nd", "noncommercial", "noderivatives", "noderivs"})


def check_quality(audit: Audit) -> Iterator[Finding]:
    """Yield files that cannot be used, and photos that are tiny, blurred or dark."""
    limits = audit.limits
    for photo in audit.tree.photos:
        quality = None if photo.measurements is None else photo.measurements.quality
        if quality is None:
            problem = "" if photo.measurements is None else photo.measurements.problem
            yield Finding("unreadable", photo.relative, 1.0, problem, "", photo.class_name, "", "quarantine")
            continue
        severities: dict[Kind, float] = {
            "tiny": 1 - min(quality.width, quality.height) / max(limits.side, 1),
            "blurred": (quality.blur - limits.blur) / max(1 - limits.blur, 1e-6),
            "dark": 1 - quality.light / max(limits.light, 1e-6),
        }
        problems = dict(quality.problems(limits))
        for kind, severity in severities.items():
            if kind in problems:
                within = min(max(severity, 0.0), 1.0)
                yield Finding(kind, photo.relative, within, problems[kind], "", photo.class_name, "", "look")


def check_copies(audit: Audit) -> Iterator[Finding]:
    """Yield the superfluous photos of each cluster.

    Of copies in several splits those in test stay, else those in val; of copies in one split the best stays. Copies
    with different labels are left to a person, whatever their splits: which of them is right is not known.
    """
    for cluster in audit.copies.clusters:
        photos = [photo for photo in cluster if photo.usable]
        if len(photos) > 1:
            yield from _superfluous(photos, audit.copies)


def check_groups(audit: Audit) -> Iterator[Finding]:
    """Yield the photos of groups that two splits share: those of the side with fewer of them.

    A photo whose copy in another split is reported already is left out: what it shares with the group is the copy.
    """
    copied = {finding.counterpart for finding in check_copies(audit) if finding.kind == "leak_copy"}
    by_group: dict[str, list[Photo]] = defaultdict(list)
    for photo in audit.tree.photos:
        if photo.group and photo.split and photo.relative not in copied:
            by_group[photo.group].append(photo)
    for group, photos in sorted(by_group.items()):
        counts = Counter(photo.split for photo in photos)
        if len(counts) < 2:
            continue
        keep = max(counts, key=lambda split: (counts[split], SPLITS.index(split)))
        why = f"group {group}: " + ", ".join(f"{counts[split]} in {split}" for split in SPLITS if split in counts)
        stays = next(photo for photo in photos if photo.split == keep)
        for photo in photos:
            if photo.split != keep:
                severity = counts[photo.split] / len(photos)
                yield Finding("leak_group", photo.relative, severity, why, stays.relative, photo.class_name, "", "look")


def check_classes(audit: Audit) -> Iterator[Finding]:
    """Yield classes of a split, or of a tree without splits, that have no usable photo or far fewer than another."""
    tree = audit.tree
    labelled = [photo for photo in tree.photos if photo.usable and photo.class_name]
    if not labelled or len(tree.class_names) < 2:
        return
    for split in tree.splits if tree.has_splits else [""]:
        counts = dict.fromkeys(tree.class_names, 0)
        for photo in labelled:
            if photo.split == split:
                counts[photo.class_name] += 1
        largest = max(counts, key=lambda name: counts[name])
        for name, count in counts.items():
            folder = f"{split}/{name}".strip("/")
            if not count:
                yield Finding("empty_class", folder, 1.0, "no photo that can be used", "", name)
            elif counts[largest] > audit.imbalance * count:
                times = counts[largest] / count
                why = f"{count} photos; {largest} has {counts[largest]}, {times:.1f} times as many"
                yield Finding("imbalance", folder, 1 - count / counts[largest], why, "", name)


def check_licences(audit: Audit) -> Iterator[Finding]:
    """Yield photos whose licence or author is not known, or whose licence restricts what may be done."""
    if not audit.tree.has_table:
        why = f"there is no photos.csv: nothing is known of where these {len(audit.tree.photos)} photos are from"
        yield Finding("no_licence", "", 1.0, why)
        return
    for photo in audit.tree.photos:
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


def check_labels(audit: Audit) -> Iterator[Finding]:
    """Yield the labels that the model doubts."""
    for doubt in audit.judgement.doubts:
        given = doubt.photo.class_name
        why = f"{100 * doubt.suggested_confidence:.0f} % {doubt.suggested}, {100 * doubt.confidence:.0f} % {given}"
        severity = 1 - doubt.confidence
        yield Finding("doubtful_label", doubt.photo.relative, severity, why, "", given, doubt.suggested, "look")


#: Every check of an audit.
CHECKS: tuple[Callable[[Audit], Iterator[Finding]], ...] = (
    *(check_quality, check_copies, check_groups, check_classes, check_licences, check_labels),
)


def _superfluous(photos: Sequence[Photo], copies: Copies) -> Iterator[Finding]:
    contradiction = len({photo.class_name for photo in photos} - {""}) > 1
    ranked = sorted(photos, key=_worth)
    best = ranked[0]
    entries = Counter(_entry(photo) for photo in photos)
    for photo in ranked:
        if contradiction:
            twin = next(copy for copy in ranked if copy.class_name != photo.class_name)
            why = f"{_alike(photo, twin, copies)} as one in {twin.class_name or 'no class'}"
            yield Finding("two_classes", photo.relative, 1.0, why, twin.relative, photo.class_name, "", "look")
        if photo == best:
            continue
        same = photo.sha256 == best.sha256
        kind: Kind = "exact_duplicate" if same else "near_duplicate"
        if photo.split != best.split:
            kind = "leak_copy"
        elif contradiction:
            continue
        # The copy that it is like may not be the one that stays: copies of copies are linked as well.
        twin = best if same else _linked(photo, best, ranked, copies)
        why = _alike(photo, twin, copies) + (f"; {best.split} has it as well" if kind == "leak_copy" else "")
        through_link = entries[_entry(photo)] > 1
        if through_link:
            # Moving it away would take it from both folders.
            why = "the same file, seen through a link to its folder"
        action: Literal["look", "quarantine"] = "look" if contradiction or through_link else "quarantine"
        severity = 1.0 if same else 0.9
        yield Finding(kind, photo.relative, severity, why, twin.relative, photo.class_name, "", action)


def _entry(photo: Photo) -> tuple[str, str]:
    """Return the real folder of a file, and its name there; a file that is a link is a file of its own."""
    return os.path.realpath(photo.path.parent), photo.path.name


def _worth(photo: Photo) -> tuple[int, bool, bool, int, bool, str]:
    """Return the order in which copies are kept: split, label, no frame, size, known origin, name."""
    quality = None if photo.measurements is None else photo.measurements.quality
    rank = SPLITS.index(photo.split) if photo.split else 0
    pixels = quality.width * quality.height if quality is not None else 0
    framed = photo.measurements is not None and photo.measurements.framed
    return -rank, not photo.class_name, framed, -pixels, not photo.row, photo.relative


def _linked(photo: Photo, best: Photo, ranked: Sequence[Photo], copies: Copies) -> Photo:
    if copies.overlay(photo, best):
        return best
    return next((copy for copy in ranked if copy != photo and copies.overlay(photo, copy)), best)


def _alike(photo: Photo, twin: Photo, copies: Copies) -> str:
    if photo.sha256 == twin.sha256:
        return "the same bytes"
    overlay = copies.overlay(photo, twin)
    if overlay is None:
        return "the same picture"
    mirrored = ", mirrored" if overlay.mirrored else ""
    overlap = f", {100 * overlay.overlap:.0f} % of it" if overlay.overlap < 0.97 else ""
    return f"the same picture{mirrored}{overlap}"
