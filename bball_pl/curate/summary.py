"""What an audit says on a terminal: a table of what was found, and what was moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from bball_pl.collect.names import cell
from bball_pl.curate.audit import Audit, unsorted
from bball_pl.curate.findings import ABOUT, KINDS, Finding
from bball_pl.curate.fix import Undone
from bball_pl.curate.journal import Entry

#: Moves that are told one by one.
_TOLD = 20


def audit_table(audit: Audit) -> Table:
    """Return a table with a row for each kind that was found."""
    counts = audit.counts
    moved = Counter(own.kind for own in audit.findings if own.path in audit.moved)
    table = Table(title=f"{len(audit.album.photos):,} photos in {escape(_text(str(audit.album.root)))}")
    table.add_column("found")
    table.add_column("photos", justify="right")
    if audit.moved:
        table.add_column("moved", justify="right")
    table.add_column("the worst")
    for kind in KINDS:
        if counts[kind]:
            worst = audit.of_kind(kind)[0]
            example = ": ".join(part for part in (_text(worst.path), _text(worst.why)) if part)
            row = [ABOUT[kind].title, f"{counts[kind]:,}"] + ([f"{moved[kind]:,}"] if audit.moved else [])
            table.add_row(*row, escape(example))
    if not table.row_count:
        table.add_row("nothing", "0", "")
    return table


def remarks(audit: Audit) -> Iterator[str]:
    """Yield what was not looked at, and why."""
    left = unsorted(audit)
    if left == len(audit.album.photos):
        yield "no photo is sorted into a class yet: doubtful labels and imbalance are left out"
        return
    if left:
        yield f"{left:,} photos are in no class: their labels and their part in the imbalance are left out"
    if audit.judgement.remark:
        yield audit.judgement.remark


def fix_lines(done: Sequence[tuple[Finding, Entry]]) -> Iterator[str]:
    """Yield what a fix moved."""
    yield f"moved {len(done):,} photos to quarantine" if done else "nothing to move"
    for finding, entry in done[:_TOLD]:
        yield f"  {_text(entry.path)} -> {_text(entry.to)} ({ABOUT[finding.kind].title})"
    if len(done) > _TOLD:
        yield f"  and {len(done) - _TOLD:,} more"


def undo_lines(undone: Undone) -> Iterator[str]:
    """Yield what was taken back."""
    if not undone.time:
        yield "there is nothing to take back"
        return
    yield f"took back {len(undone.back):,} moves of the fix of {undone.time}"
    for entry in undone.back[:_TOLD]:
        yield f"  {_text(entry.path)} -> {_text(entry.to)}"
    if len(undone.back) > _TOLD:
        yield f"  and {len(undone.back) - _TOLD:,} more"


def _text(text: str) -> str:
    # A file's name may hold line ends, colours of a terminal and bytes that are not UTF-8.
    return cell(text.encode("utf-8", "backslashreplace").decode())
