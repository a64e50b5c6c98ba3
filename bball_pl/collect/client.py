"""HTTP client of all sources: rate limits, retries, limits on size and time, public hosts only."""

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
from bball_pl.collect.names import cell, redact
from bball_pl.collect.rate_limit import RateLimiter
from bball_pl.collect.source import RESUME, CollectError, SkippedError
from bball_pl.collect.transport import Endpoint, PublicTransport, check_url


class TryAgainError(Exception):
    """A request that may succeed later.

    Args:
        reason: A few words.
        after: Seconds that the server asks to wait; None leaves that to the client.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


@dataclass(frozen=True)
class Reply:
    """A complete HTTP response.

    Attributes:
        status: Status code.
        headers: Headers; names are case-insensitive.
        content: Decoded body.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Download:
    """A downloaded photo.

    Attributes:
        content: Its bytes; None if the photo has not changed since the validator was issued.
        validator: ETag, or else Last-Modified, for a conditional request later; empty if there is none.
    """

    content: bytes | None
    validator: str = ""


def parse_json(reply: Reply) -> Any:
    """Return the JSON value of a reply; None if it is not JSON."""
    try:
        return json.loads(reply.content)
    except (ValueError, RecursionError):
        return None


def require_object(reply: Reply, service: str, advice: str) -> dict[str, Any]:
    """Return the JSON object of a successful reply.

    Args:
        reply: Reply of an API.
        service: Name of the API, for messages.
        advice: Ends the message about a reply that is not JSON, or not successful.

    Raises:
        TryAgainError: for HTTP 429 and 5xx.
        CollectError: for any other status but 200, or if the body is not a JSON object.
    """
    answer = parse_json(reply)
    if reply.status == 429 or reply.status >= 500:
        raise TryAgainError(f"{service} answers HTTP {reply.status}", retry_after(reply.headers))
    if reply.status != 200 or not isinstance(answer, dict):
        detail = mapping(answer).get("detail")
        found = f": {cell(detail)}." if detail else " and no JSON."
        raise CollectError(f"{service} answers HTTP {reply.status}{found} {advice}".rstrip())
    return answer


def mapping(value: object) -> dict[str, Any]:
    """Return a JSON object; an empty one if the value is something else."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[dict[str, Any]]:
    """Return the objects of a JSON array; other entries, and any other value, are dropped."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of the header Retry-After, which holds seconds or a date; None without one."""
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

# A validator that may be sent back in a header.
_SENDABLE = re.compile(r"[\x20-\x7e]{1,200}")

# At level DEBUG these log headers and whole URLs, which contain tokens and signatures.
_VERBOSE_LOGGERS = ("httpx2", "httpcore2", "h2", "hpack")


