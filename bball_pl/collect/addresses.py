"""Which addresses photos may be fetched from: public ones."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

import httpx2

from bball_pl.collect.finds import NotTakenError

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
