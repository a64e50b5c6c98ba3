"""The collecting job: photos of a source fetched in threads, checked, stored and counted; progress bar and summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from bball_pl.collect.client import Web
from bball_pl.collect.inbox import LEFT_OUT, PHOTOS, Inbox
from bball_pl.collect.names import cell
from bball_pl.collect.rate_limit import StoppedError
from bball_pl.collect.sanitise import Photo, inspect
from bball_pl.collect.source import RESUME, Candidate, CollectError, LeftOut, SkippedError, Source
from bball_pl.moves import UNSORTED
from bball_pl.project import next_step
from bball_pl.terminal import log, progress

#: The job ends after this many consecutive failures of a host or the connection.
_FAILURES_IN_A_ROW = 10

DUPLICATE = "the same file as another photo"


@dataclass
class Summary:
    """Result of a job.

    Attributes:
        new: Number of photos stored; with `dry_run`, number that would be fetched.
        known: Number of photos that were collected before.
        changed: Number of known photos that were downloaded again because they had changed (`refresh`).
        size: Bytes of the new and changed photos.
        albums: Number of new photos per album.
        left_out: Number of entries that were left out, per reason.
        unread: Whole zip files, videos and folders that were left out, each with its reason.
        problem: Why the job ended early or without a result; None if it did not.
    """

    new: int = 0
    known: int = 0
    changed: int = 0
    size: int = 0
    albums: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    unread: list[str] = field(default_factory=list)
    problem: CollectError | None = None

    @property
    def done(self) -> int:
        """Number of entries processed."""
        return self.new + self.known + self.left_out.total()


class Job:
    """One run of one source into one inbox.

    Args:
        source: Source of the photos.
        inbox: Inbox that stores them; entered by the caller.
        web: Downloads the candidates that have a URL.
        workers: Number of threads that download and decode.
        limit: Stop after this many new photos.
        refresh: Check known photos as well, and download those that have changed.
        dry_run: List only: download and write nothing.
        report: Called with the summary after every change.
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
        self._seen: set[str] = set()
        self._pending: dict[Future[tuple[Photo | None, str]], tuple[str, Candidate]] = {}
        self._failures = 0
        self._last_failure = ""

    def run(self) -> Summary:
        """Collect, and return the summary; a source or folder that fails is its `problem`.

        However the job ends, all photos stored before are recorded.
        """
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="collect")
        try:
            try:
                for item in self._source.items():
                    self._take(item, pool)
                    if self._full():
                        break
                while self._pending:
                    self._settle()
                self._summary.problem = _failure(self._summary)
            except CollectError as error:
                self._summary.problem = error
                self._finish()
        except BaseException:
            self._web.limiter.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return self._summary

    def _take(self, item: Candidate | LeftOut, pool: ThreadPoolExecutor) -> None:
        stem = self._inbox.stem(item.key, item.title)
        if stem in self._seen:
            # A list that grows while its pages are read repeats entries.
            return
        self._seen.add(stem)
        if isinstance(item, LeftOut):
            self._summary.unread += [f"{item.location}: {item.reason}"] if item.is_source else []
            self._leave_out(stem, item.location, item.reason, final=False)
            return
        is_known = self._inbox.has(stem)
        if is_known and not self._refresh:
            self._summary.known += 1
        elif reason := self._inbox.final_reason(stem) if not self._refresh else "":
            self._leave_out(stem, item.source_url, reason, final=True)
        elif self._dry_run:
            self._summary.known += is_known
            self._summary.new += not is_known
            self._summary.albums[item.album] += not is_known
        else:
            # Listing stays only a few photos ahead: links expire, and memory is limited.
            while len(self._pending) >= 2 * self._workers:
                self._settle()
            orphan = None if is_known else self._inbox.orphan(stem)
            if orphan is not None:
                item = replace(item, read=orphan.read_bytes)
            validator = self._inbox.validator(stem) if is_known else ""
            self._pending[pool.submit(_fetch, self._web, item, validator)] = (stem, item)
        self._report(self._summary)

    def _finish(self) -> None:
        """Store the pending photos; a second error aborts silently, because the first one is reported."""
        try:
            while self._pending:
                self._settle()
        except CollectError:
            self._web.limiter.stop()

    def _full(self) -> bool:
        if self._limit is None:
            return False
        while self._pending and self._summary.new + len(self._pending) >= self._limit:
            self._settle()
        return self._summary.new >= self._limit

    def _settle(self) -> None:
        """Wait for at least one pending photo, and store those that are ready."""
        done, _ = wait(self._pending, return_when=FIRST_COMPLETED)
        for future in done:
            stem, candidate = self._pending.pop(future)
            try:
                photo, validator = future.result()
            except SkippedError as error:
                self._failures = self._failures + 1 if error.outage else 0
                self._last_failure = error.reason
                self._leave_out(stem, candidate.source_url, error.reason, error.final)
            except StoppedError:
                continue
            except Exception as error:
                # One odd photo must not end every run at the same photo. Its message may quote secrets.
                reason = f"internal error ({type(error).__name__})"
                self._leave_out(stem, candidate.source_url, reason, final=False)
            else:
                self._failures = 0
                self._store(stem, candidate, photo, validator)
            self._report(self._summary)
        if self._failures >= _FAILURES_IN_A_ROW:
            raise CollectError(
                f"{self._failures} photos in a row could not be fetched (last reason: {self._last_failure}). Check the "
                f"connection. {RESUME}"
            )

    def _store(self, stem: str, candidate: Candidate, photo: Photo | None, validator: str) -> None:
        if self._inbox.has(stem):
            if photo is not None and not self._inbox.duplicate(photo) and self._inbox.replace(stem, photo, validator):
                self._summary.changed += 1
                self._summary.size += len(photo.content)
            self._summary.known += 1
        elif photo is None:
            self._leave_out(stem, candidate.source_url, "HTTP 304", final=False)
        elif self._inbox.duplicate(photo):
            self._leave_out(stem, candidate.source_url, DUPLICATE, final=True)
        else:
            self._inbox.store(stem, candidate, photo, validator)
            self._summary.new += 1
            self._summary.size += len(photo.content)
            self._summary.albums[candidate.album] += 1

    def _leave_out(self, stem: str, location: str, reason: str, final: bool) -> None:
        self._summary.left_out[reason] += 1
        # A known photo whose refresh failed stays.
        if not self._inbox.has(stem) and not self._dry_run:
            self._inbox.leave_out(stem, location, reason, final)
        self._report(self._summary)


