"""The check before training: every photo opened once, hashed, decoded and compared; all problems reported together."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

import PIL
from joblib import cpu_count
from rich.console import Console
from rich.progress import Progress

from bball_pl.data.dataset import PhotoCache
from bball_pl.errors import DatasetError, PhotoError
from bball_pl.files import Signature, signature, write_text
from bball_pl.photos.decode import DECODE_VERSION
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.photos.tree import FoundDataset, FoundPhoto, Photo

OnBadPhoto = Literal["error", "skip"]

_T = TypeVar("_T")

# What is known of a file: its sha256 (empty if it could not be read) and why it is bad (empty if it is not).
_Verdict = tuple[str, str]


class PhotoIndex:
    """What was found out about the files of one dataset, kept on disk so that it is found out once.

    A file counts as known while its name, size and time of change (in nanoseconds) are the same. All processes of a
    run read the index that the first one wrote, so that they agree on the photos without opening them again.

    Args:
        root: the dataset's folder.
        folder: the cache's folder, where the index lies.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        # One index per dataset folder; the decoder and Pillow are in the name because they decide what is bad.
        key = hashlib.sha256(os.path.realpath(root).encode()).hexdigest()[:16]
        self.path = folder / f"index.{DECODE_VERSION}-{PIL.__version__}" / f"{key}.json"
        self._known: dict[str, object] = {}
        # A damaged or missing index costs time, nothing else.
        with suppress(OSError, ValueError):
            known = json.loads(self.path.read_text(encoding="utf-8"))
            self._known = known if isinstance(known, dict) else {}

    def verdict(self, photo: FoundPhoto, known: Signature) -> _Verdict | None:
        """Return what is known of a file, else None; a file that could not be read is not known."""
        match self._known.get(photo.relative):
            case [int(size), int(mtime), str(sha256), str(reason)] if sha256 and (size, mtime) == known:
                return sha256, reason
        return None

    def update(self, known: Mapping[str, tuple[int | str, ...]]) -> None:
        """Keep what is known of these files, by relative name, and nothing of files that are gone.

        Raises:
            OSError: if the index cannot be written.
        """
        fresh: dict[str, object] = {name: list(facts) for name, facts in known.items()}
        if fresh != self._known:
            write_text(self.path, json.dumps(fresh, ensure_ascii=False, indent=0))
            self._known = fresh


def check_photos(
    dataset: FoundDataset,
    cache: PhotoCache,
    index: PhotoIndex,
    specs: Mapping[str, PreprocessSpec],
    on_bad_photo: OnBadPhoto = "error",
    console: Console | None = None,
) -> dict[str, list[Photo]]:
    """Open every photo once, put it into the cache, and refuse a dataset that cannot be trained on or measured with.

    Photos that the index knows and the cache holds are not opened again.

    Args:
        dataset: what `scan_dataset` found.
        cache: gets an entry for each photo.
        index: is read and brought up to date.
        specs: per split, the spec of its entries.
        on_bad_photo: `error` ends with all bad photos and their reasons; `skip` leaves them out and says so.
        console: where progress and what was left out is shown; None shows nothing.

    Returns:
        Per split (train, val, test), its photos sorted by relative name; empty where there is no folder.

    Raises:
        DatasetError: if there is a bad photo and `on_bad_photo` is `error`; a class of a split has no photo; two
            classes of a split share the same bytes; or a test or val photo is in train as well.
    """
    verdicts = _verdicts(dataset.photos, cache, index, specs, console)
    bad = [f"{photo.relative}: {reason}" for photo, (_, reason) in zip(dataset.photos, verdicts, strict=True) if reason]
    if bad and on_bad_photo == "error":
        raise DatasetError(
            f"{len(bad)} of {len(dataset.photos)} photos in {dataset.root} cannot be used:\n  "
            + "\n  ".join(bad)
            + "\n"
            "Replace or remove them, or leave them out with --data.on_bad_photo skip."
        )
    if bad and console is not None:
        console.print(f"Left out {len(bad)} photos that cannot be used:\n  " + "\n  ".join(bad), markup=False)
    targets = {name: target for target, name in enumerate(dataset.class_names)}
    photos: dict[str, list[Photo]] = {"train": [], "val": [], "test": []}
    for found, (sha256, reason) in zip(dataset.photos, verdicts, strict=True):
        if not reason:
            target = targets[found.class_name]
            photos[found.split].append(Photo(found.path, found.relative, found.class_name, target, found.group, sha256))
    _refuse_empty_classes(dataset, photos)
    _refuse_two_classes(photos)
    _refuse_leaks(photos)
    return photos


