"""The photos of an inbox, or of any other tree that is to be sorted, and where each goes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bball_pl.classes import UNSORTED
from bball_pl.curate.rows import QUARANTINE
from bball_pl.data.folder import IMAGE_SUFFIXES


@dataclass
class Tree:
    """What lies in a tree.

    Attributes:
        unsorted: photos in no class folder, by album and name.
        sorted: photos in a class folder.
        links: number of links that are left out: nothing is shown or moved through them.
    """

    unsorted: list[Path] = field(default_factory=list)
    sorted: list[Path] = field(default_factory=list)
    links: int = 0


def scan_tree(root: Path, class_names: Sequence[str], home: Path) -> Tree:
    """List the photos of a tree without opening them; hidden files, links and the quarantine are passed over.

    Args:
        root: the folder; one that is not there has no photos.
        class_names: names of the class folders.
        home: the folder of the journal, which the quarantine is in.
    """
    tree = Tree()
    for path in _files(root, home / QUARANTINE, tree):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            (tree.sorted if class_of(path.relative_to(root).parts, class_names) else tree.unsorted).append(path)
    return tree


def class_of(parts: Sequence[str], class_names: Sequence[str]) -> str:
    """Return the class that a photo's place below the tree says; empty if it is not sorted."""
    slot = _slot(parts, class_names)
    return parts[slot] if slot is not None and parts[slot] != UNSORTED else ""


def place_for(parts: Sequence[str], class_name: str, class_names: Sequence[str]) -> Path:
    """Return the place of a photo below its tree when it has a class.

    The folder `unsorted`, or the class that it had before, gives way to the class; in a tree without such folders the
    class comes first, and below it everything is as it was.

    Args:
        parts: of its place below the tree.
        class_name: the class from now on.
        class_names: names of the class folders.
    """
    slot = _slot(parts, class_names)
    if slot is None:
        return Path(class_name, *parts)
    return Path(*parts[:slot], class_name, *parts[slot + 1 :])


def album_of(parts: Sequence[str], class_names: Sequence[str]) -> str:
    """Return what a photo is from, for a reader: its source and album, without the folder that says its class."""
    slot = _slot(parts, class_names)
    return " / ".join(part for place, part in enumerate(parts[:-1]) if place != slot)


def _slot(parts: Sequence[str], class_names: Sequence[str]) -> int | None:
    folders = parts[:-1]
    return next((place for place, part in enumerate(folders) if part == UNSORTED or part in class_names), None)


def _files(folder: Path, left_out: Path, tree: Tree) -> Iterator[Path]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            tree.links += 1
        elif entry.is_dir():
            if Path(entry.path) != left_out:
                yield from _files(Path(entry.path), left_out, tree)
        elif entry.is_file():
            yield Path(entry.path)
