"""Connections to public addresses only, each with a time limit."""

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

from bball_pl.collect.source import NotTakenError

#: A host and a port, as in ("127.0.0.1", 8000).
Endpoint = tuple[str, int]

# IPv6 prefixes whose last 32 bits are an IPv4 address: translators (NAT64) lead to it.
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public internet, also if it wraps another one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped: list[ipaddress.IPv4Address | None] = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if any(ip in network for network in _NAT64):
            wrapped.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        inner = [other for other in wrapped if other is not None]
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if not all(is_public(str(other)) for other in inner):
            return False
    return ip.is_global and not ip.is_multicast


def check_url(url: str, private: Collection[Endpoint] = ()) -> httpx2.URL:
    """Return a URL as the client will read it, if it is one that photos may come from.

    Names are looked up later, when the connection is made: see `transport.PublicBackend`.

    Args:
        url: absolute.
        private: endpoints that are allowed although they are not public; for tests.

    Raises:
        NotTakenError: if it is no absolute http or https URL, has a password in it, or names a private address.
    """
    try:
        parsed = httpx2.URL(url)
        port = parsed.port or (443 if parsed.scheme == "https" else 80)
    except (httpx2.InvalidURL, ValueError, UnicodeError):
        raise NotTakenError("its address is not a URL", final=True) from None
    if port > 65535:
        raise NotTakenError("its address is not a URL", final=True)
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise NotTakenError("its address is not http or https", final=True)
    if parsed.userinfo:
        raise NotTakenError("its address has a password in it", final=True)
    try:
        literal = is_public(parsed.host)
    except ValueError:
        # A name, not an address.
        return parsed
    if not literal and (parsed.host, port) not in private:
        raise NotTakenError("its address is private", final=True)
    return parsed


class PublicBackend(httpcore2.SyncBackend):
    """Connects to public addresses only.

    The name is looked up here and the connection is made to the very address that was checked: a server that answers
    the second question for its name with another address (DNS rebinding) gains nothing.

    Args:
        private: endpoints that are allowed although they are not public; for tests.
        deadline: returns the moment, on the clock of `time.monotonic`, after which nothing is read any more.
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
            NotTakenError: if one of its addresses is not public. All must be: whoever mixes them is up to something.
            httpcore2.ConnectError: if it cannot be found or reached.
        """
        try:
            found = self._resolve(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            # The second for a name with an empty part, or one that is too long.
            raise httpcore2.ConnectError(f"{host} is not known") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if (host, port) not in self._private and not all(map(is_public, addresses)):
            raise NotTakenError("its address is private", final=True)
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
        """Refuse: a socket of this machine is not public.

        Raises:
            NotTakenError: always.
        """
        raise NotTakenError("its address is private", final=True)


class _TimedStream(httpcore2.NetworkStream):
    """A connection that reads nothing after a deadline.

    Args:
        stream: the connection itself.
        deadline: returns the moment.
    """

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Callable[[], float]) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._deadline() - time.monotonic()
        if left > 0:
            try:
                return self._stream.read(max_bytes, min(left, math.inf if timeout is None else timeout))
            except httpcore2.ReadTimeout:
                if self._deadline() > time.monotonic():
                    raise
        raise NotTakenError("took too long", final=False)

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
    """The usual transport of the client, with connections that a `PublicBackend` makes.

    Args:
        tls: which certificates are trusted.
        private: endpoints that are allowed although they are not public; for tests.
        http1: speak HTTP/1.1.
        http2: speak HTTP/2 where the host does, or always if `http1` is off.

    Attributes:
        deadline: as in `PublicBackend`, for the next request. A host that sends a byte now and then keeps every other
            limit of time.
    """

    def __init__(
        self, tls: ssl.SSLContext, private: Collection[Endpoint] = (), http1: bool = True, http2: bool = True
    ) -> None:
        super().__init__(verify=tls, http1=http1, http2=http2)
        self.deadline = math.inf
        # The client has no option for a backend.
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls,
            max_connections=20,
            max_keepalive_connections=10,
            keepalive_expiry=15.0,
            http1=http1,
            http2=http2,
            network_backend=PublicBackend(private, lambda: self.deadline),
        )
