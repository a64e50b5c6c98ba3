"""photos.csv: one row a photo, with its class, group and origin; and the rows that move with their photos."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bball_pl.errors import DatasetError
from bball_pl.files import Signature, signature, write_text

#: The cells of a row by their columns.
Row = dict[str, str]


class AppendTable:
    """A CSV file that grows by whole rows.

    Args:
        path: The file, which need not exist yet.
        columns: Columns of a new file, in their order; an existing file keeps its columns.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self._columns = columns
        self._file: IO[bytes] | None = None

    def mend(self) -> None:
        """Cut off half a row, which a power cut may leave at the end, and terminate a whole one."""
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        if not content or content.endswith(b"\n"):
            return
        head, _, last = content.rpartition(b"\n")
        lines = [
            next(csv.reader([line.decode("utf-8-sig", "replace")]), []) for line in (content.split(b"\n")[0], last)
        ]
        with self.path.open("rb+") as file:
            if len(lines[0]) == len(lines[1]):
                file.seek(0, io.SEEK_END)
                file.write(b"\n")
            else:
                file.truncate(len(head) + 1 if head else 0)

    def rows(self) -> list[dict[str, str]]:
        """Return all rows, each with every column of the file."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")
        rows = [{str(name).strip(): value for name, value in row.items()} for row in reader]
        if reader.fieldnames:
            self._columns = [name.strip() for name in reader.fieldnames]
        return rows

    def add(self, row: dict[str, str]) -> None:
        """Append a row; columns that it lacks stay empty, and columns that the file lacks are left out."""
        if self._file is None:
            new = not self.path.exists() or self.path.stat().st_size == 0
            # Unbuffered: a row is one write, which a kill cannot cut in two.
            self._file = self.path.open("ab", buffering=0)
            if new:
                self._file.write(_line(self._columns))
        self._file.write(_line([row.get(column, "") for column in self._columns]))

    def sync(self) -> None:
        """Wait until the rows are on disk, whatever happens to the power."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def write(self, rows: Iterable[dict[str, str]]) -> None:
        """Replace the file, whole or not at all."""
        lines = [_line(self._columns), *(_line([row.get(column, "") for column in self._columns]) for row in rows)]
        self.close()
        write_text(self.path, b"".join(lines).decode())

    def close(self) -> None:
        """Close the file; a later `add` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _line(cells: Iterable[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


#: Columns in the order in which they are written. `path` and `class` are required.
COLUMNS = (
    *("path", "class", "group", "source", "source_url", "author", "licence", "licence_url", "sha256", "dhash"),
    *("time", "attribution", "restrictions"),
)
_REQUIRED = ("path", "class")
#: Further columns of photos that a model was asked for and a person has corrected: how the photo may be used
#: (`FOR_TRAINING` or empty), the model's answer and its probability. A table has them if one of its photos does.
CORRECTION_COLUMNS = ("use", "answer", "probability")
#: The column `use` of a photo that may be trained on and never measured on.
FOR_TRAINING = "train"


@dataclass(frozen=True)
class PhotoRecord:
    """One row of photos.csv; an unknown field is an empty string.

    Attributes:
        path: Name below the dataset's folder, with forward slashes: `train/shoot/000123.jpg`.
        class_name: The column `class`.
        group: Unit that must not be split between training and test: an album, a game, a clip.
        source: Name of the source.
        source_url: Page of the photo.
        author: Name of the photographer.
        licence: Name or SPDX identifier of the licence.
        licence_url: Address of the licence's text.
        sha256: 64 hex digits over the file's bytes.
        dhash: 64-bit difference hash of the picture as 16 hex digits.
        time: Time when it was taken, or else published, ISO 8601.
        attribution: The line that the licence asks for.
        restrictions: Other restrictions that the source names, such as personality rights.
    """

    path: str
    class_name: str
    group: str = ""
    source: str = ""
    source_url: str = ""
    author: str = ""
    licence: str = ""
    licence_url: str = ""
    sha256: str = ""
    dhash: str = ""
    time: str = ""
    attribution: str = ""
    restrictions: str = ""


def printable(text: str) -> str:
    """Return a text that a table and a terminal can show: line ends, controls and bytes that are no text become �."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _field(column: str) -> str:
    return "class_name" if column == "class" else column


