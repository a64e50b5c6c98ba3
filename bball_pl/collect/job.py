"""The job: take what a source finds, fetch it with a few threads, look at it, store it, and count what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from bball_pl.collect.content import Photo, inspect
from bball_pl.collect.finds import CollectError, Find, LeftOut, NotTakenError, Source
from bball_pl.collect.inbox import Inbox
from bball_pl.collect.pace import StoppedError
from bball_pl.collect.replies import Download
from bball_pl.collect.web import Web

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
