"""The guard: every request passes here first, and foreign or oversized ones are refused."""

from __future__ import annotations

import hashlib
import hmac
import html
import ipaddress
import json
import logging
import re
import secrets
import socket
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bball_pl.studio.pictures import FORM_BYTES, MAX_BYTES
from bball_pl.studio.state import Settings, is_loopback

#: Header that a request which changes something must carry, with the secret of this start.
CSRF_HEADER = "x-studio-csrf"
#: Page that exchanges the token for a cookie: the address that the studio prints.
ENTRANCE = "/"
_SAFE = {"GET", "HEAD"}
_CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
#: Most bytes of a body that is no photo.
_MAX_JSON = 1_000_000

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FAULT = "the studio met a fault of its own; the terminal that it runs in shows more"
_log = logging.getLogger("bball_pl.studio")

#: On every answer, errors included.
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
    "x-frame-options": "DENY",
}


class RefusedError(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        message: what to tell, in words.
        code: by which the page knows the reason.
    """

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class Guard:
    """Checks host, origin, token, secret and size of every request, and adds the headers of safety to every answer.

    Args:
        app: what it guards.
        settings: of this start.
        csrf: secret of this start.
    """

    def __init__(self, app: ASGIApp, settings: Settings, csrf: str) -> None:
        self._app = app
        self._settings = settings
        self._csrf = csrf
        self._hosts = allowed_hosts(settings.host)
        self._any_address = not is_loopback(settings.host)
        self._cookie = f"studio_{settings.port}"
        # Not the token itself: a cookie is seen by more eyes than an address that was printed once.
        self._pass = hmac.new(settings.token.encode(), b"studio cookie", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        started, refused_body = False, False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if refused_body and not started:
                return  # what the application makes of half a body; the refusal follows
            if message["type"] == "http.response.start":
                started = True
                # An answer that says something else on its own account keeps that: a report runs in a sandbox.
                there = {name.decode("latin-1").lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name not in there]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        def refuse_body() -> None:
            nonlocal refused_body
            refused_body = True

        headers = _headers(scope["headers"])
        limit = 0
        try:
            self._check_host(headers)
            if self._settings.token and not self._has_pass(headers):
                await self._at_the_door(scope, guarded_send)
                return
            self._check_origin(scope, headers)
            limit = self._limit(scope, headers)
            await self._app(scope, _limited(receive, limit, refuse_body), guarded_send)
        except RefusedError as refused:
            await _refuse(refused, guarded_send)
        except Exception:
            # Here and not further out, so that this answer has the headers of safety as well.
            _log.exception("%s %s failed", scope["method"], scope["path"])
            if not started and not refused_body:
                await _refuse(RefusedError(500, _FAULT, "fault"), guarded_send)
        if refused_body and not started:
            refused_body = False
            await _refuse(_too_large(limit), guarded_send)

    def _check_host(self, headers: dict[str, list[str]]) -> None:
        given = headers.get("host", [])
        # A page of elsewhere whose name was made to point here (DNS rebinding) still sends its own name.
        name = _host_name(given[0]) if len(given) == 1 else ""
        if name not in self._hosts and not (self._any_address and _is_address(name)):
            raise RefusedError(403, "this is not the name that the studio goes by", "host")

    def _has_pass(self, headers: dict[str, list[str]]) -> bool:
        for line in headers.get("cookie", []):
            try:
                morsel = SimpleCookie(line).get(self._cookie)
            except CookieError:
                continue
            if morsel is not None and hmac.compare_digest(morsel.value.encode(), self._pass.encode()):
                return True
        return False

    async def _at_the_door(self, scope: Scope, send: Send) -> None:
        """Exchange a right token for the cookie; tell everybody else where the address is."""
        given = parse_qs(scope.get("query_string", b"").decode("ascii", "replace")).get("token", [""])[-1]
        right = hmac.compare_digest(given.encode("utf-8", "replace"), self._settings.token.encode())
        if scope["method"] == "GET" and scope["path"] == ENTRANCE and right:
            # Not a redirect: a browser that came from another page would not send the new cookie along with it. The
            # next step is this page's own, and it takes the token out of the address.
            cookie = f"{self._cookie}={self._pass}; Path=/; HttpOnly; SameSite=Strict"
            page = _page(
                "Studio", "<p><a href='/'>Open the studio</a></p>", "<meta http-equiv=refresh content='0;url=/'>"
            )
            await _answer(200, page, "text/html; charset=utf-8", send, [("set-cookie", cookie)])
            return
        message = "The studio wants its token: open the address that it printed when it was started."
        if scope["path"] == ENTRANCE:
            await _answer(401, _page("Studio", f"<p>{html.escape(message)}</p>"), "text/html; charset=utf-8", send)
        else:
            raise RefusedError(401, message, "token")

    def _check_origin(self, scope: Scope, headers: dict[str, list[str]]) -> None:
        method, site = scope["method"], headers.get("sec-fetch-site", [""])[-1]
        if method in _SAFE:
            # A link elsewhere may lead to the page itself, and to nothing else.
            if site in {"cross-site", "same-site"} and scope["path"] != ENTRANCE:
                raise RefusedError(403, "asked for by another page", "origin")
            return
        if method not in _CHANGING:
            raise RefusedError(405, "no such method", "method")
        host = headers["host"][0]
        origins = headers.get("origin", [])
        if any(origin.lower() not in {f"http://{host.lower()}", f"https://{host.lower()}"} for origin in origins):
            raise RefusedError(403, "sent by another page", "origin")
        if site not in {"", "same-origin"}:
            raise RefusedError(403, "sent by another page", "origin")
        given = headers.get(CSRF_HEADER, [""])[-1]
        if not hmac.compare_digest(given.encode(), self._csrf.encode()):
            raise RefusedError(403, "the page is older than this start of the studio. Load it again", "csrf")

    def _limit(self, scope: Scope, headers: dict[str, list[str]]) -> int:
        kind = headers.get("content-type", [""])[-1].split(";")[0].strip().lower()
        limit = _MAX_JSON if kind == "application/json" else MAX_BYTES + FORM_BYTES
        declared = headers.get("content-length", ["0"])[-1]
        if not re.fullmatch(r"[0-9]{1,18}", declared):
            raise RefusedError(400, "no length that can be understood", "length")
        if int(declared) > limit:
            raise _too_large(limit)
        return limit


def allowed_hosts(host: str) -> set[str]:
    """Return the names, in lower case, by which a browser may ask for what listens on `host`."""
    names = {"localhost", "127.0.0.1", "::1"}
    if is_loopback(host):
        return names | {host.strip("[]").lower()}
    # An address cannot be rebound; names can, so only the machine's own count.
    return names | {host.strip("[]").lower(), socket.gethostname().lower(), f"{socket.gethostname().lower()}.local"}


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(32)


def _limited(receive: Receive, limit: int, refuse: Callable[[], None]) -> Receive:
    """Count a body as it arrives; one that is too large ends as if the browser had gone away."""
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            refuse()
            return {"type": "http.disconnect"}
        return message

    return limited


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, f"more than {(limit - FORM_BYTES if limit > MAX_BYTES else limit) / 1e6:.0f} MB", "size")


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in raw:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _host_name(host: str) -> str:
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", host)
    return match[1].strip("[]").lower().rstrip(".") if match else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(refused: RefusedError, send: Send) -> None:
    body = json.dumps({"message": refused.message, "code": refused.code})
    await _answer(refused.status, body, "application/json", send)


async def _answer(status: int, text: str, kind: str, send: Send, more: Iterable[tuple[str, str]] = ()) -> None:
    body = text.encode()
    headers = {"content-type": kind, "content-length": str(len(body)), "cache-control": "no-store"}
    named = [(name.encode(), value.encode()) for name, value in [*headers.items(), *more]]
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": body})


def _page(title: str, body: str, head: str = "") -> str:
    return f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>{head}{body}"
