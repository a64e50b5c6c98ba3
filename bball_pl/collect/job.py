"""The collecting job: fetch what a source yields with a few threads, check it, store it, count it and show it."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bball_pl.collect.client import Download, Web
from bball_pl.collect.inbox import LEFT_OUT, PHOTOS, Inbox
from bball_pl.collect.names import cell
from bball_pl.collect.rate_limit import Pace, StoppedError
from bball_pl.collect.sanitise import Photo, inspect
from bball_pl.collect.source import CollectError, Find, LeftOut, NotTakenError, Source
from bball_pl.moves import UNSORTED
from bball_pl.project import ROOT

#: So many photos in a row that a host or the connection fails are no accident: the job ends.
_FAILURES_IN_A_ROW = 10

TWIN = "the same file as another photo"


@dataclass
class Summary:
    """What a job did.

    Attributes:
        new: photos that were stored; with `dry_run`, that would be fetched.
        known: photos that were there before.
        changed: known photos that were fetched again because they had changed (`refresh`).
        size: bytes of the new and changed photos.
        albums: new photos per album.
        left_out: number of things that were left out, per reason.
        problem: why the job ended early; None if it did not.
    """

    new: int = 0
    known: int = 0
    changed: int = 0
    size: int = 0
    albums: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    problem: CollectError | None = None

    @property
    def seen(self) -> int:
        """Number of things that are dealt with."""
        return self.new + self.known + self.left_out.total()


@dataclass(frozen=True)
class _Prepared:
    photo: Photo | None
    validator: str


class Job:
    """One run of one source into one inbox.

    Args:
        source: where photos come from.
        inbox: where they go; entered by the caller.
        web: fetches those that have a URL.
        workers: number of threads that fetch and decode.
        limit: stop after so many new photos.
        refresh: ask again for photos that are there, and fetch those that have changed.
        dry_run: list only: fetch and write nothing.
        report: called with the summary whenever it has changed.
    """

    def __init__(
        self,
        source: Source,
        inbox: Inbox,
        web: Web,
        workers: int = 4,
        limit: int | None = None,
        refresh: bool = False,
        dry_run: bool = False,
        report: Callable[[Summary], None] = lambda summary: None,
    ) -> None:
        self._source = source
        self._inbox = inbox
        self._web = web
        self._workers = workers
        self._limit = limit
        self._refresh = refresh
        self._dry_run = dry_run
        self._report = report
        self._summary = Summary()
        self._taken: set[str] = set()
        self._waiting: dict[Future[_Prepared], tuple[str, Find]] = {}
        self._failures = 0
        self._last_failure = ""

    def run(self) -> Summary:
        """Collect; whatever ends it, what was stored before is recorded.

        A source that cannot go on, or a folder that cannot be written, is in the summary's `problem`.
        """
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="collect")
        try:
            try:
                for item in self._source.finds():
                    self._take(item, pool)
                    if self._full():
                        break
                while self._waiting:
                    self._settle()
            except CollectError as error:
                self._summary.problem = error
                self._finish()
        except BaseException:
            self._web.pace.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return self._summary

    def _take(self, item: Find | LeftOut, pool: ThreadPoolExecutor) -> None:
        stem = self._inbox.stem(item.key, item.title)
        if stem in self._taken:
            # Lists shift while they are read, and then name something twice.
            return
        self._taken.add(stem)
        if isinstance(item, LeftOut):
            self._leave_out(stem, item.where, item.why, final=False)
            return
        again = self._inbox.has(stem)
        if again and not self._refresh:
            self._summary.known += 1
        elif why := self._inbox.gave_up(stem) if not self._refresh else "":
            self._leave_out(stem, item.source_url, why, final=True)
        elif self._dry_run:
            self._summary.known += again
            self._summary.new += not again
            self._summary.albums[item.album] += not again
        else:
            # Links expire, so a photo is not listed long before it is fetched, and memory is limited as well.
            while len(self._waiting) >= 2 * self._workers:
                self._settle()
            orphan = None if again else self._inbox.orphan(stem)
            if orphan is not None:
                item = replace(item, read=orphan.read_bytes)
            validator = self._inbox.validator(stem) if again else ""
            self._waiting[pool.submit(_prepare, self._web, item, validator)] = (stem, item)
        self._report(self._summary)

    def _finish(self) -> None:
        """Store what is under way; a second problem ends that, and is no news."""
        try:
            while self._waiting:
                self._settle()
        except CollectError:
            self._web.pace.stop()

    def _full(self) -> bool:
        if self._limit is None:
            return False
        while self._waiting and self._summary.new + len(self._waiting) >= self._limit:
            self._settle()
        return self._summary.new >= self._limit

    def _settle(self) -> None:
        """Wait for one photo, and store all that are ready."""
        done, _ = wait(self._waiting, return_when=FIRST_COMPLETED)
        for future in done:
            stem, find = self._waiting.pop(future)
            try:
                prepared = future.result()
            except NotTakenError as error:
                self._failures = self._failures + 1 if error.outage else 0
                self._last_failure = error.why
                self._leave_out(stem, find.source_url, error.why, error.final)
            except StoppedError:
                continue
            except Exception as error:
                # One odd photo must not end every run at the same place; and no message, which may quote anything.
                self._leave_out(stem, find.source_url, f"a fault of this program ({type(error).__name__})", final=False)
            else:
                self._failures = 0
                self._store(stem, find, prepared)
            self._report(self._summary)
        if self._failures >= _FAILURES_IN_A_ROW:
            raise CollectError(
                f"{self._failures} photos in a row could not be fetched (the last: {self._last_failure}). What was "
                "collected is kept: look into the connection, then run the same command again."
            )

    def _store(self, stem: str, find: Find, prepared: _Prepared) -> None:
        photo = prepared.photo
        if self._inbox.has(stem):
            twin = photo is None or self._inbox.twin(photo)
            if photo is not None and not twin and self._inbox.replace(stem, photo, prepared.validator):
                self._summary.changed += 1
                self._summary.size += len(photo.content)
            self._summary.known += 1
        elif photo is None:
            self._leave_out(stem, find.source_url, "HTTP 304", final=False)
        elif self._inbox.twin(photo):
            self._leave_out(stem, find.source_url, TWIN, final=True)
        else:
            self._inbox.store(stem, find, photo, prepared.validator)
            self._summary.new += 1
            self._summary.size += len(photo.content)
            self._summary.albums[find.album] += 1

    def _leave_out(self, stem: str, where: str, why: str, final: bool) -> None:
        self._summary.left_out[why] += 1
        if self._inbox.has(stem):
            # Asked again in vain: the photo that is there stays.
            return
        if not self._dry_run:
            self._inbox.leave_out(stem, where, why, final)
        self._report(self._summary)


def _prepare(web: Web, find: Find, validator: str) -> _Prepared:
    download = web.download(find.url, validator) if find.read is None else Download(find.read())
    photo = None if download.content is None else inspect(download.content)
    return _Prepared(photo, download.validator)


_MOST_ALBUMS = 20


class Bar:
    """A progress bar on standard error; a context manager.

    Args:
        source: whose photos are collected.
        pace: whose long waits are told.
    """

    def __init__(self, source: Source, pace: Pace) -> None:
        self._source = source
        pace.notice = self.waits
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task(source.name, total=None)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._progress.stop()

    def show(self, summary: Summary) -> None:
        """Move to what a summary says."""
        text = f"{self._source.name}: {summary.new} new, {summary.left_out.total()} left out"
        self._progress.update(self._task, description=text, completed=summary.seen, total=self._source.expected)

    def waits(self, host: str, seconds: float) -> None:
        """Say that a host wants to be left alone."""
        self._progress.console.print(f"waiting {_length(seconds)} for {host}", style="dim", markup=False)


def summary_lines(summary: Summary, root: Path, dry_run: bool) -> Iterator[str]:
    """Yield what a job did, line by line.

    Args:
        summary: of the job.
        root: folder of the inbox.
        dry_run: whether nothing was fetched.
    """
    if dry_run:
        yield f"{summary.new} photos would be fetched to {root}, {summary.known} are there"
        for album, count in summary.albums.most_common(_MOST_ALBUMS):
            yield f"  {count:6d}  {cell(album)}"
        if len(summary.albums) > _MOST_ALBUMS:
            yield f"          and {len(summary.albums) - _MOST_ALBUMS} more albums"
    else:
        changed = f", {summary.changed} fetched anew" if summary.changed else ""
        size = f" ({summary.size / 1e6:.1f} MB)"
        yield f"{summary.new} new photos{size} in {root / UNSORTED}{changed}, {summary.known} were there"
    if summary.left_out:
        yield f"{summary.left_out.total()} left out:"
        for why, count in summary.left_out.most_common():
            yield f"  {count:6d}  {cell(why)}"
        if not dry_run:
            yield f"each with its reason: {root / LEFT_OUT}"
    if summary.new and not dry_run:
        yield f"where each is from: {root / PHOTOS}"
        yield f"next: sort them in a browser, or move them from {UNSORTED}/ to folders beside it, one a class; audit"
        for script, option in (("studio.py", "--inbox"), ("audit.py", "")):
            words = [sys.executable, str(ROOT / "scripts" / script), option, str(root)]
            yield f"  {shlex.join(word for word in words if word)}"


def _length(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
