"""A contact sheet: sample photos of a dataset in a grid, one row of the sheet per class."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bball_pl.errors import DatasetError
from bball_pl.files import write_bytes
from bball_pl.moves import sort_class_names
from bball_pl.photos.photos_csv import PhotoRecord, read_photos_csv

_CELL = (300, 200)
_GAP = 6
_LABEL = 40
_PAPER, _INK = (18, 20, 24), (236, 234, 228)


def _pick(records: list[PhotoRecord], class_name: str, root: Path, columns: int) -> list[np.ndarray]:
    """Return the first landscape photos of a class, each of another group as long as there are groups enough."""
    mine = [record for record in records if record.class_name == class_name]
    if not mine:
        raise DatasetError(f"{root / 'photos.csv'} names no photo of class {class_name!r}.")
    seen: dict[str, int] = {}
    turns = []
    for record in mine:
        seen[record.group] = seen.get(record.group, 0) + 1
        turns.append((seen[record.group], record))
    chosen: list[np.ndarray] = []
    for _, record in sorted(turns, key=lambda turn: turn[0]):
        photo = cv2.imread(str(root / record.path), cv2.IMREAD_COLOR_RGB)
        if photo is None:
            raise DatasetError(f"{root / record.path} cannot be read as a photo. Write the dataset again.")
        if photo.shape[1] > photo.shape[0]:
            chosen.append(cv2.resize(photo, _CELL, interpolation=cv2.INTER_AREA))
        if len(chosen) == columns:
            break
    return chosen


def write_contact_sheet(root: Path, path: Path, columns: int = 5, rows_per_class: int = 1) -> Path:
    """Write a sheet of a dataset's photos as a JPEG file; the same dataset gives the same sheet.

    Args:
        root: folder of a dataset with a photos.csv.
        path: file to write.
        columns: photos in a row.
        rows_per_class: rows of photos per class.

    Returns:
        `path`.

    Raises:
        DatasetError: if photos.csv is missing or wrong, a photo cannot be read, or a class has no photo.
    """
    records = read_photos_csv(root / "photos.csv")
    names = sort_class_names(sorted({record.class_name for record in records}))
    width = columns * (_CELL[0] + _GAP) + _GAP
    band = _LABEL + rows_per_class * (_CELL[1] + _GAP)
    sheet = Image.new("RGB", (width, band * len(names) + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=24)
    for row, name in enumerate(names):
        pen.text((_GAP + 4, row * band + 7), name, fill=_INK, font=font)
        for place, photo in enumerate(_pick(records, name, root, columns * rows_per_class)):
            left = _GAP + (place % columns) * (_CELL[0] + _GAP)
            top = row * band + _LABEL + (place // columns) * (_CELL[1] + _GAP)
            sheet.paste(Image.fromarray(photo), (left, top))
    _, data = cv2.imencode(".jpg", np.array(sheet)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 84])
    write_bytes(path, bytes(data))
    return path
