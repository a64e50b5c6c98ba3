"""Web server of the studio: the application, its static files and photos, and the socket it listens on."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import socket
import sys
import threading
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h11
import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException
from uvicorn.protocols.http.h11_impl import H11Protocol

from bball_pl import __version__
from bball_pl.errors import BballError, ConfigError, PhotoError
from bball_pl.model.court_weights import is_court_checkpoint
from bball_pl.moves import chinese_name
from bball_pl.studio.games import games_routes
from bball_pl.studio.guard import Guard
from bball_pl.studio.pictures import PhotoMissingError, Size
from bball_pl.studio.review import review_routes
from bball_pl.studio.runs import runs_routes
from bball_pl.studio.sort import sort_routes
from bball_pl.studio.state import TOKEN_VARIABLE, Context, CurrentContext, Settings
from bball_pl.studio.steps import steps_routes
from bball_pl.studio.try_ import try_routes

router = APIRouter()

_STATIC = Path(__file__).parent / "static"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".json": "application/json",
}
#: Shipped files by their name below /static/.
_FILES = {
    path.relative_to(_STATIC).as_posix(): path
    for path in _STATIC.rglob("*")
    if path.suffix in _MEDIA_TYPES and path.is_file()
}
#: Ports that are tried after a taken one.
_MORE_PORTS = 20
#: Most connections at once.
_MAX_CONNECTIONS = 128
#: Seconds until the head of a request must be complete.
_HEADER_SECONDS = 10.0
#: Most connections whose request head is incomplete; beyond it the oldest one is closed.
_MAX_HALF_OPEN = 32


def create_app(settings: Settings) -> FastAPI:
    """Build the application; its state is in `app.state.context`."""
    context = Context(settings)
    app = FastAPI(title="bball_pl studio", openapi_url=None, docs_url=None, redoc_url=None, lifespan=_lifespan)
    app.state.context = context
    for routes in (steps_routes, sort_routes, games_routes, review_routes, try_routes, runs_routes):
        app.include_router(routes.router)
    app.include_router(router)
    _add_error_handlers(app, context)
    app.add_middleware(Guard, settings=settings, csrf=context.csrf)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.context.close()


@router.get("/api/session")
def session(context: CurrentContext) -> dict[str, Any]:
    """CSRF secret, language, classes and current model."""
    settings = context.settings
    return {
        "csrf": context.csrf,
        "version": __version__,
        "language": settings.language,
        "classes": [
            {"name": name, "chinese": chinese_name(name), "key": key} for name, key in settings.sort_classes.items()
        ],
        "checkpoint": context.clean(context.checkpoint_run()),
        # The model in the package, before the first run.
        "shipped": settings.checkpoint is not None and is_court_checkpoint(settings.checkpoint),
    }


@router.get("/api/photos/{photo}/{size}")
async def picture(photo: str, size: Size, request: Request, context: CurrentContext) -> Response:
    """The JPEG of a photo."""
    if not context.photos.known(photo):
        raise HTTPException(404, "there is no such photo")

    def made() -> asyncio.Future[bytes]:
        # Shielded: other requests may share this picture when the browser cancels its own.
        return asyncio.shield(asyncio.wrap_future(context.pictures.picture(photo, size)))

    try:
        try:
            content = await made()
        except PhotoMissingError:
            # It may be moving to another folder at this moment.
            await asyncio.sleep(0.1)
            content = await made()
    except PhotoError as error:
        raise HTTPException(422, context.clean(str(error))) from None
    return _cached(request, content, "image/jpeg", "private, max-age=600")


@router.get("/")
def page(request: Request) -> Response:
    """The page."""
    return _cached(request, _FILES["index.html"].read_bytes(), _MEDIA_TYPES[".html"], "no-cache")


@router.get("/static/{name:path}")
def static(name: str, request: Request) -> Response:
    """A file of the page."""
    # Looked up in the list of shipped files: the name is never joined to a folder.
    if name not in _FILES:
        raise HTTPException(404, "there is no such file")
    return _cached(request, _FILES[name].read_bytes(), _MEDIA_TYPES[_FILES[name].suffix], "no-cache")


def _cached(request: Request, content: bytes, media_type: str, cache: str) -> Response:
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": cache}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


def _add_error_handlers(app: FastAPI, context: Context) -> None:
    """Send every error as `{"message": …}`, without absolute paths of this machine."""

    def send(status: int, message: str, **more: Any) -> JSONResponse:
        return JSONResponse({"message": context.clean(message), **more}, status, {"cache-control": "no-store"})

    async def on_http_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, AnyHTTPException)
        detail: Any = error.detail
        if isinstance(detail, dict):
            more = {name: value for name, value in detail.items() if name != "message"}
            return send(error.status_code, str(detail.get("message", "")), **more)
        return send(error.status_code, str(detail))

    async def on_bball_error(_: Request, error: Exception) -> Response:
        return send(422, str(error))

    async def on_invalid_request(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        fields = [".".join(str(part) for part in item["loc"]) for item in error.errors()]
        return send(422, f"invalid request: {', '.join(fields)}")

    app.add_exception_handler(AnyHTTPException, on_http_error)
    app.add_exception_handler(BballError, on_bball_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)


class _HeaderTimeout(H11Protocol):
    """HTTP/1.1 connections that are closed unless their request heads arrive in time.

    uvicorn has a time-out between requests only: connections that never send a request would count towards its limit
    for ever and lock every browser out.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()
        half_open = [one for one in self.connections if isinstance(one, _HeaderTimeout) and one._timer]
        if len(half_open) > _MAX_HALF_OPEN:
            min(half_open, key=lambda one: one._timer.when() if one._timer else 0.0)._drop()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(_HEADER_SECONDS, self._drop)

    def _drop(self) -> None:
        self._stop()
        # At once and not when the transport has closed: many connections can arrive in one turn of the event loop.
        self.connections.discard(self)
        self.transport.close()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def server_config(app: FastAPI) -> uvicorn.Config:
    """Return the configuration of the HTTP server."""
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=2,
        ws="none",
        http=_HeaderTimeout,
        lifespan="on",
        # There is no proxy in front of this server, so forwarded addresses in headers are not trusted.
        proxy_headers=False,
    )


