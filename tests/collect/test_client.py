from __future__ import annotations

import gzip
import logging
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from bball_pl.collect.client import Reply, TryAgainError, Web, parse_json, retry_after
from bball_pl.collect.rate_limit import HostLimits, RateLimiter, StoppedError
from bball_pl.collect.source import CollectError, SkippedError

from helpers.collect_http2 import http2
from helpers.collect_servers import Asked, FakeTime, Photos, Says, picture, web_for


@pytest.fixture
def host() -> Iterator[Photos]:
    host = Photos()
    host.files["/a.jpg"] = picture(1)
    yield host
    host.close()


def test_a_photo_comes_with_what_to_ask_by_next_time(host: Photos) -> None:
    def conditional(asked: Asked) -> Says:
        if asked.headers.get("if-none-match") == '"v1"':
            return Says(304, headers={"ETag": '"v1"'})
        if "if-modified-since" in asked.headers:
            return Says(304)
        return Says(body=picture(1), headers={"ETag": '"v1"', "Last-Modified": "Mon, 06 May 2024 07:08:09 GMT"})

    host.says["/a.jpg"] = conditional
    web = web_for(host)
    first = web.download(f"{host.url}/a.jpg")
    assert (first.content, first.validator) == (picture(1), '"v1"')
    assert web.download(f"{host.url}/a.jpg", first.validator).content is None
    again = web.download(f"{host.url}/a.jpg", "Mon, 06 May 2024 07:08:09 GMT")
    assert (again.content, again.validator) == (None, "Mon, 06 May 2024 07:08:09 GMT")
    headers = host.asked[0].headers
    assert headers["user-agent"].startswith("bball_pl/")
    assert "tests@example.org" in headers["user-agent"]
    assert headers["accept-encoding"] == "identity"
    assert "authorization" not in headers
    assert "cookie" not in headers


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_what_may_pass_is_tried_again_after_a_growing_wait(host: Photos, status: int) -> None:
    host.faults.extend([Says(status)] * 3)
    time = FakeTime()
    assert web_for(host, time=time).download(f"{host.url}/a.jpg").content == picture(1)
    assert len(host.asked) == 4
    assert len(time.sleeps) == 3
    assert all(0 <= wait <= 60 for wait in time.sleeps)


def test_five_tries_are_enough(host: Photos) -> None:
    host.says["/a.jpg"] = Says(503)
    with pytest.raises(SkippedError, match="HTTP 503") as caught:
        web_for(host).download(f"{host.url}/a.jpg")
    assert len(host.asked) == 5
    assert not caught.value.final


@pytest.mark.parametrize(("status", "final"), [(404, True), (403, False), (410, True), (401, False), (204, False)])
def test_what_does_not_pass_is_not_tried_again(host: Photos, status: int, final: bool) -> None:
    host.says["/a.jpg"] = Says(status)
    with pytest.raises(SkippedError, match=f"HTTP {status}") as caught:
        web_for(host).download(f"{host.url}/a.jpg")
    assert len(host.asked) == 1
    assert caught.value.final is final


def test_retry_after_holds_everyone_who_asks_this_host(host: Photos) -> None:
    host.files["/b.jpg"] = picture(2)
    host.faults.append(Says(429, headers={"Retry-After": "100"}))
    time = FakeTime()
    web = web_for(host, time=time)
    web.download(f"{host.url}/a.jpg")
    assert sum(time.sleeps) == pytest.approx(100, abs=1)
    host.faults.append(Says(429, headers={"Retry-After": "2000"}))
    with pytest.raises(SkippedError, match="429"):
        web.download(f"{host.url}/a.jpg")
    # Longer than the patience of 900 seconds: this photo is not even asked for.
    before = len(host.asked)
    with pytest.raises(SkippedError, match="a pause of 33 minutes") as caught:
        web.download(f"{host.url}/b.jpg")
    assert len(host.asked) == before
    assert not caught.value.final


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after({"retry-after": "120"}) == 120
    assert retry_after({"retry-after": soon}) == pytest.approx(90, abs=2)
    assert retry_after({"retry-after": "Mon, 06 May 2024 07:08:09 GMT"}) == 0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


def test_a_validator_that_no_header_can_hold_is_forgotten(host: Photos) -> None:
    host.says["/a.jpg"] = Says(body=picture(1), headers={"ETag": '"\xe9"'})
    assert web_for(host).download(f"{host.url}/a.jpg").validator == ""


def test_a_cut_connection_is_tried_again_and_then_left_out(host: Photos) -> None:
    cut = Says(body=picture(1)[:100], declared=len(picture(1)))
    host.faults.extend([cut, cut])
    assert web_for(host).download(f"{host.url}/a.jpg").content == picture(1)
    host.says["/a.jpg"] = cut
    with pytest.raises(SkippedError, match="cut or broken") as caught:
        web_for(host).download(f"{host.url}/a.jpg")
    assert not caught.value.final


