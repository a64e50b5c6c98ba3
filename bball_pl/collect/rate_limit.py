"""Per-host rate limiting: concurrency, interval and Retry-After."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# Shorter waits are nobody's business.
_LONG = 10.0


@dataclass(frozen=True)
class Manners:
    """What a host may be asked.

    Attributes:
        at_once: number of requests that may be under way.
        interval: seconds from the start of one request to the start of the next.
    """

    at_once: int = 4
    interval: float = 0.0


class StoppedError(Exception):
    """The job ends: whoever waits should give up."""


@dataclass
class _Host:
    places: threading.Semaphore
    interval: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    free_at: float = 0.0
    noticed: float = 0.0


class Pace:
    """Gives every host its turns.

    Args:
        sleep: waits for so many seconds; the default one ends early when `stop` is called.
        clock: seconds that only grow.
        default: manners towards a host that has none of its own.

    Attributes:
        notice: called with a host and seconds before a long wait for it.
    """

    def __init__(
        self,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        default: Manners | None = None,
    ) -> None:
        self._stopping = threading.Event()
        self._sleep = sleep or self._stopping.wait
        self._clock = clock
        self._default = default or Manners()
        self.notice: Callable[[str, float], None] = lambda host, seconds: None
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def set_manners(self, host: str, manners: Manners) -> None:
        """Set what a host may be asked, before it is asked the first time."""
        with self._lock:
            self._hosts[host] = _Host(threading.Semaphore(manners.at_once), manners.interval)

    def stop(self) -> None:
        """Let everyone who waits, or will wait, give up with `StoppedError`."""
        self._stopping.set()

    def check(self) -> None:
        """Raise `StoppedError` if the job ends."""
        if self._stopping.is_set():
            raise StoppedError

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            StoppedError: if the job ends meanwhile.
        """
        self.check()
        if seconds > 0:
            self._sleep(seconds)
        self.check()

    def hold(self, host: str, seconds: float) -> None:
        """Leave a host alone for so many seconds from now on."""
        entry = self._entry(host)
        with entry.lock:
            entry.free_at = max(entry.free_at, self._clock() + seconds)

    def waiting_time(self, host: str) -> float:
        """Return how many seconds a request to this host would have to wait now."""
        entry = self._entry(host)
        with entry.lock:
            return max(0.0, entry.free_at - self._clock())

    @contextmanager
    def turn(self, host: str) -> Iterator[None]:
        """Wait until the host may be asked again, and count as one of its requests until the body ends.

        Raises:
            StoppedError: if the job ends meanwhile.
        """
        entry = self._entry(host)
        with entry.places:
            while True:
                with entry.lock:
                    now = self._clock()
                    delay = entry.free_at - now
                    if delay <= 0:
                        entry.free_at = now + entry.interval
                        break
                    news, entry.noticed = entry.free_at != entry.noticed, entry.free_at
                # Not in the lock: meanwhile another answer may ask for a longer pause.
                if news and delay >= _LONG:
                    self.notice(host, delay)
                self.sleep(delay)
            self.check()
            yield

    def _entry(self, host: str) -> _Host:
        with self._lock:
            if host not in self._hosts:
                self._hosts[host] = _Host(threading.Semaphore(self._default.at_once), self._default.interval)
            return self._hosts[host]
