"""Trees of photos: a dataset with its splits, an inbox with its sources, or plain class folders."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.table import Table

from bball_pl.errors import DatasetError
from bball_pl.moves import MOVES, UNSORTED, display_name, sort_class_names
from bball_pl.photos.photos_csv import COLUMNS, QUARANTINE, AppendTable, read_photos_csv

SPLITS = ("train", "val", "test")

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".heic", ".heif", ".avif", ".gif", ".bmp", ".tif", ".tiff"}
)

# Files that programs and people leave in photo folders; a line about each run's README helps nobody.
_QUIET_NAMES = frozenset({"thumbs.db", "desktop.ini", "readme", "licence", "license"})
_QUIET_SUFFIXES = frozenset({".txt", ".md", ".csv", ".json"})


@dataclass(frozen=True)
class Photo:
    """One photo of a dataset.

    Attributes:
        path: its file.
        relative: its name inside the dataset's root, with forward slashes on every system.
        class_name: name of its class.
        target: index of its class in the order of the class names.
        group: what must not be divided by a split (an album, a game, a clip); empty if not known.
        sha256: of the file's bytes, in hexadecimal.
    """

    path: Path
    relative: str
    class_name: str
    target: int
    group: str
    sha256: str


@dataclass(frozen=True)
class FoundPhoto:
    """A file with the name of a photo, not opened yet; the attributes are those of `Photo`, and `split`."""

    path: Path
    relative: str
    split: str
    class_name: str
    group: str


@dataclass
class FoundDataset:
    """A dataset folder as its names show it.

    Attributes:
        root: the folder.
        class_names: in the order of the targets.
        photos: sorted by relative name, so that the order does not depend on the file system.
        ignored: relative names of files and folders that are left out, for the user to see.
        has_val: whether there is a folder `val`.
    """

    root: Path
    class_names: list[str]
    photos: list[FoundPhoto] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    has_val: bool = False


def find_class_names(root: str | os.PathLike[str], given: Sequence[str] | None = None) -> list[str]:
    """Return the class names of a dataset in the order of the targets, looking at the names in `train` only.

    Args:
        root: the dataset's folder.
        given: the class names in the order that is wanted; None takes every folder in `train`.

    Raises:
        DatasetError: if the root or `train` is missing, there are fewer than two classes, or a given class is double
            or has no folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(
            f"there is no dataset at {root}. Make the demo's with `python scripts/demo.py`, or pass --data.root DIR."
        )
    if not (root / "train").is_dir():
        raise DatasetError(
            f"{root} has no folder 'train' (found: {_listing(_folders(root))}). Expected {{train,test}}/<class>/*.jpg. "
            "Sort the photos into train/<class>/ and test/<class>/, or pass --data.root DIR."
        )
    found = _folders(root / "train")
    if given is None:
        if len(found) < 2:
            raise DatasetError(
                f"{root / 'train'} has {len(found)} class folders (found: {_listing(found)}); expected two or more, "
                "one per move, such as shoot, dribble and layup. Add the missing ones, or pass --data.root DIR."
            )
        return sort_class_names(found)
    if len(given) < 2:
        raise DatasetError(f"--data.class_names gives {len(given)} classes; expected two or more.")
    if doubles := [name for name, times in Counter(given).items() if times > 1]:
        raise DatasetError(f"--data.class_names names {_listing(doubles)} twice. Give each class once.")
    _require_folders(root / "train", given)
    return list(given)


