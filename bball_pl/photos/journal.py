"""The journal: changes to photos, each written before it is made, so that a kill loses none and all can be undone."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock

from filelock import FileLock

from bball_pl.errors import DatasetError
from bball_pl.files import atomic_path
from bball_pl.photos.labels_csv import GROUPING, LABELS, UNDO, Entry, Labels, absolute, standing
from bball_pl.photos.photos_csv import QUARANTINE, Rows


def quarantine_place(home: Path, path: Path) -> Path:
    """Return the path in `quarantine/` of a photo below a home, for a photo that is not to be used."""
    return home / QUARANTINE / _relative(absolute(home), path)


class Journal:
    """Changes to the photos below a home, recorded in `labels.csv`, one line a change.

    A line is on disk before its file moves; a change that a kill interrupts is finished before the next one. Rows of a
    dataset's photos.csv move with their photos. Several threads and processes may use it at once.

    Args:
        home: Folder of the table; photos below it can be changed.
        by: Author of the changes: `audit`, `studio`.

    Attributes:
        home: The folder, absolute.

    Raises:
        DatasetError: If there is no such folder, its labels.csv is of another kind, or it cannot be written.

    Example:
        >>> with Journal(Path("data"), "audit") as journal:
        ...     journal.move(photo, quarantine_place(journal.home, photo), "quarantine", why="damaged")
    """

    def __init__(self, home: Path, by: str) -> None:
        self.home = absolute(home)
        self._by = by
        if not self.home.is_dir():
            raise DatasetError(f"there is no folder {self.home}. Pass a folder of photos.")
        self._labels = Labels(self.home / LABELS)
        self._rows = Rows(self.home)
        self._threads = RLock()
        self._lock = FileLock(self.home / ".labels.lock")
        self._pending = self.home / ".labels.pending"
        if self._labels.path.exists():
            with self._locked():
                pass  # finishes what a kill interrupted

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._labels.close()

    def entries(self) -> list[Entry]:
        """Return every line, the oldest first."""
        with self._threads:
            self._labels.refresh()
            return list(self._labels.entries)

    def standing(self) -> list[Entry]:
        """Return the changes that are not undone, the oldest first."""
        return standing(self.entries())

    def move(self, path: Path, to: Path, action: str, class_name: str = "", why: str = "") -> Entry:
        """Move a photo.

        Args:
            path: The file.
            to: Its new path; if that name is taken, a free one beside it.
            action: Kind of the change, as in `Entry`.
            class_name: Its class from now on; empty if that does not change.
            why: Reason.

        Raises:
            DatasetError: If the file does not exist, one of the paths is outside the home, its row of photos.csv cannot
                move with it, or the disk refuses.
        """
        source, target = _relative(self.home, path), _relative(self.home, to)
        with self._locked():
            if not os.path.lexists(self.home / source):
                raise DatasetError(f"{path} is no longer there; it was moved or removed meanwhile. Reload.")
            self._rows.check(self.home / source, self.home / target)
            free = _free(self.home / target)
            return self._do(action, source, free.relative_to(self.home).as_posix(), class_name, why)

    def note(self, path: Path, action: str, class_name: str = "", why: str = "") -> Entry:
        """Record a change that moves nothing; arguments and errors as in `move`."""
        relative = _relative(self.home, path)
        with self._locked():
            return self._do(action, relative, relative, class_name, why)

    def undo(self, number: int, why: str = "") -> Entry:
        """Take a change back.

        Raises:
            DatasetError: If there is no such change, it is undone already, the photo has been moved since, or its old
                name is taken.
        """
        with self._locked():
            entries = self._labels.entries
            entry = next((entry for entry in entries if entry.number == number and entry.action != UNDO), None)
            if entry is None:
                raise DatasetError(f"{self._labels.path} has no change {number} (lines: {len(entries)}).")
            changes = standing(entries)
            if entry not in changes:
                raise DatasetError(f"change {number} ({entry.action} of {entry.path}) is undone already.")
            later = [
                change.number
                for change in changes
                if change.number > number and change.path != change.to and entry.to in {change.path, change.to}
            ]
            if entry.to != entry.path:
                if later:
                    raise DatasetError(
                        f"change {later[-1]} moved a photo from or to {entry.to} since. Undo that one first."
                    )
                if not os.path.lexists(self.home / entry.to):
                    raise DatasetError(
                        f"{self.home / entry.to} is no longer there, so it cannot go back to {entry.path}."
                    )
                if os.path.lexists(self.home / entry.path):
                    raise DatasetError(f"{self.home / entry.path} is taken by another photo. Move that one away first.")
            return self._do(UNDO, entry.to, entry.path, entry.was, why, number)

    def _do(self, action: str, path: str, to: str, class_name: str, why: str, undoes: int = 0) -> Entry:
        was = self._rows.class_of(self.home / path)
        number = self._labels.entries[-1].number + 1 if self._labels.entries else 1
        entry = Entry(number, _now(), self._by, action, path, to, was, class_name, why, undoes)
        try:
            self._mark(number)
            self._labels.append(entry)
        except OSError as error:
            raise DatasetError(f"{self._labels.path} cannot be written ({error.strerror}). Make room there.") from error
        try:
            self._apply(entry)
        except OSError as error:
            if os.path.lexists(self.home / path) and path != to:
                # It failed, and the next change must not complete it behind the user's back.
                self._labels.append(Entry(number + 1, _now(), self._by, UNDO, to, path, why="it failed", undoes=number))
            raise DatasetError(f"{self.home / path} cannot be moved to {to} ({error.strerror}).") from error
        self._mark(0)
        return entry

    def _apply(self, entry: Entry) -> None:
        """Make a change, or finish one that was interrupted."""
        path, to = self.home / entry.path, self.home / entry.to
        if entry.to != entry.path:
            if os.path.lexists(path) and not os.path.lexists(to):
                _relocate(path, to)
            elif os.path.lexists(path) and filecmp.cmp(path, to, shallow=False):
                path.unlink()  # a kill came between copying to another disk and this
            if os.path.lexists(path):
                return  # both names are taken: another file came since
        if entry.action not in {"confirm", "skip", *GROUPING}:
            self._rows.follow(path, to, entry.class_name)

    def _mark(self, number: int) -> None:
        """Keep the number of the change that is being made in a file; 0 removes it."""
        if number:
            self._pending.write_text(str(number), encoding="ascii")
        else:
            self._pending.unlink(missing_ok=True)

    def _complete(self) -> None:
        """Finish the change that a kill interrupted; at most one is open at a time."""
        with _as_dataset_error(self.home):
            if not self._pending.exists():
                return
            last = self._labels.entries[-1] if self._labels.entries else None
            if last is not None and self._pending.read_bytes() == str(last.number).encode():
                self._apply(last)
            self._mark(0)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock out other threads and processes; their earlier changes are read and finished first."""
        with self._threads:
            with _as_dataset_error(self.home):
                self._lock.acquire()
            try:
                self._labels.mend()
                self._labels.refresh()
                self._complete()
                yield
            finally:
                self._lock.release()


def _relative(home: Path, path: Path) -> str:
    whole = absolute(path)
    if not whole.is_relative_to(home) or whole == home:
        raise DatasetError(f"{path} is not below {home}, so its changes cannot be recorded there.")
    return whole.relative_to(home).as_posix()


def _free(path: Path) -> Path:
    """Return the path, or if it is taken the first free name beside it: x.jpg, x-2.jpg, x-3.jpg."""
    free, number = path, 1
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _relocate(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.rename(to)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # On another disk: a whole copy first.
        with atomic_path(to) as temporary:
            shutil.copy2(path, temporary)
        path.unlink()


@contextmanager
def _as_dataset_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(f"{folder} cannot be written ({error.strerror}). Make room, or allow it.") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
