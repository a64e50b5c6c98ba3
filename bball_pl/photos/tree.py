"""Photos and trees of photos: the one walk through folders, and the one rule for the class of a photo."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bball_pl.errors import DatasetError
from bball_pl.moves import MOVES, NO_MOVE, UNSORTED, sort_class_names
from bball_pl.photos.labels_csv import Decision, absolute, decisions, home_of, is_labels
from bball_pl.photos.photos_csv import FOR_TRAINING, PHOTOS_CSV, QUARANTINE, Row, read_rows

if TYPE_CHECKING:
    from bball_pl.photos.measurements import Measurements

SPLITS = ("train", "val", "test")

#: Names of the splits' folders in lower case: Roboflow writes `valid`, others `validation`, `Train` and `Test`.
_SPLIT_NAMES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test",
}  # fmt: skip

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".heic", ".heif", ".avif", ".gif", ".bmp", ".tif", ".tiff"}
)

#: Names, in lower case, that network disks, systems and unpackers leave between photos. Every walk skips them, like
#: hidden entries: the thumbnails in a Synology's @eaDir would triple a dataset and leak train into val.
LITTER = frozenset(
    {
        *("@eadir", "#recycle", "#snapshot", "@tmp"),  # Synology
        *("@recycle", "@__thumb", "@recently-snapshot"),  # QNAP
        *("$recycle.bin", "system volume information", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),
        *("__macosx", "icon\r", "network trash folder", "temporary items"),
        *("lost+found", "picasa.ini"),
    }
)

#: Folders, in lower case, that hold photos of all classes: beside a table of labels, no folder names a class.
_CONTAINERS = frozenset({"images", "image", "imgs", "img", "jpegimages", "photos", "pictures", "pics", "all"})

#: Columns, in lower case without separators, by which a table of labels is known: those of the names of classes, the
#: likeliest first, and of their numbers.
LABEL_NAMES = (
    *("classname", "labelname", "categoryname", "class", "label", "category", "labels", "classes", "target", "species"),
    *("breed", "move", "action"),
)
LABEL_NUMBERS = ("classid", "labelid", "categoryid")

# Files that people leave in photo folders; a remark about each run's README would be noise.
_QUIET_NAMES = frozenset({"readme", "licence", "license"})
_QUIET_SUFFIXES = frozenset({".txt", ".md", ".csv", ".json"})


@dataclass(frozen=True)
class Photo:
    """One photo of a tree: a file with the name of an image, opened or not.

    Two photos are equal if everything but `row`, `measurements` and `confirmed` is.

    Attributes:
        path: The file.
        relative: Its name below the tree's root, with forward slashes on every system.
        split: `train`, `val` or `test`, whatever the name of its folder (`split_of`); empty in a tree without splits.
        class_name: Its class by the rule of `PhotoTree`; empty for a photo without one.
        group: What a split must not divide, such as an album, a game or a clip; empty if not known.
        sha256: Checksum of the file's bytes in hexadecimal; empty before it was read, or if that failed.
        target: Index of its class in the order of the class names; -1 without a class.
        confirmed: Whether a person has confirmed the class.
        row: Its row of photos.csv with every column of the file; empty without one.
        measurements: Measurements of its pixels; None before they were made.
    """

    path: Path
    relative: str
    split: str = ""
    class_name: str = ""
    group: str = ""
    sha256: str = ""
    target: int = -1
    confirmed: bool = field(default=False, compare=False)
    row: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    measurements: Measurements | None = field(default=None, compare=False, repr=False)

    @property
    def usable(self) -> bool:
        """Whether it was measured and can be decoded."""
        return self.measurements is not None and not self.measurements.problem

    @property
    def for_training(self) -> bool:
        """Whether it may be trained on and never measured on, as its row says: a model's errors are no fair sample."""
        return self.row.get("use") == FOR_TRAINING


class NoPhotosError(DatasetError):
    """A tree without a photo."""


