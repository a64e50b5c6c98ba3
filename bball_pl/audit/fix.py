"""Moving the photos of findings into quarantine, and back."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bball_pl.audit.audit import Audit
from bball_pl.audit.checks import FIXED, MOVABLE, Finding
from bball_pl.errors import ConfigError, DatasetError
from bball_pl.photos.journal import Entry, Journal, quarantine_place

#: By whom the changes are, in the journal.
BY = "audit"
_ACTION = "quarantine"
#: Kinds of which some are left to a person.
_COPIES = frozenset({"leak_copy", "exact_duplicate", "near_duplicate"})
#: Begins the reason of every change of one fix, which is then taken back as a whole.
_BATCH = "fix "


@dataclass(frozen=True)
class Undone:
    """What became of taking back the newest fix.

    Attributes:
        time: of that fix, ISO 8601, UTC; empty if there is none.
        back: the changes that were taken back.
        refused: why others were not.
    """

    time: str = ""
    back: Sequence[Entry] = ()
    refused: Sequence[str] = ()


def check_kinds(kinds: Collection[str]) -> None:
    """Refuse kinds that cannot be moved away.

    Raises:
        ConfigError: if there is no kind, or one that is unknown or does not concern single photos.
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


def fix(audit: Audit, home: Path, kinds: Collection[str] = FIXED) -> list[tuple[Finding, Entry]]:
    """Move doubtful photos to `quarantine/` in the home, each written down before it moves.

    A second run finds nothing left to move, and one after a kill moves the rest. `audit.moved` gets each place.

    Raises:
        ConfigError: as in `check_kinds`.
        DatasetError: if a photo cannot be moved; those before it have been, and can be taken back.
    """
    check_kinds(kinds)
    chosen = to_move(audit, kinds)
    if not chosen:
        return []
    batch = _BATCH + datetime.now(UTC).isoformat(timespec="milliseconds")
    places = {photo.relative: photo.path for photo in audit.album.photos}
    done = []
    with Journal(home, BY) as journal:
        audit.home = journal.home
        for finding in chosen:
            path = places[finding.path]
            why = f"{batch}: {finding.kind}: {finding.why}" + (f": {finding.other}" if finding.other else "")
            # A file's name need not be UTF-8, and the table is.
            why = why.encode("utf-8", "backslashreplace").decode()
            entry = journal.move(path, quarantine_place(journal.home, path), _ACTION, why=why)
            audit.moved[finding.path] = entry.to
            done.append((finding, entry))
    return done


def confirmed_photos(home: Path) -> set[Path]:
    """Return the photos, by absolute path, whose labels a person has confirmed and that are still where they were."""
    # Looking must not fail because a table of another kind has the journal's name; moving does, and says so.
    with suppress(DatasetError), Journal(home, BY) as journal:
        return {journal.home / entry.to for entry in journal.standing() if entry.action == "confirm"}
    return set()


def undo(root: Path, home: Path) -> Undone:
    """Take back the newest fix of a tree that has something to be taken back.

    A photo that has been moved on since, or whose old place is taken, is refused with the reason; the others go back.
    """
    # As the journal sees it: links stay.
    tree, place = Path(os.path.abspath(root)), Path(os.path.abspath(home))  # noqa: PTH100
    with Journal(home, BY) as journal:
        entries = [
            entry
            for entry in journal.standing()
            if entry.by == BY
            and entry.action == _ACTION
            and entry.why.startswith(_BATCH)
            and (place / entry.path).is_relative_to(tree)
        ]
        # A fix of which nothing is in quarantine any more cannot be taken back, and must not hide older ones.
        there = [entry for entry in entries if os.path.lexists(place / entry.to)]
        if not there:
            return Undone()
        batch = _batch(there[-1])
        back, refused = [], []
        for entry in reversed([entry for entry in entries if _batch(entry) == batch]):
            try:
                back.append(journal.undo(entry.number, f"undo of {batch}"))
            except DatasetError as error:
                refused.append(str(error))
    return Undone(batch.removeprefix(_BATCH), back, refused)


def _batch(entry: Entry) -> str:
    return entry.why.partition(": ")[0]
