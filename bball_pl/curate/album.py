"""The photos of any tree: a dataset with its splits, an inbox with its sources, or plain class folders."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bball_pl.classes import MOVES, UNSORTED, sort_class_names
from bball_pl.collect.table import Table
from bball_pl.curate.rows import QUARANTINE
from bball_pl.data.folder import IMAGE_SUFFIXES, SPLITS, files_below
from bball_pl.errors import DatasetError
from bball_pl.photos_csv import COLUMNS, read_photos_csv

#: The table that says where photos come from.
TABLE = "photos.csv"

Row = Mapping[str, str]


class NoPhotosError(DatasetError):
    """A tree without a photo."""


@dataclass(frozen=True)
class AlbumPhoto:
    """A file with the name of a photo, not opened yet.

    Attributes:
        path: its file.
        relative: its name below the album's root, with forward slashes on every system.
        split: train, val or test; empty in a tree without splits.
        class_name: empty if nobody has sorted it yet.
        group: what must not be divided by a split; empty if not known.
        row: its row of photos.csv with every column of the file; empty if there is none.
    """

    path: Path
    relative: str
    split: str
    class_name: str
    group: str = ""
    row: Row = field(default_factory=dict)


@dataclass
class Album:
    """What lies in a tree.

    Attributes:
        root: the folder.
        class_names: in the order of the classes; empty if nothing is sorted.
        photos: sorted by relative name.
        has_splits: whether it is a dataset with folders train, val, test.
    """

    root: Path
    class_names: list[str]
    photos: list[AlbumPhoto]
    has_splits: bool
    _tables: dict[Path, list[Row]] = field(default_factory=dict)

    @property
    def splits(self) -> list[str]:
        """The splits that have photos, in their order; empty in a tree without splits."""
        found = {photo.split for photo in self.photos}
        return [split for split in SPLITS if split in found]

    @property
    def has_table(self) -> bool:
        """Whether there is a photos.csv."""
        return bool(self._tables)

    def join_by_content(self, sha256s: Sequence[str]) -> None:
        """Give photos without a row the row with the same bytes: a person may have sorted the file elsewhere.

        Args:
            sha256s: of the photos' bytes, in their order; empty where a file could not be read.
        """
        by_content = {
            folder: {row["sha256"]: row for row in rows if row.get("sha256")} for folder, rows in self._tables.items()
        }
        # A row without a sum: by the file's name, if no other row has it.
        by_name: dict[Path, dict[str, list[Row]]] = {}
        for place, rows in self._tables.items():
            by_name[place] = defaultdict(list)
            for row in rows:
                by_name[place][row["path"].rsplit("/", 1)[-1]].append(row)
        for position, (photo, sha256) in enumerate(zip(self.photos, sha256s, strict=True)):
            folder = _owner(photo.path, self._tables)
            if photo.row or folder is None:
                continue
            named = by_name[folder].get(photo.path.name, [])
            found = by_content[folder].get(sha256) or (
                named[0] if len(named) == 1 and not named[0].get("sha256") else None
            )
            if found is not None:
                self.photos[position] = _with_row(photo, found, _prefix(folder, self.root))


def scan_album(root: str | os.PathLike[str], class_names: Sequence[str] | None = None) -> Album:
    """List the photos of a tree without opening them, and join the rows of every photos.csv in it.

    A tree with a folder `train` is a dataset: `{train,val,test}/<class>/…`, and nothing else in it counts. In any
    other tree, its folder `quarantine` left out, the innermost folder with the name of a class says what a photo shows.
    Those names are, unless given, the three moves if folders of two or more of them are there, else the folders below
    the root or below a photos.csv. A photo in no such folder has the class of its row, or none.

    Args:
        root: the folder.
        class_names: names of the class folders.

    Raises:
        DatasetError: if there is no such folder or no photo in it, or a photos.csv is damaged.
    """
    root = Path(root)
    if not root.is_dir():
        raise NoPhotosError(f"there is no folder {root}. Pass the folder of a dataset or of an inbox.")
    has_splits = (root / "train").is_dir()
    starts = [root / split for split in SPLITS if (root / split).is_dir()] if has_splits else [root]
    quarantine = root / QUARANTINE
    found = sorted(path for start in starts for path in files_below(start) if not path.is_relative_to(quarantine))
    tables = {path.parent: _read(path) for path in found if path.name == TABLE}
    if (root / TABLE).is_file():
        tables[root] = _read(root / TABLE)
    files = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise NoPhotosError(f"{root} has no photos. Collect some with scripts/collect.py, or pass another folder.")
    names = list(class_names) if class_names else _class_names(root, files, tables, has_splits)
    by_path = {folder: {row["path"]: row for row in rows} for folder, rows in tables.items()}
    photos = []
    for path in files:
        parts = path.relative_to(root).parts
        split = parts[0] if has_splits else ""
        class_name = _class_of(parts, names, has_splits)
        photo = AlbumPhoto(path, "/".join(parts), split, class_name)
        folder = _owner(path, tables)
        row = {} if folder is None else by_path[folder].get(path.relative_to(folder).as_posix(), {})
        photos.append(_with_row(photo, row, _prefix(folder, root)) if folder is not None and row else photo)
    photos = [
        replace(photo, class_name=photo.row["class"])
        if not photo.class_name and photo.row.get("class") in names
        else photo
        for photo in photos
    ]
    photos.sort(key=lambda photo: photo.relative)
    return Album(root, names, photos, has_splits, tables)


def _with_row(photo: AlbumPhoto, row: Row, prefix: str) -> AlbumPhoto:
    group = row.get("group", "")
    return replace(photo, row=row, group=f"{prefix}{group}" if group else "")


def _prefix(folder: Path | None, root: Path) -> str:
    # Two sources may each have an album of the same name.
    return "" if folder is None or folder == root else f"{folder.relative_to(root).as_posix()}/"


def _owner(path: Path, tables: Mapping[Path, object]) -> Path | None:
    """Return the innermost folder above a file that has a photos.csv."""
    return next((folder for folder in path.parents if folder in tables), None)


def _read(path: Path) -> list[Row]:
    read_photos_csv(path)  # says what is wrong with it, if something is
    return [{name: value.strip() for name, value in row.items()} for row in Table(path, COLUMNS).rows()]


def _class_names(root: Path, files: Iterable[Path], tables: Mapping[Path, list[Row]], has_splits: bool) -> list[str]:
    moves = {move.name for move in MOVES}
    folders = [path.relative_to(root).parts[:-1] for path in files]
    if has_splits:
        # A folder without a photo is a class as well: one that training misses.
        return sort_class_names(
            sorted(
                {
                    folder.name
                    for split in SPLITS
                    if (root / split).is_dir()
                    for folder in (root / split).iterdir()
                    if folder.is_dir() and not folder.name.startswith(".")
                }
            )
        )
    found = moves & {name for parts in folders for name in parts}
    if len(found) > 1 or (found and not tables):
        return [move.name for move in MOVES if len(found) > 1 or move.name in found]
    below = [path.relative_to(_owner(path, tables) or root).parts for path in files]
    names = {parts[0] for parts in below if len(parts) > 1}
    names |= {row["class"] for rows in tables.values() for row in rows}
    return sort_class_names(sorted(names - {UNSORTED}))


def _class_of(parts: Sequence[str], names: Sequence[str], has_splits: bool) -> str:
    if has_splits:
        return parts[1] if len(parts) > 2 and parts[1] in names else ""
    return next((name for name in reversed(parts[:-1]) if name in names), "")
