"""A dataset written from a tree: hard links or copies in `{train,val,test}/<class>/`, a row for each, and a summary."""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bball_pl.audit.copies import find_clusters
from bball_pl.audit.measure import Seen, look
from bball_pl.errors import ConfigError, DatasetError
from bball_pl.files import atomic_path
from bball_pl.moves import UNSORTED, display_name
from bball_pl.photos.journal import Journal, home_of
from bball_pl.photos.labels_csv import LABELS, is_labels
from bball_pl.photos.measurements import format_dhash
from bball_pl.photos.photos_csv import COLUMNS, PHOTOS_CSV, AppendTable
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import SPLITS, Album, AlbumPhoto, scan_album
from bball_pl.split.assign import Plan, Settled, plan_split
from bball_pl.split.existing import Present, banned, look_at

How = Literal["link", "copy"]
LEFT_OUT = "left_out.csv"


@dataclass
class Made:
    """What a split made, or would make.

    Attributes:
        album: the photos that it was made from.
        plan: what went where.
        there: number of photos that were in the dataset before.
        copied: number of files that are copies because the disk has no hard links between the two folders.
    """

    album: Album
    plan: Plan
    there: int
    copied: int = 0


def make_split(
    root: Path,
    out: Path,
    store: PhotoStore,
    shares: dict[str, float],
    seed: int = 0,
    how: How = "link",
    near: bool = True,
    by_folder: bool = False,
    class_names: Sequence[str] | None = None,
    dry_run: bool = False,
    console: Console | None = None,
) -> Made:
    """Make a dataset of the photos of a tree, or add new ones to it; nothing that is there is moved or deleted.

    Args:
        root: an inbox, class folders, or a dataset, whose splits stay.
        out: the dataset's folder.
        store: what is known of photos already; is brought up to date.
        shares: of the photos, by split; they add up to 1.
        seed: of the drawing.
        how: hard links, or copies.
        near: whether copies of one picture that differ in their bytes are kept together as well.
        by_folder: whether photos without a group are grouped by the folder that they lie in, below a class folder.
        class_names: names of the class folders; found out unless given.
        dry_run: plan only.
        console: where progress is shown; None shows nothing.

    Raises:
        ConfigError: if one of the folders is in the other, or the shares are not between 0 and 1.
        DatasetError: if there is no photo, no photo is sorted, a photos.csv is damaged, or a file cannot be written.
    """
    _check(root, out, shares)
    if not dry_run and is_labels((home := home_of(out)) / LABELS):
        Journal(home, "split").close()  # finishes a move that a kill interrupted
    album = scan_album(root, class_names)
    if wrong := [name for name in album.class_names if not name.isprintable()]:
        raise DatasetError(f"the class folder {wrong[0]!r} has a name that no table can hold. Rename it.")
    seen = look([photo.path for photo in album.photos], store, console)
    album.join_by_content(seen.sha256s)
    there = look_at(out, album, seen, store, console)
    settled = there.settled
    # A folder that was a group in an earlier run stays one.
    groups = {own.group for own in settled}
    named = [_by_folder(photo, album.class_names) for photo in album.photos]
    album.photos = [
        own if by_folder or own.group in groups else photo for own, photo in zip(named, album.photos, strict=True)
    ]
    everything = Seen([*seen.sha256s, *(own.sha256 for own in settled)], [*seen.facts, *there.facts])
    clusters = _clusters(everything, console) if near else []
    plan = plan_split(album, seen, clusters, settled, shares, seed, there.names, banned(out, store, console))
    if not plan.places and not settled:
        raise DatasetError(
            f"{root} has no photo that can go into a dataset: {plan.left_out[0][0]}: {plan.left_out[0][1]} "
            f"({len(plan.left_out)} in all). Sort the photos into folders, one a class, such as shoot, dribble, layup."
        )
    made = Made(album, plan, len(settled))
    if not dry_run:
        try:
            _write(out, album, seen, plan, there, how, made, console)
        except OSError as error:
            raise DatasetError(
                f"{error.filename or out} cannot be written ({error.strerror}). What is there stays; make room and run "
                "the same again."
            ) from error
    return made


def _check(root: Path, out: Path, shares: dict[str, float]) -> None:
    if not root.is_dir():
        raise DatasetError(f"there is no folder {root}. Pass the folder of an inbox or of class folders.")
    inside, around = root.resolve(), out.resolve()
    if inside.is_relative_to(around) or around.is_relative_to(inside):
        raise ConfigError(f"{out} and {root} lie in each other. Pass another --out, such as data/photos.")
    if min(shares.values()) < 0 or shares["train"] <= 0:
        told = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise ConfigError(f"the shares are {told}; expected 0 or more for val and test, and something left for train.")


def _by_folder(photo: AlbumPhoto, class_names: Sequence[str]) -> AlbumPhoto:
    # The same game under two classes is one group.
    passed = {*class_names, *SPLITS, UNSORTED}
    group = "/".join(part for part in photo.relative.split("/")[:-1] if part not in passed)
    group = _printable(group).strip()  # as it can be read back from a table
    return replace(photo, group=group) if group and not photo.group else photo


