"""A split as a dataset on disk: what is there already, what is banned from it, and the rows and files of new photos."""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bball_pl.audit.copies import find_copies
from bball_pl.audit.measure import measure_photos
from bball_pl.errors import ConfigError, DatasetError
from bball_pl.files import atomic_path, folder_name_problem
from bball_pl.moves import UNSORTED, display_name
from bball_pl.photos.journal import Journal, quarantine_place
from bball_pl.photos.labels_csv import LABELS, home_of, is_labels
from bball_pl.photos.measurements import format_dhash
from bball_pl.photos.photos_csv import (
    COLUMNS,
    CORRECTION_COLUMNS,
    PHOTOS_CSV,
    AppendTable,
    Row,
    printable,
    read_photos_csv,
)
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import (
    SPLITS,
    NoPhotosError,
    Photo,
    PhotoTree,
    is_image,
    label_tables,
    split_folders,
    split_of,
    unnamed_games,
    walk,
)
from bball_pl.split.assign import Plan, named_group, plan_split
from bball_pl.split.labels_table import label_tree
from bball_pl.terminal import progress


@dataclass(frozen=True)
class Existing:
    """Content of the dataset that new photos are added to.

    Attributes:
        settled: Photos whose split is decided; `relative` is below the dataset's folder.
        names: Names that are taken.
        missing: Names of settled photos whose files are not in the dataset, because a kill interrupted an earlier run.
    """

    settled: list[Photo] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)


def read_existing(out: Path, tree: PhotoTree, store: PhotoStore, console: Console | None = None) -> Existing:
    """Read a dataset that new photos are to be added to.

    Args:
        out: Folder of the dataset, which need not exist.
        tree: The new photos, measured.
        store: PhotoStore of measurements; is brought up to date.
        console: Where progress is shown; None shows nothing.

    Raises:
        DatasetError: If its photos.csv is damaged or names photos that are nowhere, or it has no folder train.
    """
    existing, records = Existing(), {}
    known = {photo.sha256: photo for photo in tree.photos if photo.usable}
    if (out / PHOTOS_CSV).exists():
        rows = ((row, row.path.split("/")) for row in read_photos_csv(out / PHOTOS_CSV))
        records = {row.path: row for row, parts in rows if split_of(parts[0]) and len(parts) > 2}
    splits = split_folders(out)
    if splits and "train" not in splits:
        lone = next(iter(splits.values())).name
        raise DatasetError(f"{out} has the folder {lone} and no folder train. Pass another --out, or add train.")
    if renamed := [(folder, split) for split, folder in splits.items() if folder.name != split]:
        folder, split = renamed[0]
        raise DatasetError(
            f"{out} has the folder {folder.name}, and bball split adds to train, val and test. Rename it to {split}, "
            "or pass another --out."
        )
    with suppress(NoPhotosError):  # a dataset without any photo is as good as none
        for photo in measure_photos(PhotoTree.scan(out).photos, store, console):
            existing.names.add(photo.relative)
            whole = known.get(photo.row.get("sha256", ""))
            if photo.class_name and photo.usable:
                existing.settled.append(photo)
            elif photo.class_name and whole is not None:
                # Damaged in the dataset, whole in the tree: its split was decided all the same.
                existing.settled.append(replace(photo, sha256=whole.sha256, measurements=whole.measurements))
    lost = sorted(name for name, row in records.items() if name not in existing.names and row.sha256 not in known)
    if lost:
        raise DatasetError(
            f"{out / PHOTOS_CSV} has {len(lost)} rows of photos that are neither there nor in {tree.root}, such as "
            f"{lost[0]}. Run bball split with the folder that they came from, or remove these rows."
        )
    for name in [name for name in records if name not in existing.names]:
        # A kill kept it from coming into the dataset: its split is decided all the same.
        row, facts = records[name], known[records[name].sha256].measurements
        photo = Photo(out / name, name, name.split("/")[0], row.class_name, row.group, row.sha256, measurements=facts)
        existing.settled.append(photo)
        existing.names.add(name)
        existing.missing.add(name)
    return existing


def banned(out: Path, store: PhotoStore, console: Console | None = None) -> frozenset[str]:
    """Return the SHA-256 of the photos that were taken out of a dataset into quarantine."""
    folder = quarantine_place(home_of(out), out)
    records = read_photos_csv(folder / PHOTOS_CSV) if (folder / PHOTOS_CSV).exists() else []
    # A photo that had no row, or one without a sum, is known by its file.
    files = [path for path in walk(folder) if is_image(path)] if folder.is_dir() else []
    photos = measure_photos([Photo(path, path.name) for path in files], store, console)
    return frozenset({*(record.sha256 for record in records), *(photo.sha256 for photo in photos)} - {""})


LEFT_OUT = "left_out.csv"


