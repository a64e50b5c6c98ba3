"""The contract of a source: the photos it yields, those it leaves out and why, and their licences."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
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


#: Every kind of licence that can be asked for: public domain first, then Creative Commons.
KINDS = ("cc0", "pdm", "by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")
#: Taken unless others are named: no bar on commercial use (NC) and none on changed copies (ND), which training makes.
OPEN_KINDS = ("cc0", "pdm", "by", "by-sa")


@dataclass(frozen=True)
class Licence:
    """A licence.

    Attributes:
        kind: one of `KINDS`; empty if it is none of them.
        spdx: its SPDX identifier, or its own name where there is none.
    """

    kind: str
    spdx: str


def check_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of licence that a user names, in lower case.

    Raises:
        CollectError: if one of them is unknown, or there is none.
    """
    wanted = tuple(kind.lower().removeprefix("cc-") for kind in kinds)
    unknown = [kind for kind in wanted if kind not in KINDS]
    if unknown or not wanted:
        raise CollectError(f"--licences names {', '.join(unknown) or 'nothing'}; expected some of {', '.join(KINDS)}.")
    return wanted


def why_not(licence: Licence, wanted: Collection[str]) -> str:
    """Return why a photo with this licence is left out; empty if it is not."""
    if licence.kind in wanted:
        return ""
    return f"its licence is {licence.spdx}" if licence.spdx else "its licence is not known"


def openverse_licence(kind: str, version: str) -> Licence:
    """Return a licence as Openverse names it, such as `by-sa` and `2.0`."""
    kind = kind.lower()
    if kind == "cc0":
        return Licence(kind, "CC0-1.0")
    if kind == "pdm":
        return Licence(kind, "CC-PDM-1.0")
    if kind in KINDS and re.fullmatch(r"\d\.\d", version):
        return Licence(kind, f"CC-{kind.upper()}-{version}")
    return Licence("", " ".join(f"{kind} {version}".split()))


def commons_licence(code: str, name: str) -> Licence:
    """Return a licence as Wikimedia Commons names it.

    Args:
        code: the field `License`, such as `cc-by-sa-4.0` or `pd`; may be empty.
        name: the field `LicenseShortName`, such as `CC BY-SA 4.0`.
    """
    text = (code or name).lower().strip()
    text = re.sub(r"[\s_]+", "-", text)
    if text in {"cc0", "cc-0", "cc-zero", "cc0-1.0"}:
        return Licence("cc0", "CC0-1.0")
    if text in {"pdm", "cc-pdm", "cc-pd-mark", "pdm-1.0", "pdm-owner"}:
        return Licence("pdm", "CC-PDM-1.0")
    if text == "pd" or text.startswith(("pd-", "public-domain")):
        # SPDX has no identifier for what is free for other reasons than a dedication.
        return Licence("pdm", "LicenseRef-public-domain")
    found = re.match(r"cc-(by(?:-nc)?(?:-sa|-nd)?)-(\d\.\d)(?:-([a-z]{2,3}))?(?![\w.])", text)
    if found is not None and found[1] in KINDS:
        # Ported versions have identifiers of their own, such as CC-BY-SA-3.0-DE.
        country = f"-{found[3].upper()}" if found[3] else ""
        return Licence(found[1], f"CC-{found[1].upper()}-{found[2]}{country}")
    return Licence("", name or code)
