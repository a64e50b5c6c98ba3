"""The check before training: every photo opened once, hashed, decoded and compared; all problems reported together."""

from __future__ import annotations

import hashlib
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from rich.console import Console

from bball_pl.data.dataset import PhotoCache
from bball_pl.errors import DatasetError, PhotoError
from bball_pl.files import signature
from bball_pl.moves import NO_MOVE
from bball_pl.photos.decode import LFS_REASON, read_photo
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.photos.store import PhotoStore, in_batches
from bball_pl.photos.tree import Photo, PhotoTree, split_folders
from bball_pl.wording import counted

OnBadPhoto = Literal["error", "skip"]

#: Photos whose verdicts are written at once: an interrupted check loses at most these.
_BATCH = 256

# SHA-256 of a file (empty if it cannot be read), and why it cannot be used (empty if it can).
_Verdict = tuple[str, str]


def check_photos(
    dataset: PhotoTree,
    cache: PhotoCache,
    store: PhotoStore,
    specs: Mapping[str, PreprocessSpec],
    on_bad_photo: OnBadPhoto = "error",
    console: Console | None = None,
    rendered: Sequence[str] = (),
) -> dict[str, list[Photo]]:
    """Open every photo once, put it into the cache, and refuse a dataset that cannot be trained on or measured with.

    Photos that the store knows and the cache holds are not opened again.

    Args:
        dataset: what `scan_dataset` found.
        cache: gets an entry for each photo.
        store: is read and brought up to date.
        specs: per split, the spec of its entries.
        on_bad_photo: `error` raises with all bad photos and their reasons; `skip` leaves them out and lists them.
        console: shows progress and skipped photos; None shows nothing.
        rendered: classes that need no photo in `train`, because scenes are rendered for them.

    Returns:
        Per split (train, val, test), its photos sorted by relative name; empty where there is no folder.

    Raises:
        DatasetError: if a photo is bad and `on_bad_photo` is `error`; a class of a split has no photo; two
            classes of a split share the same bytes; or a test or val photo is in train as well.
    """
    verdicts = _verdicts(dataset.photos, cache, store, specs, console)
    bad = [f"{photo.relative}: {reason}" for photo, (_, reason) in zip(dataset.photos, verdicts, strict=True) if reason]
    pointers = sum(reason == LFS_REASON for _, reason in verdicts)
    if pointers and pointers == len(bad):
        raise DatasetError(
            f"{pointers} of {len(dataset.photos)} photos in {dataset.root} are pointers of Git LFS. Fetch them with:"
            f"\n  {shlex.join(['git', '-C', str(dataset.root), 'lfs', 'pull'])}"
        )
    if bad and on_bad_photo == "error":
        raise DatasetError(
            f"{len(bad)} of {len(dataset.photos)} photos in {dataset.root} cannot be used:\n  "
            + "\n  ".join(bad)
            + "\n"
            "Replace or remove them, or leave them out with --data.on_bad_photo skip."
        )
    if bad and console is not None:
        console.print(f"Left out {len(bad)} photos that cannot be used:\n  " + "\n  ".join(bad), markup=False)
    photos: dict[str, list[Photo]] = {"train": [], "val": [], "test": []}
    for found, (sha256, reason) in zip(dataset.photos, verdicts, strict=True):
        if not reason:
            photos[found.split].append(replace(found, sha256=sha256))
    _refuse_empty_classes(dataset, photos, rendered)
    _refuse_two_classes(photos)
    _refuse_leaks(photos)
    return photos


def fill_cache(photos: Sequence[Photo], cache: PhotoCache, spec: PreprocessSpec, console: Console | None) -> None:
    """Create the missing cache entries of these photos.

    Raises:
        PhotoError: if a photo can no longer be decoded.
        DatasetError: if a photo has changed since the check, or an entry cannot be written.
    """
    lacking = [photo for photo in photos if not cache.holds(photo.sha256, spec)]

    def fill(photo: Photo) -> None:
        cache.load(photo.path, photo.sha256, spec)

    for _ in in_batches(fill, lacking, _BATCH, "filling the cache", console):
        pass


