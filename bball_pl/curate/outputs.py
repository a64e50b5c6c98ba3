"""The files of an audit: a table with a row for each finding, a page to look at, and the record."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from bball_pl.audits import PAGE, TABLE, write_audit
from bball_pl.collect.names import cell
from bball_pl.curate.audit import Audit
from bball_pl.curate.findings import ABOUT
from bball_pl.curate.report import render_page
from bball_pl.errors import DatasetError
from bball_pl.files import write_text

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
