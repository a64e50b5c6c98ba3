"""The store of measurements by content: a later audit, or one after a kill, measures nothing again."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import PIL

from bball_pl.files import Signature, signature
from bball_pl.photos.decode import DECODE_VERSION
from bball_pl.photos.measurements import Facts, Quality

#: Raised when facts or features change.
_VERSION = 2
_TABLES = """
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER, changed INTEGER, sha256 TEXT);
CREATE TABLE IF NOT EXISTS facts (sha256 TEXT PRIMARY KEY, problem TEXT, width INTEGER, height INTEGER, blur REAL,
    light REAL, dhash TEXT, mirrored TEXT, grey BLOB, short BLOB);
CREATE TABLE IF NOT EXISTS long (sha256 TEXT PRIMARY KEY, features BLOB);
"""
_FACTS = "problem, width, height, blur, light, dhash, mirrored, grey, short"

#: SQLite takes at most 999 values in older builds.
_AT_ONCE = 900


class Store:
    """A small database in one file. Losing it, or deleting it, costs time and nothing else.

    Args:
        folder: where the file is kept; None keeps everything in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        # What decoder and Pillow say decides which photos are bad, and every pixel.
        name = f"curate.{_VERSION}-{DECODE_VERSION}-{PIL.__version__}.sqlite"
        try:
            self._database = _open(None if folder is None else folder / name)
        except (OSError, sqlite3.Error):
            # A read-only or damaged place: everything is found out again, and forgotten.
            self._database = _open(None)

    def close(self) -> None:
        """Write what is left and close the file."""
        self.flush()
        self._database.close()

    def flush(self) -> None:
        """Write what was added; a full disk costs time later, nothing now."""
        with suppress(sqlite3.Error):
            self._database.commit()

    def remembered(self, path: Path) -> str:
        """Return the SHA-256 of a file whose name, size and time of change are known; empty if they are not."""
        now = signature(path)
        row = self._database.execute("SELECT * FROM files WHERE path = ?", (_key(path),)).fetchone()
        return str(row[3]) if row is not None and now == (row[1], row[2]) else ""

    def remember(self, paths: Mapping[Path, tuple[Signature, str]]) -> None:
        """Keep the SHA-256 of files, with the signatures that they had before they were read."""
        self._put("files", [(_key(path), *own, sha256) for path, (own, sha256) in paths.items()])

    def known(self) -> set[str]:
        """Return the SHA-256 of everything that facts are known of."""
        return {sha256 for (sha256,) in self._database.execute("SELECT sha256 FROM facts")}

    def facts(self, sha256s: Iterable[str]) -> dict[str, Facts]:
        """Return what is known, by SHA-256."""
        known = {}
        for sha256, *values in self._select("facts", _FACTS, sha256s):
            problem, width, height, blur, light, dhash, mirrored, grey, short = values
            known[sha256] = (
                Facts(problem)
                if problem
                else Facts(
                    "",
                    Quality(width, height, blur, light),
                    int(dhash, 16),
                    int(mirrored, 16),
                    grey,
                    np.frombuffer(short, np.float16),
                )
            )
        return known

    def add_facts(self, facts: Mapping[str, Facts]) -> None:
        """Keep what was found out, by SHA-256."""
        rows = []
        for sha256, own in facts.items():
            quality = own.quality
            figures = (None,) * 4 if quality is None else (quality.width, quality.height, quality.blur, quality.light)
            short = None if own.short is None else own.short.tobytes()
            rows.append((sha256, own.problem, *figures, f"{own.dhash:016x}", f"{own.mirrored:016x}", own.grey, short))
        self._put("facts", rows)

    def long(self, sha256s: Iterable[str]) -> dict[str, np.ndarray]:
        """Return the long features that are known, float16, by SHA-256."""
        return {sha256: np.frombuffer(own, np.float16) for sha256, own in self._select("long", "features", sha256s)}

    def add_long(self, features: Mapping[str, np.ndarray]) -> None:
        """Keep long features by SHA-256."""
        self._put("long", [(sha256, own.astype(np.float16).tobytes()) for sha256, own in features.items()])

    def _select(self, table: str, columns: str, sha256s: Iterable[str]) -> Iterable[tuple]:
        wanted = list(dict.fromkeys(sha256s))
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            yield from self._database.execute(f"SELECT sha256, {columns} FROM {table} WHERE sha256 IN ({marks})", part)

    def _put(self, table: str, rows: Sequence[tuple]) -> None:
        if rows:
            marks = ",".join("?" * len(rows[0]))
            # A full or locked disk: what is not kept is found out again.
            with suppress(sqlite3.Error):
                self._database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)


def _key(path: Path) -> bytes:
    # Bytes: a name need not be UTF-8.
    return os.fsencode(os.path.realpath(path))


def _open(path: Path | None) -> sqlite3.Connection:
    if path is None:
        database = sqlite3.connect(":memory:")
        database.executescript(_TABLES)
        return database
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _prepared(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        path.unlink()  # damaged; it holds nothing that cannot be found out again
        return _prepared(path)


def _prepared(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=60)
    # Sound after a kill and after a power cut, and without a sync for each batch.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.executescript(_TABLES)
    return database
