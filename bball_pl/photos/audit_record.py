"""The record of an audit: counts of its findings, and fingerprints that show whether the photos are still the same."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bball_pl.project import audit_folder, next_step

#: Files of an audit, in its folder.
RECORD = "audit.json"
TABLE = "audit.csv"
PAGE = "audit.html"
_VERSION = 1


@dataclass(frozen=True)
class AuditRecord:
    """Summary of an audit.

    Attributes:
        root: The tree's folder, absolute.
        time: Time of the audit, ISO 8601, UTC.
        photos: Number of files with the name of a photo, without those in quarantine.
        counts: Number of open findings by kind; kinds without any are left out.
        fixed: Number of findings by kind whose photo was moved to quarantine.
        labels: Whether the labels were judged.
        fingerprint: Fingerprint of the photos that can be used and have a class.
        fingerprints: Fingerprint of each class.
    """

    root: str
    time: str
    photos: int
    counts: Mapping[str, int] = field(default_factory=dict)
    fixed: Mapping[str, int] = field(default_factory=dict)
    labels: bool = False
    fingerprint: str = ""
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> str:
        """The text of audit.json."""
        return json.dumps({"version": _VERSION, **asdict(self)}, indent=2) + "\n"

    def changed(self, photos: Iterable[tuple[str, str, str]]) -> list[str]:
        """Return the classes whose photos have changed since the audit.

        Args:
            photos: Class, relative name and SHA-256 of each photo in use. Classes without one are not compared, so that
                a training on some of the classes gets no remark about the others.
        """
        return [name for name, now in fingerprints_by_class(photos).items() if self.fingerprints.get(name) != now]


def fingerprint(photos: Iterable[tuple[str, str]]) -> str:
    """Return a checksum of a set of photos, SHA-256 in hexadecimal; their order does not matter.

    Args:
        photos: Relative name and SHA-256 of each.
    """
    lines = sorted(f"{sha256}  {relative}\0".encode("utf-8", "surrogateescape") for relative, sha256 in photos)
    return hashlib.sha256(b"".join(lines)).hexdigest()


def fingerprints_by_class(photos: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Return the fingerprint of each class, sorted by name.

    Args:
        photos: Class, relative name and SHA-256 of each.
    """
    by_class: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for class_name, relative, sha256 in photos:
        by_class[class_name].append((relative, sha256))
    return {name: fingerprint(by_class[name]) for name in sorted(by_class)}


def read_audit(root: str | os.PathLike[str], folder: Path | None = None) -> AuditRecord | None:
    """Return the record of the newest audit of a tree; None if there is no readable one.

    Args:
        root: The tree's folder.
        folder: Folder of the audit. Default: `audit_folder(root)`.
    """
    path = (folder or audit_folder(root)) / RECORD
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain.pop("version") != _VERSION:
            return None
        record = AuditRecord(**plain)
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return None
    return record if isinstance(record.fingerprints, dict) and isinstance(record.counts, dict) else None


def audit_remark(root: str | os.PathLike[str], photos: Iterable[tuple[str, str, str]]) -> str:
    """Return a remark if photos were not audited, or have changed since; empty if they are as audited.

    Args:
        root: The dataset's folder.
        photos: Class, relative name and SHA-256 of each photo in use.
    """
    record = read_audit(root)
    command = next_step("audit", root)
    if record is None:
        return f"{root}\nwas never audited: it may contain copies, leaks and wrong labels. Audit it with:\n  {command}"
    if names := record.changed(photos):
        changed = f"the photos of {', '.join(names)} in {root}\nare not those of the audit of {record.time[:10]}"
        return f"{changed}. Audit again:\n  {command}"
    return ""