def write_photos_csv(path: str | Path, records: Iterable[PhotoRecord]) -> None:
    """Write `records` to `path` in their order, UTF-8 with Unix line ends, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        writer.writerow([getattr(record, _field(column)) for column in COLUMNS])
    write_text(path, text.getvalue())


def read_photos_csv(path: str | Path) -> list[PhotoRecord]:
    """Return the rows of a photos.csv in their order; columns beyond `COLUMNS` are left out.

    Args:
        path: The file, UTF-8 with or without a byte order mark.

    Raises:
        DatasetError: If the file is missing, is not UTF-8, lacks the column `path` or `class`, has a row with another
            number of fields than its head, an empty or absolute `path` or one that leaves the dataset, an empty
            `class`, or the same `path` twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(f"{path} is not there. Give the photos.csv of a dataset.") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: byte {error.start} is not UTF-8. Save the table as 'CSV UTF-8'.") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DatasetError(f"{path}, line {reader.line_num}: {error}. Repair the line's quotes.") from None
    head = [name.strip() for name in rows[0][1]] if rows else []
    missing = [name for name in _REQUIRED if name not in head]
    if missing:
        raise DatasetError(
            f"{path}, line 1: no column {' and '.join(map(repr, missing))} (found: {', '.join(head) or 'nothing'}). "
            f"The first line must name the columns: {','.join(COLUMNS)}."
        )
    records: list[PhotoRecord] = []
    first_line: dict[str, int] = {}
    for line, row in rows[1:]:
        if len(row) != len(head):
            raise DatasetError(
                f"{path}, line {line}: {len(row)} fields, but the first line names {len(head)}. "
                "Put a field that has a comma in double quotes."
            )
        cells = dict(zip(head, (cell.strip() for cell in row), strict=True))
        record = PhotoRecord(**{_field(name): cells[name] for name in COLUMNS if name in cells})
        parts = record.path.replace("\\", "/").split("/")
        if not record.path or parts[0] in {"", "."} or ".." in parts or ":" in parts[0]:
            raise DatasetError(
                f"{path}, line {line}: path {record.path!r} is not below the dataset's folder. "
                "Write it as in train/shoot/000123.jpg."
            )
        if not record.class_name:
            raise DatasetError(f"{path}, line {line}: class is empty. Write the name of the photo's class folder.")
        if record.path in first_line:
            raise DatasetError(
                f"{path}, line {line}: path {record.path!r} is already on line {first_line[record.path]}. Remove one."
            )
        first_line[record.path] = line
        records.append(record)
    return records


def read_rows(path: Path) -> dict[str, Row]:
    """Return the rows of a photos.csv by their paths in the file's order, each with every column of the file.

    Raises:
        DatasetError: As in `read_photos_csv`.
    """
    read_photos_csv(path)
    rows = [{name: cell.strip() for name, cell in row.items()} for row in AppendTable(path, COLUMNS).rows()]
    return {row["path"]: row for row in rows}


PHOTOS_CSV = "photos.csv"
#: Folder of photos that are not used, below a home.
QUARANTINE = "quarantine"
#: Column that only the table of an inbox has. Such a table knows a photo by its file's name and may grow at any time.
_OF_AN_INBOX = "collected"


class Rows:
    """The rows of all tables below a home, kept in memory while their files do not change.

    Args:
        home: Folder of the journal.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._read: dict[Path, tuple[Signature, dict[str, Row]]] = {}

    def class_of(self, path: Path) -> str:
        """Return the class in the row of a photo; empty without a row."""
        folder = self._folder(path)
        row = self._rows(folder).get(_key(folder, path), {}) if folder is not None else {}
        return row.get("class", "")

    def check(self, path: Path, to: Path) -> None:
        """Refuse a move that the photo's row cannot make.

        Raises:
            DatasetError: If the photo has a row and `to` is neither below its table nor in quarantine, or the table is
                damaged.
        """
        folder = self._folder(path)
        if folder is not None and _key(folder, path) in self._rows(folder):
            self._folder_for(folder, to)

    def follow(self, path: Path, to: Path, class_name: str) -> None:
        """Move the row of a photo, if it has one; repeated after a kill, it finishes an interrupted move.

        Args:
            path: Old path of the photo.
            to: New path of the photo.
            class_name: Class of the row from now on; empty keeps it.

        Raises:
            OSError: If a table cannot be written.
            DatasetError: As in `check`.
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
                folder, {moved["path"] if name == key else name: rows[name] for name in rows} | {moved["path"]: moved}
            )
            return
        # First added, then removed: after a kill the row may exist twice, but is never lost.
        before = self._rows(target)
        after = before | {moved["path"]: moved}
        # A sorted table stays sorted: after an undo it is the same again, byte for byte.
        self._write(target, dict(sorted(after.items())) if list(before) == sorted(before) else after)
        self._write(folder, {name: row for name, row in rows.items() if name != _key(folder, path)})

    def _folder(self, path: Path) -> Path | None:
        """Return the folder of the table with a photo's row; None for a table whose rows do not move with photos."""
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
            read_photos_csv(path)  # refuses a damaged table
            self._read[folder] = now, {row["path"].strip(): row for row in AppendTable(path, COLUMNS).rows()}
        return self._read[folder][1]

    def _write(self, folder: Path, rows: dict[str, Row]) -> None:
        path = folder / PHOTOS_CSV
        # The columns of the table, and those that a row brings along.
        columns = dict.fromkeys(name for row in [*self._rows(folder).values(), *rows.values()] for name in row)
        AppendTable(path, list(columns) or COLUMNS).write(rows.values())
        self._read[folder] = signature(path), rows


def _key(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
