"""The three moves: folder name, index and display name."""

from __future__ import annotations

from dataclasses import dataclass


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

#: The class, and the folder, of photos that nobody has sorted yet.
UNSORTED = "unsorted"


def display_name(class_name: str) -> str:
    """Return the bilingual name of a move, such as `shoot 投籃`; any other class name is returned as it is."""
    for move in MOVES:
        if move.name == class_name:
            return f"{move.name} {move.chinese}"
    return class_name


def sort_class_names(found: list[str]) -> list[str]:
    """Order class names: the three moves in the order of `MOVES` if these are exactly the classes, else by name."""
    names = [move.name for move in MOVES]
    return names if sorted(found) == sorted(names) else sorted(found)
