"""The audit of a tree: all checks in order, and everything they found."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from bball_pl.audit.checks import (
    IMBALANCE,
    KINDS,
    Copies,
    Finding,
    check_classes,
    check_copies,
    check_groups,
    check_licences,
    check_quality,
)
from bball_pl.audit.copies import Overlay, find_clusters
from bball_pl.audit.labels import Judgement, judge_labels
from bball_pl.audit.measure import Seen, look, look_closely
from bball_pl.errors import ConfigError
from bball_pl.photos.audit_record import AuditRecord, fingerprint, fingerprints_by_class
from bball_pl.photos.measurements import Limits
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import Album, scan_album


@dataclass
class Audit:
    """What an audit found.

    Attributes:
        album: the photos.
        seen: what is known of each.
        copies: which show the same picture.
        judgement: of the labels.
        findings: by kind in the order of `KINDS`, and the worst first.
        limits: from where on a photo is told of.
        time: ISO 8601, UTC.
        moved: by relative name, where a fix moved photos to, below the home; empty until then.
        home: the folder that `moved` is relative to; None until a fix.
    """

    album: Album
    seen: Seen
    copies: Copies
    judgement: Judgement
    findings: list[Finding]
    limits: Limits
    time: str
    moved: dict[str, str] = field(default_factory=dict)
    home: Path | None = None

    @property
    def counts(self) -> Counter[str]:
        """The number of findings of each kind."""
        return Counter(finding.kind for finding in self.findings)

    def of_kind(self, *kinds: str) -> list[Finding]:
        """Return the findings of some kinds."""
        return [finding for finding in self.findings if finding.kind in kinds]

    def place(self, relative: str, path: Path) -> Path:
        """Return where a photo is now."""
        return self.home / self.moved[relative] if self.home is not None and relative in self.moved else path

    def stands(self, finding: Finding) -> bool:
        """Return whether a finding is still true after what was moved."""
        # What a photo shares with a game, it shares with many photos.
        apart = finding.kind != "leak_group" and finding.other in self.moved
        return finding.path not in self.moved and not apart

    def record(self) -> AuditRecord:
        """Return what is kept of it: of the tree as it is now, after a fix."""
        photos, seen = self.album.photos, self.seen
        rows = [row for row in seen.usable if photos[row].class_name and photos[row].relative not in self.moved]
        listed = [(photos[row].class_name, photos[row].relative, seen.sha256s[row]) for row in rows]
        standing: Counter[str] = Counter(own.kind for own in self.findings if self.stands(own))
        return AuditRecord(
            root=str(self.album.root.absolute()),
            time=self.time,
            photos=len(photos) - len(self.moved),
            counts=dict(standing),
            fixed=dict(self.counts - standing),
            labels=self.judgement.judged > 0,
            fingerprint=fingerprint((relative, sha256) for _, relative, sha256 in listed),
            fingerprints=fingerprints_by_class(listed),
        )


def audit_tree(
    root: Path,
    store: PhotoStore,
    class_names: Sequence[str] | None = None,
    labels: bool = True,
    limits: Limits | None = None,
    imbalance: float = IMBALANCE,
    seed: int = 0,
    console: Console | None = None,
    confirmed: Collection[Path] = (),
) -> Audit:
    """Look at all photos of a tree.

    Args:
        root: a dataset with its splits, an inbox or a tree of class folders.
        store: what is known of photos already; is brought up to date.
        class_names: names of the class folders; found out unless given.
        labels: whether labels are judged, which takes a network longer than all the rest.
        limits: from where on a photo is told of.
        imbalance: so many times as many photos as another class has, from which on classes are of unequal size.
        seed: of the folds that labels are judged by.
        console: where progress is shown; None shows nothing.
        confirmed: absolute paths of photos whose labels a person has confirmed: they are not doubted any more.

    Raises:
        DatasetError: as in `scan_album`.
        ConfigError: if `imbalance` is below 1.
    """
    if not imbalance >= 1:
        raise ConfigError(f"--imbalance is {imbalance}; expected 1 or more: so many times as many photos.")
    limits = limits or Limits()
    time = datetime.now(UTC).isoformat(timespec="seconds")
    album = scan_album(root, class_names)
    seen = look([photo.path for photo in album.photos], store, console)
    album.join_by_content(seen.sha256s)
    copies = _copies(seen, console)
    judgement = _judge(album, seen, copies, store, seed, console) if labels else Judgement(remark="labels: left out")
    of_copies = list(check_copies(album, seen, copies))
    judgement = _unconfirmed(album, judgement, confirmed)
    findings = [
        *check_quality(album, seen, limits),
        *of_copies,
        *check_groups(album, {own.other for own in of_copies if own.kind == "leak_copy"}),
        *check_classes(album, seen, imbalance),
        *check_licences(album),
        *_doubtful(album, judgement),
    ]
    findings.sort(key=lambda own: (KINDS.index(own.kind), -own.severity, own.path))
    return Audit(album, seen, copies, judgement, findings, limits, time)


def _copies(seen: Seen, console: Console | None) -> Copies:
    with Progress(console=console, disable=console is None or not console.is_terminal, transient=True) as progress:
        task = progress.add_task("comparing photos", total=None)
        overlays: dict[tuple[int, int], Overlay] = {}

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        clusters = find_clusters(seen.sha256s, seen.facts, advance, overlays)
    return Copies(clusters, overlays)


def _judge(
    album: Album, seen: Seen, copies: Copies, store: PhotoStore, seed: int, console: Console | None
) -> Judgement:
    rows = [row for row in seen.usable if album.photos[row].class_name]
    if not rows:
        return Judgement(remark="labels were not judged: no photo is sorted into a class yet")
    groups: Mapping[int, list[Hashable]] = {row: [] for row in rows}
    for row in rows:
        if album.photos[row].group:
            groups[row].append(("group", album.photos[row].group))
    for number, cluster in enumerate(copies.clusters):
        for row in cluster:
            if row in groups:
                groups[row].append(("cluster", number))

    def features(chosen: Sequence[int]) -> np.ndarray:
        paths = [album.photos[row].path for row in chosen]
        return look_closely(paths, [seen.sha256s[row] for row in chosen], store, console)

    labels = [album.photos[row].class_name for row in rows]
    return judge_labels(rows, labels, [groups[row] for row in rows], features, seed)


def _unconfirmed(album: Album, judgement: Judgement, confirmed: Collection[Path]) -> Judgement:
    # As the journal writes places: links stay.
    kept = [
        doubt
        for doubt in judgement.doubts
        if Path(os.path.abspath(album.photos[doubt.row].path)) not in confirmed  # noqa: PTH100
    ]
    left = len(judgement.doubts) - len(kept)
    told = [judgement.remark] if judgement.remark else []
    told += [f"doubts left out because a person has confirmed the label: {left:,}"] if left else []
    return replace(judgement, doubts=kept, remark="; ".join(told))


def _doubtful(album: Album, judgement: Judgement) -> list[Finding]:
    return [
        Finding(
            "doubtful_label",
            album.photos[doubt.row].relative,
            1 - doubt.confidence,
            f"{100 * doubt.suggested_confidence:.0f} % {doubt.suggested}, {100 * doubt.confidence:.0f} % {doubt.given}",
            "",
            doubt.given,
            doubt.suggested,
            "look",
        )
        for doubt in judgement.doubts
    ]


def unsorted(audit: Audit) -> int:
    """Return how many photos are in no class."""
    return sum(not photo.class_name for photo in audit.album.photos)


def moves_confused(finding: Finding, names: Collection[str] = ("layup", "shoot")) -> bool:
    """Return whether a doubtful label is about the two moves that are confused most."""
    return {finding.class_name, finding.suggested} == set(names)
