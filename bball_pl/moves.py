"""The three moves: folder name, index, display name and written definition."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bball_pl.project import PACKAGE


@dataclass(frozen=True)
class Move:
    """One basketball move.

    Attributes:
        name: folder name and label, lower case.
        chinese: name in traditional Chinese.
    """

    name: str
    chinese: str


#: In the order of the 2018 project's confusion matrix.
MOVES: tuple[Move, ...] = (Move("shoot", "投籃"), Move("dribble", "運球"), Move("layup", "上籃"))

#: The class of photos that show none of the moves.
NO_MOVE = Move("none", "無動作")

#: The class, and the folder, of photos that nobody has sorted yet.
UNSORTED = "unsorted"


def chinese_name(class_name: str) -> str:
    """Return the Chinese name of a move or of `none`; empty for any other class."""
    return next((move.chinese for move in (*MOVES, NO_MOVE) if move.name == class_name), "")


def display_name(class_name: str) -> str:
    """Return the bilingual name of a class, such as `shoot 投籃`; the name alone if it has no Chinese one."""
    return f"{class_name} {chinese_name(class_name)}".rstrip()


def sort_class_names(found: list[str]) -> list[str]:
    """Order class names: the moves in the order of `MOVES`, then `none`, if there is no other class; else by name."""
    names = [move.name for move in (*MOVES, NO_MOVE)]
    return [name for name in names if name in found] if is_moves(found) else sorted(found)


def is_moves(class_names: Collection[str]) -> bool:
    """Return whether the classes are the three moves, with or without `none`."""
    return set(class_names) - {NO_MOVE.name} == {move.name for move in MOVES}


#: Written definitions of the moves; moves.zh-Hant.md beside it is the translation.
MOVES_FILE = PACKAGE / "moves.md"


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
    """Return the sections of the file in their order; none if the file is not there."""
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
