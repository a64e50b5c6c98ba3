"""Validation photos: a grouped, stratified split or folds of the training photos, repeatable by seed."""

from __future__ import annotations

import csv
import io
import os
import warnings
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from bball_pl.errors import ConfigError, DatasetError
from bball_pl.files import write_text
from bball_pl.moves import NO_MOVE
from bball_pl.photos.tree import Photo

# Random divisions to try before the folds are made larger, if none has every class on both sides.
_DRAWINGS = 4

_COLUMNS = ("path", "class", "split", "group")


def split_train(photos: Sequence[Photo], fraction: float, seed: int) -> tuple[list[Photo], list[Photo]]:
    """Divide training photos into those to train on and those to validate on.

    Photos of one group stay together, and so do photos with the same bytes; a photo without a group stands alone.
    Photos that are for training only are trained on, with their groups; the share is one of the others. The result
    depends on the photos' names, contents and groups and on the seed, not on the order of the list or on the dataset's
    location.

    Args:
        photos: photos of the folder `train`.
        fraction: share of the photos for validation, above 0 and at most 0.5. Whole groups make it approximate; it
            becomes larger if that is the only way to have every class on both sides.
        seed: random seed of the division.

    Returns:
        (train, val), each sorted by relative name; every class is in both, but that `none` may be in train only.

    Raises:
        ConfigError: if the fraction is out of range.
        DatasetError: if a class has only one group, or only photos for training, or no division has every class on
            both sides.
    """
    if not 0 < fraction <= 0.5:
        raise ConfigError(f"--data.val_fraction is {fraction}; expected more than 0 and at most 0.5, such as 0.15.")
    photos = sorted(photos, key=lambda photo: photo.relative)
    bound = _for_training(photos, _groups(photos))
    pinned = [photo for photo, is_bound in zip(photos, bound, strict=True) if is_bound]
    photos = [photo for photo, is_bound in zip(photos, bound, strict=True) if not is_bound]
    lacking = {photo.class_name for photo in pinned} - {photo.class_name for photo in photos} - {NO_MOVE.name}
    if lacking or not photos:
        names = ", ".join(sorted(lacking) or sorted({photo.class_name for photo in pinned}))
        raise DatasetError(
            f"all training photos of {names} are for training only (column use of photos.csv), and none of them can be "
            "in val. Add photos of it from elsewhere, or add a folder 'val' beside 'train'."
        )
    targets = _counted([photo.target for photo in photos])
    groups = _groups(photos)
    _refuse_single_groups(photos, groups)
    # A share of 0.15 is 1 fold of 7, 0.3 is 3 of 10: few large folds are better stratified than many small ones.
    share = Fraction(fraction).limit_denominator(max(10, round(1 / fraction)))
    most = min(share.denominator, len(np.unique(groups)), int(np.bincount(targets).max()))
    for folds in range(most, 1, -1):
        wanted = share.numerator if folds == share.denominator else max(1, round(fraction * folds))
        candidates = []
        for drawing in range(_DRAWINGS):
            parts = _divide(targets, groups, folds, seed + drawing)
            joined = (np.concatenate([*parts, *parts][first : first + wanted]) for first in range(folds))
            candidates += [val for val in joined if _has_all(targets, val)]
        if candidates:
            val = min(candidates, key=lambda val: _unevenness(targets, val, fraction))
            chosen = set(val.tolist())
            train = [photo for position, photo in enumerate(photos) if position not in chosen]
            return (
                sorted([*train, *pinned], key=lambda photo: photo.relative),
                [photo for position, photo in enumerate(photos) if position in chosen],
            )
    raise DatasetError(
        f"no split of {len(photos)} training photos in {len(np.unique(groups))} groups has every class on both sides: "
        "groups that hold several classes tie them together. Make the groups in photos.csv smaller, or add a folder "
        "'val' beside 'train'."
    )


