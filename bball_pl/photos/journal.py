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
from bball_pl.photos.labels_csv import LABELS, UNDO, Entry, Labels, is_labels, undone
from bball_pl.photos.photos_csv import QUARANTINE, Rows
from bball_pl.project import ROOT

__all__ = ["Entry", "Journal", "home_of", "quarantine_place"]


def home_of(root: str | os.PathLike[str]) -> Path:
    """Return the folder that the journal and the quarantine of a tree of photos are in.

    That is `data/` for what lies in the repository's; else the nearest folder above that has a journal already, the
    folder that `inbox` lies in, or the one above the tree.
    """
    tree = _absolute(root)
    data = ROOT / "data"
    if tree.is_relative_to(data):
        return data
    above = [tree, *tree.parents]
    for folder in above:
        if is_labels(folder / LABELS):
            return folder
    return next((folder for folder in above if folder.name == "inbox"), tree).parent


def quarantine_place(home: Path, path: Path) -> Path:
    """Return where a photo below a home goes when it is not to be used: `quarantine/` and its place."""
    return home / QUARANTINE / _relative(_absolute(home), path)


class Journal:
    """What was done to the photos below a home, in `labels.csv`, one line a change.

    A line is on disk before its file moves; a change that a kill interrupts is finished before the next one. Rows of a
    dataset's photos.csv move with their photos. Several threads and processes may use it at once. Use it as a context
    manager.

    Args:
        home: the folder.
        by: who makes the changes.

    Attributes:
        home: the folder.

    Raises:
        DatasetError: if there is no such folder, its labels.csv is of another kind, or it cannot be written.
    """

    def __init__(self, home: Path, by: str) -> None:
        self.home = _absolute(home)
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
        entries = self.entries()
        gone = undone(entries)
        return [entry for entry in entries if entry.number not in gone and entry.action != UNDO]

    def move(self, path: Path, to: Path, action: str, class_name: str = "", why: str = "") -> Entry:
        """Move a photo.

        Args:
            path: its file.
            to: where it goes; if that name is taken, a free one beside it.
            action: what this is.
            class_name: its class from now on; empty if that does not change.
            why: reason.

        Raises:
            DatasetError: if the file is not there, one of the places is outside the home, its row of photos.csv cannot
                follow, or the disk refuses.
        """
        source, target = _relative(self.home, path), _relative(self.home, to)
        with self._locked():
            if not os.path.lexists(self.home / source):
                raise DatasetError(f"{path} is no longer there; it was moved or removed meanwhile. Look again.")
            self._rows.check(self.home / source, self.home / target)
            free = _free(self.home / target)
            return self._do(action, source, free.relative_to(self.home).as_posix(), class_name, why)

    def note(self, path: Path, action: str, class_name: str = "", why: str = "") -> Entry:
        """Write down something that moves nothing; arguments and errors as in `move`."""
        place = _relative(self.home, path)
        with self._locked():
            return self._do(action, place, place, class_name, why)

    def undo(self, number: int, why: str = "") -> Entry:
        """Take a change back.

        Raises:
            DatasetError: if there is no such change, it is undone already, the photo has been moved since, or its old
                place is taken.
        """
        with self._locked():
            entries = self._labels.entries
            entry = next((entry for entry in entries if entry.number == number and entry.action != UNDO), None)
            if entry is None:
                raise DatasetError(f"{self._labels.path} has no change {number} (lines: {len(entries)}).")
            if number in undone(entries):
                raise DatasetError(f"change {number} ({entry.action} of {entry.path}) is undone already.")
            gone = undone(entries)
            later = [
                own.number
                for own in entries
                if own.number > number
                and own.number not in gone
                and own.action != UNDO
                and own.path != own.to
                and entry.to in {own.path, own.to}
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
                # It was not done, and the next change must not do it behind the user's back.
                self._labels.append(Entry(number + 1, _now(), self._by, UNDO, to, path, why="it failed", undoes=number))
            raise DatasetError(f"{self.home / path} cannot be moved to {to} ({error.strerror}).") from error
        self._mark(0)
        return entry

    def _apply(self, entry: Entry) -> None:
        """Make a change, or what was not made of it."""
        path, to = self.home / entry.path, self.home / entry.to
        if entry.to != entry.path:
            if os.path.lexists(path) and not os.path.lexists(to):
                _relocate(path, to)
            elif os.path.lexists(path) and filecmp.cmp(path, to, shallow=False):
                path.unlink()  # a kill came between copying to another disk and this
            if os.path.lexists(path):
                return  # both names are taken: whatever came there since is not this change's
        if entry.action not in {"confirm", "skip"}:
            self._rows.follow(path, to, entry.class_name)

    def _mark(self, number: int) -> None:
        """Keep the number of the change that is being made in a file; 0 removes it."""
        if number:
            self._pending.write_text(str(number), encoding="ascii")
        else:
            self._pending.unlink(missing_ok=True)

    def _complete(self) -> None:
        """Finish the change that a kill interrupted; there is one at most, for they are made one after the other."""
        with _as_dataset_error(self.home):
            if not self._pending.exists():
                return
            last = self._labels.entries[-1] if self._labels.entries else None
            if last is not None and self._pending.read_bytes() == str(last.number).encode():
                self._apply(last)
            self._mark(0)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other threads and processes out, with what they did before read, and finished."""
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


def _absolute(path: str | os.PathLike[str]) -> Path:
    # Links stay as they are: data/photos may be one to another disk.
    return Path(os.path.abspath(path))  # noqa: PTH100


def _relative(home: Path, path: Path) -> str:
    whole = _absolute(path)
    if not whole.is_relative_to(home) or whole == home:
        raise DatasetError(f"{path} is not below {home}, which is where changes to photos are written down.")
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


def whereabouts(root: str | os.PathLike[str]) -> dict[str, str | None]:
    """Return where the photos went that were once below a folder; those that never moved are not in it.

    Nothing is written: the folder may be read-only.

    Args:
        root: folder of a dataset.

    Returns:
        By the place below `root` that a photo had first, with forward slashes, the place that it has now; None if it
        is no longer below `root`, as in quarantine.

    Raises:
        DatasetError: if the journal is damaged.
    """
    home, tree = home_of(root), Path(os.path.abspath(root))  # noqa: PTH100 - links stay, as in the journal
    if not is_labels(home / LABELS):
        return {}
    labels = Labels(home / LABELS)
    labels.refresh()
    gone = undone(labels.entries)
    first: dict[str, str] = {}  # by the present place, the first one
    for entry in labels.entries:
        if entry.number not in gone and entry.action != UNDO and entry.to != entry.path:
            first[entry.to] = first.pop(entry.path, entry.path)
    found: dict[str, str | None] = {}
    for now, before in first.items():
        if (home / before).is_relative_to(tree) and now != before:
            there = (home / now).is_relative_to(tree)
            found[(home / before).relative_to(tree).as_posix()] = (
                (home / now).relative_to(tree).as_posix() if there else None
            )
    return found
