"""Accuracy by where photos come from and by what belongs together, the provably worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bball_pl.evaluate.answers import Answers
from bball_pl.evaluate.intervals import wilson

#: Slices in one table; the rest is summed up in one row.
MOST_ROWS = 20
#: Slices with fewer photos are summed up: one photo says nothing about a game.
FEWEST_PHOTOS = 5


@dataclass(frozen=True)
class Slice:
    """The answers to one part of a split.

    Attributes:
        name: of the part; empty if it is not known.
        n: number of its photos, 1 or more.
        right: number of right answers among them.
    """

    name: str
    n: int
    right: int

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0–1."""
        return self.right / self.n

    @property
    def interval(self) -> list[float]:
        """95 % Wilson interval of the accuracy as [low, high]."""
        return wilson(self.right, self.n)


@dataclass(frozen=True)
class Slices:
    """A split cut into parts.

    Attributes:
        rows: parts of at least `FEWEST_PHOTOS` photos, at most `MOST_ROWS`, those with the lowest upper end of their
            interval first: what is surely bad, not what happens to be.
        small: all parts with fewer photos as one, and their number; None if there are none.
        others: all further parts as one, and their number; None if there are none.
        known: number of parts that have a name.
    """

    rows: list[Slice]
    small: tuple[Slice, int] | None
    others: tuple[Slice, int] | None
    known: int

    @property
    def parts(self) -> int:
        """Number of all parts; photos whose part is not known are one."""
        return len(self.rows) + sum(pooled[1] for pooled in (self.small, self.others) if pooled is not None)

    def labelled(self) -> list[tuple[str, Slice, bool]]:
        """Return all parts with what to call them, and whether they are several parts summed up."""
        rows = [(part.name or "not known", part, False) for part in self.rows]
        for pooled, which in ((self.others, "others"), (self.small, f"others, of fewer than {FEWEST_PHOTOS} photos")):
            if pooled is not None:
                rows.append((f"{pooled[1]} {which}", pooled[0], True))
        return rows


def by_source(answers: Answers, sources: Mapping[str, str]) -> Slices:
    """Cut a split by where its photos come from.

    Args:
        answers: to one photo or more.
        sources: name of the source by path; missing or empty where it is not known.
    """
    return slice_answers([sources.get(path, "") for path in answers.paths], answers.correct)


def by_group(answers: Answers) -> Slices:
    """Cut a split by album, game or clip; `answers` are to one photo or more."""
    return slice_answers(answers.groups or [""] * len(answers), answers.correct)


def slice_answers(names: Sequence[str], correct: np.ndarray) -> Slices:
    """Cut a split by a name that each photo has.

    Args:
        names: N names, empty where not known.
        correct: whether each answer is right, bool `[N]`, N of 1 or more.
    """
    counts: dict[str, list[int]] = {}
    for name, right in zip(names, correct.tolist(), strict=True):
        count = counts.setdefault(name, [0, 0])
        count[0] += 1
        count[1] += right
    parts = [Slice(name, n, right) for name, (n, right) in counts.items()]
    large = [part for part in parts if part.n >= FEWEST_PHOTOS]
    # The upper end and not the accuracy: of many small games one is always at 0 % by luck.
    large.sort(key=lambda part: (part.interval[1], part.accuracy, part.name))
    return Slices(
        rows=large[:MOST_ROWS],
        small=_pooled([part for part in parts if part.n < FEWEST_PHOTOS]),
        others=_pooled(large[MOST_ROWS:]),
        known=sum(bool(part.name) for part in parts),
    )


def _pooled(parts: Sequence[Slice]) -> tuple[Slice, int] | None:
    if not parts:
        return None
    return Slice("", sum(part.n for part in parts), sum(part.right for part in parts)), len(parts)
