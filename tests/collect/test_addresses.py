from __future__ import annotations

import socket
from typing import Any

import httpcore2
import pytest

from bball_pl.collect.source import SkippedError
from bball_pl.collect.transport import PublicBackend, check_url, is_public

from helpers.collect_servers import Photos, picture, running


@pytest.mark.parametrize("address", ["8.8.8.8", "157.240.1.35", "2a03:2880:f12f:83:face:b00c:0:25de"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *(
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1%eth0",
            "fc00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
        ),
        *("64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::"),
    ],
)
def test_private_addresses_also_those_that_are_wrapped(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1/a.jpg", "private"),
        ("http://[::1]/a.jpg", "private"),
        ("https://169.254.169.254/latest/meta-data", "private"),
        ("ftp://example.org/a.jpg", "not http"),
        ("file:///etc/passwd", "not http"),
        ("//example.org/a.jpg", "not http"),
        ("a.jpg", "not http"),
        ("", "not http"),
        ("https://user:word@example.org/", "password"),
        ("http://example.org:99999999/", "not a URL"),
        ("http://[::1", "not a URL"),
    ],
)
def test_urls_that_no_photo_comes_from(url: str, why: str) -> None:
    with pytest.raises(SkippedError, match=why) as caught:
        check_url(url)
    assert caught.value.final


def test_a_private_endpoint_is_allowed_by_host_and_port_only() -> None:
    assert check_url("http://127.0.0.1:8000/a", [("127.0.0.1", 8000)]).port == 8000
    with pytest.raises(SkippedError):
        check_url("http://127.0.0.1:8001/a", [("127.0.0.1", 8000)])
    with pytest.raises(SkippedError):
        check_url("http://127.0.0.1/a", [("127.0.0.1", 8000)])


def _resolver(*addresses: str) -> Any:
    def resolve(host: str, port: int, **options: object) -> list[tuple[Any, Any, Any, str, Any]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["10.0.0.1"], ["93.184.215.14", "127.0.0.1"]])
def test_a_name_that_leads_to_a_private_address_is_not_connected_to(addresses: list[str]) -> None:
    backend = PublicBackend(resolve=_resolver(*addresses))
    with pytest.raises(SkippedError, match="private"):
        backend.connect_tcp("innocent.example", 80, timeout=1)


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = []

    def connect(address: tuple[str, int], *args: object, **options: object) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])
    backend = PublicBackend(resolve=lambda host, port, **options: _resolver(*next(answers))(host, port))
    with pytest.raises(httpcore2.ConnectError):
        backend.connect_tcp("rebinding.example", 443, timeout=1)
    # Not the name: looking it up again would give the second answer.
    assert connected == [("93.184.215.14", 443)]
    with pytest.raises(SkippedError, match="private"):
        backend.connect_tcp("rebinding.example", 443, timeout=1)


def test_odd_spellings_of_this_machine_are_refused_when_they_are_looked_up() -> None:
    for host in ("2130706433", "0x7f.1", "localhost", "127.1", "a..b", "x" * 80 + ".example"):
        with pytest.raises((SkippedError, httpcore2.ConnectError)):
            PublicBackend().connect_tcp(host, 80, timeout=1)


def test_a_socket_of_this_machine_is_refused() -> None:
    with pytest.raises(SkippedError):
        PublicBackend().connect_unix_socket("/var/run/docker.sock")


def test_an_allowed_endpoint_can_be_reached() -> None:
    host = Photos()
    host.files["/a.jpg"] = picture(1)
    with running(host):
        stream = PublicBackend([host.endpoint]).connect_tcp("127.0.0.1", host.endpoint[1], timeout=5)
        stream.close()
        with pytest.raises(SkippedError):
            PublicBackend([("127.0.0.1", 1)]).connect_tcp("127.0.0.1", host.endpoint[1], timeout=5)