def _clusters(seen: Seen, console: Console | None) -> list[list[int]]:
    with Progress(console=console, disable=console is None or not console.is_terminal, transient=True) as progress:
        task = progress.add_task("comparing photos", total=None)
        return find_clusters(
            seen.sha256s, seen.facts, lambda done, total: progress.update(task, completed=done, total=total)
        )


def _write(
    out: Path,
    album: Album,
    seen: Seen,
    plan: Plan,
    there: Present,
    how: How,
    made: Made,
    console: Console | None,
) -> None:
    files = {name: row for row, name in plan.places.items()}
    known = {sha256: row for row, sha256 in enumerate(seen.sha256s) if sha256 and not seen.facts[row].problem}
    files |= {own.path: known[own.sha256] for own in there.settled if own.path in there.missing}
    (out / "train").mkdir(parents=True, exist_ok=True)
    # The rows come first: a dataset that lacks files which its table names is refused by every later stage, while one
    # without the groups would be taken.
    _write_rows(out, album, seen, plan, there.settled)
    with Progress(console=console, disable=console is None or not console.is_terminal, transient=True) as progress:
        for name, row in progress.track(sorted(files.items()), description="placing photos"):
            made.copied += _place(album.photos[row].path, out.joinpath(*name.split("/")), how)
    if not plan.left_out:
        (out / LEFT_OUT).unlink(missing_ok=True)
        return
    report = AppendTable(out / LEFT_OUT, ("path", "why"))
    report.write({"path": _printable(path), "why": why} for path, why in plan.left_out)


def _write_rows(out: Path, album: Album, seen: Seen, plan: Plan, settled: Sequence[Settled]) -> None:
    old = AppendTable(out / PHOTOS_CSV, COLUMNS).rows()
    # A table written by hand may lack columns that the next run needs.
    table = AppendTable(out / PHOTOS_CSV, list(dict.fromkeys([*(old[0] if old else ()), *COLUMNS])))
    rows = {row["path"].strip(): row for row in old}
    sources = {sha256: row for row, sha256 in enumerate(seen.sha256s) if sha256}
    for own in settled:
        source = sources.get(own.sha256)
        if own.path not in rows:
            rows[own.path] = {} if source is None else _row(album, seen, source)
        rows[own.path] |= {"path": own.path, "class": own.class_name, "sha256": own.sha256}
        rows[own.path]["group"] = plan.groups.get(own.sha256, own.group)
    for place, name in plan.places.items():
        rows[name] = _row(album, seen, place) | {
            "path": name,
            "class": name.split("/")[1],
            "group": plan.groups.get(seen.sha256s[place], ""),
        }
    table.write(rows[name] for name in sorted(rows))


def _row(album: Album, seen: Seen, row: int) -> dict[str, str]:
    facts = seen.facts[row]
    return {**album.photos[row].row, "sha256": seen.sha256s[row], "dhash": format_dhash(facts.dhash)}


def _place(path: Path, to: Path, how: How) -> bool:
    """Put a photo into the dataset; returns whether it is a copy although a link was wanted."""
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


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def split_table(made: Made) -> Table:
    """Return photos and shares by class and split, with the number of groups."""
    counts = made.plan.counts
    names = [*made.album.class_names]
    names += sorted({name for own in counts.values() for name in own} - set(names))
    table = Table()
    table.add_column("class")
    for split in SPLITS:
        table.add_column(split, justify="right")
    for name in [*names, ""]:
        own = [sum(counts[split].values()) if not name else counts[split][name] for split in SPLITS]
        whole = max(sum(own), 1)
        if not name:
            table.add_section()
        table.add_row(display_name(name) if name else "all", *(f"{count} ({count / whole:.0%})" for count in own))
    table.add_row("groups", *(str(made.plan.units[split]) for split in SPLITS))
    return table


def split_lines(made: Made, out: Path, dry_run: bool) -> Iterator[str]:
    """Yield what was done and what could not be."""
    new = len(made.plan.places)
    yield f"{new} photos {'would be' if dry_run else 'were'} added to {out}, {made.there} were there"
    if made.copied:
        yield f"{made.copied} of them are copies: there are no hard links between these two folders"
    reasons = Counter(_kind(why) for _, why in made.plan.left_out)
    if reasons:
        yield f"{len(made.plan.left_out)} left out:"
        for why, count in reasons.most_common():
            yield f"  {count:6d}  {why}"
        if not dry_run:
            yield f"each with its reason: {out / LEFT_OUT}"
    if made.plan.notes:
        yield "cannot be met:"
        for note in made.plan.notes:
            yield f"  {note}"


def _kind(why: str) -> str:
    """Return a reason without what is true of one photo only."""
    return "is in the dataset under another class" if why.startswith("is in the dataset as") else why