def _verdicts(
    photos: Sequence[Photo],
    cache: PhotoCache,
    store: PhotoStore,
    specs: Mapping[str, PreprocessSpec],
    console: Console | None,
) -> list[_Verdict]:
    # Taken before the files are read: one that changes meanwhile is checked again the next time.
    signatures = {photo.path: signature(photo.path) for photo in photos}
    sha256s = store.sha256s(signatures)
    problems = store.problems(sha256s.values())
    verdicts = {
        path: (sha256, problem) for path, sha256 in sha256s.items() if (problem := problems.get(sha256)) is not None
    }

    def is_done(photo: Photo) -> bool:
        sha256, problem = verdicts.get(photo.path, ("", ""))
        return bool(sha256) and (bool(problem) or cache.holds(sha256, specs[photo.split]))

    def check(photo: Photo) -> tuple[Path, _Verdict]:
        return photo.path, _check(photo, cache, specs[photo.split])

    todo = [photo for photo in photos if not is_done(photo)]
    for batch in in_batches(check, todo, _BATCH, "checking photos", console):
        verdicts.update(batch)
        store.keep(
            files={path: (signatures[path], sha256) for path, (sha256, _) in batch},
            problems={sha256: problem for _, (sha256, problem) in batch if sha256},
        )
    return [verdicts[photo.path] for photo in photos]


def _check(photo: Photo, cache: PhotoCache, spec: PreprocessSpec) -> _Verdict:
    try:
        content = read_photo(photo.path)
    except PhotoError as error:
        return "", str(error)
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        cache.store(content, sha256, spec)
    except PhotoError as error:
        return sha256, str(error)
    return sha256, ""


def _refuse_empty_classes(dataset: PhotoTree, photos: Mapping[str, Sequence[Photo]], rendered: Sequence[str]) -> None:
    for split, folder in split_folders(dataset.root).items():
        counts = dict.fromkeys(dataset.class_names, 0)
        for photo in photos[split]:
            counts[photo.class_name] += 1
        # A test set of moves alone still measures the moves.
        optional = rendered if split == "train" else (NO_MOVE.name,)
        if empty := [name for name, count in counts.items() if count == 0 and name not in optional]:
            raise DatasetError(
                f"{folder} has no usable photo of: {', '.join(empty)} (found: "
                + ", ".join(f"{name} {count}" for name, count in counts.items() if count or name not in optional)
                + "). Add photos, or leave the class out with --data.class_names."
            )


def _refuse_two_classes(photos: Mapping[str, Sequence[Photo]]) -> None:
    pairs = []
    for split in photos.values():
        for same in _by_content(split).values():
            pairs += [f"{same[0].relative} = {other.relative}" for other in same[1:] if other.target != same[0].target]
    if pairs:
        raise DatasetError(
            "the same photo lies under two classes:\n  " + "\n  ".join(pairs) + "\nKeep it in the class it belongs to."
        )


def _refuse_leaks(photos: Mapping[str, Sequence[Photo]]) -> None:
    pairs = []
    for learned, measured in (("train", "test"), ("train", "val"), ("val", "test")):
        known = _by_content(photos[learned])
        pairs += [
            f"{photo.relative} = {known[photo.sha256][0].relative}"
            for photo in photos[measured]
            if photo.sha256 in known
        ]
    if pairs:
        found = f"{counted(len(pairs), 'photo')} {'is' if len(pairs) == 1 else 'are'}"
        raise DatasetError(
            f"{found} both in a training split and in an evaluation split, byte for byte, which makes the result look "
            "better than it is:\n  " + "\n  ".join(pairs) + "\nRemove one of each pair."
        )


def _by_content(photos: Iterable[Photo]) -> dict[str, list[Photo]]:
    same: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        same[photo.sha256].append(photo)
    return same