@dataclass(frozen=True)
class SplitSettings:
    """Options of a split, which the command `bball split` documents."""

    root: Path
    out: Path
    val: float = 0.15
    test: float = 0.15
    seed: int = 0
    how: Literal["link", "copy"] = "link"
    groups: Literal["table", "folder"] = "table"
    near_duplicates: bool = True
    class_names: list[str] | None = None
    labels: Path | None = None
    dry_run: bool = False

    def shares(self) -> dict[str, float]:
        """Return the share of each split.

        Raises:
            ConfigError: If they are not between 0 and 1, or nothing is left for train.
        """
        shares = {"train": 1 - self.val - self.test, "val": self.val, "test": self.test}
        if min(shares.values()) < 0 or shares["train"] <= 0:
            listed = ", ".join(f"{name} {share:g}" for name, share in shares.items())
            raise ConfigError(
                f"the shares are {listed}; expected 0 or more for val and test, and something left for train."
            )
        return shares


@dataclass
class Split:
    """Result of a split, or of its dry run.

    Attributes:
        tree: The photos that it was made from, measured.
        plan: The assignment.
        existing: Content of the dataset before.
        copied: Number of files that are copies because the disk has no hard links between the two folders.
        absent: Number of rows of the table of labels whose photos are not in the tree.
    """

    tree: PhotoTree
    plan: Plan
    existing: Existing
    copied: int = 0
    absent: int = 0


def make_split(settings: SplitSettings, store: PhotoStore, console: Console | None = None) -> Split:
    """Make a dataset of the photos of a tree, or add new ones to it; nothing that exists is moved or deleted.

    A tree that is a dataset keeps its splits.

    Args:
        settings: Options.
        store: PhotoStore of measurements; is brought up to date.
        console: Where progress is shown; None shows nothing.

    Raises:
        ConfigError: If one of the folders is in the other, or a share is out of range.
        DatasetError: If there is no photo, no photo is sorted, a photos.csv is damaged, a file cannot be written, or as
            in `label_tree`.
    """
    root, out, shares = settings.root, settings.out, settings.shares()
    if root.resolve().is_relative_to(out.resolve()) or out.resolve().is_relative_to(root.resolve()):
        raise ConfigError(f"{out} and {root} lie in each other. Pass another --out, such as data/photos.")
    if not settings.dry_run and is_labels((home := home_of(out)) / LABELS):
        Journal(home, "split").close()  # finishes a move that a kill interrupted
    tree, absent = PhotoTree.scan(root, settings.class_names), 0
    if settings.labels is not None:
        labelled = label_tree(tree, settings.labels, settings.class_names)
        tree, absent = labelled.tree, labelled.absent
    for name in tree.class_names:
        if problem := folder_name_problem(name):
            raise DatasetError(f"the class {name!r} cannot be the name of a folder everywhere: {problem}. Rename it.")
    tree.photos = measure_photos(tree.photos, store, console)
    tree.join_by_content()
    existing = read_existing(out, tree, store, console)
    # A folder that was a group in an earlier run stays one.
    old_groups = {photo.group for photo in existing.settled}
    by_folder = [_grouped_by_folder(photo, tree.class_names) for photo in tree.photos]
    tree.photos = [
        grouped if settings.groups == "folder" or grouped.group in old_groups else photo
        for grouped, photo in zip(by_folder, tree.photos, strict=True)
    ]
    clusters = find_copies([*tree.photos, *existing.settled], console).clusters if settings.near_duplicates else []
    taken_out = banned(out, store, console)
    plan = plan_split(tree, existing.settled, clusters, shares, settings.seed, existing.names, taken_out)
    if not plan.names and not existing.settled:
        raise DatasetError(
            f"{root} has no photo that can go into a dataset: {plan.left_out[0][0]}: {plan.left_out[0][1]} "
            f"({len(plan.left_out)} in all). Sort the photos into folders, one a class, such as shoot, dribble, layup, "
            f"or pass a table of their classes with --labels {label_tables(tree)}."
        )
    made = Split(tree, plan, existing, absent=absent)
    if not settings.dry_run:
        try:
            _write(made, settings, console)
        except OSError as error:
            raise DatasetError(
                f"{error.filename or out} cannot be written ({error.strerror}). What is there stays; make room and run "
                "the same again."
            ) from error
    return made


def _grouped_by_folder(photo: Photo, class_names: Sequence[str]) -> Photo:
    # The same game under two classes is one group.
    passed = {*class_names, UNSORTED}
    group = "/".join(part for part in photo.relative.split("/")[:-1] if part not in passed and not split_of(part))
    group = printable(group).strip()  # as it can be read back from a table
    return replace(photo, group=group) if group and not photo.group else photo


