"""The queue of photos to sort, shared by tabs so that no two show the same one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import Literal

from bball_pl.photos.labels_csv import Entry
from bball_pl.photos.tree import PhotoTree
from bball_pl.studio.history import ConflictError, Ledger, Trail

Order = Literal["doubt", "album"]

#: A tab that was not heard of for so many seconds is taken for closed.
_SILENCE = 90.0
#: States beside the class names.
QUARANTINED, SKIPPED = "quarantine", "skip"


@dataclass(frozen=True)
class Progress:
    """How far the sorting is.

    Attributes:
        left: photos that nobody has decided on.
        skipped: put off.
        quarantined: out of use.
        counts: sorted photos by class.
    """

    left: int
    skipped: int
    quarantined: int
    counts: dict[str, int]


class Deck:
    """The photos of one inbox. Threads may share it.

    Args:
        ledger: of the inbox's home.
        inbox: the folder.
        class_names: what the photos are sorted into.
        clock: seconds, for the tests.
    """

    def __init__(
        self,
        ledger: Ledger,
        inbox: Path,
        class_names: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger = ledger
        self.inbox = inbox.absolute()
        self.class_names = tuple(class_names)
        self.links = 0
        self._tree = PhotoTree(self.inbox, list(class_names), [])
        self._clock = clock
        self._states: dict[str, str] = {}
        self._waiting: dict[str, None] = {}
        self._order: dict[str, int] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._counts: Counter[str] = Counter()
        ledger.on_change(self._changed)
        self.look()

    def look(self) -> None:
        """Read the tree again: photos may have come, and others gone, by other hands."""
        with self.ledger.lock:
            self.ledger.sync()
            self._tree = PhotoTree.scan(self.inbox, self.class_names, self.ledger.home, movable=True)
            self.links = self._tree.links
            photos = sorted(self._tree.photos, key=lambda photo: bool(photo.class_name))
            trails = [self.ledger.at(photo.path, self.inbox) for photo in photos]
            gone = [self.ledger.at(self.ledger.home / own.place, self.inbox) for own in self._quarantined()]
            self._states.clear()
            self._waiting.clear()
            self._counts.clear()
            for trail in (*trails, *gone):
                self._order.setdefault(trail.photo, len(self._order))
                self._set(trail)

    def next(
        self,
        tab: str,
        have: Iterable[str],
        count: int,
        order: Order = "album",
        margins: Mapping[str, float] | None = None,
    ) -> list[Trail]:
        """Hand out photos to a tab.

        Args:
            tab: its name.
            have: photos that it has already; they stay its own.
            count: how many more it wants.
            order: doubt for the smallest margin first, album for album and name.
            margins: of the photos that the model has answered, 0–1.

        Returns:
            Fewer than `count` if no more are left.
        """
        known = margins if order == "doubt" and margins else {}
        with self.ledger.lock:
            self.ledger.sync()
            now = self._clock()
            self._leases = {photo: own for photo, own in self._leases.items() if own[1] > now}
            held = set(have)
            for photo in held & self._waiting.keys():
                if self._leases.get(photo, (tab, 0.0))[0] == tab:
                    self._leases[photo] = tab, now + _SILENCE
            free = (
                photo for photo in self._waiting if photo not in held and self._leases.get(photo, (tab, 0.0))[0] == tab
            )
            # What the model has not answered yet comes after what it has.
            chosen = nsmallest(count, free, key=lambda photo: (known.get(photo, 2.0), self._order[photo]))
            for photo in chosen:
                self._leases[photo] = tab, now + _SILENCE
            return [trail for photo in chosen if (trail := self.ledger.of(photo)) is not None]

    def hold(self, tab: str, photo: str) -> None:
        """Keep a photo for a tab, which shows it."""
        with self.ledger.lock:
            self._leases[photo] = tab, self._clock() + _SILENCE

    def leave(self, tab: str) -> None:
        """Give the photos of a tab to others: it was closed."""
        with self.ledger.lock:
            self._leases = {photo: own for photo, own in self._leases.items() if own[0] != tab}

    def decide(self, photo: str, action: str, class_name: str, seen: int) -> tuple[Trail, Entry]:
        """Sort a photo, put it off or take it out of use.

        Args:
            photo: its id.
            action: label, quarantine or skip.
            class_name: of a label.
            seen: number of the photo's last change that the user knows of.

        Raises:
            ConflictError: if it was changed elsewhere meanwhile, or there is no such photo.
            DatasetError: if it cannot be moved.
        """
        with self.ledger.lock:
            trail = self.ledger.of(photo)
            if trail is None:
                raise ConflictError("there is no such photo any more")
            to = None
            if action == "label":
                to = self.inbox / self._tree.relabelled(self._parts(trail), class_name)
            entry = self.ledger.change(trail, action, class_name, to, seen)
            self._leases.pop(photo, None)
            return trail, entry

    def undo(self, number: int = 0) -> tuple[Trail, Entry] | None:
        """Take a change back: one of this inbox by its number, or the last one of the studio; None if there is none.

        Raises:
            ConflictError: as in `Ledger.undo`.
            DatasetError: as in `Ledger.undo`.
        """
        with self.ledger.lock:
            if not number:
                entry = self.ledger.last(lambda trail: self._is_own(trail.first))
                if entry is None:
                    return None
                number = entry.number
            return self.ledger.undo(number, self.inbox)

    def state(self, photo: str) -> str:
        """Return a photo's class, `quarantine`, `skip`, or nothing if it waits."""
        return self._states.get(photo, "")

    def labelled(self) -> dict[str, str]:
        """Return the class of every sorted photo."""
        with self.ledger.lock:
            return {photo: own for photo, own in self._states.items() if own in self.class_names}

    def waiting(self) -> list[str]:
        """Return the photos that wait, and those that were put off, by album and name."""
        with self.ledger.lock:
            skipped = [photo for photo, own in self._states.items() if own == SKIPPED]
            return sorted([*self._waiting, *skipped], key=self._order.__getitem__)

    def progress(self) -> Progress:
        """Return how far the sorting is."""
        with self.ledger.lock:
            return Progress(
                left=len(self._waiting),
                skipped=self._counts[SKIPPED],
                quarantined=self._counts[QUARANTINED],
                counts={name: self._counts[name] for name in self.class_names},
            )

    def skipped(self) -> list[Trail]:
        """Return the photos that were put off, the first one first."""
        with self.ledger.lock:
            trails = [self.ledger.of(photo) for photo, own in self._states.items() if own == SKIPPED]
            return sorted((own for own in trails if own is not None), key=lambda own: own.number)

    def album(self, trail: Trail) -> str:
        """Return what a photo is from, for a reader."""
        return self._tree.album_of(self._parts(trail))

    def _quarantined(self) -> list[Trail]:
        return [own for own in self.ledger.trails() if own.action == QUARANTINED and self._is_own(own.first)]

    def _is_own(self, place: str) -> bool:
        return (self.ledger.home / place).is_relative_to(self.inbox)

    def _parts(self, trail: Trail) -> tuple[str, ...]:
        """Return a photo's place below the inbox; that of a photo in quarantine is the one that it left."""
        path = self.ledger.home / trail.place
        if not path.is_relative_to(self.inbox):
            path = self.ledger.home / trail.first
        return path.relative_to(self.inbox).parts

    def _changed(self, trail: Trail) -> None:
        if trail.photo in self._states or self._is_own(trail.first):
            self._order.setdefault(trail.photo, len(self._order))
            self._set(trail)

    def _set(self, trail: Trail) -> None:
        photo, state = trail.photo, self._state_of(trail)
        old = self._states.get(photo)
        if old is not None:
            self._counts[old] -= 1
        self._states[photo] = state
        self._counts[state] += 1
        if state:
            self._waiting.pop(photo, None)
        else:
            self._waiting[photo] = None

    def _state_of(self, trail: Trail) -> str:
        path = self.ledger.home / trail.place
        if not path.is_relative_to(self.inbox):
            return QUARANTINED
        decided = next((entry.class_name for entry in reversed(trail.changes) if entry.class_name), "")
        if name := self._tree.class_of(path, decided):
            return name
        return SKIPPED if trail.action == SKIPPED else ""
