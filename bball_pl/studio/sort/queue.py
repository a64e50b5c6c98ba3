"""Queue of the photos to sort, shared by tabs so that no two show the same one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from itertools import islice
from pathlib import Path
from typing import Literal

from bball_pl.errors import DatasetError
from bball_pl.photos.labels_csv import Entry
from bball_pl.photos.tree import PhotoTree
from bball_pl.studio.history import ConflictError, History, TrackedPhoto

Order = Literal["doubt", "none", "album"]

#: Seconds without a request from a tab after which its photos are released.
_LEASE_SECONDS = 90.0
#: States beside the class names.
QUARANTINED, SKIPPED = "quarantine", "skip"


@dataclass(frozen=True)
class Progress:
    """Progress of the sorting.

    Attributes:
        left: photos without a decision.
        skipped: photos that were put off.
        quarantined: photos that are not usable.
        counts: sorted photos by class.
        at: time at which this was so, in microseconds; it only goes forward, because answers can overtake others.
    """

    left: int
    skipped: int
    quarantined: int
    counts: dict[str, int]
    at: int = field(compare=False)


@dataclass(frozen=True)
class Batch:
    """Result of a decision about several photos, or of undoing one.

    Attributes:
        photos: changed photos, in the order of the changes.
        numbers: numbers of the changes.
        conflicts: names of the photos that were changed elsewhere in the meantime and stay as they are.
        problem: reason why the rest was not changed; empty if there is no rest.
    """

    photos: list[TrackedPhoto]
    numbers: list[int]
    conflicts: list[str]
    problem: str = ""


class SortQueue:
    """Photos of one inbox that are sorted into classes by one or more tabs. Thread-safe.

    Each photo is leased to one tab at a time, so that no two tabs show the same one.

    Args:
        history: change history of the inbox's home folder.
        inbox: folder of the photos.
        class_names: names of the class folders.
        clock: time in seconds; a parameter for tests.
    """

    def __init__(
        self,
        history: History,
        inbox: Path,
        class_names: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.history = history
        self.inbox = inbox.absolute()
        self.class_names = tuple(class_names)
        self.links = 0
        self._tree = PhotoTree(self.inbox, list(class_names), [])
        self._clock = clock
        # The page may be older than this start of the machine, whose clock begins anew.
        self._epoch = time.time() - clock()
        self._states: dict[str, str] = {}
        self._unsorted: dict[str, None] = {}
        self._order: dict[str, int] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._counts: Counter[str] = Counter()
        # Changes that were made with one confirmation, by the number of each of them.
        self._batches: dict[int, list[int]] = {}
        history.on_change(self._on_change)
        self.rescan()

    def rescan(self) -> None:
        """Read the folder again: other programs may have added or removed photos."""
        with self.history.lock:
            self.history.sync()
            self._tree = PhotoTree.scan(self.inbox, self.class_names, self.history.home, movable=True)
            self.links = self._tree.links
            paths = [photo.path for photo in sorted(self._tree.photos, key=lambda photo: bool(photo.class_name))]
            paths += [
                self.history.home / photo.path
                for photo in self.history.changed_photos()
                if photo.action == QUARANTINED and self.history.is_below(photo, self.inbox)
            ]
            photos = [self.history.photo_at(path, self.inbox) for path in paths]
            self._states.clear()
            self._unsorted.clear()
            self._counts.clear()
            for photo in photos:
                self._update(photo)

    def next(
        self,
        tab: str,
        have: Iterable[str],
        count: int,
        order: Order = "album",
        ranks: Mapping[str, float] | None = None,
    ) -> list[TrackedPhoto]:
        """Lease photos to a tab.

        Args:
            tab: name of the tab.
            have: ids of the photos that the tab has already; their leases are renewed.
            count: number of further photos.
            order: doubt or none for the lowest rank first, album for album and name.
            ranks: 0–1, by id, of the photos with a prediction: the margin between its two highest probabilities, or
                the probability of a move.

        Returns:
            At most `count` photos.
        """
        known = ranks if order != "album" and ranks else {}
        with self.history.lock:
            self.history.sync()
            now = self._clock()
            self._leases = {photo: lease for photo, lease in self._leases.items() if lease[1] > now}
            held = set(have)
            for photo_id in held & self._unsorted.keys():
                if self._is_free(photo_id, tab):
                    self._leases[photo_id] = tab, now + _LEASE_SECONDS
            free = (photo_id for photo_id in self._unsorted if photo_id not in held and self._is_free(photo_id, tab))
            # Photos without a prediction come after those with one.
            chosen = nsmallest(count, free, key=lambda photo_id: (known.get(photo_id, 2.0), self._order[photo_id]))
            for photo_id in chosen:
                self._leases[photo_id] = tab, now + _LEASE_SECONDS
            return [photo for photo_id in chosen if (photo := self.history.by_id(photo_id)) is not None]

    def lease(self, tab: str, photo_ids: Iterable[str], count: int) -> list[TrackedPhoto]:
        """Lease the first `count` of these photos that have no decision and that no other tab shows."""
        with self.history.lock:
            self.history.sync()
            now = self._clock()
            self._leases = {photo: lease for photo, lease in self._leases.items() if lease[1] > now}
            free = (name for name in photo_ids if name in self._unsorted and self._is_free(name, tab))
            chosen = list(islice(free, count))
            for photo_id in chosen:
                self._leases[photo_id] = tab, now + _LEASE_SECONDS
            return [photo for photo_id in chosen if (photo := self.history.by_id(photo_id)) is not None]

    def hold(self, tab: str, photo_id: str) -> None:
        """Lease a photo to the tab that shows it."""
        with self.history.lock:
            self._leases[photo_id] = tab, self._clock() + _LEASE_SECONDS

    def release(self, tab: str) -> None:
        """Release the photos of a closed tab."""
        with self.history.lock:
            self._leases = {photo_id: lease for photo_id, lease in self._leases.items() if lease[0] != tab}

    def decide(self, photo_id: str, action: str, class_name: str, seen: int) -> tuple[TrackedPhoto, Entry]:
        """Sort a photo, put it off or quarantine it.

        Args:
            photo_id: id of the photo.
            action: label, quarantine or skip.
            class_name: class of a label; ignored otherwise.
            seen: version of the photo that the user saw.

        Raises:
            ConflictError: if the photo was changed elsewhere in the meantime, or does not exist.
            DatasetError: if it cannot be moved.
        """
        with self.history.lock:
            photo = self.history.by_id(photo_id)
            if photo is None:
                raise ConflictError("this photo no longer exists")
            to = None
            if action == "label":
                to = self.inbox / self._tree.relabelled(self._parts(photo), class_name)
            entry = self.history.change(photo, action, class_name if action == "label" else "", to, seen)
            self._leases.pop(photo_id, None)
            return photo, entry

    def decide_all(self, photos: Iterable[tuple[str, int]], class_name: str) -> Batch:
        """Sort several photos into one class, each as `decide` does it; `undo` takes them back together.

        A kill leaves some photos sorted and the others as they were.

        Args:
            photos: id of each photo and the version that the user saw.
            class_name: class of all of them.
        """
        batch = Batch([], [], [])
        for photo_id, seen in photos:
            try:
                photo, entry = self.decide(photo_id, "label", class_name, seen)
            except ConflictError as error:
                batch.conflicts.append(photo_id if error.photo is None else error.photo.path.rpartition("/")[2])
            except DatasetError as error:
                batch = replace(batch, problem=str(error))
                break
            else:
                batch.photos.append(photo)
                batch.numbers.append(entry.number)
        with self.history.lock:
            self._batches.update(dict.fromkeys(batch.numbers, batch.numbers))
        return batch

    def undo(self, number: int = 0) -> Batch:
        """Undo a change of this inbox, with those that one confirmation made with it.

        Args:
            number: number of one of the changes. Default: the studio's latest change.

        Returns:
            The photos in their new states; those that were changed again since are conflicts and stay as they are.

        Raises:
            ConflictError: as in `History.undo`, for a change that stands alone.
            DatasetError: as in `History.undo`, if nothing was undone.
        """
        with self.history.lock:
            if not number:
                entry = self.history.last_change(self.inbox)
                if entry is None:
                    return Batch([], [], [])
                number = entry.number
            numbers = self._batches.get(number, [number])
        batch = Batch([], [], [])
        for one in reversed(numbers):
            try:
                photo, _ = self.history.undo(one, self.inbox)
            except ConflictError as error:
                if len(numbers) == 1:
                    raise
                if error.photo is not None:
                    batch.conflicts.append(error.photo.path.rpartition("/")[2])
            except DatasetError as error:
                if not batch.photos:
                    raise
                batch = replace(batch, problem=str(error))
                break
            else:
                batch.photos.append(photo)
                batch.numbers.append(one)
        return batch

    def state(self, photo_id: str) -> str:
        """Return a photo's class, `quarantine` or `skip`; empty without a decision."""
        return self._states.get(photo_id, "")

    def labels(self) -> dict[str, str]:
        """Return the class of every sorted photo, by id."""
        with self.history.lock:
            return {photo_id: state for photo_id, state in self._states.items() if state in self.class_names}

    def unsorted(self) -> list[str]:
        """Return the ids of all photos without a class, skipped ones included, by album and name."""
        with self.history.lock:
            skipped = [photo_id for photo_id, state in self._states.items() if state == SKIPPED]
            return sorted([*self._unsorted, *skipped], key=self._order.__getitem__)

    def progress(self) -> Progress:
        """Return the progress of the sorting."""
        with self.history.lock:
            return Progress(
                left=len(self._unsorted),
                skipped=self._counts[SKIPPED],
                quarantined=self._counts[QUARANTINED],
                counts={name: self._counts[name] for name in self.class_names},
                at=round((self._epoch + self._clock()) * 1e6),
            )

    def skipped(self) -> list[TrackedPhoto]:
        """Return the skipped photos, earliest first."""
        with self.history.lock:
            found = [self.history.by_id(photo_id) for photo_id, state in self._states.items() if state == SKIPPED]
            return sorted((photo for photo in found if photo is not None), key=lambda photo: photo.version)

    def album(self, photo: TrackedPhoto) -> str:
        """Return the source and album of a photo for display."""
        return self._tree.album_of(self._parts(photo))

    def folder(self, photo: TrackedPhoto) -> str:
        """Return the folder of a photo below the inbox, or below the home for a quarantined one."""
        path = (self.history.home / photo.path).parent
        return path.relative_to(self.inbox if path.is_relative_to(self.inbox) else self.history.home).as_posix()

    def undecided(self, photo_ids: Iterable[str]) -> int:
        """Return how many of these photos have no decision."""
        with self.history.lock:
            return sum(photo_id in self._unsorted for photo_id in photo_ids)

    def _is_free(self, photo_id: str, tab: str) -> bool:
        return self._leases.get(photo_id, (tab, 0.0))[0] == tab

    def _parts(self, photo: TrackedPhoto) -> tuple[str, ...]:
        """Return a photo's path below the inbox; for a quarantined photo, its path before all changes."""
        path = self.history.home / photo.path
        if not path.is_relative_to(self.inbox):
            path = self.history.home / photo.first_path
        return path.relative_to(self.inbox).parts

    def _on_change(self, photo: TrackedPhoto) -> None:
        if photo.id in self._states or self.history.is_below(photo, self.inbox):
            self._update(photo)

    def _update(self, photo: TrackedPhoto) -> None:
        self._order.setdefault(photo.id, len(self._order))
        state, previous = self._state_of(photo), self._states.get(photo.id)
        if previous is not None:
            self._counts[previous] -= 1
        self._states[photo.id] = state
        self._counts[state] += 1
        if state:
            self._unsorted.pop(photo.id, None)
        else:
            self._unsorted[photo.id] = None

    def _state_of(self, photo: TrackedPhoto) -> str:
        path = self.history.home / photo.path
        if not path.is_relative_to(self.inbox):
            return QUARANTINED
        decided = next((change.class_name for change in reversed(photo.changes) if change.class_name), "")
        if name := self._tree.class_of(path, decided):
            return name
        return SKIPPED if photo.action == SKIPPED else ""
