"""The written definition of the moves, read from docs/moves.md for those who look at doubtful photos."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bball_pl.runs import ROOT

MOVES_FILE = ROOT / "docs" / "moves.md"


@dataclass(frozen=True)
class Definition:
    """One section of the file.

    Attributes:
        heading: such as `layup 上籃`.
        intro: the sentences before the list, on one line.
        rules: the points of the list, each on one line.
    """

    heading: str
    intro: str
    rules: list[str]

    @property
    def name(self) -> str:
        """The first word of the heading, which is the class name of a move."""
        return self.heading.split(" ")[0]


def read_definitions(path: Path = MOVES_FILE) -> list[Definition]:
    """Return the sections of the file in their order; none if the file is not there, as in an installed package."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return []
    found = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        intro, *rules = re.split(r"^- ", body, flags=re.MULTILINE)
        found.append(Definition(heading.strip(), _line(intro), [_line(rule) for rule in rules]))
    return found


def _line(text: str) -> str:
    return " ".join(text.replace("**", "").split())
