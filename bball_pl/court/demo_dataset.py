"""The demo dataset: rendered games in train and test, kept where they lie already; and a sheet of its photos."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from joblib import cpu_count
from PIL import Image, ImageDraw, ImageFont
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bball_pl.court.album import COURTS, SPLITS, render_games
from bball_pl.errors import ConfigError, DatasetError
from bball_pl.files import UMASK, write_bytes, write_text
from bball_pl.moves import sort_class_names
from bball_pl.photos.photos_csv import PhotoRecord, read_photos_csv, write_photos_csv

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


#: Raised when the same seed gives other bytes than before, so that an old demo is not taken for the new one.
RENDERER = 1


#: Whether a demo that is there already is replaced; `unless_complete` keeps the very one that is asked for.
Force = bool | Literal["unless_complete"]


@dataclass(frozen=True)
class _Demo:
    """What a demo dataset depends on, as demo.json keeps it; nothing else changes a byte of it."""

    train: int
    test: int
    seed: int
    renderer: int = RENDERER
    court: str = "demo"


@dataclass(frozen=True)
class DemoResult:
    """What `write_demo` left behind.

    Attributes:
        root: the dataset's folder.
        photos: number of photos in it.
        written: False if the same demo was already there and nothing was done.
    """

    root: Path
    photos: int
    written: bool


def _found(root: Path) -> str:
    """Return a few names of what lies in a folder, for a message."""
    names = sorted(path.name for path in root.iterdir())
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _read_demo(root: Path) -> _Demo | None:
    """Return what the demo.json in `root` says, or None if there is none that this program wrote."""
    try:
        kept = json.loads((root / "demo.json").read_text(encoding="utf-8"))
        numbers = {name: int(kept["demo"][name]) for name in ("train", "test", "seed", "renderer")}
        # Demos from before there was another court do not name theirs.
        return _Demo(**numbers, court=str(kept["demo"].get("court", "demo")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_complete(root: Path, demo: _Demo) -> bool:
    """Return whether `root` holds this demo, with a file that is not empty for every row of photos.csv."""
    if _read_demo(root) != demo:
        return False
    try:
        records = read_photos_csv(root / "photos.csv")
    except DatasetError:
        return False
    if len(records) != demo.train + demo.test:
        return False
    return all((root / record.path).is_file() and (root / record.path).stat().st_size > 0 for record in records)


def _strangers(root: Path) -> list[str]:
    """Return the files below `root` that no demo puts there, so that they are never deleted with it."""
    try:
        known = {record.path for record in read_photos_csv(root / "photos.csv")} | {"photos.csv", "demo.json"}
    except DatasetError:
        known = {"photos.csv", "demo.json"}
    files = (path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())
    return sorted(path for path in files if path not in known)


def _clear_way(root: Path, demo: _Demo, force: Force) -> bool:
    """Return True if `root` already holds this very demo; else make sure that it may be written.

    Raises:
        DatasetError: if `root` is a file, or a folder with anything in it that may not be replaced.
    """
    if not root.exists():
        return False
    if not root.is_dir():
        raise DatasetError(f"{root} is a file; the demo needs a folder. Give another --out.")
    if not any(root.iterdir()):
        return False
    if force is not True and _is_complete(root, demo):
        return True
    found = _read_demo(root)
    if found is None:
        raise DatasetError(
            f"{root} holds something that is not a demo (found: {_found(root)}); it is left as it is. "
            "Give another --out."
        )
    strangers = _strangers(root)
    if strangers:
        raise DatasetError(
            f"{root} holds a demo and {len(strangers)} other files, such as {strangers[0]}; it is left as it is. "
            "Move them away, or give another --out."
        )
    if not force:
        state = "an incomplete demo" if found == demo else "another demo"
        raise DatasetError(
            f"{root} holds {state} (train {found.train}, test {found.test}, seed {found.seed}) of the {found.court} "
            "court. Add --force to replace it, or give another --out."
        )
    return False


def write_demo(
    out: Path,
    train: int,
    test: int,
    seed: int,
    workers: int | None = None,
    force: Force = False,
    show_progress: bool = True,
    court: str = "demo",
) -> DemoResult:
    """Write a dataset of rendered photos: `<out>/{train,test}/<class>/NNNNNN.jpg`, photos.csv and demo.json.

    The bytes depend on `seed` and on a photo's split and number only: photo 7 of a demo of 30 is photo 7 of a demo of
    900. Train and test share no game. The folder appears under its name when it is complete, never before.

    Args:
        out: folder of the dataset.
        train: number of training photos, one for each class or more; the classes share them evenly.
        test: number of test photos, one for each class or more.
        seed: 0 or more.
        workers: number of processes; None takes as many as this process may use cores.
        force: replace a demo that is already in `out`, or only another or an incomplete one; nothing else is ever
            replaced.
        show_progress: draw a progress bar on standard error.
        court: a key of `COURTS`: "demo" is an album of the three moves, "teaching" is made to learn from before there
            are real photos, with a class "none", and "none" renders that class alone.

    Raises:
        ConfigError: if `court` is unknown, `train` or `test` has no photo for each class, `seed` is below 0, or
            `workers` below 1.
        DatasetError: if `out` is a file or holds anything else than the same demo and `force` does not allow to
            replace it.
    """
    if court not in COURTS:
        raise ConfigError(f"--court is {court}; expected one of {', '.join(COURTS)}")
    classes = COURTS[court].classes
    for name, value, least in (
        ("train", train, len(classes)),
        ("test", test, len(classes)),
        ("seed", seed, 0),
        ("workers", 1 if workers is None else workers, 1),
    ):
        if value < least:
            why = f": each of the classes {', '.join(classes)} needs a photo" if least > 1 else ""
            raise ConfigError(f"--{name} is {value}; it must be {least} or more{why}.")
    out = out.resolve()
    demo = _Demo(train, test, seed, court=court)
    if _clear_way(out, demo, force):
        return DemoResult(out, train + test, written=False)
    workers = workers if workers is not None else cpu_count()
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside `out`, because a rename is atomic only within one file system.
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent))
    try:
        for split in SPLITS:
            for class_name in classes:
                (building / split / class_name).mkdir(parents=True)
        records: list[PhotoRecord] = []
        columns = (
            TextColumn("[progress.description]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, disable=not show_progress) as progress:
            task = progress.add_task(COURTS[court].source, total=train + test)
            for rows in render_games(building, (train, test), seed, workers, court):
                records.extend(rows)
                progress.advance(task, len(rows))
        records.sort(key=lambda record: (SPLITS.index(record.path.split("/")[0]), record.path.rsplit("/", 1)[1]))
        write_photos_csv(building / "photos.csv", records)
        write_text(building / "demo.json", json.dumps({"demo": asdict(demo)}, indent=2) + "\n")
        building.chmod(0o777 & ~UMASK)  # mkdtemp lets only its owner in
        if _clear_way(out, demo, force):  # another process has been faster, and may be reading it
            return DemoResult(out, train + test, written=False)
        _take_place(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return DemoResult(out, train + test, written=True)


def _take_place(building: Path, out: Path) -> None:
    """Rename `building` to `out`; what was there was checked by `_clear_way` and goes when the new one is in place."""
    if not out.exists():
        building.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".old", dir=out.parent))
    out.rename(old / "demo")
    try:
        building.rename(out)
    except BaseException:
        (old / "demo").rename(out)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
