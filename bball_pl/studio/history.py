"""Change history of photos: the journal of a folder, shared by several tabs and with other programs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bball_pl.errors import DatasetError
from bball_pl.photos.journal import Journal, quarantine_place
from bball_pl.photos.labels_csv import APART, GROUP, GROUPING, Entry
from bball_pl.studio.pictures import PhotoIds

#: Name of the studio in labels.csv.
BY = "studio"
UNDO = "undo"
_MISSING = "this photo no longer exists; another program moved or removed it"


class ConflictError(Exception):
    """A change to a photo that was changed elsewhere in the meantime.

    Args:
        message: reason, for the user.
        photo: current state of the photo; None if there is no such change or photo.
    """

    def __init__(self, message: str, photo: TrackedPhoto | None = None) -> None:
        super().__init__(message)
        self.photo = photo


@dataclass(eq=False)
class TrackedPhoto:
    """One photo and its changes that are not undone.

    Attributes:
        first_path: path before all changes, below the home and with forward slashes.
        path: current path, likewise.
        id: opaque id for the page; empty until it is first needed.
        changes: changes that are not undone, oldest first.
    """

    first_path: str
    path: str
    id: str = ""
    changes: list[Entry] = field(default_factory=list)

    @property
    def version(self) -> int:
        """Number of the latest change (0 if none), used for optimistic locking."""
        return self.changes[-1].number if self.changes else 0

    @property
    def action(self) -> str:
        """Action of the latest change; empty if there is none."""
        return self.changes[-1].action if self.changes else ""


class History:
    """Photos below one home folder, and the only way in which the studio changes them. Thread-safe.

    Args:
        home: folder of the journal.
        photos: issues the ids of the photos.
    """

    def __init__(self, home: Path, photos: PhotoIds) -> None:
        self.home = home.absolute()
        self.lock = threading.RLock()
        self._photos = photos
        self._journal: Journal | None = None
        self._entries_read = 0
        self._by_path: dict[str, TrackedPhoto] = {}
        self._by_number: dict[int, TrackedPhoto] = {}
        self._by_id: dict[str, TrackedPhoto] = {}
        self._listeners: list[Callable[[TrackedPhoto], None]] = []

    def on_change(self, listener: Callable[[TrackedPhoto], None]) -> None:
        """Call `listener` after every change to a photo, by any program; the lock is held during the call."""
        self._listeners.append(listener)

    def sync(self) -> None:
        """Read the changes that were written to the journal since the last call.

        Raises:
            DatasetError: if labels.csv is damaged.
        """
        with self.lock:
            if self._journal is None:
                if not self.home.is_dir():
                    return
                self._journal = Journal(self.home, BY)
            entries = self._journal.entries()
            if len(entries) < self._entries_read:
                # labels.csv was removed: the photos start afresh from their current paths.
                self._entries_read = 0
                self._by_number.clear()
                for photo in self._by_path.values():
                    photo.first_path, photo.changes = photo.path, []
            for entry in entries[self._entries_read :]:
                self._apply(entry)
            self._entries_read = len(entries)

    def photo_at(self, path: Path, root: Path) -> TrackedPhoto:
        """Return the photo at a path below the home, with an id.

        Args:
            path: file of the photo.
            root: folder tree that the photo belongs to.
        """
        with self.lock:
            relative = self.relative(path)
            photo = self._by_path.get(relative)
            if photo is None:
                photo = self._by_path[relative] = TrackedPhoto(relative, relative)
            self._assign_id(photo, root)
            return photo

    def by_id(self, photo_id: str) -> TrackedPhoto | None:
        """Return the photo with an id, or None."""
        return self._by_id.get(photo_id)

    def change(
        self, photo: TrackedPhoto, action: str, class_name: str, to: Path | None, seen: int, why: str = ""
    ) -> Entry:
        """Change a photo unless it has been changed elsewhere.

        Args:
            photo: the photo.
            action: label, quarantine, confirm or skip.
            class_name: as in `Journal.move`.
            to: new path; None if the photo stays.
            seen: version of the photo that the user saw.
            why: as in `Journal.move`.

        Raises:
            ConflictError: if the photo was changed or removed in the meantime.
            DatasetError: as in `Journal.move`.
        """
        with self.lock:
            self.sync()
            path = self.home / photo.path
            if photo.version != seen:
                raise ConflictError("this photo was changed elsewhere in the meantime", photo)
            if not os.path.lexists(path):
                raise ConflictError(_MISSING, photo)
            assert self._journal is not None
            if action == "quarantine":
                to = quarantine_place(self.home, path)
            if to is None or to == path:
                entry = self._journal.note(path, action, class_name, why)
            else:
                entry = self._journal.move(path, to, action, class_name, why)
            self.sync()
            return entry

    def undo(self, number: int, root: Path) -> tuple[TrackedPhoto, Entry]:
        """Undo a change if it is the latest one of a photo of `root`.

        Args:
            number: number of the change.
            root: folder tree that the photo must have belonged to before its changes.

        Returns:
            The photo in its new state, and the change that was undone.

        Raises:
            ConflictError: if the change is undone already or concerns another folder, or the photo was changed again.
            DatasetError: as in `Journal.undo`.
        """
        with self.lock:
            self.sync()
            photo = self._by_number.get(number)
            if photo is None or self._journal is None:
                raise ConflictError("this change is already undone")
            if not self.is_below(photo, root):
                raise ConflictError("this change concerns a photo of another folder")
            self._assign_id(photo, root)
            if photo.version != number:
                raise ConflictError("this photo was changed again since", photo)
            if not os.path.lexists(self.home / photo.path):
                raise ConflictError(_MISSING, photo)
            entry = photo.changes[-1]
            self._journal.undo(number)
            self.sync()
            return photo, entry

    def group(self, photos: Sequence[TrackedPhoto], name: str, one_game: bool) -> list[Entry]:
        """Record that photos are of one game, or that a person refused a proposed game.

        Args:
            photos: the photos, which stay where they are.
            name: name of the game, or of the proposal.
            one_game: whether they are of one game.

        Raises:
            ConflictError: if a photo was removed in the meantime; then nothing is recorded.
        """
        with self.lock:
            self.sync()
            gone = next((photo for photo in photos if not os.path.lexists(self.home / photo.path)), None)
            if gone is not None or self._journal is None:
                raise ConflictError(_MISSING, gone)
            action = GROUP if one_game else APART
            return [self._journal.note(self.home / photo.path, action, why=name) for photo in photos]

    def ungroup(self, numbers: Sequence[int]) -> None:
        """Take back what `group` recorded.

        Raises:
            ConflictError: if one of the changes is none of `group`, or undone already; then nothing is changed.
        """
        with self.lock:
            self.sync()
            standing = {} if self._journal is None else {entry.number: entry for entry in self._journal.standing()}
            if any(number not in standing or standing[number].action not in GROUPING for number in numbers):
                raise ConflictError("this change is already undone")
            for number in numbers:
                assert self._journal is not None
                self._journal.undo(number)

    def last_change(self, root: Path) -> Entry | None:
        """Return the studio's newest change that is not undone, to a photo of `root`; None without one."""
        with self.lock:
            self.sync()
            for number in sorted(self._by_number, reverse=True):
                photo = self._by_number[number]
                if photo.version == number and photo.changes[-1].by == BY and self.is_below(photo, root):
                    return photo.changes[-1]
        return None

    def changed_photos(self) -> list[TrackedPhoto]:
        """Return all photos with changes that are not undone."""
        with self.lock:
            return list(dict.fromkeys(self._by_number.values()))

    def is_below(self, photo: TrackedPhoto, root: Path) -> bool:
        """Return whether a photo was below `root` before its changes."""
        return (self.home / photo.first_path).is_relative_to(root)

    def relative(self, path: Path) -> str:
        """Return a file's path below the home, with forward slashes.

        Raises:
            DatasetError: if it is not below the home.
        """
        whole = Path(os.path.abspath(path))  # noqa: PTH100 - links must not be resolved
        if not whole.is_relative_to(self.home):
            raise DatasetError(f"{path} is not below {self.home}")
        return whole.relative_to(self.home).as_posix()

    def close(self) -> None:
        """Close the journal."""
        with self.lock:
            if self._journal is not None:
                self._journal.close()

    def _apply(self, entry: Entry) -> None:
        if entry.action in GROUPING:
            return  # which game a photo is of changes neither its class nor its place: a tab that shows it stays right
        photo = self._by_path.pop(entry.path, None) or TrackedPhoto(entry.path, entry.path)
        if entry.action == UNDO:
            photo.changes = [change for change in photo.changes if change.number != entry.undoes]
            self._by_number.pop(entry.undoes, None)
        else:
            photo.changes.append(entry)
            self._by_number[entry.number] = photo
        photo.path = entry.to
        self._by_path[entry.to] = photo
        if photo.id:
            self._photos.move(photo.id, self.home / photo.path)
            for listener in self._listeners:
                listener(photo)

    def _assign_id(self, photo: TrackedPhoto, root: Path) -> None:
        if photo.id:
            return
        roots = (root, self.home)
        # A new file at the former path of a photo is another photo and gets another id.
        for repeat in range(1_000):
            seed = os.fsencode(self.home / photo.first_path) + (b"\0%d" % repeat if repeat else b"")
            photo_id = self._photos.add(self.home / photo.path, *roots, seed=seed)
            known = self._by_id.get(photo_id)
            if known is None or known is photo:
                break
            self._photos.put(photo_id, self.home / known.path, roots)
        photo.id = photo_id
        self._by_id[photo_id] = photo
