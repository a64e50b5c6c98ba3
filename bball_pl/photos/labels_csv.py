"""The table labels.csv: one line for each change to a photo, only ever added to; and the decisions that stand in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from bball_pl.errors import DatasetError
from bball_pl.photos.photos_csv import AppendTable
from bball_pl.project import ROOT

LABELS = "labels.csv"
#: Action of a line that undoes another one.
UNDO = "undo"
#: Actions that say which photos are of one game, and which are not.
GROUP, APART = "group", "apart"
GROUPING = frozenset({GROUP, APART})
_COLUMNS = ("number", "time", "by", "action", "path", "to", "was", "class", "why", "undoes")


@dataclass(frozen=True)
class Entry:
    """One change.

    Attributes:
        number: Counted from 1.
        time: ISO 8601, UTC.
        by: Author: `audit`, `studio`.
        action: `label`, `quarantine`, `confirm`, `skip`, `undo`, or one of `GROUPING`.
        path: Old name of the photo, below the table's folder, with forward slashes.
        to: New name; the same if nothing moved.
        was: Class in its row of photos.csv before; empty if there is no row.
        class_name: Class from now on; empty if that is not known.
        why: Reason; the name of the game of `group`, and that of the refused proposal of `apart`.
        undoes: Number of the change that is undone; 0 if none is.
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
    """The lines of one table, read again only when the file has grown.

    Args:
        path: The file, which need not exist yet.

    Attributes:
        path: The file.
        entries: The lines, the oldest first.

    Raises:
        DatasetError: If the file is a table of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self._table = AppendTable(path, _COLUMNS)
        self._size = 0
        if path.exists() and path.stat().st_size and not is_labels(path):
            raise DatasetError(
                f"{path} is another kind of table; expected the columns {','.join(_COLUMNS)}. "
                "Rename it: this name is reserved for the journal of changes to photos."
            )

    def refresh(self) -> None:
        """Read the lines that other programs have added.

        Raises:
            DatasetError: If a line is damaged.
        """
        if not self.path.exists():
            self._table.close()  # it was removed: a new one begins
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
        """Cut off half a line, which a power cut may leave at the end; only under the journal's lock."""
        self._table.mend()

    def append(self, entry: Entry) -> None:
        """Add a line, and wait until it is on disk.

        Raises:
            OSError: If the disk refuses.
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


def home_of(root: str | os.PathLike[str]) -> Path:
    """Return the folder that holds the journal and the quarantine of a tree of photos.

    That is the project's `data/` for a tree in it; else the nearest folder above that has a journal already, the parent
    of `inbox`, or the parent of the tree.
    """
    tree = absolute(root)
    data = ROOT / "data"
    if tree.is_relative_to(data):
        return data
    above = [tree, *tree.parents]
    for folder in above:
        if is_labels(folder / LABELS):
            return folder
    return next((folder for folder in above if folder.name == "inbox"), tree).parent


def standing(entries: Sequence[Entry]) -> list[Entry]:
    """Return the changes that are not undone, the oldest first; an undo that is undone itself does not count."""
    undone: set[int] = set()
    for entry in reversed(entries):
        if entry.action == UNDO and entry.number not in undone:
            undone.add(entry.undoes)
    return [entry for entry in entries if entry.number not in undone and entry.action != UNDO]


@dataclass(frozen=True)
class Decision:
    """Decisions of people on a photo.

    Attributes:
        class_name: The class that they gave it; empty if none.
        confirmed: Whether a person has confirmed the class since the photo lies where it is.
        group: The game that they said it is of; empty if they said none.
        apart: Names of proposed games that they refused for it.
    """

    class_name: str = ""
    confirmed: bool = False
    group: str = ""
    apart: frozenset[str] = frozenset()


def decisions(home: Path) -> dict[Path, Decision]:
    """Return the decisions in the journal of a home, by the absolute paths where it last put the photos.

    Raises:
        DatasetError: If the journal is damaged.
    """
    home, found = absolute(home), dict[str, Decision]()
    for entry in _read_standing(home):
        before = found.pop(entry.path, Decision())
        confirmed = entry.action == "confirm" or (before.confirmed and entry.to == entry.path)
        group = entry.why if entry.action == GROUP else before.group
        apart = before.apart | ({entry.why} if entry.action == APART else frozenset())
        found[entry.to] = Decision(entry.class_name or before.class_name, confirmed, group, apart)
    return {home / relative: decision for relative, decision in found.items()}


def moved_photos(root: str | os.PathLike[str], since: str = "") -> dict[str, Path]:
    """Return where the photos are that were moved from their places below a folder.

    Args:
        root: Folder of a dataset.
        since: ISO 8601 date or time in UTC: only changes from then on. Default: all.

    Returns:
        By each former name of a photo below `root`, with forward slashes, its path now, in `root` or elsewhere. Of two
        photos that had one name, the one that left it last. The names of one photo are in the order in which it had
        them.

    Raises:
        DatasetError: If the journal is damaged.
    """
    home, tree = home_of(root), absolute(root)
    former: dict[str, dict[str, None]] = {}  # by the present name, those before
    for entry in _read_standing(home):
        if entry.to != entry.path and entry.time >= since:
            former[entry.to] = former.pop(entry.path, {}) | {entry.path: None}
    moved = {
        home / before: home / now for now, names in former.items() for before in names if home / before != home / now
    }
    return {before.relative_to(tree).as_posix(): now for before, now in moved.items() if before.is_relative_to(tree)}


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path in which links stay as they are: data/photos may be a link to another disk."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _read_standing(home: Path) -> list[Entry]:
    """Return the standing changes of a home; none without a journal. Nothing is locked: the disk may be read-only."""
    if not is_labels(home / LABELS):
        return []
    labels = Labels(home / LABELS)
    labels.refresh()
    return standing(labels.entries)


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