def _write(made: Split, settings: SplitSettings, console: Console | None) -> None:
    out, existing, plan = settings.out, made.existing, made.plan
    files = {name: photo for photo, name in plan.names.items()}
    known = {photo.sha256: photo for photo in made.tree.photos if photo.usable}
    files |= {photo.relative: known[photo.sha256] for photo in existing.settled if photo.relative in existing.missing}
    (out / "train").mkdir(parents=True, exist_ok=True)
    # The rows come first: a dataset that lacks files which its table names is refused by every later stage, while one
    # without the groups would be taken.
    _write_rows(out, made)
    with progress(console) as bar:
        task = bar.add_task("placing photos", total=len(files))
        for name, photo in sorted(files.items()):
            made.copied += _place(photo.path, out.joinpath(*name.split("/")), settings.how)
            bar.advance(task)
    if not plan.left_out:
        (out / LEFT_OUT).unlink(missing_ok=True)
        return
    report = AppendTable(out / LEFT_OUT, ("path", "why"))
    report.write({"path": printable(path), "why": why} for path, why in plan.left_out)


def _write_rows(out: Path, made: Split) -> None:
    old = AppendTable(out / PHOTOS_CSV, COLUMNS).rows()
    # A table written by hand may lack columns that the next run needs.
    photos = [*made.plan.names, *made.existing.settled]
    more = [name for name in CORRECTION_COLUMNS if any(photo.row.get(name) for photo in photos)]
    table = AppendTable(out / PHOTOS_CSV, list(dict.fromkeys([*(old[0] if old else ()), *COLUMNS, *more])))
    rows = {row["path"].strip(): row for row in old}
    groups, sources = made.plan.groups, {photo.sha256: photo for photo in made.tree.photos if photo.sha256}
    for photo in made.existing.settled:
        name, source = photo.relative, sources.get(photo.sha256)
        rows.setdefault(name, {} if source is None else _row(source))
        rows[name] |= {"path": name, "class": photo.class_name, "sha256": photo.sha256}
        rows[name]["group"] = groups.get(photo.sha256, photo.group)
    for photo, name in made.plan.names.items():
        group = groups.get(photo.sha256, "")
        rows[name] = _row(photo) | {"path": name, "class": photo.class_name, "group": group}
    table.write(rows[name] for name in sorted(rows))


def _row(photo: Photo) -> Row:
    dhash = "" if photo.measurements is None else format_dhash(photo.measurements.dhash)
    return {**photo.row, "sha256": photo.sha256, "dhash": dhash}


def _place(path: Path, to: Path, how: Literal["link", "copy"]) -> bool:
    """Put a photo into the dataset; return whether it is a copy although a link was asked for."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if to.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(to))
    if how == "link":
        try:
            os.link(os.path.realpath(path), to)
        except OSError:
            pass  # another disk, or a file system without hard links
        else:
            return False
    with atomic_path(to) as temporary:
        shutil.copyfile(path, temporary)
    return how == "link"


def split_table(made: Split) -> Table:
    """Return photos and shares by class and split, with the number of groups."""
    counts, names = made.plan.counts, list(made.tree.class_names)
    names += sorted({name for count in counts.values() for name in count} - set(names))
    table = Table()
    table.add_column("class")
    for column in SPLITS:
        table.add_column(column, justify="right")
    for name in [*names, ""]:
        numbers = [sum(counts[column].values()) if not name else counts[column][name] for column in SPLITS]
        whole = max(sum(numbers), 1)
        if not name:
            table.add_section()
        # As Text: square brackets in a name are not markup.
        table.add_row(Text(display_name(name) or "all"), *(f"{number} ({number / whole:.0%})" for number in numbers))
    named = _photos(made)
    if any(photo.group for photo in named):
        title = "groups" if all(photo.group for photo in named) else "groups and single photos"
        table.add_row(title, *(str(made.plan.units[column]) for column in SPLITS))
    return table


def _photos(made: Split) -> list[Photo]:
    """Return the photos of the dataset, the new ones with the groups that they name themselves."""
    return [*made.plan.names, *(replace(photo, group=named_group(photo)) for photo in made.existing.settled)]


def split_lines(made: Split, settings: SplitSettings) -> Iterator[str]:
    """Yield what was done, what was left out and what could not be met."""
    verb = "would be" if settings.dry_run else "were"
    yield f"{len(made.plan.names)} photos {verb} added to {settings.out}, {len(made.existing.settled)} were there"
    if made.tree.beside:
        yield f"{', '.join(made.tree.beside)} beside the splits has photos that are not read"
    if made.absent:
        yield f"{made.absent} rows of {settings.labels} are of photos that are not in {settings.root}"
    if made.copied:
        yield f"{made.copied} of them are copies: there are no hard links between these two folders"
    reasons = Counter(_kind(why) for _, why in made.plan.left_out)
    if reasons:
        yield f"{len(made.plan.left_out)} left out:"
        for why, count in reasons.most_common():
            yield f"  {count:6d}  {why}"
        if not settings.dry_run:
            yield f"each with its reason: {settings.out / LEFT_OUT}"
    if unnamed := unnamed_games(_photos(made)):
        yield f"{unnamed}. Say which game they are of: --groups folder, or bball studio, Games"
    if made.plan.notes:
        yield "cannot be met:"
        for note in made.plan.notes:
            yield f"  {note}"


def _kind(why: str) -> str:
    """Return a reason without what is true of one photo only."""
    return "is in the dataset under another class" if why.startswith("is in the dataset as") else why
