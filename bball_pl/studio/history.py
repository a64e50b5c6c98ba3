"""The journal of a tree as several tabs and other programs change it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bball_pl.errors import DatasetError
from bball_pl.photos.journal import Journal, quarantine_place
from bball_pl.photos.labels_csv import Entry
from bball_pl.studio.pictures import Registry

#: Who the studio is in labels.csv.
BY = "studio"
UNDO = "undo"


class ConflictError(Exception):
    """A change to a photo that was changed elsewhere meanwhile.

    Args:
        message: in words.
        trail: the photo as it is now; None if there is no such change or photo.
    """

    def __init__(self, message: str, trail: Trail | None = None) -> None:
        super().__init__(message)
        self.trail = trail


@dataclass(eq=False)
class Trail:
    """One photo and its standing changes.

    Attributes:
        first: its place below the home before all of them, with forward slashes.
        place: where it is now.
        photo: its id; empty until somebody asks for it.
        changes: not undone, the oldest first.
    """

    first: str
    place: str
    photo: str = ""
    changes: list[Entry] = field(default_factory=list)

    @property
    def number(self) -> int:
        """Of the last change; 0 if there is none. Whoever changes the photo must have seen this one."""
        return self.changes[-1].number if self.changes else 0

    @property
    def action(self) -> str:
        """The last change's; empty if there is none."""
        return self.changes[-1].action if self.changes else ""


class Ledger:
    """The photos below one home, and the only way in which the studio changes them. Threads may share it.

    Args:
        home: the folder of the journal.
        photos: gives them ids.
    """

    def __init__(self, home: Path, photos: Registry) -> None:
        self.home = home.absolute()
        self.lock = threading.RLock()
        self._photos = photos
        self._journal: Journal | None = None
        self._read = 0
        self._by_place: dict[str, Trail] = {}
        self._by_number: dict[int, Trail] = {}
        self._by_photo: dict[str, Trail] = {}
        self._heard: list[Callable[[Trail], None]] = []

    def on_change(self, listener: Callable[[Trail], None]) -> None:
        """Have `listener` called, with the lock held, after every change to a photo, whoever made it."""
        self._heard.append(listener)

    def sync(self) -> None:
        """Take over what other programs have written since.

        Raises:
            DatasetError: if labels.csv is damaged.
        """
        with self.lock:
            if self._journal is None:
                if not self.home.is_dir():
                    return  # nothing was ever here
                self._journal = Journal(self.home, BY)
            entries = self._journal.entries()
            if len(entries) < self._read:
                # Somebody removed the table: the photos are where they are.
                self._read = 0
                self._by_number.clear()
                for trail in self._by_place.values():
                    trail.first, trail.changes = trail.place, []
            for entry in entries[self._read :]:
                self._follow(entry)
            self._read = len(entries)

    def at(self, path: Path, root: Path) -> Trail:
        """Return the trail of the photo at a place below the home, and give it an id.

        Args:
            path: its file.
            root: the tree that it belongs to.
        """
        with self.lock:
            place = self.place(path)
            trail = self._by_place.get(place)
            if trail is None:
                trail = self._by_place[place] = Trail(place, place)
            self._name(trail, root)
            return trail

    def of(self, photo: str) -> Trail | None:
        """Return the trail of an id."""
        return self._by_photo.get(photo)

    def change(self, trail: Trail, action: str, class_name: str, to: Path | None, seen: int, why: str = "") -> Entry:
        """Change a photo, if nobody else has meanwhile.

        Args:
            trail: the photo.
            action: label, quarantine, confirm or skip.
            class_name: as in `Journal.move`.
            to: where it goes; None if it stays.
            seen: number of the photo's last change that the user knows of.
            why: as in `Journal.move`.

        Raises:
            ConflictError: if it was changed or removed meanwhile.
            DatasetError: as in `Journal.move`.
        """
        with self.lock:
            self.sync()
            path = self.home / trail.place
            if trail.number != seen:
                raise ConflictError("this photo was changed elsewhere meanwhile", trail)
            if not os.path.lexists(path):
                raise ConflictError("this photo is no longer there; it was moved or removed by another program", trail)
            assert self._journal is not None
            if action == "quarantine":
                to = quarantine_place(self.home, path)
            if to is None or to == path:
                entry = self._journal.note(path, action, class_name, why)
            else:
                entry = self._journal.move(path, to, action, class_name, why)
            self.sync()
            return entry

    def undo(self, number: int, root: Path) -> tuple[Trail, Entry]:
        """Take a change back, if it is its photo's last one.

        Args:
            number: of the change.
            root: the tree that the photo belongs to.

        Returns:
            The photo as it is now, and the change that was taken back.

        Raises:
            ConflictError: if that was done already, or the photo was changed again since.
            DatasetError: as in `Journal.undo`.
        """
        with self.lock:
            self.sync()
            trail = self._by_number.get(number)
            if trail is None or self._journal is None:
                raise ConflictError("this change was taken back already")
            self._name(trail, root)
            if trail.number != number:
                raise ConflictError("this photo was changed again since", trail)
            if not os.path.lexists(self.home / trail.place):
                raise ConflictError("this photo is no longer there; it was moved or removed by another program", trail)
            entry = trail.changes[-1]
            self._journal.undo(number)
            self.sync()
            return trail, entry

    def last(self, wanted: Callable[[Trail], bool]) -> Entry | None:
        """Return the newest standing change of the studio to a photo that is `wanted`."""
        with self.lock:
            self.sync()
            for number in sorted(self._by_number, reverse=True):
                trail = self._by_number[number]
                if trail.number == number and trail.changes[-1].by == BY and wanted(trail):
                    return trail.changes[-1]
        return None

    def trails(self) -> list[Trail]:
        """Return all photos that have standing changes."""
        with self.lock:
            return list(dict.fromkeys(self._by_number.values()))

    def place(self, path: Path) -> str:
        """Return a file's place below the home.

        Raises:
            DatasetError: if it is not below.
        """
        whole = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are
        if not whole.is_relative_to(self.home):
            raise DatasetError(f"{path} is not below {self.home}")
        return whole.relative_to(self.home).as_posix()

    def close(self) -> None:
        """Close the journal."""
        with self.lock:
            if self._journal is not None:
                self._journal.close()

    def _follow(self, entry: Entry) -> None:
        trail = self._by_place.pop(entry.path, None) or Trail(entry.path, entry.path)
        if entry.action == UNDO:
            trail.changes = [own for own in trail.changes if own.number != entry.undoes]
            self._by_number.pop(entry.undoes, None)
        else:
            trail.changes.append(entry)
            self._by_number[entry.number] = trail
        trail.place = entry.to
        self._by_place[entry.to] = trail
        if trail.photo:
            self._photos.move(trail.photo, self.home / trail.place)
            for listener in self._heard:
                listener(trail)

    def _name(self, trail: Trail, root: Path) -> None:
        if trail.photo:
            return
        roots = (root, self.home)
        # A new file may have come to the place that another photo left: it is not that photo.
        for repeat in range(1_000):
            first = os.fsencode(self.home / trail.first) + (b"\0%d" % repeat if repeat else b"")
            own = self._photos.add(self.home / trail.place, *roots, first=first)
            known = self._by_photo.get(own)
            if known is None or known is trail:
                break
            self._photos.put(own, self.home / known.place, roots)
        trail.photo = own
        self._by_photo[own] = trail
