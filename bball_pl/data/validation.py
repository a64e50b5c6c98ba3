"""A validation split that divides no group, keeps the classes' shares and never changes for the same photos."""

from __future__ import annotations

import csv
import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from bball_pl.errors import ConfigError, DatasetError
from bball_pl.files import write_text
from bball_pl.photos.tree import FoundPhoto, Photo

# When no fold of one drawing has every class on both sides, others are drawn before the folds are made larger.
_DRAWINGS = 4

_COLUMNS = ("path", "class", "split", "group")


def split_train(photos: Sequence[Photo], fraction: float, seed: int) -> tuple[list[Photo], list[Photo]]:
    """Divide training photos into those to train on and those to validate on.

    Photos of one group stay together, and so do photos with the same bytes; a photo without a group is one of its own.
    The result depends on the photos' names, contents and groups and on the seed, not on the order of the list or on
    where the dataset lies.

    Args:
        photos: of the folder `train`.
        fraction: share of the photos wanted for validation, above 0 and at most 0.5. Whole groups make it approximate;
            it becomes larger if that is the only way to have every class on both sides.
        seed: of the drawing.

    Returns:
        (train, val), each sorted by relative name; every class is in both.

    Raises:
        ConfigError: if the fraction is out of range.
        DatasetError: if a class has but one group, or no drawing has every class on both sides.
    """
    if not 0 < fraction <= 0.5:
        raise ConfigError(f"--data.val_fraction is {fraction}; expected more than 0 and at most 0.5, such as 0.15.")
    photos = sorted(photos, key=lambda photo: photo.relative)
    targets = np.array([photo.target for photo in photos])
    groups = _groups(photos)
    _refuse_single_groups(photos, groups)
    # A share of 0.15 is 1 fold of 7, 0.3 is 3 of 10: few large folds are better stratified than many small ones.
    share = Fraction(fraction).limit_denominator(max(10, round(1 / fraction)))
    most = min(share.denominator, len(np.unique(groups)), int(np.bincount(targets).max()))
    for folds in range(most, 1, -1):
        wanted = share.numerator if folds == share.denominator else max(1, round(fraction * folds))
        candidates = [
            val
            for drawing in range(_DRAWINGS)
            for val in _draw(targets, groups, folds, wanted, seed + drawing)
            if _has_all(targets, val)
        ]
        if candidates:
            val = min(candidates, key=lambda val: _unevenness(targets, val, fraction))
            chosen = set(val.tolist())
            return (
                [photo for position, photo in enumerate(photos) if position not in chosen],
                [photo for position, photo in enumerate(photos) if position in chosen],
            )
    raise DatasetError(
        f"no split of {len(photos)} training photos in {len(np.unique(groups))} groups has every class on both sides: "
        "groups that hold several classes tie them together. Make the groups in photos.csv smaller, or add a folder "
        "'val' beside 'train'."
    )


def stratified_subset(photos: Sequence[Photo], count: int, seed: int) -> list[Photo]:
    """Return at most `count` photos with the classes in the shares of the whole, sorted by relative name."""
    photos = sorted(photos, key=lambda photo: photo.relative)
    targets = np.array([photo.target for photo in photos])
    places = np.empty(len(photos))
    generator = np.random.default_rng(seed)
    for target in np.unique(targets):
        members = generator.permutation(np.flatnonzero(targets == target))
        # Each class is spread evenly over 0 to 1, so that any first part of the line holds it in its share.
        places[members] = (np.arange(len(members)) + 0.5) / len(members)
    return [photos[position] for position in sorted(np.argsort(places, kind="stable")[:count])]


def write_split_csv(path: str | os.PathLike[str], photos: Mapping[str, Sequence[Photo]]) -> None:
    """Record which photo was in which split: `path,class,split,group`, one row per photo, paths below the root."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for split, members in photos.items():
        writer.writerows([photo.relative, photo.class_name, split, photo.group] for photo in members)
    write_text(path, text.getvalue())


def read_split_csv(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> dict[str, list[FoundPhoto]]:
    """Read the photos of each split as `write_split_csv` recorded them.

    Args:
        path: the table.
        root: the dataset's folder, which the photos' names are relative to; it is not looked at.

    Raises:
        DatasetError: if the table is missing, lacks a column, or names a photo outside of `root`.
    """
    path, root = Path(path), Path(root)
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read ({error}). It is written by scripts/fit.py.") from error
    splits: dict[str, list[FoundPhoto]] = {}
    for line, row in enumerate(rows, start=2):
        if set(row) != set(_COLUMNS) or None in row.values():
            raise DatasetError(f"{path}, line {line}: expected the columns {','.join(_COLUMNS)}.")
        relative = PurePosixPath(row["path"])
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise DatasetError(f"{path}, line {line}: {row['path']!r} is not below the dataset's folder.")
        photo = FoundPhoto(root / relative, str(relative), row["split"], row["class"], row["group"])
        splits.setdefault(row["split"], []).append(photo)
    return splits


def _groups(photos: Sequence[Photo]) -> np.ndarray:
    # Two photos belong together if they share a group or their bytes, and so do their other companions.
    ends = [("group", photo.group) if photo.group else ("alone", photo.relative) for photo in photos]
    contents = [("content", photo.sha256) for photo in photos]
    linked = DisjointSet([*ends, *contents])
    for end, content in zip(ends, contents, strict=True):
        linked.merge(end, content)
    numbers = {root: number for number, root in enumerate(dict.fromkeys(linked[end] for end in ends))}
    return np.array([numbers[linked[end]] for end in ends])


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


def _draw(targets: np.ndarray, groups: np.ndarray, folds: int, wanted: int, seed: int) -> Iterator[np.ndarray]:
    from sklearn.model_selection import StratifiedGroupKFold  # takes a second to import, and --help needs none of it

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        # It warns of classes with fewer photos than folds; a split without them is refused here anyway.
        warnings.simplefilter("ignore", UserWarning)
        parts = [val for _, val in splitter.split(np.zeros(len(targets)), targets, groups)]
    for first in range(folds):
        yield np.concatenate([parts[(first + step) % folds] for step in range(wanted)])


def _has_all(targets: np.ndarray, val: np.ndarray) -> bool:
    whole = np.bincount(targets)
    part = np.bincount(targets[val], minlength=len(whole))
    return bool(np.all((part > 0) & (part < whole) | (whole == 0)))


def _unevenness(targets: np.ndarray, val: np.ndarray, fraction: float) -> float:
    whole = np.bincount(targets)
    part = np.bincount(targets[val], minlength=len(whole))
    return float(np.abs(part - fraction * whole).sum())