class Web:
    """HTTP client of one job; several threads may use it.

    Args:
        contact: Mail address or page of the user, for the User-Agent.
        limiter: Rate limits per host.
        patience: Longest wait in seconds that a host may ask for; a longer one ends the job or skips the photo.
        max_bytes: Size of the largest photo.
        max_seconds: Longest time from a request to the last byte of its response.
        private: Endpoints that are allowed although they are not public. Tests pass their servers; no value from a
            command line, an environment or a server reaches this.
        http1: Offer HTTP/1.1. Without it HTTP/2 is spoken unasked, as the tests' server without TLS requires.
        http2: Offer HTTP/2.
        tls: Trusted certificates. Default: the system's.
    """

    def __init__(
        self,
        contact: str = "",
        limiter: RateLimiter | None = None,
        patience: float = 900.0,
        max_bytes: int = 50_000_000,
        max_seconds: float = 120.0,
        private: Collection[Endpoint] = (),
        http1: bool = True,
        http2: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        for name in _VERBOSE_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        self.limiter = limiter or RateLimiter()
        self._patience = patience
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._private = frozenset(private)
        self._agent = f"bball_pl/{__version__} (photos for a classifier{f'; {contact}' if contact else ''}) httpx2"
        self._protocols = {"http1": http1, "http2": http2}
        self._tls = tls or httpx2.create_ssl_context(trust_env=False)
        self._clients: list[httpx2.Client] = []
        self._thread = threading.local()

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *args: object) -> None:
        for client in self._clients:
            client.close()

    @property
    def _client(self) -> httpx2.Client:
        """Client of this thread: two threads on one HTTP/2 connection mix up its streams (pydantic/httpx2 #908)."""
        if not hasattr(self._thread, "client"):
            self._thread.transport = PublicTransport(self._tls, self._private, **self._protocols)
            self._thread.client = httpx2.Client(
                transport=self._thread.transport,
                headers={"User-Agent": self._agent},
                timeout=httpx2.Timeout(30.0, connect=10.0),
                follow_redirects=False,
                # No proxy, which would resolve names itself, and no passwords from a .netrc.
                trust_env=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
            self._clients.append(self._thread.client)
        client: httpx2.Client = self._thread.client
        return client

    def ask(
        self,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        parse: Callable[[Reply], _Answer],
    ) -> _Answer:
        """Query an API, with retries. Redirects are not followed.

        Args:
            url: Address without a secret: a token belongs into `headers`.
            params: Query parameters, in addition to those in the URL.
            headers: Request headers.
            parse: Returns the answer from a reply, or raises `TryAgainError` or `CollectError`.

        Raises:
            CollectError: from `parse`; if the host asks for a longer wait than allowed, or all retries fail.
        """
        try:
            parsed = check_url(url, self._private).copy_merge_params(params)

            def attempt() -> _Answer:
                return parse(self._get(parsed, headers, _LARGEST_JSON, refuse=_answer_too_large)[0])

            return self._retry(_endpoint(parsed), attempt)
        except TryAgainError as error:
            advice = RESUME
            if error.after is not None and error.after > self._patience:
                advice = f"It asks to wait {error.after / 60:.0f} minutes. {advice}"
            raise CollectError(redact(f"{httpx2.URL(url).host}: {error.reason}. {advice}")) from None
        except SkippedError as error:
            raise CollectError(redact(f"{url}: {error.reason}")) from None

    def download(self, url: str, validator: str = "") -> Download:
        """Download a photo, through at most five redirects, each to a public host.

        Args:
            url: Address of the photo.
            validator: Validator of an earlier download: the photo is fetched only if it has changed.

        Raises:
            SkippedError: if the photo cannot be downloaded within the limits.
            StoppedError: if the job ends.
        """
        headers = {"Accept": "image/*", "Accept-Encoding": "identity"}
        if validator:
            name = "If-None-Match" if validator.startswith(('"', "W/")) else "If-Modified-Since"
            headers[name] = validator
        for _ in range(_REDIRECTS + 1):
            parsed = check_url(url, self._private)
            wait = self.limiter.waiting_time(_endpoint(parsed))
            if wait > self._patience:
                reason = f"its host asks for a pause of {wait / 60:.0f} minutes"
                raise SkippedError(reason, final=False, outage=True)
            try:
                reply, target = self._retry(_endpoint(parsed), functools.partial(self._photo, parsed, headers))
            except TryAgainError as error:
                raise SkippedError(error.reason, final=False, outage=True) from None
            if target is None:
                current = reply.headers.get("etag", "") or reply.headers.get("last-modified", "")
                if not _SENDABLE.fullmatch(current):
                    current = ""
                return Download(None if reply.status == 304 else reply.content, current or validator)
            url = target
        raise SkippedError("too many redirects", final=False)

    def _photo(self, url: httpx2.URL, headers: Mapping[str, str]) -> tuple[Reply, str | None]:
        reply, target = self._get(url, headers, self._max_bytes, refuse=_photo_too_large)
        if reply.status in {200, 304} or target is not None:
            return reply, target
        if reply.status in {408, 425, 429} or reply.status >= 500:
            raise TryAgainError(f"HTTP {reply.status}", retry_after(reply.headers))
        missing = reply.status in {404, 410}
        raise SkippedError(f"HTTP {reply.status}", final=missing, outage=not missing)

    def _get(
        self, url: httpx2.URL, headers: Mapping[str, str], limit: int, refuse: Callable[[int], NoReturn]
    ) -> tuple[Reply, str | None]:
        """Send one request; return the reply, and the target of a redirect."""
        with self.limiter.turn(_endpoint(url)):
            client = self._client
            self._thread.transport.deadline = time.monotonic() + self._max_seconds
            try:
                with client.stream("GET", url, headers=dict(headers)) as response:
                    target = response.next_request.url if response.next_request is not None else None
                    content = b"" if target else self._body(response, limit, refuse)
            except (httpx2.TransportError, httpx2.StreamError, httpx2.DecodingError) as error:
                raise TryAgainError(_reason(error)) from None
        return Reply(response.status_code, response.headers, content), None if target is None else str(target)

    def _body(self, response: httpx2.Response, limit: int, refuse: Callable[[int], NoReturn]) -> bytes:
        declared = response.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            refuse(limit)
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            # The declared length may be wrong: the count decides.
            if len(body) > limit:
                refuse(limit)
            self.limiter.check()
        return bytes(body)

    def _retry(self, host: str, attempt: Callable[[], _Answer]) -> _Answer:
        def is_retryable(error: BaseException) -> bool:
            return isinstance(error, TryAgainError) and (error.after is None or error.after <= self._patience)

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            if isinstance(error, TryAgainError) and error.after is not None:
                # A pause of the host for all threads; `turn` waits.
                self.limiter.pause(host, error.after)
                return 0.0
            return backoff(state)

        backoff = tenacity.wait_random_exponential(multiplier=1, max=_LONGEST_BACKOFF)
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=wait,
            retry=tenacity.retry_if_exception(is_retryable),
            sleep=self.limiter.sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except TryAgainError as error:
            if error.after is not None:
                self.limiter.pause(host, error.after)
            raise


def _endpoint(url: httpx2.URL) -> str:
    # Includes the port unless it is the default one.
    return url.netloc.decode()


def _reason(error: Exception) -> str:
    # The library's messages contain numbers of bytes, and a summary counts identical reasons.
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx2.ConnectError):
        return "its certificate is not valid" if "certificate" in str(error).lower() else "no connection"
    return "its answer was cut or broken"


def _photo_too_large(limit: int) -> NoReturn:
    raise SkippedError(f"larger than {limit / 1e6:.0f} MB", final=True)


def _answer_too_large(limit: int) -> NoReturn:
    raise SkippedError(f"the answer is longer than {limit / 1e6:.0f} MB", final=True)
