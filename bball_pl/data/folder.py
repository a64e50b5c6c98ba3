"""What lies in a dataset folder: its classes, its photos with their groups, and what else was found there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from bball_pl.classes import display_name, sort_class_names
from bball_pl.errors import DatasetError
from bball_pl.photos_csv import read_photos_csv

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
