"""HTTP transport that connects to public addresses only, with a deadline per response."""

from __future__ import annotations

import ipaddress
import math
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import httpcore2
import httpx2

from bball_pl.collect.source import SkippedError

#: Host and port, such as ("127.0.0.1", 8000).
Endpoint = tuple[str, int]

# IPv6 prefixes whose last 32 bits are an IPv4 address, which NAT64 translators route to.
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


def is_public(address: str) -> bool:
    """Return whether an IP address, and any address embedded in it, belongs to the public internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped: list[ipaddress.IPv4Address | None] = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if any(ip in network for network in _NAT64):
            wrapped.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if not all(is_public(str(embedded)) for embedded in wrapped if embedded is not None):
            return False
    return ip.is_global and not ip.is_multicast


def check_url(url: str, private: Collection[Endpoint] = ()) -> httpx2.URL:
    """Parse and validate the URL of a photo.

    Host names are resolved later, when the connection is made: see `PublicBackend`.

    Args:
        url: Absolute URL.
        private: Endpoints that are allowed although they are not public; for tests.

    Raises:
        SkippedError: if it is not an absolute http or https URL, contains a password, or names a private address.
    """
    try:
        parsed = httpx2.URL(url)
        port = parsed.port or (443 if parsed.scheme == "https" else 80)
    except (httpx2.InvalidURL, ValueError, UnicodeError):
        raise SkippedError("its address is not a URL", final=True) from None
    if port > 65535:
        raise SkippedError("its address is not a URL", final=True)
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise SkippedError("its address is not http or https", final=True)
    if parsed.userinfo:
        raise SkippedError("its address contains a password", final=True)
    try:
        is_allowed = is_public(parsed.host)
    except ValueError:
        # A name, not an IP address.
        return parsed
    if not is_allowed and (parsed.host, port) not in private:
        raise SkippedError("its address is private", final=True)
    return parsed


class PublicBackend(httpcore2.SyncBackend):
    """Network backend that connects to public addresses only.

    The name is resolved here and the connection is made to the address that was checked, so that a DNS server that
    answers a second query with another address (DNS rebinding) gains nothing.

    Args:
        private: Endpoints that are allowed although they are not public; for tests.
        deadline: Returns the time on the clock of `time.monotonic` after which reading fails.
        resolve: `socket.getaddrinfo`, or a replacement for tests.
    """

    def __init__(
        self,
        private: Collection[Endpoint] = (),
        deadline: Callable[[], float] = lambda: math.inf,
        resolve: Callable[..., list[tuple[Any, Any, Any, str, Any]]] = socket.getaddrinfo,
    ) -> None:
        super().__init__()
        self._private = frozenset(private)
        self._deadline = deadline
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to `host`, by name or address.

        Raises:
            SkippedError: if a resolved address is not public. Every one must be; a mix suggests DNS rebinding.
            httpcore2.ConnectError: if the host cannot be resolved or reached.
        """
        try:
            found = self._resolve(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            # UnicodeError: a label of the name is empty or too long.
            raise httpcore2.ConnectError(f"{host} cannot be resolved") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if (host, port) not in self._private and not all(map(is_public, addresses)):
            raise SkippedError("its address is private", final=True)
        problem: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                stream = super().connect_tcp(address, port, timeout, local_address, socket_options)
                return _TimedStream(stream, self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                problem = error
        raise problem

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.NetworkStream:
        """Refuse: a Unix socket is not public.

        Raises:
            SkippedError: always.
        """
        raise SkippedError("its address is private", final=True)


class _TimedStream(httpcore2.NetworkStream):
    """Network stream whose reads fail after a deadline.

    Args:
        stream: Underlying stream.
        deadline: As in `PublicBackend`.
    """

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Callable[[], float]) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        remaining = self._deadline() - time.monotonic()
        if remaining > 0:
            try:
                return self._stream.read(max_bytes, min(remaining, math.inf if timeout is None else timeout))
            except httpcore2.ReadTimeout:
                if self._deadline() > time.monotonic():
                    raise
        raise SkippedError("took too long", final=False)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class PublicTransport(httpx2.HTTPTransport):
    """httpx2's transport, connected through a `PublicBackend`.

    Args:
        tls: Trusted certificates.
        private: Endpoints that are allowed although they are not public; for tests.
        http1: Offer HTTP/1.1.
        http2: Offer HTTP/2; without `http1` it is spoken unasked.

    Attributes:
        deadline: Value of `PublicBackend`'s `deadline` for the next request. Other timeouts do not stop a host that
            sends one byte at a time.
    """

    def __init__(
        self, tls: ssl.SSLContext, private: Collection[Endpoint] = (), http1: bool = True, http2: bool = True
    ) -> None:
        super().__init__(verify=tls, http1=http1, http2=http2)
        self.deadline = math.inf
        # httpx2 has no option for a network backend.
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls,
            max_connections=20,
            max_keepalive_connections=10,
            keepalive_expiry=15.0,
            http1=http1,
            http2=http2,
            network_backend=PublicBackend(private, lambda: self.deadline),
        )
