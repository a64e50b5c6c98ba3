"""Who may ask the studio for what: names, origins, secrets, tokens, paths, sizes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.studio_server import Studio, paint_inbox

TOKEN = "a-token-for-the-tests-0123456789"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("safety")
    paint_inbox(folder, 3)
    secret = folder / "secret.jpg"
    secret.write_bytes(b"not for anybody")
    album = folder / "data/inbox/league/unsorted/game 0"
    (album / "link.jpg").symlink_to(secret)
    (album / "folder").symlink_to(folder)
    os.mkfifo(album / "pipe.jpg")
    with Studio(folder) as running:
        yield running


def first_photo(studio: Studio) -> str:
    return str(studio.post("/api/sort/next", {"tab": "safety"})["photos"][0]["id"])


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "",
        "a b",
        None,
    ],
)
def test_a_foreign_host_is_refused(studio: Studio, host: str | None) -> None:
    for path in ("/", "/api/session", "/static/shell.js"):
        reply = studio.ask("GET", path, headers={"Host": host})
        assert reply.status in {400, 403}, path
        assert b"csrf" not in reply.body.replace(b'"code"', b"")


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "LOCALHOST", "[::1]:8765"])
def test_the_names_of_this_machine(studio: Studio, host: str) -> None:
    assert studio.ask("GET", "/api/session", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-Studio-CSRF": None},
        {"X-Studio-CSRF": ""},
        {"X-Studio-CSRF": "guess"},
        {"X-Studio-CSRF": "g\xfcess"},
    ],
)
def test_what_another_page_sends_changes_nothing(studio: Studio, headers: dict[str, str | None]) -> None:
    photo = first_photo(studio)
    body = json.dumps({"tab": "evil", "photo": photo, "action": "quarantine"}).encode()
    own: dict[str, str | None] = {
        "Content-Type": "application/json",
        "X-Studio-CSRF": studio.csrf,
        "Origin": studio.url,
    }
    reply = studio.ask("POST", "/api/sort/decide", body, own | headers)
    assert reply.status == 403
    assert studio.get("/api/sort")["quarantined"] == 0
    assert not (studio.folder / "data/labels.csv").exists()


def test_a_form_of_another_page_is_no_json(studio: Studio) -> None:
    # A form can be sent across origins without asking first; it can name no header.
    reply = studio.ask("POST", "/api/sort/decide", b'{"tab":"a"}', {"Content-Type": "text/plain", "Origin": studio.url})
    assert reply.status == 403
    assert studio.ask("GET", "/api/session", headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    assert studio.ask("GET", "/", headers={"Sec-Fetch-Site": "cross-site"}).status == 200, "a link may lead here"
    for method in ("OPTIONS", "TRACE", "CONNECT", "PATCHY"):
        assert studio.ask(method, "/api/sort/next").status in {400, 403, 405}


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e%2f%2e%2e%2ferrors.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/",
        "/static",
        "/static/sort",
        "/static/sort/",
        "/static/sort.js%00.png",
        "/api/photos/..%2f..%2fsecret.jpg/display",
        "/api/photos/%2fetc%2fpasswd/display",
        "/api/photos/../../secret.jpg/display",
        "/api/photos/0000/display",
        "/api/review/..%2f..%2fdata/version_0/test",
        "/api/review/../version_0/test",
        "/api/runs/%2e%2e/version_0",
        "/docs",
        "/openapi.json",
        "/redoc",
        "/labels.csv",
    ],
)
def test_no_path_of_a_browser_reaches_the_disk(studio: Studio, path: str) -> None:
    reply = studio.ask("GET", path)
    assert reply.status in {307, 404, 405, 422}, reply.body[:200]
    assert b"root:" not in reply.body
    assert b"import" not in reply.body
    assert str(studio.folder).encode() not in reply.body
    assert "content-security-policy" in reply.headers


def test_links_and_pipes_are_left_out(studio: Studio) -> None:
    start = studio.get("/api/sort")
    assert (start["left"], start["links"]) == (3, 2)
    names = [photo["name"] for photo in studio.post("/api/sort/next", {"tab": "safety"})["photos"]]
    assert "link.jpg" not in names
    assert "pipe.jpg" not in names


def test_a_photo_that_became_a_link_is_not_shown(tmp_path: Path) -> None:
    path = paint_inbox(tmp_path, 1)[0]
    (tmp_path / "secret.jpg").write_bytes(path.read_bytes())
    with Studio(tmp_path) as studio:
        photo = first_photo(studio)
        path.unlink()
        path.symlink_to(tmp_path / "secret.jpg")
        reply = studio.ask("GET", f"/api/photos/{photo}/display")
        assert reply.status == 422
        assert str(tmp_path) not in reply.body.decode()


def test_the_headers_of_safety_are_on_every_answer(studio: Studio) -> None:
    photo = first_photo(studio)
    asked = ["/", "/static/shell.js", "/api/session", f"/api/photos/{photo}/display", "/nothing", "/api/photos/x/y"]
    replies = [studio.ask("GET", path) for path in asked]
    replies += [studio.ask("GET", "/", headers={"Host": "evil.example"}), studio.ask("POST", "/api/sort/next", b"{}")]
    for reply in replies:
        policy = reply.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert reply.headers["cross-origin-opener-policy"] == "same-origin"
        assert reply.headers["permissions-policy"].startswith("camera=(self)")
        assert "access-control-allow-origin" not in reply.headers
        assert "server" not in reply.headers


def test_a_hundred_megabytes_are_refused_and_not_kept(studio: Studio) -> None:
    size = 100_000_000
    before = _memory(studio.process.pid)
    head = (
        f"POST /api/try/answer HTTP/1.1\r\nHost: 127.0.0.1:{studio.port}\r\nX-Studio-CSRF: {studio.csrf}\r\n"
        f"Origin: {studio.url}\r\nContent-Type: application/octet-stream\r\n"
    )
    told = _send(studio, f"{head}Content-Length: {size}\r\n\r\n".encode(), size)
    assert b"413" in told.split(b"\r\n")[0]
    chunked = _send(studio, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), size, chunked=True)
    assert re.match(rb"HTTP/1.1 4(13|04|05)", chunked), chunked[:200]
    assert _memory(studio.process.pid) - before < 60_000_000
    assert studio.get("/api/session")["csrf"]


def test_half_open_connections_lock_nobody_out(tmp_path: Path) -> None:
    with Studio(tmp_path) as studio:
        open_ = [socket.create_connection(("127.0.0.1", studio.port), 10) for _ in range(200)]
        try:
            for connection in open_[::2]:
                with contextlib.suppress(OSError):  # closed in favour of newer ones
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1")
            for _ in range(3):
                assert studio.ask("GET", "/api/session").status == 200
            open_[-1].settimeout(30)
            assert open_[-1].recv(1) == b"", "a request whose head does not arrive ends"
        finally:
            for connection in open_:
                connection.close()


def test_errors_say_no_place_of_the_disk(studio: Studio) -> None:
    for path in ("/api/sort/decide", "/api/sort/next", "/api/sort/undo"):
        bad: list[object] = [[], {"tab": 1}, {"tab": "x" * 100}, "text"]
        for content in (*bad, {"tab": "a", "photo": "../..", "action": "label"}):
            own = {"Content-Type": "application/json", "X-Studio-CSRF": studio.csrf, "Origin": studio.url}
            reply = studio.ask("POST", path, json.dumps(content).encode(), own)
            assert reply.status in {200, 404, 409, 422}, reply.body
            assert str(studio.folder) not in reply.body.decode()
            assert b"Traceback" not in reply.body
            assert "message" in reply.json or reply.status == 200
    assert studio.ask("POST", "/api/sort/next", b"{", {"X-Studio-CSRF": studio.csrf}).status == 422


def test_a_token_is_asked_for_where_one_is_given(tmp_path: Path) -> None:
    paint_inbox(tmp_path, 1)
    with Studio(tmp_path, variables={"BBALL_STUDIO_TOKEN": TOKEN}) as studio:
        assert TOKEN not in "".join(studio.said), "what the user gave is not repeated"
        for path in (
            "/",
            "/api/session",
            "/static/shell.js",
            "/?token=",
            "/?token=wrong",
            f"/api/session?token={TOKEN}",
        ):
            assert studio.ask("GET", path).status == 401, path
        assert studio.ask("GET", "/api/session", headers={"Cookie": f"studio_{studio.port}={TOKEN}"}).status == 401
        come_in = studio.ask("GET", f"/?token={TOKEN}")
        assert come_in.status == 200
        cookie = come_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        assert TOKEN.encode() not in come_in.body
        given = {"Cookie": f"other=1; {cookie.split(';')[0]}"}
        assert studio.get("/api/session", given)["csrf"]
        assert studio.ask("GET", "/api/session", headers={**given, "Host": "evil.example"}).status == 403


def test_other_machines_need_the_token_that_is_printed(tmp_path: Path) -> None:
    with Studio(tmp_path, ["--host=0.0.0.0"]) as studio:
        token = re.search(r"\?token=(\S+)", "".join(studio.said))
        assert token is not None
        assert len(token[1]) >= 40
        assert studio.ask("GET", "/api/session").status == 401
        assert studio.ask("GET", f"/?token={token[1]}").status == 200
        assert studio.ask("GET", "/", headers={"Host": "rebound.example"}).status == 403


def _memory(process: int) -> int:
    """Resident memory in bytes."""
    text = Path(f"/proc/{process}/statm").read_text(encoding="ascii")
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _send(studio: Studio, head: bytes, size: int, chunked: bool = False) -> bytes:
    """Send a body piece by piece and return what the server says, whether it hears it to the end or not."""
    piece = b"\0" * 65_536
    framed = b"10000\r\n" + piece + b"\r\n" if chunked else piece
    with socket.create_connection(("127.0.0.1", studio.port), 60) as connection:
        connection.sendall(head)
        try:
            for _ in range(size // len(piece)):
                connection.sendall(framed)
            connection.sendall(b"0\r\n\r\n" if chunked else b"\0" * (size % len(piece)))
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            return connection.recv(4096)
        except ConnectionResetError:
            return b""
