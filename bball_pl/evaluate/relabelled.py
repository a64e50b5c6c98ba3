"""Labels of a split that people changed after the model was trained, and the figures under the labels before.

A label that is changed to the model's own answer raises its accuracy, whether the change is right or not. Therefore the
figures under both labels stand side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bball_pl import project
from bball_pl.data.validation import read_split_csv
from bball_pl.evaluate.metrics import Share, table_figures
from bball_pl.evaluate.predictions import Answers
from bball_pl.photos.labels_csv import absolute, moved_photos
from bball_pl.photos.tree import Photo, canonical_name, split_of
from bball_pl.wording import Language, counted, picked


@dataclass(frozen=True)
class LabelsBefore:
    """Labels of a split before people changed them.

    Attributes:
        classes: class before, by the present name of each photo that was moved within the dataset.
        quarantined: photos that were set aside: where they lie now, with their former name and class.
    """

    classes: dict[str, str] = field(default_factory=dict)
    quarantined: list[Photo] = field(default_factory=list)


def labels_before(root: Path, split: str, run: Path | None = None, since: str = "") -> LabelsBefore:
    """Return the labels that the photos of a split had when a model was trained.

    Args:
        root: folder of the dataset.
        split: train, val or test.
        run: a run on this dataset: its `split.csv` says which photos the split had, and their classes. None takes the
            folders that the photos lay in.
        since: day of the training, ISO 8601; only without a run.

    Raises:
        DatasetError: if the journal or the `split.csv` is damaged.
    """
    recorded = run is not None and (run / project.SPLIT).is_file()
    moved = moved_photos(root, "" if recorded else since)
    if not moved:
        return LabelsBefore()
    if run is not None and recorded:
        photos = read_split_csv(run / project.SPLIT, root).get(split, [])
        former = [photo for photo in photos if photo.relative in moved and not photo.path.is_file()]
    else:
        former = [
            Photo(root / name, name, split, canonical_name(name.split("/")[1]))
            for name in moved
            if name.count("/") > 1 and split_of(name.split("/")[0]) == split
        ]
    before, tree = LabelsBefore(), absolute(root)
    seen: set[Path] = set()
    for photo in former:
        now = moved[photo.relative]
        if now in seen:
            continue  # the first name of a photo is the one that it had before all changes
        seen.add(now)
        if now.is_relative_to(tree):
            before.classes[now.relative_to(tree).as_posix()] = photo.class_name
        elif now.is_file():
            before.quarantined.append(Photo(now, photo.relative, split, photo.class_name, photo.group))
    return before


def relabelling(answers: Answers, before: Mapping[str, str], aside: Answers | None = None) -> dict[str, Any] | None:
    """Return what changed labels did to the figures; None if no label of the split was changed.

    Args:
        answers: under the present labels.
        before: class before of photos whose label may have changed, by path; one that the model does not know is left
            out.
        aside: answers to photos that were set aside since, under the labels that they had.

    Returns:
        `changed`, photos whose label was changed, and `agreeing`, how many of them now have the label that the model
        answers; `quarantined`, photos set aside, and `quarantined_errors`, how many of them it answered otherwise than
        they were labelled; `n`, `accuracy`, `accuracy_ci95` (Wilson) and `macro_f1` under the labels before.
    """
    names = answers.class_names
    targets = answers.targets.copy()
    for row, path in enumerate(answers.paths):
        if before.get(path) in names:
            targets[row] = names.index(before[path])
    changed = targets != answers.targets
    if aside is None and not changed.any():
        return None
    whole = replace(answers, targets=targets)
    if aside is not None:
        whole = Answers(
            names,
            [*answers.paths, *aside.paths],
            [*answers.groups, *aside.groups],
            np.concatenate([targets, aside.targets]),
            np.concatenate([answers.probabilities, aside.probabilities]),
        )
    right = Share(int(whole.correct.sum()), len(whole))
    return {
        "changed": int(changed.sum()),
        "agreeing": int((changed & answers.correct).sum()),
        "quarantined": 0 if aside is None else len(aside),
        "quarantined_errors": 0 if aside is None else int((~aside.correct).sum()),
        "n": right.n,
        "accuracy": right.value,
        "accuracy_ci95": right.interval,
        "macro_f1": float(table_figures(whole.confusion[None])["macro_f1"][0]),
    }


def relabelling_sentence(figures: Mapping[str, Any], language: Language = "en") -> str:
    """Return the figures of `relabelling` in words."""
    say = picked(language)
    changed, agreeing = figures["changed"], figures["agreeing"]
    aside, errors = figures["quarantined"], figures["quarantined_errors"]
    parts = []
    if changed:
        parts.append(
            say(
                f"the label of {counted(changed, 'photo')} was changed, {agreeing} of them to its own answer",
                f"改了 {changed} 張照片的標籤（其中 {agreeing} 張改成模型的答案）",
            )
        )
    if aside:
        parts.append(
            say(
                f"{counted(aside, 'photo')} {'was' if aside == 1 else 'were'} set aside, {errors} of them answered "
                "otherwise than labelled",
                f"移出 {aside} 張照片（其中 {errors} 張模型的答案與標籤不同）",
            )
        )
    low, high = figures["accuracy_ci95"]
    return say(
        f"After this model was trained, {' and '.join(parts)}. Under the labels before, its accuracy is "
        f"{figures['accuracy']:.1%} (95 % interval {low:.1%}–{high:.1%}) of {counted(figures['n'], 'photo')}.",
        f"模型訓練之後，{'，'.join(parts)}。依修改前的標籤，{figures['n']} 張照片的準確率是 {figures['accuracy']:.1%}"
        f"（95 % 區間 {low:.1%}–{high:.1%}）。",
    )
