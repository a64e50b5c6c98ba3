"""What an audit can find: the kinds, what each means, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "unreadable",
    "leak_copy",
    "leak_group",
    "two_classes",
    "exact_duplicate",
    "near_duplicate",
    "doubtful_label",
    "tiny",
    "blurred",
    "dark",
    "empty_class",
    "imbalance",
    "no_licence",
    "no_author",
    "restricted_licence",
]

#: In the order in which they are told.
KINDS: tuple[Kind, ...] = get_args(Kind)
#: What `--fix` moves unless told otherwise: here no person has to decide anything.
FIXED: tuple[Kind, ...] = ("unreadable", "leak_copy", "exact_duplicate")
#: So many times as many photos as another class has, from which on classes are of unequal size.
IMBALANCE = 3.0
#: What concerns single files, so that moving them away mends it.
MOVABLE: tuple[Kind, ...] = KINDS[: KINDS.index("empty_class")]


@dataclass(frozen=True)
class About:
    """What is to be said of a kind.

    Attributes:
        title: a few words.
        meaning: what it does to a model.
        advice: what to do.
    """

    title: str
    meaning: str
    advice: str


ABOUT: dict[Kind, About] = {
    "unreadable": About(
        "cannot be read", "training stops at such a file", "replace the file, or move it away with --fix true"
    ),
    "leak_copy": About(
        "same picture in two splits",
        "what is measured on was trained or chosen on: the figures look better than they are",
        "keep the copy that is measured on; --fix true moves the others",
    ),
    "leak_group": About(
        "game or album in two splits",
        "photos of one game share players and hall, which a model learns by heart",
        "move one side to the other split, or make the splits anew with scripts/split.py",
    ),
    "two_classes": About(
        "same picture in two classes", "one of the labels is wrong", "decide, and remove the other copy"
    ),
    "exact_duplicate": About(
        "same file twice", "it counts twice, in training and in the figures", "keep one; --fix true moves the others"
    ),
    "near_duplicate": About(
        "same picture, changed", "it counts twice, and a split may divide the copies", "keep the largest"
    ),
    "doubtful_label": About(
        "label in doubt",
        "a model that has not seen the photo's game is confident of another class",
        "look, and move the photo to the right class or leave it",
    ),
    "tiny": About("tiny", "the ball is hardly a pixel wide", "collect it larger, or leave it out"),
    "blurred": About("blurred", "the move may not be seen", "leave it out if you cannot tell the move"),
    "dark": About("dark", "the move may not be seen", "leave it out if you cannot tell the move"),
    "empty_class": About("class without photos", "training refuses it", "add photos, or name the classes"),
    "imbalance": About("classes of unequal size", "the large class is preferred", "collect more of the small one"),
    "no_licence": About(
        "licence not known", "you may not be allowed to publish what was made of it", "ask, or leave the photo out"
    ),
    "no_author": About("author not known", "most licences ask for the author's name", "find out who took it"),
    "restricted_licence": About(
        "licence restricts use",
        "NC bars commercial use, ND changed copies, which training makes",
        "leave it out unless your use is allowed",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: of the finding.
        path: relative name of the photo, or of the class folder; empty if it concerns the whole tree.
        severity: 0–1, within the kind.
        why: a few words.
        other: relative name of the other photo, if it takes two.
        class_name: of the photo now; empty if it has none.
        suggested: class that is more likely; empty if there is none.
        action: `quarantine` if moving this file away mends it, `look` if a person has to decide, else empty.
    """

    kind: Kind
    path: str
    severity: float
    why: str
    other: str = ""
    class_name: str = ""
    suggested: str = ""
    action: Literal["quarantine", "look", ""] = ""
