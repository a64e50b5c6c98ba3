"""A table in a CSV file that grows while a job runs, and that a kill leaves whole."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from bball_pl.files import write_text


class Table:
    """A CSV file that grows by whole rows.

    Args:
        path: of the file, which need not be there yet.
        columns: in their order, for a new file; one that is there keeps its own.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self._columns = columns
        self._file: IO[bytes] | None = None

    def mend(self) -> None:
        """Cut off half a row, which a power cut may leave at the end, and end a whole one as rows end."""
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        if not content or content.endswith(b"\n"):
            return
        head, _, last = content.rpartition(b"\n")
        lines = [
            next(csv.reader([line.decode("utf-8-sig", "replace")]), []) for line in (content.split(b"\n")[0], last)
        ]
        with self.path.open("rb+") as file:
            if len(lines[0]) == len(lines[1]):
                file.seek(0, io.SEEK_END)
                file.write(b"\n")
            else:
                file.truncate(len(head) + 1 if head else 0)

    def rows(self) -> list[dict[str, str]]:
        """Return all rows, each with every column of the file."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")
        rows = [{str(name).strip(): value for name, value in row.items()} for row in reader]
        if reader.fieldnames:
            self._columns = [name.strip() for name in reader.fieldnames]
        return rows

    def add(self, row: dict[str, str]) -> None:
        """Add a row; columns that it lacks stay empty, and those that the file lacks are left out."""
        if self._file is None:
            new = not self.path.exists() or self.path.stat().st_size == 0
            # Not buffered: a row is one write, which a kill cannot cut in two.
            self._file = self.path.open("ab", buffering=0)
            if new:
                self._file.write(_line(self._columns))
        self._file.write(_line([row.get(column, "") for column in self._columns]))

    def sync(self) -> None:
        """Wait until the rows are on disk, whatever happens to the power."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def write(self, rows: Iterable[dict[str, str]]) -> None:
        """Write the file anew, whole or not at all."""
        lines = [_line(self._columns), *(_line([row.get(column, "") for column in self._columns]) for row in rows)]
        self.close()
        write_text(self.path, b"".join(lines).decode())

    def close(self) -> None:
        """Close the file; a later `add` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _line(cells: Iterable[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
