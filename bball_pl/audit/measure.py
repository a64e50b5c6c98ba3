"""One pass over the photos of a tree: in threads, in batches, and not again for what is known."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from joblib import cpu_count
from rich.console import Console
from rich.progress import Progress

from bball_pl.errors import PhotoError
from bball_pl.files import signature
from bball_pl.photos.decode import decode
from bball_pl.photos.measurements import LONG_SIDE, SHORT_SIDE, VIEWS, Facts, examine, views
from bball_pl.photos.store import Store

if TYPE_CHECKING:
    from bball_pl.audit.features import FrozenFeatures


_BATCH = 32
_KNOWN_AT_ONCE = 512

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Seen:
    """What was found out about the photos of an album, in their order.

    Attributes:
        sha256s: of the files' bytes; empty where a file cannot be read.
        facts: one for each photo.
    """

    sha256s: list[str]
    facts: list[Facts]

    @property
    def usable(self) -> list[int]:
        """The rows of the photos that can be used."""
        return [row for row, facts in enumerate(self.facts) if not facts.problem]


def look(paths: Sequence[Path], store: Store, console: Console | None = None) -> Seen:
    """Find out about photos what is not known yet.

    Args:
        paths: of the files.
        store: is read and brought up to date, also when this is interrupted.
        console: where progress is shown; None shows nothing.
    """
    sha256s = [store.remembered(path) for path in paths]
    known = store.known()
    todo = [row for row, sha256 in enumerate(sha256s) if sha256 not in known]
    unread: dict[int, Facts] = {}
    network: FrozenFeatures | None = None

    def read(row: int) -> tuple[int, tuple[int, int], str, Facts | None, np.ndarray | None]:
        # The signature is taken before the file is read: one that changes meanwhile is looked at again next time.
        own = signature(paths[row])
        try:
            content = _content(paths[row])
        except PhotoError as error:
            return row, own, "", Facts(str(error)), None
        sha256 = hashlib.sha256(content).hexdigest()
        return (row, own, sha256, None, None) if sha256 in known else (row, own, sha256, *examine(content))

    for batch in _batches(read, todo, "looking at photos", console):
        fresh: dict[str, Facts] = {}
        small: dict[str, np.ndarray] = {}
        for row, _, sha256, facts, pixels in batch:
            sha256s[row] = sha256
            if not sha256 and facts is not None:
                unread[row] = facts
            elif facts is not None:
                fresh[sha256] = facts
                if pixels is not None:
                    small[sha256] = pixels
        if small:
            network = network or _network(SHORT_SIDE)
            for sha256, short in zip(small, network.short(np.stack(list(small.values()))), strict=True):
                fresh[sha256] = replace(fresh[sha256], short=short)
        store.add_facts(fresh)
        store.remember({paths[row]: (own, sha256) for row, own, sha256, _, _ in batch if sha256})
        store.flush()
        known |= fresh.keys()
    by_content = store.facts(sha256 for sha256 in sha256s if sha256)
    return Seen(
        sha256s,
        [unread[row] if row in unread else by_content[sha256] for row, sha256 in enumerate(sha256s)],
    )


def look_closely(
    paths: Sequence[Path], sha256s: Sequence[str], store: Store, console: Console | None = None
) -> np.ndarray:
    """Return the long features of photos that can be used, computed where they are not known.

    Args:
        paths: of the files.
        sha256s: of their bytes.
        store: is read and brought up to date.
        console: where progress is shown; None shows nothing.

    Returns:
        float16 `[N, VIEWS, features]`.
    """
    rows = np.zeros((len(paths), 0), np.float16)

    def keep(row: int, features: np.ndarray) -> None:
        nonlocal rows
        # Filled in place: 10,000 photos take 330 MB, and a second copy would take as much.
        rows = rows if rows.shape[1] else np.zeros((len(paths), features.size), np.float16)
        rows[row] = features.ravel()

    todo = []
    for start in range(0, len(paths), _KNOWN_AT_ONCE):
        part = range(start, min(start + _KNOWN_AT_ONCE, len(paths)))
        known = store.long(sha256s[row] for row in part)
        for row in part:
            if sha256s[row] in known:
                keep(row, known[sha256s[row]])
            else:
                todo.append(row)
    network = _network(LONG_SIDE) if todo else None

    def read(row: int) -> tuple[int, np.ndarray]:
        return row, views(decode(paths[row]), LONG_SIDE)

    for batch in _batches(read, todo, "judging labels", console):
        if network is not None:
            long = network.long(np.stack([pixels for _, pixels in batch]))
            for (row, _), features in zip(batch, long, strict=True):
                keep(row, features)
            store.add_long({sha256s[row]: own for (row, _), own in zip(batch, long, strict=True)})
            store.flush()
    return rows.reshape(len(paths), VIEWS, -1)


def _network(side: int) -> FrozenFeatures:
    # Not above: torch takes seconds, and where all photos are known it is not needed.
    from bball_pl.audit.features import FrozenFeatures

    return FrozenFeatures(side)


def _content(path: Path) -> bytes:
    try:
        # A pipe with the name of a photo would be waited for, for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise PhotoError("not a regular file")
        return path.read_bytes()
    except OSError as error:
        raise PhotoError(f"cannot be read ({error.strerror})") from error


def _batches(
    work: Callable[[_Given], _Made], todo: Sequence[_Given], title: str, console: Console | None
) -> Iterator[list[_Made]]:
    """Yield what `work` makes of `todo`, `_BATCH` at once; the next batch is in the making meanwhile, and no more."""
    if not todo:
        return
    parts = [todo[start : start + _BATCH] for start in range(0, len(todo), _BATCH)]
    with (
        Progress(console=console, disable=console is None or not console.is_terminal, transient=True) as progress,
        # Threads: Pillow and OpenCV let go of the interpreter's lock while they work.
        ThreadPoolExecutor(cpu_count()) as pool,
    ):
        task = progress.add_task(title, total=len(todo))
        waiting = [pool.submit(work, one) for one in parts[0]]
        try:
            for place in range(len(parts)):
                following = parts[place + 1] if place + 1 < len(parts) else []
                made = [future.result() for future in waiting]
                waiting = [pool.submit(work, one) for one in following]
                yield made
                progress.advance(task, len(made))
        except BaseException:
            # Ctrl-C: without this the pool would first work through everything that waits.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
