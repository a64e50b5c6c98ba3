"""Outputs of an audit: the table on the terminal, audit.csv, audit.html and the record."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from bball_pl.audit.audit import Audit
from bball_pl.audit.audit_page import render_page
from bball_pl.audit.checks import ABOUT, KINDS
from bball_pl.errors import DatasetError
from bball_pl.files import write_text
from bball_pl.photos.audit_record import PAGE, TABLE, write_audit
from bball_pl.photos.photos_csv import printable

_COLUMNS = ("path", "kind", "severity", "with", "class", "suggested", "why", "action", "moved_to")


def audit_table(audit: Audit) -> Table:
    """Return a table with a row for each kind of finding."""
    counts = audit.counts
    moved = Counter(finding.kind for finding in audit.findings if finding.path in audit.moved)
    table = Table(title=f"{len(audit.tree.photos):,} photos in {escape(printable(str(audit.tree.root)))}")
    table.add_column("found")
    table.add_column("photos", justify="right")
    if audit.moved:
        table.add_column("moved", justify="right")
    table.add_column("the worst")
    for kind in KINDS:
        if counts[kind]:
            worst = audit.of_kind(kind)[0]
            example = ": ".join(part for part in (printable(worst.path), printable(worst.why)) if part)
            row = [ABOUT[kind].title, f"{counts[kind]:,}"] + ([f"{moved[kind]:,}"] if audit.moved else [])
            table.add_row(*row, escape(example))
    if not table.row_count:
        table.add_row("nothing", "0", "")
    return table


def remarks(audit: Audit) -> Iterator[str]:
    """Yield the checks that were left out, with their reasons."""
    unsorted = audit.tree.unsorted
    if unsorted == len(audit.tree.photos):
        yield "no photo is sorted into a class yet: doubtful labels and imbalance are left out"
        return
    if unsorted:
        yield f"{unsorted:,} photos are in no class: their labels and their part in the imbalance are left out"
    if audit.judgement.remark:
        yield audit.judgement.remark


def write_outputs(folder: Path, audit: Audit, commands: Sequence[tuple[str, str]] = ()) -> dict[str, Path]:
    """Write table, page and record; each is whole or as it was, and the record comes last.

    Args:
        folder: Folder of the outputs; is created.
        audit: The audit, after its fix.
        commands: Pairs of a description and a command, for the page.

    Returns:
        The paths by the files' names.

    Raises:
        DatasetError: If the folder cannot be written.
    """
    # A name that is not UTF-8 is shown with its odd bytes as \udcXX: the table has to be readable everywhere.
    texts = {TABLE: findings_csv(audit).encode("utf-8", "backslashreplace").decode()}
    texts[PAGE] = render_page(audit, commands)
    try:
        for name, text in texts.items():
            write_text(folder / name, text)
        record = write_audit(folder, audit.record)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be written ({error.strerror}). Make room, or pass --out DIR.") from error
    return {name: folder / name for name in texts} | {record.name: record}


def findings_csv(audit: Audit) -> str:
    """Return the table of findings, in their order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for finding in audit.findings:
        action = "moved" if finding.path in audit.moved else finding.action or ABOUT[finding.kind].advice
        writer.writerow(
            [
                _no_formula(finding.path, "./"),
                finding.kind,
                f"{finding.severity:.3f}",
                _no_formula(finding.counterpart, "./"),
                *(_no_formula(printable(cell)) for cell in (finding.class_name, finding.suggested, finding.why)),
                action,
                _no_formula(audit.moved.get(finding.path, ""), "./"),
            ]
        )
    return text.getvalue()


def _no_formula(cell: str, before: str = " ") -> str:
    # A spreadsheet takes such a cell for a formula; a path with ./ is the same file.
    return f"{before}{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell
