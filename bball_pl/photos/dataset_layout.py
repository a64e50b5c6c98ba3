"""The layout of a dataset for training, `{train,test[,val]}/<class>/…`, and the refusal of everything else."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from bball_pl.errors import DatasetError
from bball_pl.files import has_control
from bball_pl.moves import NO_MOVE, UNSORTED, display_name, sort_class_names
from bball_pl.photos.labels_csv import is_labels
from bball_pl.photos.photos_csv import FOR_TRAINING, PHOTOS_CSV
from bball_pl.photos.tree import (
    SPLITS,
    NoPhotosError,
    Photo,
    PhotoTree,
    canonical_name,
    class_folders,
    is_container,
    is_image,
    is_litter,
    split_folders,
    split_of,
    unnamed_games,
    visible_folders,
    walk,
)
from bball_pl.project import next_step
from bball_pl.wording import counted


def find_class_names(root: str | os.PathLike[str], given: Sequence[str] | None = None) -> list[str]:
    """Return the class names of a dataset in the order of the targets, looking at the names in `train` only.

    Args:
        root: The dataset's folder.
        given: The class names in the order that is wanted. Default: every folder in `train`.

    Raises:
        DatasetError: If the root or `train` is missing, there are fewer than two classes, or a given class is double
            or has no folder (`none` needs none), or a name has a line break or control character.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(
            f"there is no dataset at {root}. Make the demo's with `bball demo`, or pass --data.root DIR."
        )
    train = split_folders(root).get("train")
    if train is None:
        found = class_folders(root)
        with_photos = sorted({canonical_name(folder.name) for folder in visible_folders(root) if _has_image(folder)})
        if len(with_photos) > 1:
            raise DatasetError(
                f"{root} has no folder 'train'; its folders {_listing(with_photos)} look like classes. Divide them "
                f"into train, val and test with:\n  {next_step('split', root, '--out', f'{root}_split')}"
            )
        raise DatasetError(
            f"{root} has no folder 'train' (found: {_listing(found)}). Expected {{train,test}}/<class>/*.jpg. Sort the "
            f"photos into train/<class>/ and test/<class>/, or pass --data.root DIR.{_table_advice(root, root)}"
        )
    found = class_folders(train)
    for name in given or found:
        # It would be in every table and file as two lines, and in the labels of an app.
        if has_control(name):
            raise DatasetError(f"the class name {name!r} has a line break or control character. Rename the folder.")
    if given is None:
        if is_container(found):
            raise DatasetError(
                f"{train} has the folder {_listing(found)} and no class folders, as in datasets for detection or with "
                f"a table of labels. Sort its photos into {train.name}/<class>/, or pass --data.root DIR."
            )
        if len(found) < 2:
            raise DatasetError(
                f"{train} has {counted(len(found), 'class folder')} (found: {_listing(found)}); expected two or more, "
                "one per move, such as shoot, dribble and layup. Add the missing ones, or pass --data.root DIR."
                f"{_table_advice(root, train)}"
            )
        return sort_class_names(found)
    given = [canonical_name(name) for name in given]
    if len(given) < 2:
        raise DatasetError(f"--data.class_names gives {len(given)} classes; expected two or more.")
    if doubles := [name for name, times in Counter(given).items() if times > 1]:
        raise DatasetError(f"--data.class_names names {_listing(doubles)} twice. Give each class once.")
    _require_folders(train, given)
    return given