def test_a_declared_length_that_is_too_short_gives_what_it_declares(host: Photos) -> None:
    # HTTP knows no more of the body; that the photo is not whole shows when it is decoded.
    host.says["/a.jpg"] = Says(body=picture(1), declared=100)
    assert web_for(host).download(f"{host.url}/a.jpg").content == picture(1)[:100]


def test_a_photo_over_the_limit_is_left_out_by_its_promise_or_by_its_bytes(host: Photos) -> None:
    web = web_for(host, max_bytes=1000)
    host.says["/promised.jpg"] = Says(body=b"x", declared=10**12)
    host.says["/silent.jpg"] = Says(body=b"x" * 1001, declared=-1)
    host.says["/real.jpg"] = Says(body=b"x" * 1001)
    for path in ("/promised.jpg", "/real.jpg", "/silent.jpg"):
        with pytest.raises(SkippedError, match="larger than 0 MB") as caught:
            web.download(host.url + path)
        assert caught.value.final
    small = gzip.compress(b"x" * 500_000)
    assert len(small) < 1000
    host.says["/zipped.jpg"] = Says(body=small, headers={"Content-Encoding": "gzip"})
    with pytest.raises(SkippedError, match="larger"):
        web.download(f"{host.url}/zipped.jpg")


@pytest.mark.parametrize("head", [False, True])
def test_a_host_that_drips_is_given_up(host: Photos, head: bool) -> None:
    host.says["/a.jpg"] = Says(body=b"x" * 1000, pause=0.02, drips_head=head)
    start = time.monotonic()
    with pytest.raises(SkippedError, match="took too long"):
        web_for(host, max_seconds=0.3).download(f"{host.url}/a.jpg")
    assert time.monotonic() - start < 3
    assert len(host.asked) == 1


def test_redirects_are_followed_to_public_hosts_only(host: Photos) -> None:
    other = Photos()
    other.files["/b.jpg"] = picture(2)
    web = web_for(host, other)
    host.says["/away"] = Says(302, headers={"Location": f"{other.url}/b.jpg", "Set-Cookie": "id=1"})
    host.says["/here"] = Says(301, headers={"Location": "/away"})
    assert web.download(f"{host.url}/here").content == picture(2)
    assert "cookie" not in other.asked[0].headers
    secret = Photos()
    secret.files["/b.jpg"] = picture(3)
    targets = [
        f"{secret.url}/b.jpg",
        f"http://localhost:{secret.endpoint[1]}/b.jpg",
        f"http://2130706433:{secret.endpoint[1]}/b.jpg",
        f"http://[::ffff:127.0.0.1]:{secret.endpoint[1]}/b.jpg",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "ftp://example.org/a.jpg",
        f"http://me:word@127.0.0.1:{other.endpoint[1]}/b.jpg",
    ]
    for target in targets:
        host.says["/away"] = Says(302, headers={"Location": target})
        with pytest.raises(SkippedError):
            web.download(f"{host.url}/away")
    assert not secret.asked
    host.says["/away"] = Says(302, headers={"Location": "/away"})
    with pytest.raises(SkippedError, match="too many redirects"):
        web.download(f"{host.url}/away")
    other.close()
    secret.close()


