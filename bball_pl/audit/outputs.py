"""Outputs of an audit: the table on the terminal, audit.csv, audit.html and the record."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from bball_pl.audit.audit import Audit, unsorted
from bball_pl.audit.audit_page import render_page
from bball_pl.audit.checks import ABOUT, KINDS, Finding
from bball_pl.audit.fix import Undone
from bball_pl.collect.names import cell
from bball_pl.errors import DatasetError
from bball_pl.files import write_text
from bball_pl.photos.audit_record import PAGE, TABLE, write_audit
from bball_pl.photos.journal import Entry

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


_COLUMNS = ("path", "kind", "severity", "with", "class", "suggested", "why", "action", "moved_to")


def write_outputs(folder: Path, audit: Audit, commands: Sequence[tuple[str, str]] = ()) -> dict[str, Path]:
    """Write table, page and record; each is whole or as it was, and the record comes last.

    Args:
        folder: is made if it is not there.
        audit: after the fix, if there is one.
        commands: for the page, what each does and how it reads.

    Returns:
        The paths by the files' names.

    Raises:
        DatasetError: if the folder cannot be written.
    """
    table, page = folder / TABLE, folder / PAGE
    rendered = render_page(audit, commands)
    try:
        # A name that is not UTF-8 is shown with its odd bytes as \\udcXX: the table has to be readable everywhere.
        write_text(table, findings_csv(audit).encode("utf-8", "backslashreplace").decode())
        write_text(page, rendered)
        record = write_audit(folder, audit.record())
    except OSError as error:
        raise DatasetError(f"{folder} cannot be written ({error.strerror}). Make room, or pass --out DIR.") from error
    return {path.name: path for path in (table, page, record)}


def findings_csv(audit: Audit) -> str:
    """Return the table of findings, in their order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for own in audit.findings:
        action = "moved" if own.path in audit.moved else own.action or ABOUT[own.kind].advice
        writer.writerow(
            [
                _path(own.path),
                own.kind,
                f"{own.severity:.3f}",
                _path(own.other),
                cell(own.class_name),
                cell(own.suggested),
                cell(own.why),
                action,
                _path(audit.moved.get(own.path, "")),
            ]
        )
    return text.getvalue()


def _path(relative: str) -> str:
    # A spreadsheet takes such a name for a formula; with ./ it is the same file.
    return f"./{relative}" if relative[:1] in {"=", "+", "-", "@", "\t", "\r"} else relative