def serve(settings: Settings, open_browser: bool = False, show_token: bool = True) -> None:
    """Serve the studio until Ctrl-C or SIGTERM.

    Args:
        settings: settings of this start; port 0 is any free one, and a taken port gives way to the next free one.
        open_browser: open the page in the user's browser.
        show_token: print the address with the token; a token that the user gave is not repeated.

    Raises:
        ConfigError: if nothing can listen at the host.
    """
    listening = listen(settings.host, settings.port)
    settings = replace(settings, port=listening.getsockname()[1])
    server = uvicorn.Server(server_config(create_app(settings)))
    print(f"studio: {url(settings, show_token)}", flush=True)
    if settings.token:
        token = "the address contains the token" if show_token else f"the token is that of {TOKEN_VARIABLE}"
        print(f"  Other machines in the network can reach it; {token}.", flush=True)
    print("  Press Ctrl-C to stop. Every change is on disk as soon as the page shows it.", flush=True)
    if open_browser:
        # In a thread: some browsers block the process that starts them.
        threading.Thread(target=webbrowser.open, args=(url(settings, True),), daemon=True).start()
    with listening:
        asyncio.run(server.serve([listening]))
    print("studio: stopped", file=sys.stderr)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at `host`, on `port` or the next free one.

    Raises:
        ConfigError: if the host is unknown, all these ports are taken, or the system refuses.
    """
    ports = [port] if port == 0 else range(port, min(port + _MORE_PORTS, 65536))
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, OverflowError) as error:
        raise ConfigError(f"there is no host {host} here ({error}); pass --host 127.0.0.1") from None
    for number in ports:
        listening = socket.socket(family)
        # A restart can listen at once, although connections of the last start are still closing.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address[0], number, *address[2:]))
            listening.listen(128)
            return listening
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE:
                reason = error.strerror or str(error)
                raise ConfigError(
                    f"nothing can listen at {host}:{number} ({reason}); pass another --host or --port"
                ) from None
    raise ConfigError(f"the ports {port} to {ports[-1]} are all taken; pass another --port")


def url(settings: Settings, with_token: bool) -> str:
    """Return the address of the page, on request with the token that admits a browser."""
    host = settings.host
    if host in {"0.0.0.0", "::"}:
        host = _network_address()
    if ":" in host:
        host = f"[{host.strip('[]')}]"
    query = f"?token={settings.token}" if settings.token and with_token else ""
    return f"http://{host}:{settings.port}/{query}"


def _network_address() -> str:
    """Return this machine's address in the local network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing; it only selects the network interface.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
