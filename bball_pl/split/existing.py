"""Photos already assigned to a split, and photos banned from it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from bball_pl.audit.measure import measure_photos
from bball_pl.errors import DatasetError
from bball_pl.photos.journal import quarantine_place
from bball_pl.photos.labels_csv import home_of
from bball_pl.photos.photos_csv import PHOTOS_CSV, read_photos_csv
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import IMAGE_SUFFIXES, SPLITS, NoPhotosError, Photo, PhotoTree, walk


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
        records = {row.path: row for row, parts in rows if parts[0] in SPLITS and len(parts) > 2}
    if lone := [split for split in SPLITS[1:] if (out / split).is_dir() and not (out / "train").is_dir()]:
        raise DatasetError(f"{out} has the folder {lone[0]} and no folder train. Pass another --out, or add train.")
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
            f"{lost[0]}. Run split.py with the folder that they came from, or remove these rows."
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
    files = [path for path in walk(folder) if path.suffix.lower() in IMAGE_SUFFIXES] if folder.is_dir() else []
    photos = measure_photos([Photo(path, path.name) for path in files], store, console)
    return frozenset({*(record.sha256 for record in records), *(photo.sha256 for photo in photos)} - {""})
