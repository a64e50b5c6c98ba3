"""Per-host rate limiting: concurrency, interval and Retry-After."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

#: Waits below this many seconds are not reported.
_LONG_WAIT = 10.0


@dataclass(frozen=True)
class HostLimits:
    """HostLimits of a host.

    Attributes:
        at_once: Number of concurrent requests.
        interval: Seconds from the start of one request to the start of the next.
    """

    at_once: int = 4
    interval: float = 0.0


class StoppedError(Exception):
    """The job is ending: waiting threads give up."""


@dataclass
class _Host:
    slots: threading.Semaphore
    interval: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    free_at: float = 0.0
    reported: float = 0.0


class RateLimiter:
    """Lets threads take turns at each host, within its limits.

    Args:
        sleep: Waits for a number of seconds. Default: ends early when `stop` is called.
        clock: Monotonic time in seconds.
        default: HostLimits of hosts without specific ones.

    Attributes:
        notice: Called with host and seconds before a long wait.
    """

    def __init__(
        self,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        default: HostLimits | None = None,
    ) -> None:
        self._stopping = threading.Event()
        self._sleep = sleep or self._stopping.wait
        self._clock = clock
        self._default = default or HostLimits()
        self.notice: Callable[[str, float], None] = lambda host, seconds: None
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def set_limits(self, host: str, limits: HostLimits) -> None:
        """Set the limits of a host, before the first request to it."""
        with self._lock:
            self._hosts[host] = _Host(threading.Semaphore(limits.at_once), limits.interval)

    def stop(self) -> None:
        """Make all present and future waits raise `StoppedError`."""
        self._stopping.set()

    def check(self) -> None:
        """Raise `StoppedError` if the job is ending."""
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

    def pause(self, host: str, seconds: float) -> None:
        """Send no request to a host for a number of seconds from now on."""
        entry = self._entry(host)
        with entry.lock:
            entry.free_at = max(entry.free_at, self._clock() + seconds)

    def waiting_time(self, host: str) -> float:
        """Return the seconds that a request to this host would have to wait now."""
        entry = self._entry(host)
        with entry.lock:
            return max(0.0, entry.free_at - self._clock())

    @contextmanager
    def turn(self, host: str) -> Iterator[None]:
        """Wait for a free slot at a host, and occupy it until the body ends.

        Raises:
            StoppedError: if the job ends meanwhile.
        """
        entry = self._entry(host)
        with entry.slots:
            while True:
                with entry.lock:
                    now = self._clock()
                    delay = entry.free_at - now
                    if delay <= 0:
                        entry.free_at = now + entry.interval
                        break
                    is_new, entry.reported = entry.free_at != entry.reported, entry.free_at
                # Outside the lock: meanwhile another reply may ask for a longer pause.
                if is_new and delay >= _LONG_WAIT:
                    self.notice(host, delay)
                self.sleep(delay)
            self.check()
            yield

    def _entry(self, host: str) -> _Host:
        with self._lock:
            if host not in self._hosts:
                self._hosts[host] = _Host(threading.Semaphore(self._default.at_once), self._default.interval)
            return self._hosts[host]