def fill_cache(photos: Sequence[Photo], cache: PhotoCache, spec: PreprocessSpec, console: Console | None) -> None:
    """Make the entries that these photos lack.

    Raises:
        PhotoError: if a photo can no longer be decoded.
        DatasetError: if a photo has changed since it was checked, or an entry cannot be written.
    """
    lacking = [photo for photo in photos if not cache.holds(photo.sha256, spec)]

    def fill(photo: Photo) -> None:
        cache.load(photo.path, photo.sha256, spec)

    _in_threads(fill, lacking, "filling the cache", console)


def _verdicts(
    photos: Sequence[FoundPhoto],
    cache: PhotoCache,
    index: PhotoIndex,
    specs: Mapping[str, PreprocessSpec],
    console: Console | None,
) -> list[_Verdict]:
    # Taken before the files are read: one that changes meanwhile is looked at again the next time.
    signatures = [signature(photo.path) for photo in photos]
    verdicts = [index.verdict(photo, own) for photo, own in zip(photos, signatures, strict=True)]
    todo = [
        position
        for position, (photo, verdict) in enumerate(zip(photos, verdicts, strict=True))
        if verdict is None or not (verdict[1] or cache.holds(verdict[0], specs[photo.split]))
    ]

    def examine(position: int) -> None:
        verdicts[position] = _examine(photos[position], cache, specs[photos[position].split])

    _in_threads(examine, todo, "checking photos", console)
    complete = [verdict for verdict in verdicts if verdict is not None]
    try:
        index.update(
            {p.relative: (*s, *v) for p, s, v in zip(photos, signatures, complete, strict=True)},
        )
    except OSError as error:
        # Without a cache nothing has to be written: a read-only disk then costs every process a check of its own.
        if cache.folder is not None:
            raise DatasetError(
                f"the photo cache cannot be written: {index.path} ({error.strerror}). "
                "Pass --data.cache_dir DIR on a disk with room, or --data.cache false."
            ) from error
    return complete


def _in_threads(work: Callable[[_T], None], todo: Sequence[_T], title: str, console: Console | None) -> None:
    # Threads, not processes: Pillow lets go of the interpreter's lock while it decodes and resizes, and threads start
    # at once and are safe where CUDA or another library has threads already.
    if not todo:
        return
    with (
        Progress(console=console, disable=console is None or not console.is_terminal, transient=True) as progress,
        ThreadPoolExecutor(cpu_count()) as pool,
    ):
        try:
            for _ in progress.track(pool.map(work, todo), total=len(todo), description=title):
                pass
        except BaseException:
            # A full disk or Ctrl-C: without this the pool would first work through everything that waits.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _examine(photo: FoundPhoto, cache: PhotoCache, spec: PreprocessSpec) -> _Verdict:
    try:
        # A pipe with the name of a photo would be waited for, for ever.
        if not stat.S_ISREG(photo.path.stat().st_mode):
            return "", "not a regular file"
        content = photo.path.read_bytes()
    except OSError as error:
        return "", f"cannot be read ({error.strerror})"
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        cache.store(content, sha256, spec)
    except PhotoError as error:
        return sha256, str(error)
    return sha256, ""


def _refuse_empty_classes(dataset: FoundDataset, photos: Mapping[str, Sequence[Photo]]) -> None:
    splits = [split for split in photos if (dataset.root / split).is_dir()]
    for split in splits:
        counts = dict.fromkeys(dataset.class_names, 0)
        for photo in photos[split]:
            counts[photo.class_name] += 1
        if empty := [name for name, count in counts.items() if count == 0]:
            raise DatasetError(
                f"{dataset.root / split} has no usable photo of: {', '.join(empty)} (found: "
                + ", ".join(f"{name} {count}" for name, count in counts.items())
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
        raise DatasetError(
            f"{len(pairs)} photos that are measured on are trained or chosen on as well, byte for byte, which makes "
            "the result look better than it is:\n  " + "\n  ".join(pairs) + "\nRemove one of each pair."
        )


def _by_content(photos: Iterable[Photo]) -> dict[str, list[Photo]]:
    same: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        same[photo.sha256].append(photo)
    return same
