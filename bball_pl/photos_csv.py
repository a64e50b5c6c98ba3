"""photos.csv: where each photo of a dataset came from, what it shows and what must not be split; one row a photo."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bball_pl.errors import DatasetError
from bball_pl.files import write_text

#: Columns in the order in which they are written. `path` and `class` must be there, the others may be missing.
COLUMNS = (
    *("path", "class", "group", "source", "source_url", "author", "licence", "licence_url", "sha256", "dhash"),
    *("time", "attribution", "restrictions"),
)
_REQUIRED = ("path", "class")


@dataclass(frozen=True)
class PhotoRecord:
    """One row of photos.csv; an unknown field is an empty string.

    Attributes:
        path: place below the dataset's folder, with forward slashes: `train/shoot/000123.jpg`.
        class_name: the column `class`.
        group: what must not be split between training and test: an album, a game, a clip.
        source: name of where the photo is from.
        source_url: its page.
        author: who took it.
        licence: name or SPDX identifier of the licence.
        licence_url: text of the licence.
        sha256: 64 hex digits over the file's bytes.
        dhash: 64-bit difference hash of the picture as 16 hex digits.
        time: when it was taken, or else published, ISO 8601.
        attribution: the line that the licence asks for.
        restrictions: what else its source says of its use, such as personality rights.
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
        path: the file, UTF-8 with or without a byte order mark.

    Raises:
        DatasetError: if the file is missing, is not UTF-8, lacks the column `path` or `class`, has a row with another
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