def cross_validation_folds(photos: Sequence[Photo], count: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """Divide photos into folds, each of which is held out once while the others are trained on.

    Groups and photos with the same bytes stay together, as in `split_train`, and classes are spread evenly. Photos that
    are for training only, and their groups, are in no fold and always trained on.

    Args:
        photos: sorted by relative name.
        count: number of folds, 2 or more; fewer are made if that is the only way to have every class in training.
        seed: random seed of the division.

    Returns:
        Positions of the photos to train on and of those held out, per fold, both ascending; every class is among the
        former. Empty if no division into two or more folds has every class in training.
    """
    groups = _groups(photos)
    everything = np.arange(len(photos))
    free = np.flatnonzero(~_for_training(photos, groups))
    if not len(free):
        return []
    targets = _counted([photos[position].target for position in free.tolist()])
    groups = groups[free]
    most = min(count, len(np.unique(groups)), int(np.bincount(targets).max()))
    for folds in range(most, 1, -1):
        candidates = []
        for drawing in range(_DRAWINGS):
            parts = _divide(targets, groups, folds, seed + drawing)
            if all(len(part) and _leaves_all(targets, part) for part in parts):
                candidates.append(parts)
        if candidates:
            best = min(candidates, key=lambda parts: sum(_unevenness(targets, part, 1 / folds) for part in parts))
            return [(np.setdiff1d(everything, free[part]).tolist(), np.sort(free[part]).tolist()) for part in best]
    return []


def stratified_subset(photos: Sequence[Photo], count: int, seed: int) -> list[Photo]:
    """Return at most `count` photos with the class shares of the whole list, sorted by relative name."""
    photos = sorted(photos, key=lambda photo: photo.relative)
    targets = np.array([photo.target for photo in photos])
    ranks = np.empty(len(photos))
    generator = np.random.default_rng(seed)
    for target in np.unique(targets):
        members = generator.permutation(np.flatnonzero(targets == target))
        # Each class is spread evenly over 0 to 1, so that any initial part of the ranking holds it in its share.
        ranks[members] = (np.arange(len(members)) + 0.5) / len(members)
    return [photos[position] for position in sorted(np.argsort(ranks, kind="stable")[:count])]


def write_split_csv(path: str | os.PathLike[str], photos: Mapping[str, Sequence[Photo]]) -> None:
    """Record which photo was in which split: `path,class,split,group`, one row per photo, paths below the root."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for split, members in photos.items():
        writer.writerows([photo.relative, photo.class_name, split, photo.group] for photo in members)
    write_text(path, text.getvalue())


def read_split_csv(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> dict[str, list[Photo]]:
    """Read the photos of each split as `write_split_csv` recorded them.

    Args:
        path: the table.
        root: the dataset's folder, which the photos' names are relative to; it is not read.

    Raises:
        DatasetError: if the table is missing, lacks a column, or names a photo outside of `root`.
    """
    path, root = Path(path), Path(root)
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read ({error}). It is written by bball fit.") from error
    splits: dict[str, list[Photo]] = {}
    for line, row in enumerate(rows, start=2):
        if set(row) != set(_COLUMNS) or None in row.values():
            raise DatasetError(f"{path}, line {line}: expected the columns {','.join(_COLUMNS)}.")
        relative = PurePosixPath(row["path"])
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise DatasetError(f"{path}, line {line}: {row['path']!r} is not below the dataset's folder.")
        photo = Photo(root / relative, str(relative), row["split"], row["class"], row["group"])
        splits.setdefault(row["split"], []).append(photo)
    return splits


def _groups(photos: Sequence[Photo]) -> np.ndarray:
    # Photos are linked by a shared group or by equal bytes, directly or through other photos.
    ends = [("group", photo.group) if photo.group else ("alone", photo.relative) for photo in photos]
    contents = [("content", photo.sha256) for photo in photos]
    linked = DisjointSet([*ends, *contents])
    for end, content in zip(ends, contents, strict=True):
        linked.merge(end, content)
    numbers = {root: number for number, root in enumerate(dict.fromkeys(linked[end] for end in ends))}
    return np.array([numbers[linked[end]] for end in ends])


def _counted(targets: Sequence[int]) -> np.ndarray:
    """Return the targets counted from 0 without gaps: those of photos for training only may be missing."""
    found: np.ndarray = np.unique(np.array(targets), return_inverse=True)[1]
    return found


def _for_training(photos: Sequence[Photo], groups: np.ndarray) -> np.ndarray:
    """Return whether each photo is in a group with one that is for training only, bool `[N]`."""
    return np.isin(groups, groups[np.array([photo.for_training for photo in photos], bool)])


def _refuse_single_groups(photos: Sequence[Photo], groups: np.ndarray) -> None:
    for class_name in sorted({photo.class_name for photo in photos}):
        members = [position for position, photo in enumerate(photos) if photo.class_name == class_name]
        if len(np.unique(groups[members])) == 1:
            group = photos[members[0]].group
            what = f"are all of one group ('{group}')" if group else "are copies of one photo"
            what = what if len(members) > 1 else "are too few"
            raise DatasetError(
                f"the {len(members)} training photos of '{class_name}' {what}, so they cannot be in train and in val. "
                "Add photos of it from elsewhere, or add a folder 'val' beside 'train'."
            )


def _divide(targets: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    from sklearn.model_selection import StratifiedGroupKFold  # takes a second to import, which --help does not need

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        # It warns of classes with fewer photos than folds; divisions that lack a class are rejected here anyway.
        warnings.simplefilter("ignore", UserWarning)
        return [val for _, val in splitter.split(np.zeros(len(targets)), targets, groups)]


def _has_all(targets: np.ndarray, val: np.ndarray) -> bool:
    return _leaves_all(targets, val) and len(np.unique(targets[val])) == len(np.unique(targets))


def _leaves_all(targets: np.ndarray, val: np.ndarray) -> bool:
    whole = np.bincount(targets)
    part = np.bincount(targets[val], minlength=len(whole))
    return bool(np.all((part < whole) | (whole == 0)))


def _unevenness(targets: np.ndarray, val: np.ndarray, fraction: float) -> float:
    whole = np.bincount(targets)
    part = np.bincount(targets[val], minlength=len(whole))
    return float(np.abs(part - fraction * whole).sum())
