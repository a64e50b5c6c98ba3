"""Faults planted in a copy of a dataset, to measure which of them an audit finds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from bball_pl.files import write_bytes
from bball_pl.photos.dataset_layout import scan_dataset
from bball_pl.photos.decode import decode
from bball_pl.photos.photos_csv import PhotoRecord, read_photos_csv, write_photos_csv

#: Largest share of a side that a crop takes away.
_CROP = 0.15


@dataclass
class Planted:
    """What was planted: relative names in the dataset with the faults.

    Attributes:
        root: the dataset with the faults.
        copies: near-duplicates, with the photo of the same split that each is made of.
        leaks: photos of test, with the photo of train that each is made of or a byte for byte copy of.
        strays: photos of test whose game is in train.
        labels: photos in a wrong class folder, with the class that they belong to.
    """

    root: Path
    copies: dict[str, str] = field(default_factory=dict)
    leaks: dict[str, str] = field(default_factory=dict)
    strays: set[str] = field(default_factory=set)
    labels: dict[str, str] = field(default_factory=dict)


def plant(
    root: Path, out: Path, seed: int = 0, copies: int = 50, leaks: int = 10, strays: int = 10, labels: int = 30
) -> Planted:
    """Copy a dataset with a photos.csv and plant faults in the copy; no photo gets two of them.

    Args:
        root: dataset with `train` and `test`.
        out: folder of the copy, which must not be there yet.
        seed: of the choice of photos and of the changes.
        copies: near-duplicates within a split: cropped by up to 15 % of each side, resized, JPEG quality 40, mirrored,
            brightness, and all of these together, in turns.
        leaks: copies of training photos in test, every other one byte for byte, the others changed as above.
        strays: training photos that are moved to test while the rest of their game stays in train.
        labels: photos that are moved to another class.
    """
    shutil.copytree(root, out)
    planted = Planted(out)
    rng = np.random.default_rng(seed)
    records = {record.path: record for record in read_photos_csv(out / "photos.csv")}
    dataset = scan_dataset(out)
    photos = [dataset.photos[row] for row in rng.permutation(len(dataset.photos))]
    train = iter([photo for photo in photos if photo.split == "train"])
    for number in range(strays):
        photo = next(train)
        moved = _free(out, f"test/{photo.class_name}/stray{number:03d}.jpg")
        _move(out, photo.relative, moved, photo.class_name, records)
        planted.strays.add(moved)
    for number in range(leaks):
        photo = next(train)
        copied = _free(out, f"test/{photo.class_name}/leak{number:03d}.jpg")
        content = photo.path.read_bytes()
        write_bytes(out / copied, content if number % 2 == 0 else _changed(rng, content, number // 2))
        planted.leaks[copied] = photo.relative
    used = {*planted.leaks.values()}
    others = iter([photo for photo in photos if photo.path.exists() and photo.relative not in used])
    for number in range(copies):
        photo = next(others)
        copied = _free(out, f"{photo.split}/{photo.class_name}/copy{number:03d}.jpg")
        write_bytes(out / copied, _changed(rng, photo.path.read_bytes(), number))
        planted.copies[copied] = photo.relative
    for number in range(labels):
        photo = next(others)
        wrong = [name for name in dataset.class_names if name != photo.class_name]
        said = wrong[int(rng.integers(len(wrong)))]
        moved = _free(out, f"{photo.split}/{said}/label{number:03d}.jpg")
        _move(out, photo.relative, moved, said, records)
        planted.labels[moved] = photo.class_name
    write_photos_csv(out / "photos.csv", records.values())
    return planted


def _free(root: Path, relative: str) -> str:
    """Return a name that is not taken."""
    while (root / relative).exists():
        relative = f"{relative.removesuffix('.jpg')}_.jpg"
    return relative


def _move(root: Path, old: str, new: str, class_name: str, records: dict[str, PhotoRecord]) -> None:
    (root / old).rename(root / new)
    if old in records:
        records[new] = replace(records.pop(old), path=new, class_name=class_name)


def _changed(rng: np.random.Generator, content: bytes, number: int) -> bytes:
    pixels = decode(content)
    kinds = [_crop, _resize, _encode, _mirror, _brighten]
    for kind in [kinds[number % 6]] if number % 6 < 5 else kinds:
        pixels = kind(rng, pixels)
    return _jpeg(pixels, int(rng.integers(75, 93)))


def _crop(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    (top, bottom), (left, right) = (
        np.round(side * _CROP * rng.uniform(0.3, 1) * rng.dirichlet((1, 1))).astype(int) for side in (height, width)
    )
    return np.ascontiguousarray(pixels[top : height - bottom, left : width - right])


def _resize(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    scale = float(rng.uniform(0.35, 0.9))
    return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _encode(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    return decode(_jpeg(pixels, 40))


def _mirror(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels[:, ::-1])


def _brighten(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    factor = float(rng.uniform(0.65, 0.85) if rng.random() < 0.5 else rng.uniform(1.15, 1.4))
    return np.clip(pixels * factor, 0, 255).astype(np.uint8)


def _jpeg(pixels: np.ndarray, quality: int) -> bytes:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)


_Change = Callable[[np.random.Generator, np.ndarray], np.ndarray]