def test_an_ordinary_client_reaches_nothing_on_this_machine(host: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    # Neither a proxy nor anything else in the environment opens the way.
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.setenv(name, host.url)
    with Web(limiter=RateLimiter(sleep=lambda seconds: None)) as web:
        for target in (host.url, f"http://localhost:{host.endpoint[1]}"):
            with pytest.raises(SkippedError, match="private"):
                web.download(f"{target}/a.jpg")
            with pytest.raises(CollectError, match="private"):
                web.ask(target, {}, {}, lambda reply: reply)
    assert not host.asked


def _judge(reply: Reply) -> object:
    if reply.status >= 500:
        raise TryAgainError(f"HTTP {reply.status}", retry_after(reply.headers))
    return parse_json(reply)


def test_an_api_is_asked_again_and_its_redirects_are_not_followed(host: Photos) -> None:
    host.says["/api"] = Says(body=b'{"a": 1}')
    host.faults.extend([Says(500), Says(body=b"", declared=9), Says(503, headers={"Retry-After": "7"})])
    time = FakeTime()
    web = web_for(host, time=time)
    assert web.ask(f"{host.url}/api?b=2", {"c": "3"}, {"Authorization": "Bearer x"}, _judge) == {"a": 1}
    assert host.asked[-1].query == {"b": "2", "c": "3"}
    assert len(host.asked) == 4
    assert 7 in map(round, time.sleeps)
    host.says["/away"] = Says(302, headers={"Location": f"{host.url}/api"})
    assert web.ask(f"{host.url}/away", {}, {"Authorization": "Bearer x"}, lambda reply: reply.status) == 302
    assert len(host.asked) == 5


def test_an_api_that_asks_for_too_long_a_wait_ends_the_job(host: Photos) -> None:
    host.says["/api"] = Says(503, headers={"Retry-After": "3600"})
    with pytest.raises(CollectError, match=r"asks to wait 60 minutes.*run the same command again later"):
        web_for(host).ask(f"{host.url}/api", {}, {}, _judge)
    assert len(host.asked) == 1


def test_json_that_is_none_or_too_deep_is_none() -> None:
    assert parse_json(Reply(200, {}, b"<html>")) is None
    assert parse_json(Reply(200, {}, b"[" * 100_000)) is None
    assert parse_json(Reply(200, {}, b"\xff\xfe")) is None


def test_requests_to_one_host_keep_their_distance_and_number(host: Photos) -> None:
    time = FakeTime()
    web = web_for(host, time=time)
    place = f"127.0.0.1:{host.endpoint[1]}"
    web.limiter.set_limits(place, HostLimits(at_once=1, interval=3))
    for _ in range(4):
        web.download(f"{host.url}/a.jpg")
    assert time.now == pytest.approx(9)
    busy = threading.Event()
    host.says["/a.jpg"] = lambda asked: Says(body=picture(1) if not busy.wait(0.05) else b"")
    for at_once in (1, 2):
        web.limiter.set_limits(place, HostLimits(at_once=at_once))
        host.most_at_once = 0
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _: web.download(f"{host.url}/a.jpg"), range(6)))
        assert host.most_at_once == at_once


def test_whoever_waits_gives_up_when_the_job_ends(host: Photos) -> None:
    host.faults.append(Says(503, headers={"Retry-After": "600"}))
    limiter = RateLimiter()
    web = Web(limiter=limiter, private=[host.endpoint])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(web.download, f"{host.url}/a.jpg")
        while not host.asked:
            time.sleep(0.01)
        limiter.stop()
        with pytest.raises(StoppedError):
            waiting.result(timeout=5)


def test_http2_serves_many_threads_each_on_its_connection() -> None:
    files = {f"/{number}.jpg": picture(number) for number in range(400)}
    with http2(files) as host:
        limiter = RateLimiter(default=HostLimits(at_once=8))
        with Web(limiter=limiter, private=[host.endpoint], http1=False) as web, ThreadPoolExecutor(8) as pool:
            base = f"http://127.0.0.1:{host.endpoint[1]}"
            got = list(pool.map(lambda path: web.download(base + path).content, files))
        assert got == list(files.values())
        assert 1 <= host.connections <= 8
        assert host.requests == 400


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl to make a certificate")
def test_https_is_checked_and_http2_agreed_on(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=here -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    server.set_alpn_protocols(["h2"])
    with http2({"/a.jpg": picture(1)}, server) as host:
        url = f"https://127.0.0.1:{host.endpoint[1]}/a.jpg"
        trusting = ssl.create_default_context(cafile=certificate)
        with web_for(private=[host.endpoint], tls=trusting) as web:
            assert web.download(url).content == picture(1)
        assert host.requests == 1
        with web_for(private=[host.endpoint]) as web, pytest.raises(SkippedError, match="certificate is not valid"):
            web.download(url)
        assert host.requests == 1


@pytest.mark.parametrize("version", [1, 2])
def test_no_log_at_any_level_has_the_token(host: Photos, caplog: pytest.LogCaptureFixture, version: int) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger().setLevel(logging.DEBUG)
    token = "EAABtokenthatnobodysees"
    host.says["/api"] = Says(body=b"{}")
    with http2({"/api?x=1": b"{}"}) as second:
        port = host.endpoint[1] if version == 1 else second.endpoint[1]
        with Web(private=[("127.0.0.1", port)], http1=version == 1) as web:
            url = f"http://127.0.0.1:{port}/api"
            assert web.ask(url, {"x": "1"}, {"Authorization": f"Bearer {token}"}, parse_json) == {}
        got = second.headers["authorization"] if version == 2 else host.asked[0].headers["authorization"]
    assert got == f"Bearer {token}"
    assert token not in caplog.text
    assert "authorization" not in caplog.text.lower()
    # The encoded form of HTTP/2 can be read as well.
    assert not [record for record in caplog.records if record.name.startswith(("hpack", "h2", "httpx", "httpcore"))]
