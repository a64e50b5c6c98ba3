"""Which labelled photos a checkpoint is asked about: those of its own run, or those of another dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bball_pl import runs
from bball_pl.curate.whereabouts import whereabouts
from bball_pl.data.folder import FoundPhoto, scan_dataset
from bball_pl.data.split import read_split_csv
from bball_pl.errors import DatasetError
from bball_pl.photos_csv import read_photos_csv


@dataclass(frozen=True)
class LabelledPhotos:
    """The photos of one split.

    Attributes:
        root: folder of the dataset.
        photos: sorted by relative name.
        sources: the column `source` of `photos.csv` by relative name; empty without such a table.
    """

    root: Path
    photos: list[FoundPhoto]
    sources: dict[str, str]


def labelled_photos(split: str, class_names: Sequence[str], root: Path, run: Path | None) -> LabelledPhotos:
    """List the photos of a split.

    Args:
        split: train, val or test.
        class_names: what the checkpoint answers with.
        root: the dataset's folder.
        run: a run on this dataset, whose `split.csv` says which photos were in the split; None looks at the folders.
            A photo that was labelled anew since then counts with its new label, one in quarantine does not count.

    Raises:
        DatasetError: if the dataset, the split or one of the photos is not there, or a photo has a class that the
            checkpoint does not know.
    """
    if not root.is_dir():
        raise DatasetError(f"the dataset is no longer at {root}. Pass --root DIR with the place where it is now.")
    if run is not None and (run / runs.SPLIT).is_file():
        photos = _followed(read_split_csv(run / runs.SPLIT, root).get(split, []), root)
        where = f"{run / runs.SPLIT} has no photo in '{split}'"
        missing = [photo.relative for photo in photos if not photo.path.is_file()]
        if missing:
            raise DatasetError(
                f"{len(missing)} of {len(photos)} photos of '{split}' are no longer in {root}: "
                f"{', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}. Put them back, or pass --root DIR."
            )
    else:
        photos = [photo for photo in scan_dataset(root, class_names).photos if photo.split == split]
        where = f"{root} has no photo in a folder '{split}'"
    if not photos:
        raise DatasetError(f"{where}. Pass --split with a split that has photos, or --root DIR.")
    strange = sorted({photo.class_name for photo in photos} - set(class_names))
    if strange:
        raise DatasetError(
            f"'{split}' has photos of {', '.join(strange)}; the checkpoint knows {', '.join(class_names)}. "
            "Pass --root with a dataset of these classes, or another checkpoint."
        )
    return LabelledPhotos(root, sorted(photos, key=lambda photo: photo.relative), _sources(root))


def _followed(photos: Sequence[FoundPhoto], root: Path) -> list[FoundPhoto]:
    """Follow photos that were labelled anew since the run to their new class; those in quarantine are left out."""
    moved = whereabouts(root)
    found = []
    for photo in photos:
        now = moved.get(photo.relative, photo.relative)
        if photo.path.is_file() or now == photo.relative:
            found.append(photo)
        elif now is not None:
            class_name = PurePosixPath(now).parts[1]
            found.append(FoundPhoto(root / now, now, photo.split, class_name, photo.group))
    return found


def _sources(root: Path) -> dict[str, str]:
    table = root / "photos.csv"
    if not table.is_file():
        return {}
    return {record.path: record.source for record in read_photos_csv(table) if record.source}
