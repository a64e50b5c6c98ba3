"""Licences: their SPDX identifiers, and which of them a user wants."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bball_pl.collect.finds import CollectError

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
