"""Rows of photos.csv that follow their photos from one folder to another."""

from __future__ import annotations

from pathlib import Path

from bball_pl.collect.table import Table
from bball_pl.errors import DatasetError
from bball_pl.files import Signature, signature
from bball_pl.photos_csv import COLUMNS, read_photos_csv

PHOTOS_CSV = "photos.csv"
#: The folder of photos that are not used, below a home.
QUARANTINE = "quarantine"
#: Only the table of an inbox has it. Such a table knows a photo by its file's name and may grow at any moment.
_OF_AN_INBOX = "collected"

Row = dict[str, str]


class Rows:
    """The tables below a home, kept in memory while their files do not change.

    Args:
        home: the folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._read: dict[Path, tuple[Signature, dict[str, Row]]] = {}

    def class_of(self, path: Path) -> str:
        """Return the class in the row of a photo; empty if it has none."""
        folder = self._folder(path)
        row = self._rows(folder).get(_key(folder, path), {}) if folder is not None else {}
        return row.get("class", "")

    def check(self, path: Path, to: Path) -> None:
        """Refuse a move that a row cannot follow.

        Raises:
            DatasetError: if the photo has a row and `to` is neither below its table nor in quarantine; the table is
                damaged.
        """
        folder = self._folder(path)
        if folder is not None and _key(folder, path) in self._rows(folder):
            self._folder_for(folder, to)

    def follow(self, path: Path, to: Path, class_name: str) -> None:
        """Move the row of a photo, if it has one; done again after a kill, it does what was not done.

        Args:
            path: where the photo was.
            to: where it is now.
            class_name: the class of the row from now on; empty leaves it.

        Raises:
            OSError: if a table cannot be written.
            DatasetError: as `check`.
        """
        folder = self._folder(path)
        if folder is None:
            return
        rows = self._rows(folder)
        row = rows.get(_key(folder, path))
        if row is None:
            return
        target = self._folder_for(folder, to)
        moved = row | {"path": _key(target, to)} | ({"class": class_name} if class_name else {})
        if target == folder:
            key = _key(folder, path)
            self._write(
                folder, {_key(target, to) if own == key else own: rows[own] for own in rows} | {moved["path"]: moved}
            )
            return
        # First added, then taken away: after a kill the row may be there twice, but never lost.
        there = self._rows(target)
        ordered = list(there) == sorted(there)
        there = there | {moved["path"]: moved}
        # A table in order stays so: then it is the same again, byte for byte, after an undo.
        self._write(target, dict(sorted(there.items())) if ordered else there)
        self._write(folder, {own: row for own, row in rows.items() if own != _key(folder, path)})

    def _folder(self, path: Path) -> Path | None:
        """Return the folder of the table that a photo's row is in, if rows of that table follow their photos."""
        for folder in path.parents:
            table = folder / PHOTOS_CSV
            if table.is_file():
                with table.open(encoding="utf-8-sig", errors="replace") as file:
                    return None if _OF_AN_INBOX in file.readline().strip().split(",") else folder
            if folder == self._home:
                break
        return None

    def _folder_for(self, folder: Path, to: Path) -> Path:
        if to.is_relative_to(folder):
            return folder
        quarantine = self._home / QUARANTINE
        mirrored = quarantine / folder.relative_to(self._home)
        if to.is_relative_to(mirrored):
            return mirrored
        if folder.is_relative_to(quarantine):
            back = self._home / folder.relative_to(quarantine)
            if to.is_relative_to(back):
                return back
        raise DatasetError(
            f"{to} is not below {folder}, whose {PHOTOS_CSV} has a row of the photo. Move the photo within that folder."
        )

    def _rows(self, folder: Path) -> dict[str, Row]:
        path = folder / PHOTOS_CSV
        if not path.exists():
            return {}
        now = signature(path)
        if folder not in self._read or self._read[folder][0] != now:
            read_photos_csv(path)  # says what is wrong with it, if something is
            self._read[folder] = now, {row["path"].strip(): row for row in Table(path, COLUMNS).rows()}
        return self._read[folder][1]

    def _write(self, folder: Path, rows: dict[str, Row]) -> None:
        path = folder / PHOTOS_CSV
        # The columns that are there, and those that a row brings along.
        columns = dict.fromkeys(name for row in [*self._rows(folder).values(), *rows.values()] for name in row)
        Table(path, list(columns) or COLUMNS).write(rows.values())
        self._read[folder] = signature(path), rows


def _key(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
