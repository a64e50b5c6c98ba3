"""Corrections of the app: checked photos from its ZIP files, merged into an inbox or a dataset, for training only."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from bball_pl.collect.names import cell
from bball_pl.collect.sanitise import Photo, inspect
from bball_pl.collect.source import CollectError, SkippedError
from bball_pl.files import folder_name_problem, write_bytes, write_text
from bball_pl.moves import NO_MOVE, UNSORTED
from bball_pl.photos.journal import quarantine_place
from bball_pl.photos.labels_csv import home_of
from bball_pl.photos.photos_csv import (
    COLUMNS,
    CORRECTION_COLUMNS,
    FOR_TRAINING,
    PHOTOS_CSV,
    AppendTable,
    Row,
    read_rows,
)
from bball_pl.photos.tree import canonical_name, class_folders, split_folders, split_of
from bball_pl.project import next_step

#: The column `source` of the app's photos.
SOURCE = "BasketballMoves app"
#: Columns by which an archive of the app is known.
_NEEDED = ("path", "class", "group", "author", "licence", *CORRECTION_COLUMNS, "checked")
#: Columns with which a later archive is compared: the class that the phone gave, and when. The class of a row that
#: differs from the first was given by a person at a computer since.
_PHONE_COLUMNS = ("phone_class", "phone_time")
_LARGEST_PHOTO = 50_000_000
_LARGEST_TABLE = 50_000_000
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
#: What Python raises for a damaged zip file, or one of a kind that it cannot read.
ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
#: Hidden folder of a merge that is under way, in the folder that is merged into, and its list of moves.
_STAGING = ".corrections"
_MOVES = "moves.json"


@dataclass(frozen=True)
class Correction:
    """One checked photo of an archive.

    Attributes:
        photo: the photo, without private metadata.
        class_name: the class that the phone's user gave it.
        time: when it was given, ISO 8601 in UTC; empty if the archive does not say.
        row: cells for photos.csv, without `path`.
    """

    photo: Photo
    class_name: str
    time: str
    row: Row


@dataclass
class Merged:
    """Result of a merge.

    Attributes:
        new: number of new photos by class.
        relabelled: number of photos that got another class.
        known: number of photos that were there with this class, or with one that is newer.
        left_out: reason by photo, as `archive: path`.
    """

    new: Counter[str] = field(default_factory=Counter)
    relabelled: int = 0
    known: int = 0
    left_out: dict[str, str] = field(default_factory=dict)


def is_corrections(archive: zipfile.ZipFile) -> bool:
    """Return whether a ZIP file is an archive of checked photos that the app wrote."""
    try:
        with archive.open(PHOTOS_CSV) as table:
            head = table.readline(10_000).decode("utf-8-sig", "replace").strip().split(",")
            return set(_NEEDED) <= set(head)
    except (KeyError, *ZIP_DAMAGE):
        return False


def merge_corrections(
    archives: Sequence[Path], root: Path, author: str = "", licence: str = "", dry_run: bool = False
) -> Merged:
    """Merge archives of the app into a folder: `<class>/<group>/` of an inbox, or `train/<class>/` of a dataset.

    All rows are written at once, before the photos take their places: a kill leaves the old table or the new one, and
    the next merge into this folder finishes what the new one names.

    Args:
        archives: ZIP files of the app.
        root: an inbox of corrections, or a dataset with a folder `train`; an inbox need not exist.
        author: photographer of the photos whose archive names none.
        licence: likewise.
        dry_run: read only.

    Raises:
        CollectError: if a file is no archive of the app, another program changes the photos, or the folder cannot be
            written.
        DatasetError: if the folder's photos.csv is damaged.
    """
    for path in archives:
        _require_archive(path)
    if dry_run:
        return _Merge(root, author, licence, None).run(archives)
    lock = FileLock(home_of(root) / ".labels.lock", timeout=30)
    try:
        root.mkdir(parents=True, exist_ok=True)
        # That of the journal, whose changes move rows as well.
        with lock:
            _finish(root)
            staging = root / _STAGING
            staging.mkdir()
            try:
                return _Merge(root, author, licence, staging).run(archives)
            finally:
                _finish(root)
    except Timeout:
        raise CollectError(f"another program changes the photos of {root}. Close it, then run this again.") from None
    except OSError as error:
        raise CollectError(
            f"{error.filename or root} cannot be written ({error.strerror}). Free some space, then run the same again."
        ) from None


def _require_archive(path: Path) -> None:
    if not path.exists():
        raise CollectError(f"{path} does not exist. Name ZIP files that the app has exported.")
    try:
        with zipfile.ZipFile(path) as opened:
            if is_corrections(opened):
                return
    except ZIP_DAMAGE:
        raise CollectError(f"{path} is no ZIP file that can be read. Send it from the phone again.") from None
    raise CollectError(
        f"{path} has no {PHOTOS_CSV} of the app. Name a ZIP file that the app has exported; other photos are taken by "
        "bball collect local."
    )


def _finish(root: Path) -> None:
    """Put the photos of a merge whose table is written into their places, and remove what it has staged."""
    staging = root / _STAGING
    if not staging.is_dir():
        return
    if (staging / _MOVES).is_file():
        rows = read_rows(root / PHOTOS_CSV) if (root / PHOTOS_CSV).exists() else {}
        for start, end in json.loads((staging / _MOVES).read_text(encoding="utf-8")):
            # Without its row the table was not written: nothing has happened yet.
            if end in rows and (root / start).is_file():
                (root / end).parent.mkdir(parents=True, exist_ok=True)
                (root / start).replace(root / end)
    shutil.rmtree(staging)


class _Merge:
    """One merge into one folder.

    Args:
        root: the folder.
        author: for archives that name none.
        licence: likewise.
        staging: existing folder below `root` for photos and moves; None to write nothing.
    """

    def __init__(self, root: Path, author: str, licence: str, staging: Path | None) -> None:
        self._root, self._staging = root, staging
        self._author, self._licence = author, licence
        self._train = split_folders(root).get("train")
        table = root / PHOTOS_CSV
        self._rows = read_rows(table) if table.exists() else {}
        self._columns = list(next(iter(self._rows.values()), {}))
        self._by_content = {row["sha256"]: name for name, row in self._rows.items() if row.get("sha256")}
        self._banned = _quarantined(root)
        self._moves: dict[str, str] = {}
        self._new: dict[str, str] = {}
        self._merged = Merged()

    def run(self, archives: Sequence[Path]) -> Merged:
        for path in archives:
            for name, found in _read(path, self._author, self._licence):
                reason = found if isinstance(found, str) else self._take(found)
                if reason:
                    self._merged.left_out[f"{path.name}: {name}"] = reason
        if self._staging is not None and (self._moves or self._new):
            write_text(self._staging / _MOVES, json.dumps([[start, end] for end, start in self._moves.items()]))
            # A table keeps its columns, and gets those of corrections.
            columns = dict.fromkeys([*self._columns, *COLUMNS, *CORRECTION_COLUMNS, *_PHONE_COLUMNS])
            AppendTable(self._root / PHOTOS_CSV, list(columns)).write(self._rows.values())
        return self._merged

    def _take(self, found: Correction) -> str:
        """Take one photo; return why it is left out, empty if it is not."""
        sha256 = found.photo.sha256
        if sha256 in self._banned:
            return "was taken out into quarantine"
        name = self._by_content.get(sha256)
        if name is None:
            return self._add(found)
        row = self._rows[name]
        by_phone = row.get("phone_class", "")
        if not by_phone:
            return f"is there as {name}"
        if canonical_name(row["class"]) != canonical_name(by_phone) and found.class_name != row["class"]:
            return f"has got the class {row['class']} at a computer"
        if canonical_name(found.class_name) == canonical_name(by_phone) or found.time < row.get("phone_time", ""):
            self._merged.known += sha256 not in self._new
            return ""
        return self._relabel(found, name)

    def _add(self, found: Correction) -> str:
        place = self._place(found)
        if place is None:
            return f"{self._train} has no class {found.class_name}"
        sha256 = found.photo.sha256
        if self._staging is not None:
            staged = self._staging / f"{sha256}{found.photo.suffix}"
            write_bytes(staged, found.photo.content)
            self._moves[place] = staged.relative_to(self._root).as_posix()
        self._rows[place] = {**found.row, "path": place}
        self._by_content[sha256] = place
        self._new[sha256] = found.class_name
        self._merged.new[found.class_name] += 1
        return ""

    def _relabel(self, found: Correction, name: str) -> str:
        place = self._place(found)
        if place is None:
            return f"{self._train} has no class {found.class_name}"
        sha256 = found.photo.sha256
        if sha256 not in self._new and not (self._root / name).is_file():
            return "was removed from the folder"
        row = self._rows.pop(name)
        self._rows[place] = row | found.row | {"path": place}
        self._by_content[sha256] = place
        self._moves[place] = self._moves.pop(name, name)
        if sha256 in self._new:
            self._merged.new[self._new[sha256]] -= 1
            self._merged.new[found.class_name] += 1
            self._new[sha256] = found.class_name
        else:
            self._merged.relabelled += 1
        return ""

    def _place(self, found: Correction) -> str | None:
        """Return the name that a photo gets below the folder; None if the dataset does not have its class."""
        group = found.row["group"]
        file = f"{group}-{found.photo.sha256[:12]}{found.photo.suffix}"
        if self._train is None:
            return f"{found.class_name}/{group}/{file}"
        # A folder that a Mac has made may have its name in another form of Unicode.
        if canonical_name(found.class_name) not in {*class_folders(self._train), NO_MOVE.name}:
            return None
        folders = {canonical_name(path.name): path.name for path in self._train.iterdir() if path.is_dir()}
        return f"{self._train.name}/{folders.get(canonical_name(found.class_name), found.class_name)}/{file}"


def _quarantined(root: Path) -> set[str]:
    table = quarantine_place(home_of(root), root) / PHOTOS_CSV
    return {row.get("sha256", "") for row in read_rows(table).values()} if table.exists() else set()


def _read(path: Path, author: str, licence: str) -> Iterator[tuple[str, Correction | str]]:
    """Yield the photos of an archive by their names in it; a text says why one cannot be used."""
    try:
        with zipfile.ZipFile(path) as opened:
            with opened.open(PHOTOS_CSV) as member:
                table = member.read(_LARGEST_TABLE).decode("utf-8-sig")
            for row in csv.DictReader(io.StringIO(table, newline=""), restkey="", restval=""):
                yield cell(row["path"]), _correction(opened, row, author, licence)
    except (csv.Error, *ZIP_DAMAGE):
        raise CollectError(f"{path}: its {PHOTOS_CSV} is damaged. Send the file from the phone again.") from None


def _correction(opened: zipfile.ZipFile, row: Row, author: str, licence: str) -> Correction | str:
    class_name = canonical_name(row["class"])
    if problem := folder_name_problem(class_name):
        return f"its class {class_name!a} cannot name a folder: {problem}"
    group = row["group"] if re.fullmatch(r"phone-[\w-]{1,40}", row["group"]) else "phone-undated"
    if class_name.casefold() == UNSORTED or split_of(class_name):
        # In an inbox such a folder would not be one of a class.
        return f"its class {class_name} has the name of a split, or of photos without a class"
    try:
        with opened.open(row["path"]) as member:
            content = member.read(_LARGEST_PHOTO + 1)
    except (KeyError, *ZIP_DAMAGE):
        return "missing or damaged in its ZIP file"
    if len(content) > _LARGEST_PHOTO:
        return f"larger than {_LARGEST_PHOTO / 1e6:.0f} MB"
    try:
        photo = inspect(content)
    except SkippedError as error:
        return error.reason
    time = row.get("checked", "")
    time = time if _TIME.fullmatch(time) else ""
    cells = {
        "class": class_name,
        "group": group,
        "source": SOURCE,
        "author": cell(row.get("author", "") or author),
        "licence": cell(row.get("licence", "") or licence),
        "sha256": photo.sha256,
        "dhash": photo.dhash,
        "time": photo.time or group.removeprefix("phone-").removeprefix("undated"),
        "use": FOR_TRAINING,
        "answer": cell(row["answer"]),
        "probability": cell(row["probability"]),
        "phone_class": class_name,
        "phone_time": time,
    }
    return Correction(photo, class_name, time, cells)


def merged_lines(merged: Merged, root: Path, dry_run: bool) -> Iterator[str]:
    """Yield the lines that report a merge to the user.

    Args:
        merged: its result.
        root: folder that it went into.
        dry_run: whether nothing was written.
    """
    total = merged.new.total()
    classes = ", ".join(f"{name} {count}" for name, count in sorted(merged.new.items()) if count)
    would = "would be " if dry_run else ""
    yield (
        f"{total} new photos {would}in {root}{f' ({classes})' if classes else ''}, {merged.relabelled} {would}"
        f"relabelled, {merged.known} known"
    )
    if merged.left_out:
        yield f"{len(merged.left_out)} left out:"
        yield from (f"  {name}: {reason}" for name, reason in merged.left_out.items())
    if total and not dry_run:
        yield "They are for training only: a model was asked for them, and so they measure nothing."
        if "train" in split_folders(root):
            yield f"next: see whether one of them is a copy of a photo in test\n  {next_step('audit', root)}"
        else:
            yield f"next: add them to a dataset\n  {next_step('split', root, '--out', 'data/photos')}"