@dataclass
class PhotoTree:
    """The photos of a folder: a dataset with its splits, an inbox with its sources, or plain class folders.

    The class of a photo, in this order:

    1. the class that a person gave it in the studio, as the journal labels.csv has it, while the photo is where the
       journal says;
    2. the class in its row of photos.csv, `unsorted` apart, while the photo is where the row says;
    3. its folders. In a dataset the folder below the split names the class. Elsewhere the first folder from the top
       that bears the name of a class, or `unsorted`, decides, and folders below it are albums: the studio sorts
       `league/unsorted/shoot/x.jpg` of the album `shoot` into `league/layup/shoot/x.jpg`, which is a layup. Below
       `unsorted` no folder gives a class, and neither does `images` where no other folder stands beside it.

    Attributes:
        root: The folder.
        class_names: In the order of the targets; empty if nothing is sorted.
        photos: Sorted by relative name, so that the order does not depend on the file system.
        has_splits: Whether it is a dataset, with a folder `train`; only the folders of splits are read then.
        ignored: Relative names of files and folders that a training leaves out.
        beside: Names of folders of photos beside the splits of a dataset, which are not read.
        links: Number of links that were not followed.
        home: Folder of the journal and of the quarantine.
        label_tables: Relative names of CSV files that look like tables of labels; no class is read from them.
    """

    root: Path
    class_names: list[str]
    photos: list[Photo]
    has_splits: bool = False
    ignored: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    links: int = 0
    home: Path = Path()
    label_tables: list[str] = field(default_factory=list)
    _tables: dict[Path, dict[str, Row]] = field(default_factory=dict, repr=False)

    @classmethod
    def at(cls, root: str | os.PathLike[str], home: Path | None = None) -> PhotoTree:
        """Return a tree that is not scanned: only its root and its home are known.

        Args:
            root: The folder.
            home: Folder of the journal. Default: see `home_of`.
        """
        return cls(Path(root), [], [], home=absolute(home) if home else home_of(root))

    @classmethod
    def scan(
        cls,
        root: str | os.PathLike[str],
        class_names: Sequence[str] | None = None,
        home: Path | None = None,
        movable: bool = False,
    ) -> PhotoTree:
        """List the photos of a tree without opening them, with the rows of every photos.csv in it.

        Args:
            root: The folder; its folder `quarantine` is left out.
            class_names: Names of the class folders, compared as `canonical_name`. Default: the folders in the splits
                of a dataset; elsewhere the three moves if folders of two or more of them exist, with `none` if there
                is such a folder, else the folders below the root or below a photos.csv, and the classes in the tables.
            home: Folder of the journal. Default: see `home_of`.
            movable: Only files that may be moved: links are counted and not followed, folders that cannot be listed
                are passed over, and a tree may be empty.

        Raises:
            DatasetError: If there is no such folder or no photo in it, a folder cannot be listed, or a photos.csv or
                the journal is damaged.

        Example:
            >>> [(photo.relative, photo.class_name) for photo in PhotoTree.scan("data/inbox").photos]
        """
        tree = cls.at(root, home)
        root = tree.root
        if not (root.is_dir() or movable):
            raise NoPhotosError(f"there is no folder {root}. Pass the folder of a dataset or of an inbox.")
        splits = split_folders(root)
        tree.has_splits = "train" in splits
        apart = {root / QUARANTINE, tree.home / QUARANTINE}
        links: list[Path] = []
        starts = list(splits.values()) if tree.has_splits else [root]
        tree.beside = _beside(root, apart) if tree.has_splits else []
        files = [file for start in starts for file in walk(start, apart, links if movable else None)]
        tables = {file for file in files if file.name == PHOTOS_CSV} | {root / PHOTOS_CSV}
        tree._tables = {table.parent: read_rows(table) for table in tables if table.is_file()}
        tree.links = len(links)
        images = [file for file in files if is_image(file)]
        if not (images or movable):
            raise NoPhotosError(f"{root} has no photos. Collect some with bball collect, or pass another folder.")
        relatives = [image.relative_to(root).parts for image in images]
        tree.class_names = (
            [canonical_name(name) for name in class_names] if class_names else tree._find_class_names(images, relatives)
        )
        tree.photos = [tree._photo(path, parts) for path, parts in zip(images, relatives, strict=True)]
        tree.photos.sort(key=lambda photo: photo.relative)
        beside = [path for path in root.iterdir() if path.is_file()] if tree.has_splits else []
        labelling = [file for file in (*files, *beside) if file.suffix.lower() == ".csv" and _names_labels(file)]
        tree.label_tables = sorted("/".join(file.relative_to(root).parts) for file in labelling)
        tree.ignored = sorted(
            "/".join(file.relative_to(root).parts)
            for file in files
            if file.suffix.lower() not in IMAGE_SUFFIXES | _QUIET_SUFFIXES and file.name.lower() not in _QUIET_NAMES
        )
        return tree

    @property
    def splits(self) -> list[str]:
        """The splits that have photos, in their order; empty in a tree without splits."""
        found = {photo.split for photo in self.photos}
        return [split for split in SPLITS if split in found]

    @property
    def has_table(self) -> bool:
        """Whether there is a photos.csv."""
        return bool(self._tables)

    @property
    def table(self) -> dict[str, Row]:
        """The rows of the photos.csv in the root, by relative name in the file's order."""
        return self._tables.get(self.root, {})

    @property
    def unsorted(self) -> int:
        """The number of photos without a class."""
        return sum(not photo.class_name for photo in self.photos)

    def class_folder(self, parts: Sequence[str]) -> int | None:
        """Return the index of the folder that names a photo's class, or is `unsorted`; None if there is none.

        Args:
            parts: The photo's relative name.
        """
        folders = [canonical_name(part) for part in parts[:-1]]
        if self.has_splits:
            return 1 if len(folders) > 1 and (folders[1] == UNSORTED or folders[1] in self._by_name) else None
        return next((i for i, part in enumerate(folders) if part == UNSORTED or part in self._by_name), None)

    def relabelled(self, parts: Sequence[str], class_name: str) -> Path:
        """Return the path below the root that a photo gets with another class.

        The folder `unsorted`, or that of the class that it had, gives way to the class; without such a folder the class
        comes first, below the split in a dataset. The folders below it stay as they are.

        Args:
            parts: The photo's relative name now.
            class_name: The class from now on.
        """
        index = self.class_folder(parts)
        start = index if index is not None else min(int(self.has_splits), len(parts) - 1)
        return Path(*parts[:start], class_name, *parts[start + (index is not None) :])

    def album_of(self, parts: Sequence[str]) -> str:
        """Return the source and album of a photo, for a reader: its folders without the one that names its class."""
        index = self.class_folder(parts)
        return " / ".join(part for i, part in enumerate(parts[:-1]) if i != index)

    def class_of(self, path: Path, decided: str | None = None) -> str:
        """Return the class of a file at a path below the root; empty if it has none.

        Args:
            path: The path, which need not exist yet.
            decided: The class that the journal gives it, empty if none. Default: as the journal stood at the scan.
        """
        parts = path.relative_to(self.root).parts
        index = self.class_folder(parts)
        if decided is None:
            decided = self._decision(path).class_name
        in_row = self._row(path)[0].get("class", "")
        name = decided or (in_row if in_row != UNSORTED else "") or ("" if index is None else parts[index])
        return self._by_name.get(canonical_name(name), "")

    def join_by_content(self) -> None:
        """Give photos without a row the row with the same bytes: a person may have sorted the file elsewhere.

        Such a row gives group, source and licence but no class: where the file lies now is newer than the row. A row
        without a checksum is known by its file's name, if no other row has that name and its path is empty.
        """
        in_place = {id(photo.row) for photo in self.photos}
        by_content: dict[Path, dict[str, Row]] = {}
        by_name: dict[Path, dict[str, list[Row]]] = {}
        for folder, rows in self._tables.items():
            by_content[folder] = {row["sha256"]: row for row in rows.values() if row.get("sha256")}
            by_name[folder] = defaultdict(list)
            for row in rows.values():
                if id(row) not in in_place:
                    by_name[folder][row["path"].rsplit("/", 1)[-1]].append(row)
        for index, photo in enumerate(self.photos):
            _, owner = self._row(photo.path)
            if photo.row or owner is None:
                continue
            named = by_name[owner].get(photo.path.name, [])
            by_its_name = named[0] if len(named) == 1 and not named[0].get("sha256") else None
            found = by_content[owner].get(photo.sha256) or by_its_name
            if found is not None:
                self.photos[index] = replace(photo, row=found, group=photo.group or self._group(found, owner))

    def _photo(self, path: Path, parts: Sequence[str]) -> Photo:
        class_name = self.class_of(path)
        row, owner = self._row(path)
        return Photo(
            path,
            "/".join(parts),
            split_of(parts[0]) if self.has_splits else "",
            class_name,
            self._decision(path).group or self._group(row, owner),
            target=self._targets.get(class_name, -1),
            confirmed=self._decision(path).confirmed,
            row=row,
        )

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return {canonical_name(name): name for name in self.class_names}

    @cached_property
    def _targets(self) -> dict[str, int]:
        return {name: target for target, name in enumerate(self.class_names)}

    @cached_property
    def _decisions(self) -> dict[Path, Decision]:
        return decisions(self.home)

    def _decision(self, path: Path) -> Decision:
        if not self._decisions:
            return Decision()
        return self._decisions.get(absolute(path), Decision())

    def _row(self, path: Path) -> tuple[Row, Path | None]:
        """Return the row of a file, and the folder of the innermost photos.csv above it."""
        owner = next((folder for folder in path.parents if folder in self._tables), None)
        return ({} if owner is None else self._tables[owner].get(path.relative_to(owner).as_posix(), {})), owner

    def _group(self, row: Row, owner: Path | None) -> str:
        # Two sources may each have an album of the same name.
        prefix = "" if owner in {None, self.root} else f"{owner.relative_to(self.root).as_posix()}/" if owner else ""
        return f"{prefix}{row['group']}" if row.get("group") else ""

    def _find_class_names(self, images: Sequence[Path], relatives: Iterable[Sequence[str]]) -> list[str]:
        if self.has_splits:
            # A folder without a photo is a class as well: one that training misses.
            splits = split_folders(self.root).values()
            names = {name for split in splits for name in class_folders(split)}
            return sort_class_names(sorted(names)) if not is_container(names) else []
        folders = [_above_unsorted(parts) for parts in relatives]
        found = {name for parts in folders for name in parts}
        moves = {move.name for move in MOVES} & found
        if len(moves) > 1 or (moves and not self._tables):
            of_moves = [move.name for move in MOVES if len(moves) > 1 or move.name in moves]
            return [*of_moves, *({NO_MOVE.name} & found)]
        below = [_above_unsorted(path.relative_to(self._row(path)[1] or self.root).parts) for path in images]
        names = {parts[0] for parts in below if parts}
        while is_container(names):
            below = [parts[1:] for parts in below if parts]
            names = {parts[0] for parts in below if parts}
        names |= {canonical_name(row["class"]) for rows in self._tables.values() for row in rows.values()}
        return sort_class_names(sorted(names - {UNSORTED, ""}))


