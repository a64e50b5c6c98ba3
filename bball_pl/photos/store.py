"""PhotoStore: everything known of a photo's bytes, keyed by SHA-256, in one SQLite file per project."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import PIL
from filelock import FileLock
from joblib import cpu_count
from rich.console import Console

from bball_pl.files import Signature
from bball_pl.photos.decode import DECODE_VERSION
from bball_pl.photos.measurements import Measurements, Quality
from bball_pl.terminal import progress

#: Increased when a table or a measurement changes.
_VERSION = 4
_TABLES = """
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER, changed INTEGER, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verdicts (sha256 TEXT PRIMARY KEY, problem TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS measurements (sha256 TEXT PRIMARY KEY, width INTEGER, height INTEGER, blur REAL, light REAL,
    dhash TEXT, mirrored TEXT, grey BLOB);
CREATE TABLE IF NOT EXISTS features (sha256 TEXT, network TEXT, features BLOB, PRIMARY KEY (sha256, network));
CREATE TABLE IF NOT EXISTS answers (sha256 TEXT, network TEXT, logits BLOB, PRIMARY KEY (sha256, network));
"""
#: Older builds of SQLite take at most 999 values per query.
_VALUES_PER_QUERY = 900
#: Seconds to wait for another process that writes; each write takes milliseconds.
_TIMEOUT = 60.0

_T = TypeVar("_T")
_Task = TypeVar("_Task")
_NONE: Mapping[Any, Any] = MappingProxyType({})


class PhotoStore:
    """The cache of hashes, verdicts, measurements, features and answers that audit, split, fit and studio share.

    A file counts as unchanged while its path, size and time of change (in nanoseconds) are the same; everything else
    depends on the bytes alone, so renamed and copied photos are known at once. The store may lose anything at any time
    (a full disk, a damaged or deleted file), which costs time and is never an error: callers must not rely on reading
    back what they kept. Without a writable folder it works in memory, and with a store in a read-only folder it reads.

    Threads may share one store, and several processes may use one file. Use it as a context manager or `close` it.

    Args:
        folder: The project's cache folder, such as `data/.cache`; None keeps everything in memory.

    Example:
        with PhotoStore(Path("data/.cache")) as store:
            sha256s = store.sha256s({path: signature(path) for path in paths})
            problems = store.problems(sha256s.values())
    """

    def __init__(self, folder: Path | None) -> None:
        # The decoder and Pillow decide which photos are bad, and every pixel: another version gets another file.
        name = f"photos.{_VERSION}-{DECODE_VERSION}-{PIL.__version__}.sqlite"
        self._path = None if folder is None else folder / name
        self._lock = threading.Lock()
        self._database = _open(self._path)
        self._folders: dict[str, bytes] = {}

    def __enter__(self) -> PhotoStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def sha256s(self, signatures: Mapping[Path, Signature]) -> dict[Path, str]:
        """Return the SHA-256 of the files that have not changed since their hash was kept."""
        paths = {self._key(path): path for path in signatures}
        rows = self._select("SELECT path, size, changed, sha256 FROM files WHERE path", paths)
        return {paths[key]: sha256 for key, size, changed, sha256 in rows if signatures[paths[key]] == (size, changed)}

    def problems(self, sha256s: Iterable[str]) -> dict[str, str]:
        """Return the verdict on photos by SHA-256: why a photo cannot be used, or empty if it can be decoded."""
        return dict(self._select("SELECT sha256, problem FROM verdicts WHERE sha256", sha256s))

    def measurements(self, sha256s: Iterable[str]) -> dict[str, Measurements]:
        """Return measurements by SHA-256, without `short`; photos that cannot be decoded have a problem only."""
        sha256s = list(sha256s)
        found = {sha256: Measurements(problem) for sha256, problem in self.problems(sha256s).items() if problem}
        query = "SELECT sha256, width, height, blur, light, dhash, mirrored, grey FROM measurements WHERE sha256"
        for sha256, width, height, blur, light, dhash, mirrored, grey in self._select(query, sha256s):
            quality = Quality(width, height, blur, light)
            found[sha256] = Measurements("", quality, int(dhash, 16), int(mirrored, 16), grey)
        return found

    def features(self, network: str, sha256s: Iterable[str]) -> dict[str, np.ndarray]:
        """Return a network's features by SHA-256, float16 `[features]`."""
        rows = self._select("SELECT sha256, features FROM features WHERE network = ? AND sha256", sha256s, network)
        return {sha256: np.frombuffer(features, np.float16) for sha256, features in rows}

    def answers(self, network: str, sha256s: Iterable[str]) -> dict[str, np.ndarray]:
        """Return a network's logits by SHA-256, float32 `[classes]`."""
        rows = self._select("SELECT sha256, logits FROM answers WHERE network = ? AND sha256", sha256s, network)
        return {sha256: np.frombuffer(logits, np.float32) for sha256, logits in rows}

    def keep(
        self,
        *,
        files: Mapping[Path, tuple[Signature, str]] = _NONE,
        problems: Mapping[str, str] = _NONE,
        measurements: Mapping[str, Measurements] = _NONE,
        features: Mapping[str, Mapping[str, np.ndarray]] = _NONE,
        answers: Mapping[str, Mapping[str, np.ndarray]] = _NONE,
    ) -> None:
        """Keep results in one transaction, which also replaces older ones.

        Args:
            files: By path, the signature from before the file was read, and the SHA-256 of its bytes.
            problems: By SHA-256, why a photo cannot be used; empty if it can.
            measurements: By SHA-256; gives the verdict as well.
            features: By name of the network and SHA-256, of any shape.
            answers: Logits by name of the network and SHA-256.
        """
        verdicts = {**problems, **{sha256: measured.problem for sha256, measured in measurements.items()}}
        rows: dict[str, list[tuple]] = {
            # A file that could not be looked at has no signature.
            "files (path, size, changed, sha256)": [
                (self._key(path), *seen, sha256) for path, (seen, sha256) in files.items() if sha256 and seen[0] >= 0
            ],
            "verdicts (sha256, problem)": list(verdicts.items()),
            "measurements (sha256, dhash, mirrored, grey, width, height, blur, light)": [
                (
                    *(sha256, f"{measured.dhash:016x}", f"{measured.mirrored:016x}", measured.grey),
                    *(quality.width, quality.height, quality.blur, quality.light),
                )
                for sha256, measured in measurements.items()
                if (quality := measured.quality) is not None
            ],
            "features (network, sha256, features)": _blobs(features, np.float16),
            "answers (network, sha256, logits)": _blobs(answers, np.float32),
        }

        def write(database: sqlite3.Connection) -> None:
            with database:
                for table, values in rows.items():
                    if values:
                        marks = ", ".join("?" * len(values[0]))
                        database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", values)

        self._run(write, None)

    def _select(self, query: str, keys: Iterable[Any], *values: str) -> list[tuple]:
        """Return the rows of a query that ends in a column's name, for all values of that column."""
        wanted = list(dict.fromkeys(keys))

        def read(database: sqlite3.Connection) -> list[tuple]:
            rows: list[tuple] = []
            for start in range(0, len(wanted), _VALUES_PER_QUERY):
                part = wanted[start : start + _VALUES_PER_QUERY]
                marks = ", ".join("?" * len(part))
                rows += database.execute(f"{query} IN ({marks})", (*values, *part)).fetchall()
            return rows

        return self._run(read, [])

    def _run(self, work: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        with self._lock:
            try:
                return work(self._database)
            except sqlite3.Error as error:
                if _is_damaged(error):
                    self._database.close()
                    self._database = _open(self._path, check=True)
                return otherwise

    def _key(self, path: Path) -> bytes:
        # Links to a folder lead to the same photos. Resolved once per folder, because that takes longer than the query.
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.fsencode(os.path.realpath(folder))
        # Bytes: a name need not be UTF-8.
        return os.path.join(self._folders[folder], os.fsencode(name))  # noqa: PTH118


def _blobs(by_network: Mapping[str, Mapping[str, np.ndarray]], dtype: type[np.floating]) -> list[tuple]:
    return [
        (network, sha256, values.astype(dtype).tobytes())
        for network, by_sha256 in by_network.items()
        for sha256, values in by_sha256.items()
    ]


def _is_damaged(error: sqlite3.Error) -> bool:
    # The low byte is the kind of error, the others are details of it.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _open(path: Path | None, check: bool = False) -> sqlite3.Connection:
    """Open a store, rebuilding a damaged one; falls back to memory where no file can be opened.

    Args:
        path: The file; None is in memory.
        check: Look at every page: a query has met a damaged one.
    """
    if path is None:
        return _connect(":memory:")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _connect(str(path), check)
        except sqlite3.Error as error:
            if not _is_damaged(error):
                raise
        with FileLock(f"{path}.lock"):
            try:
                # Another process may have rebuilt it meanwhile.
                return _connect(str(path), check=True)
            except sqlite3.Error as error:
                if not _is_damaged(error):
                    raise
            # A journal that is left behind would be rolled back into the new file.
            for name in (path, Path(f"{path}-journal")):
                name.unlink(missing_ok=True)
            return _connect(str(path))
    except (OSError, sqlite3.Error):
        return _connect(":memory:")


def _connect(name: str, check: bool = False) -> sqlite3.Connection:
    # The default journal, not WAL: that needs shared memory, which network disks lack, and files that a read-only
    # folder refuses. IMMEDIATE: two processes that both read first could not both begin to write.
    database = sqlite3.connect(name, _TIMEOUT, isolation_level="IMMEDIATE", check_same_thread=False)
    try:
        # Sound after a kill and a power cut; FULL syncs once more for each batch.
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_TABLES)
        if check and database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            damage = sqlite3.DatabaseError("a page is damaged")
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage
    except sqlite3.Error:
        database.close()
        raise
    return database


def in_batches(
    work: Callable[[_Task], _T], tasks: Sequence[_Task], size: int, title: str, console: Console | None
) -> Iterator[list[_T]]:
    """Work in threads and yield the results batch by batch, each to be kept before the next: a kill loses one batch.

    While a batch is yielded the next one is worked on, and no more, because results may hold pixels.

    Args:
        work: Called once per task, in any thread. Its first exception ends everything.
        tasks: What to work on; results come in the same order.
        size: Tasks per batch.
        title: Text of the progress bar.
        console: Shows the progress bar if it is a terminal; None shows nothing.
    """
    if not tasks:
        return
    batches = [tasks[start : start + size] for start in range(0, len(tasks), size)]
    with (
        progress(console) as bar,
        # Threads, not processes: Pillow and OpenCV release the interpreter's lock while they work, and threads start
        # at once and are safe where CUDA has threads already.
        ThreadPoolExecutor(cpu_count()) as pool,
    ):
        task = bar.add_task(title, total=len(tasks))
        try:
            futures = [pool.submit(work, one) for one in batches[0]]
            for following in [*batches[1:], []]:
                results = []
                for future in futures:
                    results.append(future.result())
                    bar.advance(task)
                futures = [pool.submit(work, one) for one in following]
                yield results
        except BaseException:
            # Ctrl-C: without this the pool would first finish everything that is queued.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
