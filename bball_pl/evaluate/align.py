"""The answers of two models side by side: the same photos and classes in the same order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from bball_pl.errors import DatasetError
from bball_pl.evaluate.answers import Answers

#: Photos that a message names before it only counts them.
_LISTED = 3


def in_order_of(a: Answers, b: Answers, name_a: str, name_b: str) -> Answers:
    """Return the answers of B with photos and classes in the order of A; the groups stay those of B.

    Args:
        a: answers that give the order.
        b: answers to the same photos with the same classes.
        name_a: of the first model, for messages.
        name_b: of the second.

    Raises:
        DatasetError: if a photo is only in one of the two or twice in one, the classes are not the same, or a photo's
            class is another.
    """
    if sorted(a.class_names) != sorted(b.class_names):
        raise DatasetError(
            f"{name_a} knows the classes {', '.join(a.class_names)}; {name_b} knows {', '.join(b.class_names)}. "
            "Compare models with the same classes."
        )
    for answers, name in ((a, name_a), (b, name_b)):
        if doubles := [path for path, times in Counter(answers.paths).items() if times > 1]:
            raise DatasetError(f"{name} answers {_some(doubles)} more than once. Evaluate it again.")
    only_a, only_b = sorted(set(a.paths) - set(b.paths)), sorted(set(b.paths) - set(a.paths))
    if only_a or only_b:
        found = [
            f"{len(only)} of {len(answers)} are only in {name} ({_some(only)})"
            for only, answers, name in ((only_a, a, name_a), (only_b, b, name_b))
            if only
        ]
        raise DatasetError(
            f"the photos are not the same: {'; '.join(found)}. "
            "Evaluate both on the same split of the same dataset with scripts/evaluate.py."
        )
    place = {path: row for row, path in enumerate(b.paths)}
    rows = np.array([place[path] for path in a.paths])
    columns = np.array([b.class_names.index(name) for name in a.class_names])
    targets = np.argsort(columns)[b.targets[rows]]
    others = np.flatnonzero(targets != a.targets)
    if len(others):
        names = a.class_names
        labels = [f"{a.paths[row]} is {names[a.targets[row]]} and {names[targets[row]]}" for row in others]
        raise DatasetError(
            f"{len(others)} of {len(a)} photos have one class in {name_a} and another in {name_b}: {_some(labels)}. "
            "Evaluate both again with scripts/evaluate.py."
        )
    probabilities = b.probabilities[rows][:, columns]
    return Answers(a.class_names, a.paths, [b.groups[row] for row in rows], targets, probabilities)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
