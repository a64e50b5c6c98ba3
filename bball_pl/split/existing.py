"""Photos already assigned to a split, and photos banned from it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bball_pl.audit.measure import Seen, look
from bball_pl.errors import DatasetError
from bball_pl.photos.journal import home_of, quarantine_place
from bball_pl.photos.measurements import Measurements
from bball_pl.photos.photos_csv import PHOTOS_CSV, read_photos_csv
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import IMAGE_SUFFIXES, SPLITS, Album, NoPhotosError, scan_album
from bball_pl.split.assign import Settled


@dataclass(frozen=True)
class Present:
    """What is in the dataset.

    Attributes:
        settled: photos whose split is decided.
        facts: what is known of them.
        names: all that are taken.
        missing: of photos that are in the table and that a kill kept from coming.
    """

    settled: list[Settled]
    facts: list[Measurements]
    names: set[str]
    missing: set[str]


def look_at(out: Path, album: Album, seen: Seen, store: PhotoStore, console: Console | None = None) -> Present:
    """Look at a dataset that new photos are to be added to.

    Args:
        out: its folder, which need not be there.
        album: the new photos.
        seen: what is known of them.
        store: what is known of photos already; is brought up to date.
        console: where progress is shown; None shows nothing.

    Raises:
        DatasetError: if its photos.csv is damaged or names photos that are nowhere, or it has no folder train.
    """
    there = Present([], [], set(), set())
    rows = {}
    known = {sha256: row for row, sha256 in enumerate(seen.sha256s) if sha256 and not seen.facts[row].problem}
    if (out / PHOTOS_CSV).exists():
        records = read_photos_csv(out / PHOTOS_CSV)
        rows = {own.path: own for own in records if own.path.split("/")[0] in SPLITS and own.path.count("/") > 1}
    if others := [split for split in SPLITS[1:] if (out / split).is_dir() and not (out / "train").is_dir()]:
        raise DatasetError(f"{out} has the folder {others[0]} and no folder train. Pass another --out, or add train.")
    with suppress(NoPhotosError):  # a dataset without any photo is as good as none
        photos = scan_album(out).photos
        found = look([photo.path for photo in photos], store, console)
        for photo, sha256, facts in zip(photos, found.sha256s, found.facts, strict=True):
            there.names.add(photo.relative)
            row = rows.get(photo.relative)
            group = "" if row is None else row.group
            if photo.class_name and not facts.problem:
                there.settled.append(Settled(photo.relative, sha256, group))
                there.facts.append(facts)
            elif photo.class_name and row is not None and row.sha256 in known:
                # Damaged here, whole in the album: which split it is in was decided all the same.
                there.settled.append(Settled(photo.relative, row.sha256, group))
                there.facts.append(seen.facts[known[row.sha256]])
    lost = sorted(path for path, own in rows.items() if path not in there.names and own.sha256 not in known)
    if lost:
        raise DatasetError(
            f"{out / PHOTOS_CSV} has {len(lost)} rows of photos that are neither there nor in {album.root}, such as "
            f"{lost[0]}. Run split.py with the folder that they came from, or remove these rows."
        )
    for path, record in rows.items():
        # A kill kept it from coming there: its place is decided all the same.
        if path not in there.names and record.sha256 in known:
            there.settled.append(Settled(path, record.sha256, record.group))
            there.facts.append(seen.facts[known[record.sha256]])
            there.names.add(path)
            there.missing.add(path)
    return there


def banned(out: Path, store: PhotoStore, console: Console | None = None) -> frozenset[str]:
    """Return the SHA-256 of the photos that were taken out of a dataset into quarantine."""
    folder = quarantine_place(home_of(out), out)
    table = folder / PHOTOS_CSV
    records = read_photos_csv(table) if table.exists() else []
    # A photo that had no row, or one without a sum, is known by its file.
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    return frozenset({*(record.sha256 for record in records), *look(files, store, console).sha256s} - {""})
