"""Inbox: the folder and tables of one source's photos, written so that a kill loses no stored photo."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from bball_pl.collect.names import cell, file_stem, folder_name
from bball_pl.collect.sanitise import Photo
from bball_pl.collect.source import Candidate, CollectError
from bball_pl.files import write_bytes
from bball_pl.moves import UNSORTED
from bball_pl.photos.photos_csv import COLUMNS, AppendTable, read_photos_csv

PHOTOS = "photos.csv"
LEFT_OUT = "left_out.csv"
#: Columns of an inbox's photos.csv in addition to those of every dataset.
MORE_COLUMNS = ("validator", "collected")
_PHOTO_COLUMNS = (*COLUMNS, *MORE_COLUMNS)
_LEFT_OUT_COLUMNS = ("file", "where", "why", "final", "collected")


class Inbox:
    """One source's folder: `unsorted/<album>/<photo>`, photos.csv, and left_out.csv with reasons.

    A job only adds rows; rows and columns that a person has changed stay as they are. A photo is identified by its
    file name, so a photo that a person has sorted into another folder, or deleted, is not downloaded again. Use it as a
    context manager: entering reads the tables and locks the folder against other jobs.

    Args:
        root: Folder of the inbox.
        source: Name of the source.
        dry_run: Only read.

    Attributes:
        root: Folder of the inbox.
    """

    def __init__(self, root: Path, source: str, dry_run: bool = False) -> None:
        self.root = root
        self._source = source
        self._dry_run = dry_run
        self._photos = AppendTable(root / PHOTOS, _PHOTO_COLUMNS)
        self._left_out = AppendTable(root / LEFT_OUT, _LEFT_OUT_COLUMNS)
        self._rows: dict[str, dict[str, str]] = {}
        self._reasons: dict[str, dict[str, str]] = {}
        self._by_sha256: dict[str, str] = {}
        self._orphans: dict[str, Path] = {}
        self._stale = False
        self._changed = False
        self._lock = FileLock(root / ".lock", blocking=False)

    def __enter__(self) -> Inbox:
        """Lock the folder and read its tables.

        Raises:
            CollectError: if another job writes into the folder, or it cannot be written.
            DatasetError: if its photos.csv is damaged.
        """
        if not self._dry_run:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                self._lock.acquire()
                self._photos.mend()
                self._left_out.mend()
            except Timeout:
                message = f"another job is writing into {self.root}. Wait for it, or pass another --out."
                raise CollectError(message) from None
            except OSError as error:
                raise CollectError(f"{self.root} cannot be written ({error.strerror}). Pass another --out.") from None
        if self._photos.path.exists():
            read_photos_csv(self._photos.path)
        for row in self._photos.rows():
            path = row["path"].strip()
            self._rows[Path(path).stem] = row
            self._by_sha256[row.get("sha256", "").strip()] = path
        self._reasons = {row.get("file", ""): row for row in self._left_out.rows()}
        self._find_orphans()
        return self

    def __exit__(self, *args: object) -> None:
        try:
            if self._changed:
                self._photos.write(self._rows.values())
            if self._stale:
                self._left_out.write(row for stem, row in self._reasons.items() if stem not in self._rows)
        finally:
            self._photos.close()
            self._left_out.close()
            self._lock.release()

    def stem(self, key: str, title: str) -> str:
        """Return a photo's file name without suffix."""
        return file_stem(self._source, key, title)

    def has(self, stem: str) -> bool:
        """Return whether a photo was collected before."""
        return stem in self._rows

    def validator(self, stem: str) -> str:
        """Return the validator for a conditional request; empty if there is none."""
        return self._rows[stem].get("validator", "").strip()

    def final_reason(self, stem: str) -> str:
        """Return why an earlier job left a photo out for good; empty if none did."""
        row = self._reasons.get(stem, {})
        return row.get("why", "").strip() if row.get("final") == "yes" else ""

    def orphan(self, stem: str) -> Path | None:
        """Return the file of a photo that a killed job wrote and did not record; None if there is none."""
        return self._orphans.get(stem)

    def duplicate(self, photo: Photo) -> str:
        """Return the path of a recorded photo with the same bytes; empty if there is none."""
        return self._by_sha256.get(photo.sha256, "")

    def store(self, stem: str, candidate: Candidate, photo: Photo, validator: str) -> None:
        """Write a new photo and then its row.

        Raises:
            CollectError: if the folder cannot be written.
        """
        path = f"{UNSORTED}/{folder_name(candidate.album)}/{stem}{photo.suffix}"
        day = (candidate.time or photo.time)[:10] if candidate.by_day else ""
        row = {
            "path": path,
            "class": UNSORTED,
            "group": cell(f"{candidate.group}/{day}" if day else candidate.group),
            "source": self._source,
            "source_url": cell(candidate.source_url),
            "author": cell(candidate.author),
            "licence": cell(candidate.licence),
            "licence_url": cell(candidate.licence_url),
            "sha256": photo.sha256,
            "dhash": photo.dhash,
            "time": cell(candidate.time or photo.time),
            "attribution": cell(candidate.attribution),
            "restrictions": cell(candidate.restrictions),
            "validator": cell(validator),
            "collected": _now(),
        }
        try:
            write_bytes(self.root / path, photo.content)
            orphan = self._orphans.pop(stem, None)
            if orphan is not None and orphan != self.root / path:
                orphan.unlink(missing_ok=True)
            self._photos.add(row)
        except OSError as error:
            raise _cannot_write(self.root, error) from None
        self._rows[stem] = row
        self._by_sha256[photo.sha256] = path
        self._stale |= stem in self._reasons

    def replace(self, stem: str, photo: Photo, validator: str) -> bool:
        """Overwrite a known photo with another version; return False if a person has moved the file.

        Raises:
            CollectError: if the folder cannot be written.
        """
        row = self._rows[stem]
        old = self.root / row["path"].strip()
        if not old.is_file():
            return False
        new = old.with_suffix(photo.suffix)
        try:
            write_bytes(new, photo.content)
            if new != old:
                old.unlink()
        except OSError as error:
            raise _cannot_write(self.root, error) from None
        path = new.relative_to(self.root).as_posix()
        row |= {"path": path, "sha256": photo.sha256, "dhash": photo.dhash, "validator": cell(validator)}
        row["collected"] = _now()
        self._changed = True
        return True

    def leave_out(self, stem: str, location: str, reason: str, final: bool) -> None:
        """Record why a photo was left out.

        Raises:
            CollectError: if the folder cannot be written.
        """
        row = {"file": stem, "where": cell(location), "why": cell(reason), "final": "yes" if final else "no"}
        old = self._reasons.get(stem, {})
        if all(old.get(column) == value for column, value in row.items()):
            return
        row["collected"] = _now()
        try:
            self._left_out.add(row)
        except OSError as error:
            raise _cannot_write(self.root, error) from None
        self._stale |= bool(old)
        self._reasons[stem] = row

    def _find_orphans(self) -> None:
        for path in sorted((self.root / UNSORTED).glob("*/*")):
            if path.name.startswith(".") and ".tmp" in path.suffixes:
                # A partial file of a killed job; the lock excludes other writers.
                if not self._dry_run:
                    path.unlink(missing_ok=True)
            elif path.stem not in self._rows:
                self._orphans[path.stem] = path


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _cannot_write(root: Path, error: OSError) -> CollectError:
    return CollectError(
        f"{root} cannot be written ({error.strerror}). Free some space, then run the same command again."
    )
