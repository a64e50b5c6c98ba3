"""The table of answers to a split: one row per photo."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence

from torch import Tensor

from bball_pl.data.folder import Photo
from bball_pl.files import write_text


def write_predictions(
    path: str | os.PathLike[str], photos: Sequence[Photo], probabilities: Tensor, class_names: Sequence[str]
) -> None:
    """Write `path,class,predicted,prob_<class>…,group`, whole or not at all.

    Args:
        path: the CSV file.
        photos: N photos; their names are written relative to the dataset's root.
        probabilities: float `[N, classes]`, in the photos' order; written with six digits.
        class_names: in the order of the columns.

    Raises:
        ValueError: if there are not as many rows of probabilities as photos.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "class", "predicted", *(f"prob_{name}" for name in class_names), "group"])
    for photo, row in zip(photos, probabilities, strict=True):
        shares = [f"{float(value):.6f}" for value in row]
        writer.writerow([photo.relative, photo.class_name, class_names[int(row.argmax())], *shares, photo.group])
    write_text(path, text.getvalue())