def split_of(folder: str) -> str:
    """Return the split that a folder's name stands for: `valid` for val, `Train` for train; empty if none."""
    return _SPLIT_NAMES.get(folder.casefold(), "")


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folders of a dataset's splits by split, in the order of `SPLITS`; empty without the root.

    Raises:
        DatasetError: If two folders stand for one split, such as `val` and `valid`, or the root cannot be listed.
    """
    if not root.is_dir():
        return {}
    found: dict[str, list[Path]] = defaultdict(list)
    try:
        for entry in sorted(root.iterdir()):
            if (split := split_of(entry.name)) and entry.is_dir():
                found[split].append(entry)
    except OSError as error:
        raise DatasetError(f"{root} cannot be listed ({error.strerror}). Allow it, or move it away.") from error
    for split, folders in found.items():
        if len(folders) > 1:
            raise DatasetError(
                f"{root} has {' and '.join(folder.name for folder in folders)}, all for the split {split}. "
                "Move the photos of one into the other, or rename it."
            )
    return {split: found[split][0] for split in SPLITS if split in found}


def _beside(root: Path, apart: Collection[Path]) -> list[str]:
    """Return the names of the folders beside the splits of a dataset that have photos, each with a slash."""
    folders = [folder for folder in visible_folders(root) if not split_of(folder.name) and folder not in apart]
    # A folder that cannot be listed is another one's business.
    return [f"{folder.name}/" for folder in folders if any(map(is_image, walk(folder, apart, links=[])))]


def canonical_name(name: str) -> str:
    """Return the name of a class as it is compared: in Unicode's form NFC, and without spaces at its edges.

    A Mac writes the same name in another form than everybody else. Nobody sees a space at an edge, and readers of
    tables strip it.
    """
    return unicodedata.normalize("NFC", name).strip()


def is_container(names: Collection[str]) -> bool:
    """Return whether all these folders are named like `images`: they hold photos and are no classes."""
    return bool(names) and all(name.casefold() in _CONTAINERS for name in names)


def unnamed_games(photos: Collection[Photo]) -> str:
    """Return a sentence on the photos that name no game, or other group; empty if all do."""
    named = sum(bool(photo.group) for photo in photos)
    if named == len(photos):
        return ""
    who = f"each of the other {len(photos) - named:,}" if named else "each"
    return f"{named:,} of {len(photos):,} photos name a game; {who} is counted singly"


def label_tables(tree: PhotoTree) -> str:
    """Return the tables of labels in a tree for a message; FILE without one."""
    return " or ".join(str(tree.root / table) for table in tree.label_tables[:3]) or "FILE"


def _names_labels(file: Path) -> bool:
    """Return whether the first line of a table has a column of labels beside one of files."""
    if file.name == PHOTOS_CSV or is_labels(file):
        return False
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as lines:
            columns = {re.sub("[^a-z]", "", name.lower()) for name in re.split("[,;\t]", lines.readline())}
    except OSError:
        return False
    return len(columns) > 1 and not columns.isdisjoint({*LABEL_NAMES, *LABEL_NUMBERS})


def is_image(path: Path) -> bool:
    """Return whether a file has the name of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def is_litter(name: str) -> bool:
    """Return whether an entry of a folder is hidden or left by a program."""
    return name.startswith(".") or name.lower() in LITTER


