"""The audit of a tree of photos: all checks in order, and their findings."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console

from bball_pl.audit.checks import CHECKS, IMBALANCE, KINDS, Finding
from bball_pl.audit.copies import Copies, find_copies
from bball_pl.audit.labels import EXPECTED_SHARE, Judgement, judge_labels
from bball_pl.audit.measure import label_features, measure_photos
from bball_pl.errors import ConfigError
from bball_pl.photos.audit_record import AuditRecord, fingerprint, fingerprints_by_class
from bball_pl.photos.measurements import Limits
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import Photo, PhotoTree, label_tables, unnamed_games


@dataclass
class Audit:
    """Findings of an audit.

    Attributes:
        tree: The photos, measured.
        copies: Photos that show the same picture.
        judgement: Result of the label check.
        limits: Thresholds for tiny, blurred and dark photos.
        imbalance: Ratio of the largest to the smallest class above which an imbalance is reported.
        findings: By kind in the order of `KINDS`, and the worst first.
        time: ISO 8601, UTC.
        moved: Where a fix moved photos to, below the tree's home, by relative name; empty until then.
    """

    tree: PhotoTree
    copies: Copies
    judgement: Judgement
    limits: Limits = field(default_factory=Limits)
    imbalance: float = IMBALANCE
    findings: list[Finding] = field(default_factory=list)
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    moved: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        tree: PhotoTree,
        store: PhotoStore,
        labels: bool = True,
        limits: Limits | None = None,
        imbalance: float = IMBALANCE,
        seed: int = 0,
        console: Console | None = None,
    ) -> Audit:
        """Measure and check all photos of a tree.

        Args:
            tree: A dataset with its splits, an inbox or class folders; its photos are measured.
            store: PhotoStore of measurements; is brought up to date.
            labels: Whether labels are judged, which takes a network longer than all the rest.
            limits: Thresholds for tiny, blurred and dark photos.
            imbalance: Ratio of the largest to the smallest class above which an imbalance is reported.
            seed: Random seed of the cross-validation folds of the label check.
            console: Where progress is shown; None shows nothing.

        Raises:
            ConfigError: If `imbalance` is not a number of at least 1.

        Example:
            >>> audit = Audit.of(PhotoTree.scan("data/demo"), PhotoStore(None), labels=False)
            >>> audit.counts["leak_copy"]
            0
        """
        if math.isnan(imbalance) or imbalance < 1:
            raise ConfigError(f"--imbalance is {imbalance}; expected 1 or more: so many times as many photos.")
        tree.photos = measure_photos(tree.photos, store, console)
        tree.join_by_content()
        copies = find_copies(tree.photos, console)
        judgement = Judgement(remark="labels: left out")
        if labels:
            features = partial(label_features, store=store, console=console)
            judgement = judge_labels(tree.photos, copies.clusters, features, seed)
        audit = cls(tree, copies, judgement, limits or Limits(), imbalance)
        audit.findings = [finding for check in CHECKS for finding in check(audit)]
        audit.findings.sort(key=lambda finding: (KINDS.index(finding.kind), -finding.severity, finding.path))
        return audit

    @property
    def counts(self) -> Counter[str]:
        """The number of findings of each kind."""
        return Counter(finding.kind for finding in self.findings)

    @property
    def usable(self) -> list[Photo]:
        """The photos that can be used."""
        return [photo for photo in self.tree.photos if photo.usable]

    def of_kind(self, *kinds: str) -> list[Finding]:
        """Return the findings of some kinds."""
        return [finding for finding in self.findings if finding.kind in kinds]

    def path_of(self, photo: Photo) -> Path:
        """Return where the file of a photo is now, after a fix."""
        moved = self.moved.get(photo.relative)
        return photo.path if moved is None else self.tree.home / moved

    def stands(self, finding: Finding) -> bool:
        """Return whether a finding is still true after a fix."""
        # A photo shares its game with many others: one of them moved away changes nothing.
        apart = finding.kind != "leak_group" and finding.counterpart in self.moved
        return finding.path not in self.moved and not apart

    @property
    def remarks(self) -> list[str]:
        """The checks that were left out, with their reasons, and what to know of the others."""
        unsorted, photos = self.tree.unsorted, self.tree.photos
        games = unnamed_games(photos)
        named = [f"{games}. Say which game they are of in bball studio, Games"] if games else []
        if unsorted and self.tree.label_tables:
            tables = f"{label_tables(self.tree)} looks like a table of labels, which bball split takes with --labels"
            named.append(f"{tables}; an audit judges the classes of the dataset that it makes")
        if self.tree.beside:
            named.append(f"{', '.join(self.tree.beside)} beside the splits has photos that are not read")
        if unsorted == len(photos):
            return ["no photo is sorted into a class yet: doubtful labels and imbalance are left out", *named]
        remark = f"{unsorted:,} photos are in no class: their labels and their part in the imbalance are left out"
        doubts = f"doubtful labels: {EXPECTED_SHARE}" if self.judgement.doubts else ""
        return [*(text for text in (remark if unsorted else "", self.judgement.remark, doubts) if text), *named]

    @property
    def record(self) -> AuditRecord:
        """The record of the tree as it is now, after a fix."""
        sorted_photos = [photo for photo in self.usable if photo.class_name and photo.relative not in self.moved]
        listed = [(photo.class_name, photo.relative, photo.sha256) for photo in sorted_photos]
        standing: Counter[str] = Counter(finding.kind for finding in self.findings if self.stands(finding))
        return AuditRecord(
            root=str(self.tree.root.absolute()),
            time=self.time,
            photos=len(self.tree.photos) - len(self.moved),
            counts=dict(standing),
            fixed=dict(self.counts - standing),
            labels=self.judgement.judged > 0,
            fingerprint=fingerprint((relative, sha256) for _, relative, sha256 in listed),
            fingerprints=fingerprints_by_class(listed),
        )
