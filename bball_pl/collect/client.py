"""The HTTP client of all sources: politely, with retries, within limits, from public hosts only."""

from __future__ import annotations

import functools
import json
import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, NoReturn, TypeVar

import httpx2
import tenacity

from bball_pl import __version__
from bball_pl.collect.names import redact
from bball_pl.collect.rate_limit import Pace
from bball_pl.collect.source import CollectError, NotTakenError
from bball_pl.collect.transport import Endpoint, PublicTransport, check_url


class TryAgainError(Exception):
    """A request that may succeed later.

    Args:
        why: a few words.
        after: seconds that the server asks to wait; None leaves it to the client.
    """

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.after = after


@dataclass(frozen=True)
class Reply:
    """An answer, read to its end.

    Attributes:
        status: of HTTP.
        headers: of the answer, in any case of letters.
        content: decoded body.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Download:
    """A photo's bytes.

    Attributes:
        content: the bytes; None if the photo has not changed since `validator` was given.
        validator: ETag, or else Last-Modified, to ask later whether it has changed; empty if there is none.
    """

    content: bytes | None
    validator: str = ""


def parse_json(reply: Reply) -> Any:
    """Return what JSON in a reply says; None if it is none."""
    try:
        return json.loads(reply.content)
    except (ValueError, RecursionError):
        return None


def mapping(value: object) -> dict[str, Any]:
    """Return a JSON object, or an empty one if the server sent something else in its place."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[dict[str, Any]]:
    """Return the objects of a JSON array; what else is in it, or sent in its place, is left out."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the header Retry-After asks to wait, given as seconds or as a date; None without one."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


_Answer = TypeVar("_Answer")

_ATTEMPTS = 5
_REDIRECTS = 5
_LONGEST_BACKOFF = 60.0
_LARGEST_JSON = 16_000_000

# What may stand in the header of a request.
_SENDABLE = re.compile(r"[\x20-\x7e]{1,200}")

# At level DEBUG these write headers and whole addresses, in which there are tokens and signatures.
_TALKATIVE = ("httpx2", "httpcore2", "h2", "hpack")


class Web:
    """The one HTTP client of a job; several threads may use it.

    Args:
        contact: mail address or page under which a host can reach whoever runs this; goes into the User-Agent.
        pace: gives every host its turns.
        patience: seconds that one wait may last when a host asks for it; a longer one ends the job or the photo.
        max_bytes: size of the largest photo.
        max_seconds: time that one answer may take, from the request to its last byte.
        private: endpoints that are allowed although they are not public. Tests pass their own servers; nothing that
            comes from a command line, an environment or a server reaches this.
        http1: off speaks HTTP/2 without asking, as the tests' server without TLS needs it.
        http2: offer HTTP/2.
        tls: which certificates are trusted; the system's unless given.
    """

    def __init__(
        self,
        contact: str = "",
        pace: Pace | None = None,
        patience: float = 900.0,
        max_bytes: int = 50_000_000,
        max_seconds: float = 120.0,
        private: Collection[Endpoint] = (),
        http1: bool = True,
        http2: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        self.pace = pace or Pace()
        self._patience = patience
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._private = frozenset(private)
        self._agent = f"bball_pl/{__version__} (photos for a classifier{f'; {contact}' if contact else ''}) httpx2"
        self._protocols = {"http1": http1, "http2": http2}
        self._tls = tls or httpx2.create_ssl_context(trust_env=False)
        self._clients: list[httpx2.Client] = []
        self._own = threading.local()

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *args: object) -> None:
        for client in self._clients:
            client.close()

    @property
    def _client(self) -> httpx2.Client:
        """The client of this thread: two threads on one HTTP/2 connection mix up its streams (pydantic/httpx2 #908)."""
        if not hasattr(self._own, "client"):
            self._own.transport = PublicTransport(self._tls, self._private, **self._protocols)
            self._own.client = httpx2.Client(
                transport=self._own.transport,
                headers={"User-Agent": self._agent},
                timeout=httpx2.Timeout(30.0, connect=10.0),
                follow_redirects=False,
                # Neither a proxy, which would look names up itself, nor the passwords of a .netrc.
                trust_env=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
            self._clients.append(self._own.client)
        client: httpx2.Client = self._own.client
        return client

    def ask(
        self,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        judge: Callable[[Reply], _Answer],
    ) -> _Answer:
        """Ask an API, again as long as `judge` or the connection wants that. Redirects are not followed.

        Args:
            url: without a secret: `headers` is where a token belongs.
            params: of the query, beside those that the URL has.
            headers: of the request.
            judge: makes an answer of a reply, or raises `TryAgainError` or `CollectError`.

        Raises:
            CollectError: from `judge`; if the host asks for a longer wait than is allowed, or nothing helps.
        """
        try:
            parsed = check_url(url, self._private).copy_merge_params(params)

            def attempt() -> _Answer:
                return judge(self._get(parsed, headers, _LARGEST_JSON, refuse=_too_long_answer)[0])

            return self._persist(_place(parsed), attempt)
        except TryAgainError as error:
            where = httpx2.URL(url).host
            advice = "What was collected is kept: run the same command later, and it goes on from there."
            if error.after is not None and error.after > self._patience:
                advice = f"It asks to wait {error.after / 60:.0f} minutes. {advice}"
            raise CollectError(redact(f"{where}: {error.why}. {advice}")) from None
        except NotTakenError as error:
            raise CollectError(redact(f"{url}: {error.why}")) from None

    def download(self, url: str, validator: str = "") -> Download:
        """Fetch a photo, through at most five redirects, each to a public host.

        Args:
            url: where it is.
            validator: what an earlier download returned, to fetch it only if it has changed.

        Raises:
            NotTakenError: if it cannot be had within the limits.
            StoppedError: if the job ends.
        """
        headers = {"Accept": "image/*", "Accept-Encoding": "identity"}
        if validator:
            name = "If-None-Match" if validator.startswith(('"', "W/")) else "If-Modified-Since"
            headers[name] = validator
        for _ in range(_REDIRECTS + 1):
            place = check_url(url, self._private)
            wait = self.pace.waiting_time(_place(place))
            if wait > self._patience:
                why = f"its host wants to be left alone for {wait / 60:.0f} minutes"
                raise NotTakenError(why, final=False, outage=True)
            try:
                reply, target = self._persist(_place(place), functools.partial(self._photo, place, headers))
            except TryAgainError as error:
                raise NotTakenError(error.why, final=False, outage=True) from None
            if target is None:
                known = reply.headers.get("etag", "") or reply.headers.get("last-modified", "")
                if not _SENDABLE.fullmatch(known):
                    known = ""
                return Download(None if reply.status == 304 else reply.content, known or validator)
            url = target
        raise NotTakenError("too many redirects", final=False)

    def _photo(self, url: httpx2.URL, headers: Mapping[str, str]) -> tuple[Reply, str | None]:
        reply, target = self._get(url, headers, self._max_bytes, refuse=_too_large_photo)
        if reply.status in {200, 304} or target is not None:
            return reply, target
        if reply.status in {408, 425, 429} or reply.status >= 500:
            raise TryAgainError(f"HTTP {reply.status}", retry_after(reply.headers))
        gone = reply.status in {404, 410}
        raise NotTakenError(f"HTTP {reply.status}", final=gone, outage=not gone)

    def _get(
        self, url: httpx2.URL, headers: Mapping[str, str], limit: int, refuse: Callable[[int], NoReturn]
    ) -> tuple[Reply, str | None]:
        """Send one request; return the reply, and where it leads if it is a redirect."""
        with self.pace.turn(_place(url)):
            client = self._client
            self._own.transport.deadline = time.monotonic() + self._max_seconds
            try:
                with client.stream("GET", url, headers=dict(headers)) as response:
                    target = response.next_request.url if response.next_request is not None else None
                    content = b"" if target else self._body(response, limit, refuse)
            except (httpx2.TransportError, httpx2.StreamError, httpx2.DecodingError) as error:
                raise TryAgainError(_in_words(error)) from None
        return Reply(response.status_code, response.headers, content), None if target is None else str(target)

    def _body(self, response: httpx2.Response, limit: int, refuse: Callable[[int], NoReturn]) -> bytes:
        declared = response.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            refuse(limit)
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            # The declared length is a promise; only the count is a fact.
            if len(body) > limit:
                refuse(limit)
            self.pace.check()
        return bytes(body)

    def _persist(self, host: str, attempt: Callable[[], _Answer]) -> _Answer:
        def worth_it(error: BaseException) -> bool:
            return isinstance(error, TryAgainError) and (error.after is None or error.after <= self._patience)

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            if isinstance(error, TryAgainError) and error.after is not None:
                # For everyone who asks this host, and `turn` waits.
                self.pace.hold(host, error.after)
                return 0.0
            return backoff(state)

        backoff = tenacity.wait_random_exponential(multiplier=1, max=_LONGEST_BACKOFF)
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=wait,
            retry=tenacity.retry_if_exception(worth_it),
            sleep=self.pace.sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except TryAgainError as error:
            if error.after is not None:
                self.pace.hold(host, error.after)
            raise


def _place(url: httpx2.URL) -> str:
    # With the port, if it is not the usual one.
    return url.netloc.decode()


def _in_words(error: Exception) -> str:
    # The library's own messages differ by a number of bytes, and a summary counts equal ones.
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx2.ConnectError):
        return "its certificate is not valid" if "certificate" in str(error).lower() else "no connection"
    return "its answer was cut or broken"


def _too_large_photo(limit: int) -> NoReturn:
    raise NotTakenError(f"larger than {limit / 1e6:.0f} MB", final=True)


def _too_long_answer(limit: int) -> NoReturn:
    raise NotTakenError(f"the answer is longer than {limit / 1e6:.0f} MB", final=True)
