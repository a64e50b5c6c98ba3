"""The inbox: the folder that a source's photos arrive in, and its tables; a kill loses nothing that was stored."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from bball_pl.collect.names import cell, file_stem, folder_name
from bball_pl.collect.sanitise import Photo
from bball_pl.collect.source import CollectError, Find
from bball_pl.files import write_bytes
from bball_pl.moves import UNSORTED
from bball_pl.photos.photos_csv import COLUMNS, AppendTable, read_photos_csv

PHOTOS = "photos.csv"
LEFT_OUT = "left_out.csv"
#: What photos.csv of an inbox has beyond the columns of every dataset.
MORE_COLUMNS = ("validator", "collected")
_PHOTO_COLUMNS = (*COLUMNS, *MORE_COLUMNS)
_LEFT_OUT_COLUMNS = ("file", "where", "why", "final", "collected")


class Inbox:
    """One source's folder: `unsorted/<album>/<photo>`, photos.csv, and left_out.csv with the reasons.

    Rows are only added while a job runs; rows and columns that a person has changed stay as they are. A photo is known
    by its file's name, so it may be sorted into another folder, or deleted, and is not fetched again. Use it as a
    context manager: it reads the tables on entering and keeps other jobs out.

    Args:
        root: the folder.
        source: name of the source.
        dry_run: read only.

    Attributes:
        root: the folder.
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
        """Read what is there.

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
        """Return the name, without suffix, of the file of a photo."""
        return file_stem(self._source, key, title)

    def has(self, stem: str) -> bool:
        """Return whether a photo was collected before."""
        return stem in self._rows

    def validator(self, stem: str) -> str:
        """Return what to ask with whether a photo has changed; empty if there is nothing."""
        return self._rows[stem].get("validator", "").strip()

    def gave_up(self, stem: str) -> str:
        """Return why a photo was left out for good before; empty if it was not."""
        row = self._reasons.get(stem, {})
        return row.get("why", "").strip() if row.get("final") == "yes" else ""

    def orphan(self, stem: str) -> Path | None:
        """Return the file of a photo that was written before a kill and never recorded."""
        return self._orphans.get(stem)

    def twin(self, photo: Photo) -> str:
        """Return the path of a recorded photo with the same bytes; empty if there is none."""
        return self._by_sha256.get(photo.sha256, "")

    def store(self, stem: str, find: Find, photo: Photo, validator: str) -> None:
        """Write a new photo and then its row.

        Raises:
            CollectError: if that cannot be written.
        """
        path = f"{UNSORTED}/{folder_name(find.album)}/{stem}{photo.suffix}"
        day = (find.time or photo.time)[:10] if find.by_day else ""
        row = {
            "path": path,
            "class": UNSORTED,
            "group": cell(f"{find.group}/{day}" if day else find.group),
            "source": self._source,
            "source_url": cell(find.source_url),
            "author": cell(find.author),
            "licence": cell(find.licence),
            "licence_url": cell(find.licence_url),
            "sha256": photo.sha256,
            "dhash": photo.dhash,
            "time": cell(find.time or photo.time),
            "attribution": cell(find.attribution),
            "restrictions": cell(find.restrictions),
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
        """Write another version of a known photo over its file; return False if a person has moved the file.

        Raises:
            CollectError: if that cannot be written.
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

    def leave_out(self, stem: str, where: str, why: str, final: bool) -> None:
        """Record why a photo is not there.

        Raises:
            CollectError: if that cannot be written.
        """
        row = {"file": stem, "where": cell(where), "why": cell(why), "final": "yes" if final else "no"}
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
                # Half a file, from the moment of a kill; nobody else writes here now.
                if not self._dry_run:
                    path.unlink(missing_ok=True)
            elif path.stem not in self._rows:
                self._orphans[path.stem] = path


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _cannot_write(root: Path, error: OSError) -> CollectError:
    return CollectError(f"{root} cannot be written ({error.strerror}). Make room there, then run the same again.")
