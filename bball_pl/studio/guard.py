"""Security middleware: checks of host, origin, token, CSRF secret and size of every request."""

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

from bball_pl.studio.pictures import MAX_BYTES
from bball_pl.studio.state import Settings, is_loopback

#: Header with the secret of this start; required on requests that change something.
CSRF_HEADER = "x-studio-csrf"
#: The path that exchanges the token for a cookie: the address that the studio prints.
ENTRANCE = "/"
_SAFE = {"GET", "HEAD"}
_CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
#: Most bytes of a JSON body, and of any other body.
_MAX_JSON = 1_000_000
_MAX_BODY = MAX_BYTES + 1_000_000

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_INTERNAL_ERROR = "internal error; see the terminal for details"
_TOKEN_NEEDED = "A token is required: open the address that the studio printed when it started."
_log = logging.getLogger("bball_pl.studio")

#: Headers of every response, errors included.
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
    """A request that is refused.

    Args:
        status: HTTP status.
        message: reason, for the user.
        code: identifier of the reason, for the page.
    """

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class Guard:
    """Middleware that refuses foreign and oversized requests, and adds the security headers to every response.

    Args:
        app: application behind the middleware.
        settings: settings of this start.
        csrf: secret of this start.
    """

    def __init__(self, app: ASGIApp, settings: Settings, csrf: str) -> None:
        self._app = app
        self._settings = settings
        self._csrf = csrf
        self._hosts = allowed_hosts(settings.host)
        self._any_address = not is_loopback(settings.host)
        self._cookie = f"studio_{settings.port}"
        # Not the token itself: cookies are stored and logged in more places than the printed address.
        self._cookie_value = hmac.new(settings.token.encode(), b"studio cookie", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it to the application."""
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
                return  # a response to half a body; the refusal follows
            if message["type"] == "http.response.start":
                started = True
                # A response may override a header: a report has a sandbox policy.
                present = {name.decode("latin-1").lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name not in present]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        def refuse_body() -> None:
            nonlocal refused_body
            refused_body = True

        headers = _headers(scope["headers"])
        limit = 0
        try:
            self._check_host(headers)
            if self._settings.token and not self._has_cookie(headers):
                await self._exchange_token(scope, guarded_send)
                return
            self._check_origin(scope, headers)
            limit = self._limit(scope, headers)
            await self._app(scope, _limited(receive, limit, refuse_body), guarded_send)
        except RefusedError as refused:
            await _refuse(refused, guarded_send)
        except Exception:
            # Caught here and not by the server, so that this response has the security headers as well.
            _log.exception("%s %s failed", scope["method"], scope["path"])
            if not started and not refused_body:
                await _refuse(RefusedError(500, _INTERNAL_ERROR, "internal"), guarded_send)
        if refused_body and not started:
            refused_body = False
            await _refuse(_too_large(limit), guarded_send)

    def _check_host(self, headers: dict[str, list[str]]) -> None:
        hosts = headers.get("host", [])
        # DNS rebinding: a foreign page whose host name resolves to this machine still sends its own name.
        name = _host_name(hosts[0]) if len(hosts) == 1 else ""
        if name not in self._hosts and not (self._any_address and _is_address(name)):
            raise RefusedError(403, "unknown Host header", "host")

    def _has_cookie(self, headers: dict[str, list[str]]) -> bool:
        for line in headers.get("cookie", []):
            try:
                morsel = SimpleCookie(line).get(self._cookie)
            except CookieError:
                continue
            if morsel is not None and hmac.compare_digest(morsel.value.encode(), self._cookie_value.encode()):
                return True
        return False

    async def _exchange_token(self, scope: Scope, send: Send) -> None:
        """Exchange a valid token for the cookie; refuse any other request."""
        token = parse_qs(scope.get("query_string", b"").decode("ascii", "replace")).get("token", [""])[-1]
        valid = hmac.compare_digest(token.encode("utf-8", "replace"), self._settings.token.encode())
        if scope["method"] == "GET" and scope["path"] == ENTRANCE and valid:
            # Not a redirect: a browser that followed a link from another site would not send the new cookie with it.
            # This page navigates by itself, which also removes the token from the address.
            cookie = f"{self._cookie}={self._cookie_value}; Path=/; HttpOnly; SameSite=Strict"
            page = _page(
                "Studio", "<p><a href='/'>Open the studio</a></p>", "<meta http-equiv=refresh content='0;url=/'>"
            )
            await _respond(200, page, "text/html; charset=utf-8", send, [("set-cookie", cookie)])
            return
        if scope["path"] == ENTRANCE:
            page = _page("Studio", f"<p>{html.escape(_TOKEN_NEEDED)}</p>")
            await _respond(401, page, "text/html; charset=utf-8", send)
        else:
            raise RefusedError(401, _TOKEN_NEEDED, "token")

    def _check_origin(self, scope: Scope, headers: dict[str, list[str]]) -> None:
        method, site = scope["method"], headers.get("sec-fetch-site", [""])[-1]
        if method in _SAFE:
            # Links on other sites may lead to the page itself, and to nothing else.
            if site in {"cross-site", "same-site"} and scope["path"] != ENTRANCE:
                raise RefusedError(403, "requested by another site", "origin")
            return
        if method not in _CHANGING:
            raise RefusedError(405, "method not allowed", "method")
        host = headers["host"][0]
        origins = headers.get("origin", [])
        if any(origin.lower() not in {f"http://{host.lower()}", f"https://{host.lower()}"} for origin in origins):
            raise RefusedError(403, "sent by another site", "origin")
        if site not in {"", "same-origin"}:
            raise RefusedError(403, "sent by another site", "origin")
        secret = headers.get(CSRF_HEADER, [""])[-1]
        if not hmac.compare_digest(secret.encode(), self._csrf.encode()):
            raise RefusedError(403, "the studio was restarted after this page was loaded. Reload the page", "csrf")

    def _limit(self, scope: Scope, headers: dict[str, list[str]]) -> int:
        media_type = headers.get("content-type", [""])[-1].split(";")[0].strip().lower()
        limit = _MAX_JSON if media_type == "application/json" else _MAX_BODY
        declared = headers.get("content-length", ["0"])[-1]
        if not re.fullmatch(r"[0-9]{1,18}", declared):
            raise RefusedError(400, "invalid Content-Length", "length")
        if int(declared) > limit:
            raise _too_large(limit)
        return limit


def allowed_hosts(host: str) -> set[str]:
    """Return the host names, in lower case, that requests to a server on `host` may carry."""
    names = {"localhost", "127.0.0.1", "::1"}
    if is_loopback(host):
        return names | {host.strip("[]").lower()}
    # Names can be rebound by DNS, so only those of this machine are allowed; addresses cannot.
    return names | {host.strip("[]").lower(), socket.gethostname().lower(), f"{socket.gethostname().lower()}.local"}


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(32)


def _limited(receive: Receive, limit: int, refuse: Callable[[], None]) -> Receive:
    """Count the bytes of a body as they arrive; too large a body ends like a closed connection."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            refuse()
            return {"type": "http.disconnect"}
        return message

    return limited


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, f"more than {min(limit, MAX_BYTES) / 1e6:.0f} MB", "size")


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
    await _respond(refused.status, body, "application/json", send)


async def _respond(status: int, text: str, media_type: str, send: Send, more: Iterable[tuple[str, str]] = ()) -> None:
    body = text.encode()
    headers = {"content-type": media_type, "content-length": str(len(body)), "cache-control": "no-store"}
    named = [(name.encode(), value.encode()) for name, value in [*headers.items(), *more]]
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": body})


def _page(title: str, body: str, head: str = "") -> str:
    return f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>{head}{body}"