def scan_dataset(
    root: str | os.PathLike[str], given: Sequence[str] | None = None, rendered: Sequence[str] = ()
) -> PhotoTree:
    """List the photos of a dataset for training: those in the class folders of its splits.

    Files without the name of an image, classes that are left out, photos beside the class folders, and folders of
    photos beside the splits are noted in `ignored`; files that systems and people leave behind (`.DS_Store`,
    `Thumbs.db`, README, text) are not.

    Args:
        root: The dataset's folder, `{train,test[,val]}/<class>/*.jpg`.
        given: As in `find_class_names`.
        rendered: Further classes, whose training photos are rendered: `train` need not have their folders.

    Raises:
        DatasetError: As in `find_class_names` and `PhotoTree.scan`; if `test` or `val` lacks a class or has one that
            `train` lacks; if `photos.csv` names a file that is not there, contradicts a photo's folder, or says that a
            photo outside of `train` is for training only.
    """
    root = Path(root)
    names = find_class_names(root, given)
    names += [name for name in rendered if name not in names]
    ignored: list[str] = []
    splits = split_folders(root)
    for split, folder in splits.items():
        if (
            split != "train"
            and not class_folders(folder)
            and any(is_image(path) and not is_litter(path.name) for path in folder.iterdir())
        ):
            raise DatasetError(
                f"{folder} has photos and no class folders: they are unlabelled, and nothing can be measured on them. "
                "Move it out of the dataset (fit goes on without it, and bball predict answers its photos), or sort it "
                f"into {folder.name}/<class>/."
            )
        _require_folders(folder, names)
        extra = sorted(set(class_folders(folder)) - set(names))
        if extra and given is None:
            raise DatasetError(
                f"{folder} has the folder {_listing(extra)}, and {splits['train']} has not. Add photos of that class "
                "to train, remove the folder, or pass --data.class_names."
            )
        unsorted = [UNSORTED] if (folder / UNSORTED).is_dir() else []
        ignored += [f"{folder.name}/{name}/" for name in (*extra, *unsorted)]
    try:
        tree = PhotoTree.scan(root, names)
    except NoPhotosError:
        tree = PhotoTree(root, names, [], True)  # the check before training names the class that lacks photos
    in_classes = [photo for photo in tree.photos if tree.class_folder(photo.relative.split("/")) is not None]
    in_no_class = Counter(photo.relative.split("/")[0] for photo in tree.photos if not _class_folder_of(photo))
    ignored += [f"{name}/ ({count} photos in no class folder)" for name, count in in_no_class.items()]
    ignored += tree.beside
    ignored += [name for name in tree.ignored if tree.class_folder(name.split("/")) is not None]
    tree.ignored = sorted(ignored)
    _refuse_contradictions(tree, in_classes)
    tree.photos = [photo for photo in in_classes if photo.class_name]
    return tree


def count_table(photos: Mapping[str, Sequence[Photo]], class_names: Sequence[str]) -> Table:
    """Return a table of photos per class and split, with the number of groups, and of photos that name none."""
    splits = [split for split in SPLITS if photos.get(split)]
    table = Table()
    table.add_column("class")
    for split in splits:
        table.add_column(split, justify="right")
    for name in class_names:
        counts = [sum(photo.class_name == name for photo in photos[split]) for split in splits]
        # As Text: square brackets in a name are not markup.
        table.add_row(Text(display_name(name)), *map(str, counts))
    table.add_section()
    table.add_row("all", *(str(len(photos[split])) for split in splits))
    groups = [len({photo.group for photo in photos[split] if photo.group}) for split in splits]
    if any(groups):
        table.add_row("groups", *map(str, groups))
    table.caption = unnamed_games([photo for split in splits for photo in photos[split]]) or None
    return table


def _refuse_contradictions(tree: PhotoTree, photos: Sequence[Photo]) -> None:
    """Refuse rows that contradict the class folders: one of the two is wrong, and training must not guess which."""
    folders = {photo.relative: photo.relative.split("/")[1] for photo in photos}
    problems = []
    for number, (relative, row) in enumerate(tree.table.items(), start=2):
        if relative not in folders:
            # Photos outside the splits and of classes that are left out are no contradiction.
            if not (tree.root / relative).exists():
                problems.append(f"row {number}: {relative} is not there")
        elif row.get("use") == FOR_TRAINING and split_of(relative.split("/")[0]) != "train":
            problems.append(f"row {number}: {relative} is for training only (column use)")
        elif canonical_name(row["class"]) != canonical_name(folders[relative]):
            problems.append(f"row {number}: {relative} has the class '{row['class']}'")
    if problems:
        raise DatasetError(
            f"{tree.root / PHOTOS_CSV} does not agree with the folders:\n  " + "\n  ".join(problems) + "\n"
            "Each row's path and class must be those of a file below the root. Mend the rows, or move the photos."
        )


def _require_folders(folder: Path, class_names: Sequence[str]) -> None:
    found = class_folders(folder)
    for name in class_names:
        # Photos without a move may be rendered for training, and few test sets have any.
        if name not in found and name != NO_MOVE.name:
            raise DatasetError(
                f"{folder} has no folder '{name}' (found: {_listing(found)}). Add it, or pass --data.class_names."
            )


def _table_advice(root: Path, folder: Path) -> str:
    """Return the command that divides photos by a table of labels, if there seems to be one; else an empty text."""
    tables = [path for where in (root, folder) for path in sorted(where.glob("*.csv"))]
    tables = [path for path in tables if path.name != PHOTOS_CSV and not is_labels(path)]
    if not tables or not _has_image(folder):
        return ""
    # Kaggle's test.csv and sample_submission.csv have no labels.
    likely = [path for word in ("label", "train") for path in tables if word in path.stem.lower()]
    command = next_step("split", folder, "--labels", [*likely, *tables][0], "--out", f"{root}_split")
    return f" Photos with a table of labels are divided with:\n  {command}"


def _class_folder_of(photo: Photo) -> str:
    parts = photo.relative.split("/")
    return canonical_name(parts[1]) if len(parts) > 2 else ""


def _has_image(folder: Path) -> bool:
    return any(is_image(path) for path in walk(folder))


def _listing(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
