"""What a source hands to the job: a photo that was found, or one that is left out and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from bball_pl.errors import BballError


class CollectError(BballError):
    """A source that cannot be collected from as asked: no token, no such album, a limit that is used up."""


class NotTakenError(Exception):
    """A photo that cannot be had.

    Args:
        why: a few words, the same for the same cause, so that a summary can count them.
        final: whether another run would find the same, so that it need not try.
        outage: whether the reason lies with the host or the connection, and other photos may meet it as well.
    """

    def __init__(self, why: str, *, final: bool, outage: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.final = final
        self.outage = outage


@dataclass(frozen=True)
class Find:
    """One photo that a source offers; an unknown field is an empty string.

    Attributes:
        key: names the photo within its source, the same in every run.
        title: what its file's name begins with.
        group: what must not be divided by a split: an album, a game, a clip.
        album: name of the folder that its file goes to.
        url: where its bytes are, if they come from the web.
        read: returns its bytes, if they do not; may raise `NotTakenError`.
        by_day: the photos of one day are a group within the group.
        source_url: the page about it.
        author: who took it.
        licence: SPDX identifier of its licence.
        licence_url: text of the licence.
        time: when it was taken, or else published; ISO 8601.
        attribution: how the author wants to be named, if that is known.
        restrictions: what else the source says about its use, such as personality rights.
    """

    key: str
    title: str
    group: str
    album: str
    url: str = ""
    read: Callable[[], bytes] | None = None
    by_day: bool = False
    source_url: str = ""
    author: str = ""
    licence: str = ""
    licence_url: str = ""
    time: str = ""
    attribution: str = ""
    restrictions: str = ""


@dataclass(frozen=True)
class LeftOut:
    """One thing that a source found and does not offer.

    Attributes:
        key: as in `Find`.
        title: as in `Find`.
        where: its page or file, for the reader of the list.
        why: a few words.
    """

    key: str
    title: str
    where: str
    why: str


class Source(Protocol):
    """Where photos come from.

    Attributes:
        name: of the source, in photos.csv and as the folder's name.
        expected: how many photos there may be, for a progress bar; None if that is not known (yet).
    """

    name: str
    expected: int | None

    def finds(self) -> Iterator[Find | LeftOut]:
        """Yield the photos in an order that is the same in every run.

        Raises:
            CollectError: if the source cannot go on; what was yielded before is good.
        """
        ...
