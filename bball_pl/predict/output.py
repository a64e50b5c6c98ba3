"""Output of answers: CSV or JSON lines written at once, to standard output or a file, or a table at the end."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bball_pl.errors import ConfigError
from bball_pl.evaluate.calibration import UNSURE, Answer
from bball_pl.files import atomic_path
from bball_pl.moves import display_name

Format = Literal["table", "csv", "jsonl"]

#: Columns before the probabilities.
_FIRST = ("path", "answer", "predicted", "confidence")


@dataclass(frozen=True)
class Row:
    """One answer.

    Attributes:
        path: name of the photo or video.
        answer: answer to the photo, or to the single frame.
        frame: number of the frame from 0; None for a photo.
        seconds: time of the frame; None for a photo.
        smoothed: the answer after smoothing over time; None for a photo.
    """

    path: str
    answer: Answer
    frame: int | None = None
    seconds: float | None = None
    smoothed: str | None = None


class Writer(Protocol):
    """Destination of answers."""

    def write(self, row: Row) -> None:
        """Write one row, at once or at the end."""

    def timeline(self, lines: Iterable[str]) -> None:
        """Show the timeline of a video."""


class _LineWriter:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def timeline(self, lines: Iterable[str]) -> None:
        """Print the lines on standard error, apart from the rows."""
        for line in lines:
            print(line, file=sys.stderr)


class CsvWriter(_LineWriter):
    """Writes one line per photo or frame, at once; the columns are the same for photos and videos."""

    def __init__(self, stream: TextIO, class_names: Sequence[str]) -> None:
        super().__init__(stream)
        self._writer = csv.writer(stream, lineterminator="\n")
        shares = [f"prob_{name}" for name in class_names]
        self._line([*_FIRST, *shares, "frame", "seconds", "smoothed"])

    def write(self, row: Row) -> None:
        """Write one row."""
        answer = row.answer
        shares = [f"{share:.6f}" for share in answer.probabilities.values()]
        moment = ["", "", ""] if row.seconds is None else [row.frame, f"{row.seconds:.3f}", row.smoothed]
        self._line([row.path, answer.label, answer.predicted, f"{answer.confidence:.6f}", *shares, *moment])

    def _line(self, cells: Sequence[object]) -> None:
        self._writer.writerow(cells)
        self._stream.flush()


class JsonWriter(_LineWriter):
    """Writes one JSON object per photo or frame, at once; the keys are the same for photos and videos."""

    def write(self, row: Row) -> None:
        """Write one row."""
        answer = row.answer
        entry = {
            "path": row.path,
            "answer": answer.label,
            "predicted": answer.predicted,
            "confidence": round(answer.confidence, 6),
            "probabilities": {name: round(share, 6) for name, share in answer.probabilities.items()},
            "frame": row.frame,
            "seconds": None if row.seconds is None else round(row.seconds, 3),
            "smoothed": row.smoothed,
        }
        text = json.dumps(entry, ensure_ascii=False)
        if not _is_unicode(text):
            # A file name may hold any bytes, but JSON is Unicode: such names are escaped.
            text = json.dumps(entry)
        self._stream.write(f"{text}\n")
        self._stream.flush()


class TableWriter:
    """Collects photos for a table, and timelines of videos, until the end."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._table = Table("photo", "answer", "confidence", "otherwise")
        self._table.columns[0].overflow = "fold"
        self._table.columns[2].justify = "right"

    def write(self, row: Row) -> None:
        """Keep a photo's row."""
        if row.frame is not None:
            return
        answer = row.answer
        ranking = answer.ranking[:1] if answer.label == UNSURE else answer.ranking[1:2]
        otherwise = ", ".join(f"{display_name(name)} {share:.0%}" for name, share in ranking)
        # Text, not str: rich would interpret [brackets] in a file name as a style.
        style = "yellow" if answer.label == UNSURE else ""
        label = Text(display_name(answer.label), style)
        self._table.add_row(Text(row.path), label, f"{answer.confidence:.0%}", Text(otherwise))

    def timeline(self, lines: Iterable[str]) -> None:
        """Keep the lines."""
        self._lines += lines

    def show(self) -> None:
        """Print table and timelines on standard output."""
        console = Console(file=sys.stdout)
        if self._table.row_count:
            console.print(self._table)
        for line in self._lines:
            console.print(Text(line), soft_wrap=True)


@contextmanager
def open_output(form: Format | None, out: Path | None, class_names: Sequence[str]) -> Iterator[Writer]:
    """Yield a writer of rows; a file is created only after the body has ended without an exception.

    Args:
        form: format of the rows. Default: for a file by its suffix, JSON lines for .jsonl and .json, else CSV; on
            standard output a table on a terminal and CSV elsewhere.
        out: file, or folder for a file `predictions.csv` or `predictions.jsonl`; None is standard output.
        class_names: in the order of the columns.

    Raises:
        ConfigError: if a table is wanted in a file, or the file cannot be written.
        BrokenPipeError: if the reader of standard output has ended.
    """
    if out is None:
        with _writing("standard output"):
            yield from _to_stdout(form or ("table" if sys.stdout.isatty() else "csv"), class_names)
        return
    path = output_file(form, out)
    with (
        _writing(str(path)),
        atomic_path(path) as temporary,
        # File names may hold any bytes: they are written unchanged.
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        yield _line_writer(form or _form_of(path), stream, class_names)


def output_file(form: Format | None, out: Path) -> Path:
    """Return the file that `--out` means: itself, or `predictions.csv` or `.jsonl` in it if it is a folder.

    Raises:
        ConfigError: if a table is wanted in a file.
    """
    if form == "table":
        raise ConfigError("a table is for the terminal: with --out pass --format csv or --format jsonl")
    return out / f"predictions.{form or 'csv'}" if out.is_dir() else out


def beginning(form: Format | None, out: Path) -> bytes:
    """Return how a file of answers begins, by which an earlier one is known."""
    form = form or _form_of(output_file(form, out))
    return b'{"path": ' if form == "jsonl" else ",".join(_FIRST).encode()


def _to_stdout(form: Format, class_names: Sequence[str]) -> Iterator[Writer]:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    if form != "table":
        yield _line_writer(form, sys.stdout, class_names)
        return
    table = TableWriter()
    try:
        yield table
    finally:
        # After Ctrl-C as well: the answers so far are shown.
        table.show()


def _line_writer(form: Format, stream: TextIO, class_names: Sequence[str]) -> Writer:
    return JsonWriter(stream) if form == "jsonl" else CsvWriter(stream, class_names)


def _form_of(path: Path) -> Format:
    return "jsonl" if path.suffix.lower() in {".jsonl", ".json", ".ndjson"} else "csv"


@contextmanager
def _writing(name: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"{name} cannot be written ({error.strerror}); pass --out FILE elsewhere") from error


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
