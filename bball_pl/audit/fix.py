"""The fix of an audit: photos of findings moved into quarantine, and back."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bball_pl.audit.audit import Audit
from bball_pl.audit.checks import ABOUT, FIXED, MOVABLE, Finding
from bball_pl.errors import ConfigError, DatasetError
from bball_pl.photos.journal import Journal, quarantine_place
from bball_pl.photos.labels_csv import Entry, absolute
from bball_pl.photos.photos_csv import printable
from bball_pl.photos.tree import PhotoTree

#: Author of the changes in the journal.
BY = "audit"
_ACTION = "quarantine"
#: Kinds of which some are left to a person.
_COPIES = frozenset({"leak_copy", "exact_duplicate", "near_duplicate"})
#: Begins the reason of every change of one fix, which is then taken back as a whole.
_BATCH = "fix "
#: Moves that are listed one by one.
_LISTED = 20


@dataclass(frozen=True)
class Undone:
    """Result of an undo.

    Attributes:
        time: Time of the fix, ISO 8601, UTC; empty if there is none.
        back: The changes that were taken back.
        refused: Reasons why others were not.
    """

    time: str = ""
    back: Sequence[Entry] = ()
    refused: Sequence[str] = ()

    @property
    def lines(self) -> list[str]:
        """What was taken back, in words."""
        if not self.time:
            return ["there is nothing to take back"]
        return [f"took back {len(self.back):,} moves of the fix of {self.time}", *_moves(self.back)]


def check_kinds(kinds: Collection[str]) -> None:
    """Refuse kinds that cannot be moved away.

    Raises:
        ConfigError: If there is no kind, or one that is unknown or does not concern single photos.
    """
    wrong = [kind for kind in kinds if kind not in MOVABLE]
    if wrong or not kinds:
        raise ConfigError(f"--kinds names {', '.join(wrong) or 'nothing'}; expected some of {', '.join(MOVABLE)}.")


def to_move(audit: Audit, kinds: Collection[str] = FIXED) -> list[Finding]:
    """Return the findings whose photos a fix moves, each photo once.

    Copies with different labels are moved only if `two_classes` is asked for, and then all of them; a file that has two
    names by a link to its folder is never moved as its own copy.
    """
    chosen: dict[str, Finding] = {}
    for finding in audit.findings:
        undecided = finding.kind in _COPIES and finding.action == "look"
        if finding.kind in kinds and not undecided:
            chosen.setdefault(finding.path, finding)
    return list(chosen.values())


def apply_fix(audit: Audit, kinds: Collection[str] = FIXED) -> list[Entry]:
    """Move doubtful photos to `quarantine/` in the tree's home, each written down before it moves.

    A second run finds nothing left to move, and one after a kill moves the rest. `audit.moved` gets each photo's new
    path.

    Raises:
        ConfigError: As in `check_kinds`.
        DatasetError: If a photo cannot be moved; those before it have been, and can be taken back.
    """
    check_kinds(kinds)
    chosen = to_move(audit, kinds)
    if not chosen:
        return []
    batch = _BATCH + datetime.now(UTC).isoformat(timespec="milliseconds")
    paths = {photo.relative: photo.path for photo in audit.tree.photos}
    entries = []
    with Journal(audit.tree.home, BY) as journal:
        for finding in chosen:
            path = paths[finding.path]
            why = f"{batch}: {finding.kind}: {finding.why}" + (
                f": {finding.counterpart}" if finding.counterpart else ""
            )
            # A file's name need not be UTF-8, and the table is.
            why = why.encode("utf-8", "backslashreplace").decode()
            entry = journal.move(path, quarantine_place(journal.home, path), _ACTION, why=why)
            audit.moved[finding.path] = entry.to
            entries.append(entry)
    return entries


def fix_lines(entries: Sequence[Entry]) -> list[str]:
    """Return what a fix moved, in words."""
    first = f"moved {len(entries):,} photos to quarantine" if entries else "nothing to move"
    return [first, *_moves(entries)]


def undo_fix(tree: PhotoTree) -> Undone:
    """Take back the newest fix of a tree that has something to be taken back.

    A photo that has been moved on since, or whose old place is taken, is refused with the reason; the others go back.

    Args:
        tree: The tree, which need not be scanned.
    """
    root = absolute(tree.root)
    with Journal(tree.home, BY) as journal:
        entries = [
            entry
            for entry in journal.standing()
            if entry.by == BY
            and entry.action == _ACTION
            and entry.why.startswith(_BATCH)
            and (journal.home / entry.path).is_relative_to(root)
        ]
        # A fix of which nothing is in quarantine any more cannot be taken back, and must not hide older ones.
        present = [entry for entry in entries if os.path.lexists(journal.home / entry.to)]
        if not present:
            return Undone()
        batch = _batch(present[-1])
        back, refused = [], []
        for entry in reversed([entry for entry in entries if _batch(entry) == batch]):
            try:
                back.append(journal.undo(entry.number, f"undo of {batch}"))
            except DatasetError as error:
                refused.append(str(error))
    return Undone(batch.removeprefix(_BATCH), back, refused)


def _batch(entry: Entry) -> str:
    return entry.why.partition(": ")[0]


def _moves(entries: Sequence[Entry]) -> Iterator[str]:
    for entry in entries[:_LISTED]:
        kind = entry.why.removeprefix(f"{_batch(entry)}: ").partition(":")[0]
        title = next((f" ({about.title})" for name, about in ABOUT.items() if name == kind), "")
        yield f"  {printable(entry.path)} -> {printable(entry.to)}{title}"
    if len(entries) > _LISTED:
        yield f"  and {len(entries) - _LISTED:,} more"
