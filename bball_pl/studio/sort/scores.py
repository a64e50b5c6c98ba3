"""Answers of networks to photos, kept by content; a restart computes nothing again."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: Raised when what is kept changes its meaning.
_VERSION = 1
_AT_ONCE = 500
_TABLES = """
CREATE TABLE IF NOT EXISTS files
    (path TEXT PRIMARY KEY, size INTEGER, changed INTEGER, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores
    (sha256 TEXT, network TEXT, problem TEXT, logits BLOB, features BLOB, PRIMARY KEY (sha256, network)) WITHOUT ROWID;
"""

#: Size in bytes and time of the last change in nanoseconds: a file with the same has the same content.
Signature = tuple[int, int]


@dataclass(frozen=True)
class Score:
    """What a network made of a photo.

    Attributes:
        problem: why it cannot be answered; empty if it can.
        logits: float32 `[classes]`; empty for a network that only sees, and does not answer.
        features: float16 `[features]`, of length 1.
    """

    problem: str
    logits: np.ndarray
    features: np.ndarray


class Scores:
    """A database of scores. Threads may share it.

    Args:
        folder: where it is kept; in memory if that cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._database = _open(folder / f"scores.{_VERSION}.sqlite")

    def sha256s(self, signatures: Mapping[Path, Signature]) -> dict[Path, str]:
        """Return the SHA-256 of the files that have not changed since they were read."""
        names = {_name(path): path for path in signatures}
        known: dict[Path, str] = {}
        for name, size, changed, sha256 in self._select("path, size, changed, sha256", "files", "path", list(names)):
            if signatures[names[name]] == (size, changed):
                known[names[name]] = sha256
        return known

    def scores(self, sha256s: Iterable[str], network: str) -> dict[str, Score]:
        """Return what a network made of photos, by SHA-256."""
        found = self._select(
            "sha256, problem, logits, features", "scores", "network = ? AND sha256", list(sha256s), network
        )
        return {
            sha256: Score(problem, np.frombuffer(logits, np.float32), np.frombuffer(features, np.float16))
            for sha256, problem, logits, features in found
        }

    def keep(self, network: str, files: Mapping[Path, tuple[Signature, str]], scores: Mapping[str, Score]) -> None:
        """Keep what was found out.

        Args:
            network: name of the network.
            files: signature before reading, and SHA-256.
            scores: by SHA-256.
        """
        rows = [(_name(path), *signature, sha256) for path, (signature, sha256) in files.items()]
        answers = [
            (sha256, network, one.problem, one.logits.astype(np.float32).tobytes(), one.features.tobytes())
            for sha256, one in scores.items()
        ]
        # A full or locked disk: what is not kept is computed again.
        with self._lock, suppress(sqlite3.Error), self._database:
            self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
            self._database.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?)", answers)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def _select(self, columns: str, table: str, key: str, values: Sequence[str], *before: str) -> list[tuple]:
        rows: list[tuple] = []
        with self._lock, suppress(sqlite3.Error):
            for start in range(0, len(values), _AT_ONCE):
                part = values[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                query = f"SELECT {columns} FROM {table} WHERE {key} IN ({marks})"
                rows += self._database.execute(query, (*before, *part)).fetchall()
        return rows


def signature(path: Path) -> Signature | None:
    """Return what tells whether a file has changed; None if it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _name(path: Path) -> str:
    # A file's name may hold bytes that are no text, which SQLite does not take.
    return str(path).encode("utf-8", "surrogateescape").decode("latin-1")


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _prepared(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            path.unlink()  # damaged, and it holds nothing that cannot be found out again
            return _prepared(path)
    except (OSError, sqlite3.Error):
        database = sqlite3.connect(":memory:", check_same_thread=False)
        database.executescript(_TABLES)
        return database


def _prepared(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=10, check_same_thread=False)
    # Sound after a kill and after a power cut, and without a sync for each batch.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.executescript(_TABLES)
    return database