def walk(
    folder: Path,
    apart: Collection[Path] = frozenset(),
    links: list[Path] | None = None,
    failed: Callable[[Path, OSError], None] | None = None,
    above: frozenset[str] = frozenset(),
) -> Iterator[Path]:
    """Yield the files of a folder by name, to any depth; hidden entries and `LITTER` are left out.

    Dangling links are yielded: they are unreadable photos, to be reported, not absent ones.

    Args:
        folder: Where to start.
        apart: Folders that are left out.
        links: None to follow links. A list to follow none of them: they are added to it, what is neither a file nor a
            folder is left out, and so are folders that cannot be listed.
        failed: Called for each folder that cannot be listed, instead of an error.
        above: Real paths of the folders that lead here.

    Raises:
        DatasetError: If a folder cannot be listed, links are followed and `failed` is None.
    """
    real = os.path.realpath(folder)
    # A link to a folder above would be walked for ever.
    if real in above:
        return
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        if failed is not None:
            failed(folder, error)
        if failed is not None or links is not None:
            return
        raise DatasetError(f"{folder} cannot be listed ({error.strerror}). Allow it, or move it away.") from error
    for entry in entries:
        path = folder / entry.name
        if is_litter(entry.name) or path in apart:
            continue
        if links is not None and entry.is_symlink():
            links.append(path)
        elif entry.is_dir():
            yield from walk(path, apart, links, failed, above | {real})
        elif links is None or entry.is_file():
            yield path


def visible_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, without litter.

    Raises:
        DatasetError: If it cannot be listed.
    """
    try:
        return [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and not is_litter(entry.name)]
    except OSError as error:
        raise DatasetError(f"{folder} cannot be listed ({error.strerror}). Allow it, or move it away.") from error


def class_folders(folder: Path) -> list[str]:
    """Return the canonical names of the folders in a folder, sorted; without `unsorted` and litter.

    Raises:
        DatasetError: If it cannot be listed.
    """
    return sorted({canonical_name(entry.name) for entry in visible_folders(folder)} - {UNSORTED, ""})


def _above_unsorted(parts: Sequence[str]) -> Sequence[str]:
    folders = [canonical_name(part) for part in parts[:-1]]
    return folders[: folders.index(UNSORTED)] if UNSORTED in folders else folders
