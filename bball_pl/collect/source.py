"""The interface of a source: the photos it offers, those it skips with a reason, and their licences."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from bball_pl.errors import BballError

#: Ends the messages of jobs that stop early.
RESUME = "What was collected is kept: run the same command again later to resume."


class CollectError(BballError):
    """A source that cannot be collected from as requested: no token, no such album, an exhausted limit."""


class SkippedError(Exception):
    """A photo that cannot be collected.

    Args:
        reason: A few words, identical for identical causes, so that a summary can count them.
        final: Whether another run would fail in the same way, so that it need not try.
        outage: Whether the host or the connection is the cause, which other photos may meet as well.
    """

    def __init__(self, reason: str, *, final: bool, outage: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final
        self.outage = outage


@dataclass(frozen=True)
class Candidate:
    """A photo that a source offers; unknown fields are empty strings.

    Attributes:
        key: Identifies the photo within its source, the same in every run.
        title: Beginning of the file name.
        group: Photos of one group stay in one split: an album, a game, a clip.
        album: Folder that the file goes to.
        url: Address of its bytes, if they come from the web.
        read: Returns its bytes, if they do not; may raise `SkippedError`.
        by_day: Whether each day within the group is a group of its own.
        source_url: Page about the photo.
        author: Photographer.
        licence: SPDX identifier of the licence.
        licence_url: Text of the licence.
        time: When the photo was taken, or else published; ISO 8601.
        attribution: Credit line that the author asks for.
        restrictions: Further terms that the source states, such as personality rights.
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
    """An entry that a source found and does not offer.

    Attributes:
        key: As in `Candidate`.
        title: As in `Candidate`.
        location: Page or file of the entry, for left_out.csv.
        reason: A few words.
        is_source: Whether it is no single photo but a whole zip file, video or folder: the job then ends as a failure.
    """

    key: str
    title: str
    location: str
    reason: str
    is_source: bool = False


class Source(Protocol):
    """A collection of photos on the web or on this disk.

    Attributes:
        name: Name in photos.csv and of the inbox folder.
        expected: Number of entries for the progress bar; None while it is unknown.
    """

    name: str
    expected: int | None

    def items(self) -> Iterator[Candidate | LeftOut]:
        """Yield all entries, in the same order in every run.

        Raises:
            CollectError: if the source cannot continue; entries yielded before are valid.
        """
        ...


#: Kinds of licence that a user may name: public domain first, then Creative Commons.
KINDS = ("cc0", "pdm", "by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")
#: Default: licences that permit commercial use (no NC) and modified copies (no ND), which training makes.
OPEN_KINDS = ("cc0", "pdm", "by", "by-sa")


@dataclass(frozen=True)
class Licence:
    """A licence.

    Attributes:
        kind: One of `KINDS`; empty for any other licence.
        spdx: SPDX identifier, or the name that the source uses where there is none.
    """

    kind: str
    spdx: str


def check_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of licence that a user names, in lower case.

    Raises:
        CollectError: if one of them is unknown, or the list is empty.
    """
    wanted = tuple(kind.lower().removeprefix("cc-") for kind in kinds)
    unknown = [kind for kind in wanted if kind not in KINDS]
    if unknown or not wanted:
        raise CollectError(f"--licences names {', '.join(unknown) or 'nothing'}; expected some of {', '.join(KINDS)}.")
    return wanted


def licence_problem(licence: Licence, accepted: Collection[str]) -> str:
    """Return why a photo with this licence is left out; empty if its kind is accepted."""
    if licence.kind in accepted:
        return ""
    return f"its licence is {licence.spdx}" if licence.spdx else "its licence is unknown"


def openverse_licence(kind: str, version: str) -> Licence:
    """Return a licence from Openverse's names, such as `by-sa` and `2.0`."""
    kind = kind.lower()
    if kind == "cc0":
        return Licence(kind, "CC0-1.0")
    if kind == "pdm":
        return Licence(kind, "CC-PDM-1.0")
    if kind in KINDS and re.fullmatch(r"\d\.\d", version):
        return Licence(kind, f"CC-{kind.upper()}-{version}")
    return Licence("", " ".join(f"{kind} {version}".split()))


def commons_licence(code: str, name: str) -> Licence:
    """Return a licence from Wikimedia Commons' metadata.

    Args:
        code: Field `License`, such as `cc-by-sa-4.0` or `pd`; may be empty.
        name: Field `LicenseShortName`, such as `CC BY-SA 4.0`.
    """
    text = (code or name).lower().strip()
    text = re.sub(r"[\s_]+", "-", text)
    if text in {"cc0", "cc-0", "cc-zero", "cc0-1.0"}:
        return Licence("cc0", "CC0-1.0")
    if text in {"pdm", "cc-pdm", "cc-pd-mark", "pdm-1.0", "pdm-owner"}:
        return Licence("pdm", "CC-PDM-1.0")
    if text == "pd" or text.startswith(("pd-", "public-domain")):
        # SPDX has no identifier for works that are free for other reasons than a dedication.
        return Licence("pdm", "LicenseRef-public-domain")
    found = re.match(r"cc-(by(?:-nc)?(?:-sa|-nd)?)-(\d\.\d)(?:-([a-z]{2,3}))?(?![\w.])", text)
    if found is not None and found[1] in KINDS:
        # Ported versions have separate identifiers, such as CC-BY-SA-3.0-DE.
        country = f"-{found[3].upper()}" if found[3] else ""
        return Licence(found[1], f"CC-{found[1].upper()}-{found[2]}{country}")
    return Licence("", name or code)
