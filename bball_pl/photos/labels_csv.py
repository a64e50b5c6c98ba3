"""The table `labels.csv`: one line for each change to a photo, only ever added to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from bball_pl.errors import DatasetError
from bball_pl.photos.photos_csv import AppendTable

LABELS = "labels.csv"
#: The action of a line that takes another one back.
UNDO = "undo"
_COLUMNS = ("number", "time", "by", "action", "path", "to", "was", "class", "why", "undoes")


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        number: counted from 1.
        time: ISO 8601, UTC.
        by: who: `audit`, `studio`.
        action: `label`, `quarantine`, `confirm`, `skip` or `undo`.
        path: where the photo was, below the table's folder, with forward slashes.
        to: where it went; the same if nothing moved.
        was: class in its row of photos.csv before; empty if there is no row.
        class_name: class from now on; empty if that is not known.
        why: reason.
        undoes: number of the line that is taken back; 0 if none is.
    """

    number: int
    time: str
    by: str
    action: str
    path: str
    to: str
    was: str = ""
    class_name: str = ""
    why: str = ""
    undoes: int = 0


class Labels:
    """The lines of one table, read again only when others have added some.

    Args:
        path: of the file, which need not be there yet.

    Attributes:
        path: of the file.
        entries: the lines, the oldest first.

    Raises:
        DatasetError: if the file is a table of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self._table = AppendTable(path, _COLUMNS)
        self._size = 0
        if path.exists() and path.stat().st_size and not is_labels(path):
            raise DatasetError(
                f"{path} is another kind of table; expected the columns {','.join(_COLUMNS)}. "
                "Give it another name: changes to the photos are written down under this one."
            )

    def refresh(self) -> None:
        """Read what others have added.

        Raises:
            DatasetError: if a line is damaged.
        """
        if not self.path.exists():
            self._table.close()  # someone removed it: a new one begins
            self.entries, self._size = [], 0
            return
        size = self.path.stat().st_size
        if size == self._size:
            return
        entries: list[Entry] = []
        for row in self._table.rows():
            try:
                entries.append(_from_row(row))
            except (KeyError, ValueError):
                raise DatasetError(
                    f"{self.path}: the line after change {entries[-1].number if entries else 0} is damaged. "
                    "Repair or remove it; no photo depends on it."
                ) from None
        self.entries, self._size = entries, size

    def mend(self) -> None:
        """Cut off half a line, which a power cut may leave at the end; only while nobody else writes."""
        self._table.mend()

    def append(self, entry: Entry) -> None:
        """Add a line, and wait until it is on disk.

        Raises:
            OSError: if that is not possible.
        """
        self._table.add(_to_row(entry))
        self._table.sync()
        self.entries.append(entry)
        self._size = self.path.stat().st_size

    def close(self) -> None:
        """Close the file."""
        self._table.close()


def is_labels(path: Path) -> bool:
    """Return whether a file is such a table."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.readline().strip().split(",")[: len(_COLUMNS)] == list(_COLUMNS)
    except OSError:
        return False


def undone(entries: Sequence[Entry]) -> set[int]:
    """Return the numbers of the lines that later ones take back; an undo that is taken back itself does not count."""
    numbers: set[int] = set()
    for entry in reversed(entries):
        if entry.action == UNDO and entry.number not in numbers:
            numbers.add(entry.undoes)
    return numbers


def _to_row(entry: Entry) -> dict[str, str]:
    row = {name: str(getattr(entry, "class_name" if name == "class" else name)) for name in _COLUMNS}
    return row | {"path": _to_cell(entry.path), "to": _to_cell(entry.to), "why": " ".join(entry.why.split())}


def _from_row(row: dict[str, str]) -> Entry:
    return Entry(
        number=int(row["number"]),
        time=row["time"],
        by=row["by"],
        action=row["action"],
        path=_from_cell(row["path"]),
        to=_from_cell(row["to"]),
        was=row["was"],
        class_name=row["class"],
        why=row["why"],
        undoes=int(row["undoes"]),
    )


def _to_cell(relative: str) -> str:
    # Line ends and bytes that are not UTF-8 may be in a file's name, and not in a table that a person opens.
    return "".join(
        char if char.isprintable() and char != "%" else quote(os.fsencode(char), safe="") for char in relative
    )


def _from_cell(cell: str) -> str:
    return os.fsdecode(unquote_to_bytes(cell))
