"""Classes of photos from a table beside them, as Kaggle and the like give them: a CSV of files and labels."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bball_pl.errors import DatasetError
from bball_pl.moves import sort_class_names
from bball_pl.photos.tree import IMAGE_SUFFIXES, LABEL_NAMES, LABEL_NUMBERS, Photo, PhotoTree, canonical_name

#: Names of the column of files and of that of classes, in lower case without separators, the likeliest first. A number
#: of a class may stand beside its name.
_FILES = (
    *(
        "path",
        "filepath",
        "imagepath",
        "filename",
        "file",
        "imagefile",
        "imagename",
        "image",
        "img",
        "photo",
        "picture",
    ),
    *("imageid", "photoid", "fileid", "id", "name"),
)
_CLASSES = (*LABEL_NAMES, "type", "tag", *LABEL_NUMBERS)
_GROUPS = ("group", "album", "game", "clip", "groupid")
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Labelled:
    """A tree whose photos have the classes of a table.

    Attributes:
        tree: The tree.
        absent: Number of rows whose photo is not in the tree.
    """

    tree: PhotoTree
    absent: int


def label_tree(tree: PhotoTree, table: Path, class_names: Sequence[str] | None = None) -> Labelled:
    """Return a tree with the classes, and the groups if there are any, of a table; its folders count for nothing.

    The table has a column of files (`image`, `filename`, `id`, …; with or without folder and suffix) and a column of
    classes (`label`, `class`, `category`, …), or a column of zeros and ones for each class. Photos without a row have
    no class.

    Args:
        tree: A scanned tree.
        table: CSV file, separated by commas, semicolons or tabs, whose first line names the columns.
        class_names: Classes to keep, in their order. Default: all of the table.

    Raises:
        DatasetError: If the table cannot be read, has no such columns, names none of the photos, gives a photo two
            classes, or a name of a file fits several photos.
    """
    head, rows = _read(table)
    by_name = _names(tree.photos)
    column = _file_column(head, rows, by_name, table)
    classes = _classes(head, rows, column, table)
    group = _first(head, _GROUPS)
    found: dict[str, tuple[str, str]] = {}
    absent = 0
    for number, (row, class_name) in enumerate(zip(rows, classes, strict=True), start=2):
        matches = by_name.get(_key(row[column]), [])
        if len(matches) > 1:
            raise DatasetError(
                f"{table}, row {number}: {row[column]} is the name of {len(matches)} photos, such as {matches[0]} and "
                f"{matches[1]}. Write it with its folder, or pass the folder of one of them."
            )
        absent += not matches
        for relative in matches:
            before = found.setdefault(relative, (class_name, row[group] if group is not None else ""))[0]
            if before != class_name:
                raise DatasetError(
                    f"{table}, row {number}: {row[column]} is {class_name}, and {before} in another row. Remove one."
                )
    names = sort_class_names(sorted({name for name, _ in found.values()} - {""}))
    if class_names:
        names = [canonical_name(name) for name in class_names]
    targets = {name: target for target, name in enumerate(names)}
    photos = []
    for photo in tree.photos:
        class_name, of_group = found.get(photo.relative, ("", ""))
        target = targets.get(class_name, -1)
        class_name = "" if target < 0 else class_name
        photos.append(replace(photo, class_name=class_name, target=target, group=of_group or photo.group))
    labelled = {photo.split for photo in photos if photo.class_name}
    # Kaggle's `test` has no labels: a single split with labels is an album that is still to be divided.
    has_splits = tree.has_splits and len(labelled) > 1
    if not has_splits:
        photos = [replace(photo, split="") for photo in photos]
    return Labelled(replace(tree, class_names=names, photos=photos, has_splits=has_splits), absent)


def _read(table: Path) -> tuple[list[str], list[list[str]]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{table}: byte {error.start} is not UTF-8. Save the table as 'CSV UTF-8'.") from None
    except OSError as error:
        raise DatasetError(f"--labels {table} cannot be read ({error.strerror}). Pass a CSV file.") from None
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        lines = [[cell.strip() for cell in row] for row in reader if row]
    except csv.Error as error:
        raise DatasetError(f"{table}, line {reader.line_num}: {error}. Repair the line's quotes.") from None
    head, rows = (lines[0], lines[1:]) if lines else ([], [])
    if odd := next((number for number, row in enumerate(rows, start=2) if len(row) != len(head)), None):
        raise DatasetError(
            f"{table}, row {odd}: {len(rows[odd - 2])} fields, but the first line names {len(head)}. Put a field that "
            "has a comma in double quotes."
        )
    if len(head) < 2 or not rows:
        raise DatasetError(
            f"{table} has {len(head)} columns and {len(rows)} rows; expected a column of files, one of classes, and "
            "a row for each photo."
        )
    return head, rows


def _names(photos: Sequence[Photo]) -> dict[str, list[str]]:
    """Return the photos by every name that a row may give them: with and without folders and suffix."""
    found: dict[str, list[str]] = defaultdict(list)
    for photo in photos:
        parts = _key(photo.relative).split("/")
        for start in range(len(parts)):
            found["/".join(parts[start:])].append(photo.relative)
    return found


def _key(name: str) -> str:
    """Return a file's name in the form in which names are compared: forward slashes, no suffix of an image."""
    plain = canonical_name(name.replace("\\", "/")).removeprefix("./")
    suffix = Path(plain).suffix.lower()
    return plain[: -len(suffix)] if suffix in IMAGE_SUFFIXES else plain


def _file_column(head: Sequence[str], rows: Sequence[Sequence[str]], by_name: dict[str, list[str]], table: Path) -> int:
    hits = Counter({index: sum(_key(row[index]) in by_name for row in rows) for index in range(len(head))})
    named = [index for name in _FILES for index, column in enumerate(head) if _plain(column) == name]
    best: int = max([*named, *range(len(head))], key=lambda index: hits[index])
    if not hits[best]:
        examples = ", ".join(row[named[0] if named else 0] for row in rows[:2])
        raise DatasetError(
            f"{table} names none of the photos (such as {examples}). Pass the folder that they lie in, or the table "
            "that belongs to it."
        )
    return best


def _classes(head: Sequence[str], rows: Sequence[Sequence[str]], files: int, table: Path) -> list[str]:
    """Return the class of each row; empty for a row without one."""
    index = _first(head, _CLASSES)
    others = [column for column in range(len(head)) if column != files]
    ones = [column for column in others if all(_as_bit(row[column]) is not None for row in rows)]
    if index is None and len(ones) > 1:
        classes = []
        for number, row in enumerate(rows, start=2):
            chosen = [head[column] for column in ones if _as_bit(row[column])]
            if len(chosen) > 1:
                raise DatasetError(f"{table}, row {number}: {' and '.join(chosen)} are both 1; expected one class.")
            classes.append(canonical_name(chosen[0]) if chosen else "")
    elif index is None and len(others) != 1:
        raise DatasetError(
            f"{table} has no column of classes (found: {', '.join(head)}). Name it label, class or category."
        )
    else:
        classes = [canonical_name(row[others[0] if index is None else index]) for row in rows]
    return classes


def _first(head: Sequence[str], names: Sequence[str]) -> int | None:
    columns = [_plain(column) for column in head]
    return next((columns.index(name) for name in names if name in columns), None)


def _plain(column: str) -> str:
    return "".join(letter for letter in column.lower() if letter.isalnum())


def _as_bit(cell: str) -> bool | None:
    return {"0": False, "0.0": False, "1": True, "1.0": True}.get(cell)
