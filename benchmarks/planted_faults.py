"""Faults planted in a copy of a dataset, to measure which of them an audit finds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bball_pl.files import write_bytes
from bball_pl.photos.decode import decode
from bball_pl.photos.photos_csv import PHOTOS_CSV, PhotoRecord, read_photos_csv, write_photos_csv
from bball_pl.photos.tree import PhotoTree

#: Largest share of a side that a crop takes away.
_CROP = 0.15


@dataclass
class Planted:
    """What was planted: relative names in the dataset with the faults.

    Attributes:
        root: the dataset with the faults.
        copies: near-duplicates, with the photo of the same split that each is made of.
        kinds: how each near-duplicate was changed, a key of `CHANGES`.
        leaks: photos of test, with the photo of train that each is made of or a byte for byte copy of.
        strays: photos of test whose game is in train.
        labels: photos in a wrong class folder, with the class that they belong to.
    """

    root: Path
    copies: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    leaks: dict[str, str] = field(default_factory=dict)
    strays: set[str] = field(default_factory=set)
    labels: dict[str, str] = field(default_factory=dict)


def plant(
    root: Path,
    out: Path,
    seed: int = 0,
    copies: int = 50,
    leaks: int = 10,
    strays: int = 10,
    labels: int = 30,
    kinds: Sequence[str] | None = None,
) -> Planted:
    """Copy a dataset or class folders and plant faults in the copy; no photo gets two of them.

    Args:
        root: folder of the photos; leaks and strays need `train` and `test` in it.
        out: folder of the copy, which must not be there yet.
        seed: of the choice of photos and of the changes.
        copies: near-duplicates within a split, changed by `kinds` in turns; fewer if there are not enough photos.
        leaks: copies of training photos in test, every other one byte for byte, the others changed as above.
        strays: training photos that are moved to test while the rest of their game stays in train.
        labels: photos that are moved to another class.
        kinds: keys of `CHANGES`; all of them by default.
    """
    shutil.copytree(root, out)
    planted = Planted(out)
    rng = np.random.default_rng(seed)
    has_table = (out / PHOTOS_CSV).is_file()
    records = {record.path: record for record in read_photos_csv(out / PHOTOS_CSV)} if has_table else {}
    dataset = PhotoTree.scan(out)
    photos = [dataset.photos[row] for row in rng.permutation(len(dataset.photos))]
    train = iter([photo for photo in photos if photo.split == "train"])
    for number in range(strays):
        photo = next(train)
        moved = _free(out, f"test/{photo.class_name}/stray{number:03d}.jpg")
        _move(out, photo.relative, moved, photo.class_name, records)
        planted.strays.add(moved)
    names = list(kinds or CHANGES)
    for number in range(leaks):
        photo = next(train)
        copied = _free(out, f"test/{photo.class_name}/leak{number:03d}.jpg")
        content, kind = photo.path.read_bytes(), names[number // 2 % len(names)]
        write_bytes(out / copied, content if number % 2 == 0 else _changed(rng, content, kind))
        planted.leaks[copied] = photo.relative
    used = {*planted.leaks.values()}
    left = [photo for photo in photos if photo.path.exists() and photo.relative not in used]
    for number in range(min(copies, len(left) - labels)):
        kind = names[number % len(names)]
        # A photo that is square already cannot be squashed into a square, nor cut to one.
        fits = (row for row, photo in enumerate(left) if kind not in _OBLONG or not _is_square(photo.path))
        photo = left.pop(next(fits, 0))
        copied = _free(out, f"{Path(photo.relative).parent.as_posix()}/copy{number:03d}.jpg")
        write_bytes(out / copied, _changed(rng, photo.path.read_bytes(), kind))
        planted.copies[copied], planted.kinds[copied] = photo.relative, kind
    labelled = [photo for photo in left if photo.class_name]
    for number, photo in enumerate(labelled[:labels]):
        wrong = [name for name in dataset.class_names if name != photo.class_name]
        said = wrong[int(rng.integers(len(wrong)))]
        moved = _free(out, f"{photo.split}/{said}/label{number:03d}.jpg".lstrip("/"))
        _move(out, photo.relative, moved, said, records)
        planted.labels[moved] = photo.class_name
    if has_table:
        write_photos_csv(out / PHOTOS_CSV, records.values())
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


def _is_square(path: Path) -> bool:
    with Image.open(path) as image:
        return abs(image.width / image.height - 1) < 0.05


def _changed(rng: np.random.Generator, content: bytes, kind: str) -> bytes:
    return _jpeg(CHANGES[kind](rng, decode(content)), int(rng.integers(75, 93)))


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


def _all_of_these(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    for change in (_crop, _resize, _encode, _mirror, _brighten):
        pixels = change(rng, pixels)
    return pixels


def _squash(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.resize(pixels, (224, 224), interpolation=cv2.INTER_AREA))


def _centre_square(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def _border(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    side = round(float(rng.uniform(0.04, 0.1)) * max(pixels.shape[:2]))
    below = side * int(rng.choice([1, 3]))  # a caption's room in every other one
    colour = (int(rng.choice([0, 255])),) * 3
    return np.asarray(cv2.copyMakeBorder(pixels, side, below, side, side, cv2.BORDER_CONSTANT, value=colour))


def _watermark(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    text, font = "league-photos.example", cv2.FONT_HERSHEY_DUPLEX
    scale = 0.8 * width / cv2.getTextSize(text, font, 1, 1)[0][0]
    layer, at = pixels.copy(), (int(0.1 * width), int(height * rng.uniform(0.4, 0.6)))
    cv2.putText(layer, text, at, font, scale, (255, 255, 255), max(1, round(2 * scale)), cv2.LINE_AA)
    marked = np.asarray(cv2.addWeighted(layer, 0.5, pixels, 0.5, 0))
    side, margin = round(0.22 * min(height, width)), round(0.03 * min(height, width))
    corner = int(rng.integers(4))
    top = margin if corner < 2 else height - margin - side
    left = margin if corner % 2 == 0 else width - margin - side
    colour = [int(level) for level in rng.integers(0, 256, 3)]
    cv2.circle(marked, (left + side // 2, top + side // 2), side // 2, colour, -1, cv2.LINE_AA)
    word = left + round(0.12 * side), top + round(0.6 * side)
    cv2.putText(marked, "FINAL", word, font, side / 110, (255, 255, 255), max(1, side // 40), cv2.LINE_AA)
    return marked


def _screenshot(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Show a photo on a phone of 19.5 : 9, upright or lying, with a clock, a battery and four buttons on the bars."""
    height, width = pixels.shape[:2]
    screen = (9, 19.5) if height > width or rng.random() < 0.5 else (19.5, 9)
    unit = max(width / screen[0], height / screen[1])
    wide, high = max(width, round(screen[0] * unit)), max(height, round(screen[1] * unit))
    colour = int(rng.choice([0, 255]))
    shown, ink, short = np.full((high, wide, 3), colour, np.uint8), (255 - colour,) * 3, min(wide, high)
    top, left = (high - height) // 2, (wide - width) // 2
    shown[top : top + height, left : left + width] = pixels
    for text, right in (("12:04", 0.03 * short), ("LTE 83%", wide - 0.2 * short)):
        at, thickness = (round(right), round(0.06 * short)), max(1, short // 300)
        cv2.putText(shown, text, at, cv2.FONT_HERSHEY_SIMPLEX, short / 700, ink, thickness, cv2.LINE_AA)
    for button in range(4):
        at = round(wide * (button + 0.5) / 4), high - round(0.05 * short)
        cv2.circle(shown, at, round(0.02 * short), ink, 2, cv2.LINE_AA)
    return shown


def _jpeg(pixels: np.ndarray, quality: int) -> bytes:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)


#: How copies are changed on their way from one album to another, by the name in the tables.
CHANGES: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "cropped by up to 15 %": _crop,
    "resized": _resize,
    "JPEG quality 40": _encode,
    "mirrored": _mirror,
    "brightness": _brighten,
    "all of these": _all_of_these,
    "squashed to 224 × 224": _squash,
    "centre square": _centre_square,
    "border": _border,
    "watermark and badge": _watermark,
    "screenshot": _screenshot,
}
#: Those that change nothing in a square photo.
_OBLONG = frozenset({"squashed to 224 × 224", "centre square"})
