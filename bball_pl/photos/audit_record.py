"""The record of an audit: its findings, and a fingerprint that shows whether the photos are still the same."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bball_pl.files import write_text
from bball_pl.project import ROOT

#: The files of an audit, in its folder.
RECORD = "audit.json"
TABLE = "audit.csv"
PAGE = "audit.html"
#: Below `data/`, or beside a tree that lies elsewhere.
AUDITS = "audits"
_VERSION = 1


@dataclass(frozen=True)
class AuditRecord:
    """What is kept of an audit.

    Attributes:
        root: the tree's folder, absolute.
        time: of the audit, ISO 8601, UTC.
        photos: number of files with the name of a photo, those in quarantine left out.
        counts: of the findings that stand, by kind; kinds without any are left out.
        fixed: of the findings whose photo was moved to quarantine, likewise.
        labels: whether the labels were judged.
        fingerprint: of the photos that can be used and have a class.
        fingerprints: the same for each class alone.
    """

    root: str
    time: str
    photos: int
    counts: Mapping[str, int] = field(default_factory=dict)
    fixed: Mapping[str, int] = field(default_factory=dict)
    labels: bool = False
    fingerprint: str = ""
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    def changed(self, photos: Iterable[tuple[str, str, str]]) -> list[str]:
        """Return the classes whose photos are not those of the audit; empty if nothing has changed.

        Args:
            photos: class, relative name and SHA-256 of each photo that is used; classes that none has are not looked
                at, so that a training on a few of the classes is not told of the others.
        """
        now = fingerprints_by_class(photos)
        return [name for name, own in now.items() if self.fingerprints.get(name) != own]


def audit_folder(root: str | os.PathLike[str]) -> Path:
    """Return where an audit of a tree is kept: never in the tree, for a dataset holds photos and nothing else.

    `data/audits/demo` for `data/demo` and `data/audits/inbox/local` for `data/inbox/local`; elsewhere `audits/` beside
    the tree, or beside the `inbox` that it lies in.
    """
    # Not resolved: data/photos may be a link to another disk.
    tree = Path(os.path.abspath(root))  # noqa: PTH100
    if tree.is_relative_to(ROOT / "data") and tree != ROOT / "data":
        home = ROOT / "data"
    else:
        inbox = next((folder for folder in (tree, *tree.parents) if folder.name == "inbox"), tree)
        home = inbox.parent
    return home / AUDITS / tree.relative_to(home)


def fingerprint(photos: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 of what photos there are, in hexadecimal; their order does not matter.

    Args:
        photos: relative name and SHA-256 of each.
    """
    lines = sorted(f"{sha256}  {relative}\0".encode("utf-8", "surrogateescape") for relative, sha256 in photos)
    return hashlib.sha256(b"".join(lines)).hexdigest()


def fingerprints_by_class(photos: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Return the fingerprint of each class, sorted by name.

    Args:
        photos: class, relative name and SHA-256 of each.
    """
    by_class: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for class_name, relative, sha256 in photos:
        by_class[class_name].append((relative, sha256))
    return {name: fingerprint(by_class[name]) for name in sorted(by_class)}


def write_audit(folder: Path, record: AuditRecord) -> Path:
    """Write a record into a folder; call it last, because it says that all the rest is there."""
    path = folder / RECORD
    write_text(path, json.dumps({"version": _VERSION, **asdict(record)}, indent=2) + "\n")
    return path


def read_audit(root: str | os.PathLike[str], folder: Path | None = None) -> AuditRecord | None:
    """Return the record of the newest audit of a tree; None if there is none that can be read.

    Args:
        root: the tree's folder.
        folder: where the audit was written if not where it belongs.
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
    """Return what to tell somebody who trains on photos that were not audited as they are; empty if they were.

    Args:
        root: the dataset's folder.
        photos: class, relative name and SHA-256 of each photo that is used.
    """
    record = read_audit(root)
    command = shlex.join([sys.executable, str(ROOT / "scripts" / "audit.py"), str(root)])
    if record is None:
        return f"{root}\nwas never audited: copies, leaks and wrong labels may be in it. Look with:\n  {command}"
    if names := record.changed(photos):
        told = f"the photos of {', '.join(names)} in {root}\nare not those of the audit of {record.time[:10]}"
        return f"{told}. Audit again:\n  {command}"
    return ""