def _failure(summary: Summary) -> CollectError | None:
    """Return why a job that came to its end is a failure: a part could not be read, or nothing was found."""
    if summary.unread:
        more = f", and {len(summary.unread) - 1} more" if len(summary.unread) > 1 else ""
        return CollectError(f"not everything was read: {summary.unread[0]}{more}. Replace it, and run the same again.")
    if summary.new or summary.known or summary.left_out[DUPLICATE]:
        return None
    if summary.left_out:
        return CollectError("no photo was collected: the reasons stand above.")
    return CollectError("no photo was found there. Name a folder, album or search that has photos.")


def _fetch(web: Web, candidate: Candidate, validator: str) -> tuple[Photo | None, str]:
    """Return a photo, or None if it has not changed, and its validator."""
    if candidate.read is not None:
        return inspect(candidate.read()), ""
    download = web.download(candidate.url, validator)
    return None if download.content is None else inspect(download.content), download.validator


_MOST_ALBUMS = 20


class Bar:
    """Progress bar on standard error; a context manager.

    Args:
        source: Source of the photos.
        web: Client whose long waits are reported.
    """

    def __init__(self, source: Source, web: Web) -> None:
        self._source = source
        web.limiter.notice = self.show_wait
        self._progress = progress(log)
        self._task = self._progress.add_task(source.name, total=None)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._progress.stop()

    def show(self, summary: Summary) -> None:
        """Show the counts of a summary."""
        text = f"{self._source.name}: {summary.new} new, {summary.left_out.total()} left out"
        self._progress.update(self._task, description=text, completed=summary.done, total=self._source.expected)

    def show_wait(self, host: str, seconds: float) -> None:
        """Report a wait that a host asked for."""
        self._progress.console.print(f"waiting {_length(seconds)} for {host}", style="dim", markup=False)


def summary_lines(summary: Summary, root: Path, dry_run: bool) -> Iterator[str]:
    """Yield the lines that report a job to the user.

    Args:
        summary: Result of the job.
        root: Folder of the inbox.
        dry_run: Whether nothing was downloaded.
    """
    if dry_run:
        yield f"{summary.new} photos would be fetched to {root}, {summary.known} known"
        for album, count in summary.albums.most_common(_MOST_ALBUMS):
            yield f"  {count:6d}  {cell(album)}"
        if len(summary.albums) > _MOST_ALBUMS:
            yield f"          and {len(summary.albums) - _MOST_ALBUMS} more albums"
    else:
        changed = f", {summary.changed} re-downloaded" if summary.changed else ""
        size = f" ({summary.size / 1e6:.1f} MB)"
        yield f"{summary.new} new photos{size} in {root / UNSORTED}{changed}, {summary.known} known"
    if summary.left_out:
        yield f"{summary.left_out.total()} left out:"
        for reason, count in summary.left_out.most_common():
            yield f"  {count:6d}  {cell(reason)}"
        if not dry_run:
            yield f"reasons: {root / LEFT_OUT}"
    if summary.new and not dry_run:
        yield f"sources and licences: {root / PHOTOS}"
        yield f"next: sort them in a browser, or move them from {UNSORTED}/ to a folder per class beside it; then audit"
        yield f"  {next_step('studio', root)}"
        yield f"  {next_step('audit', root)}"


def _length(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