def scan_dataset(root: str | os.PathLike[str], given: Sequence[str] | None = None) -> FoundDataset:
    """List the photos of a dataset without opening them, and join the groups of `photos.csv` where there is one.

    Class folders are searched to any depth and links are followed. Hidden files and what systems and people leave
    behind (`.DS_Store`, `Thumbs.db`, README, text) are passed over in silence; other files without the name of an
    image are noted in `ignored`.

    Args:
        root: the dataset's folder, `{train,test[,val]}/<class>/*.jpg`.
        given: as in `find_class_names`.

    Raises:
        DatasetError: as in `find_class_names`; if `test` or `val` lacks a class or has one that `train` lacks; if
            `photos.csv` names a file that is not there or contradicts a photo's folder.
    """
    root = Path(root)
    dataset = FoundDataset(root, find_class_names(root, given))
    for split in SPLITS:
        folder = root / split
        if not folder.is_dir():
            continue
        dataset.has_val |= split == "val"
        _require_folders(folder, dataset.class_names)
        extra = sorted(set(_folders(folder)) - set(dataset.class_names))
        if extra and given is None:
            raise DatasetError(
                f"{folder} has the folder {_listing(extra)}, and {root / 'train'} has not. Add photos of that class "
                "to train, remove the folder, or pass --data.class_names."
            )
        dataset.ignored += [f"{split}/{name}/" for name in extra]
        for class_name in dataset.class_names:
            for path in files_below(folder / class_name):
                relative = path.relative_to(root).as_posix()
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    dataset.photos.append(FoundPhoto(path, relative, split, class_name, group=""))
                elif not (path.name.lower() in _QUIET_NAMES or path.suffix.lower() in _QUIET_SUFFIXES):
                    dataset.ignored.append(relative)
    dataset.photos.sort(key=lambda photo: photo.relative)
    dataset.ignored.sort()
    _join_groups(dataset)
    return dataset


def count_table(photos: Mapping[str, Sequence[Photo]], class_names: Sequence[str]) -> Table:
    """Return a table of photos per class and split, with the number of groups where they are known."""
    splits = [split for split in SPLITS if photos.get(split)]
    table = Table()
    table.add_column("class")
    for split in splits:
        table.add_column(split, justify="right")
    for name in class_names:
        counts = [sum(photo.class_name == name for photo in photos[split]) for split in splits]
        table.add_row(display_name(name), *map(str, counts))
    table.add_section()
    table.add_row("all", *(str(len(photos[split])) for split in splits))
    groups = [len({photo.group for photo in photos[split] if photo.group}) for split in splits]
    if any(groups):
        table.add_row("groups", *map(str, groups))
    return table


def _join_groups(dataset: FoundDataset) -> None:
    table = dataset.root / "photos.csv"
    if not table.is_file():
        return
    known = {photo.relative: position for position, photo in enumerate(dataset.photos)}
    problems = []
    for row, record in enumerate(read_photos_csv(table), start=2):
        position = known.get(record.path)
        if position is None:
            # Photos outside the splits and of classes that are left out are no contradiction.
            if not (dataset.root / record.path).exists():
                problems.append(f"row {row}: {record.path} is not there")
            continue
        found = dataset.photos[position]
        if record.class_name != found.class_name:
            problems.append(f"row {row}: {record.path} has the class '{record.class_name}'")
        dataset.photos[position] = FoundPhoto(found.path, found.relative, found.split, found.class_name, record.group)
    if problems:
        raise DatasetError(
            f"{table} does not agree with the folders:\n  " + "\n  ".join(problems) + "\n"
            "Each row's path and class must be those of a file below the root. Mend the rows, or move the photos."
        )


def _require_folders(folder: Path, class_names: Sequence[str]) -> None:
    found = _folders(folder)
    for name in class_names:
        if name not in found:
            raise DatasetError(
                f"{folder} has no folder '{name}' (found: {_listing(found)}). Add it, or pass --data.class_names."
            )


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def files_below(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield the files of a folder, to any depth and through links; hidden ones are left out."""
    real = os.path.realpath(folder)
    # A link to a folder above would be walked for ever.
    if real in above:
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from files_below(path, above | {real})
        else:
            # Dangling links come through as well: a photo that is not there is a bad photo, not a missing one.
            yield path


def _listing(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


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
    return [{name: value.strip() for name, value in row.items()} for row in AppendTable(path, COLUMNS).rows()]


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
