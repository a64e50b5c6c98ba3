"""The studio as one application on a free port: the page, the photos, the routes of its four views, and a quiet end."""

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

import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from bball_pl import __version__
from bball_pl.errors import BballError, ConfigError, PhotoError
from bball_pl.moves import MOVES
from bball_pl.studio.guard import Guard
from bball_pl.studio.pictures import GoneError, Size
from bball_pl.studio.state import Context, Settings

__all__ = ["Settings", "create_app"]

_STATIC = Path(__file__).parent / "static"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".json": "application/json",
}
_CHINESE = {move.name: move.chinese for move in MOVES}


def create_app(settings: Settings) -> FastAPI:
    """Build the studio.

    Args:
        settings: of this start.

    Returns:
        The application; its context is in `app.state.context`.
    """
    from bball_pl.studio.review import review_routes
    from bball_pl.studio.runs import runs_routes
    from bball_pl.studio.sort import sort_routes
    from bball_pl.studio.try_ import try_routes

    context = Context(settings)
    app = FastAPI(title="bball_pl studio", openapi_url=None, docs_url=None, redoc_url=None, lifespan=_lifespan)
    app.state.context = context
    for routes in (sort_routes, review_routes, try_routes, runs_routes):
        app.include_router(routes.router(context))
    app.include_router(_router(context))
    _answer_errors(app, context)
    app.add_middleware(Guard, settings=settings, csrf=context.csrf)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.context.close()


def _router(context: Context) -> APIRouter:
    router = APIRouter()
    files = _static_files()

    @router.get("/api/session")
    def session() -> dict[str, Any]:
        own = context.settings
        return {
            "csrf": context.csrf,
            "version": __version__,
            "language": own.language,
            "classes": [{"name": name, "chinese": _CHINESE.get(name, "")} for name in own.class_names],
            "checkpoint": context.clean(context.checkpoint_run()),
        }

    @router.get("/api/photos/{photo}/{size}")
    async def picture(photo: str, size: Size, request: Request) -> Response:
        if not context.photos.known(photo):
            raise HTTPException(404, "there is no such photo")

        def made() -> asyncio.Future[bytes]:
            # Shielded: others may wait for the same picture when this browser goes away.
            return asyncio.shield(asyncio.wrap_future(context.pictures.picture(photo, size)))

        try:
            try:
                content = await made()
            except GoneError:
                # It may be on its way to another folder this very moment.
                await asyncio.sleep(0.1)
                content = await made()
        except PhotoError as error:
            raise HTTPException(422, context.clean(str(error))) from None
        return _cached(request, content, "image/jpeg", "private, max-age=600")

    @router.get("/")
    def page(request: Request) -> Response:
        return _cached(request, files["index.html"].read_bytes(), _KINDS[".html"], "no-cache")

    @router.get("/static/{name:path}")
    def static(name: str, request: Request) -> Response:
        # Looked up in the list of what was shipped: the name is never joined to a folder.
        if name not in files:
            raise HTTPException(404, "there is no such file")
        return _cached(request, files[name].read_bytes(), _KINDS[files[name].suffix], "no-cache")

    return router


def _static_files() -> dict[str, Path]:
    found = sorted(path for path in _STATIC.rglob("*") if path.suffix in _KINDS and path.is_file())
    return {path.relative_to(_STATIC).as_posix(): path for path in found}


def _cached(request: Request, content: bytes, kind: str, cache: str) -> Response:
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": cache}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


def _answer_errors(app: FastAPI, context: Context) -> None:
    """Let every error be told as `{"message": …}` in words, without a path of this disk."""

    def tell(status: int, message: str, **more: Any) -> JSONResponse:
        return JSONResponse({"message": context.clean(message), **more}, status, {"cache-control": "no-store"})

    async def of_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, AnyHTTPException)
        detail: Any = error.detail
        if isinstance(detail, dict):
            more = {name: value for name, value in detail.items() if name != "message"}
            return tell(error.status_code, str(detail.get("message", "")), **more)
        return tell(error.status_code, str(detail))

    async def of_user(_: Request, error: Exception) -> Response:
        return tell(422, str(error))

    async def of_form(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        places = [".".join(str(part) for part in own["loc"]) for own in error.errors()]
        return tell(422, f"not understood: {', '.join(places)}")

    app.add_exception_handler(AnyHTTPException, of_http)
    app.add_exception_handler(BballError, of_user)
    app.add_exception_handler(RequestValidationError, of_form)


#: Ports that are tried after the wanted one.
_MORE_PORTS = 20


def serve(settings: Settings, open_browser: bool = False, show_token: bool = True) -> None:
    """Serve the studio until Ctrl-C or SIGTERM.

    Args:
        settings: of this start; a port of 0 takes any that is free, and one that is taken gives way to the next.
        open_browser: show the page in the user's browser.
        show_token: print the address with the token; one that the user gave is not repeated.

    Raises:
        ConfigError: if nothing can listen at the host.
    """
    listening = listen(settings.host, settings.port)
    settings = replace(settings, port=listening.getsockname()[1])
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=128,
        timeout_graceful_shutdown=2,
        ws="none",
        http="h11",
        lifespan="on",
        # Nobody stands before this server: what a header says about an address is not believed.
        proxy_headers=False,
    )
    address = url(settings, show_token)
    print(f"studio: {address}", flush=True)
    if settings.token:
        whose = "the token is in the address" if show_token else "the token is the one that you gave"
        print(f"  Others in your network can reach it; {whose}.", flush=True)
    print("  Ctrl-C ends it; every change is on disk as soon as it is shown.", flush=True)
    if open_browser:
        # In a thread: some browsers let their starter wait.
        threading.Thread(target=webbrowser.open, args=(url(settings, True),), daemon=True).start()
    server = uvicorn.Server(config)
    with listening:
        asyncio.run(server.serve([listening]))
    print("studio: ended", file=sys.stderr)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at `host`, on `port` or the next one that is free.

    Raises:
        ConfigError: if that is not possible, with the reason.
    """
    wanted = [port] if port == 0 else range(port, min(port + _MORE_PORTS, 65536))
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, OverflowError) as error:
        raise ConfigError(f"there is no host {host} here ({error}); pass --host 127.0.0.1") from None
    for number in wanted:
        listening = socket.socket(family)
        # So that a restart need not wait for the last connections of its predecessor.
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
    raise ConfigError(f"the ports {port} to {wanted[-1]} are all taken; pass another --port")


def url(settings: Settings, with_token: bool) -> str:
    """Return the address of the page, by which the user may come in."""
    host = settings.host
    if host in {"0.0.0.0", "::"}:
        host = _own_address()
    if ":" in host:
        host = f"[{host.strip('[]')}]"
    entrance = f"?token={settings.token}" if settings.token and with_token else ""
    return f"http://{host}:{settings.port}/{entrance}"


def _own_address() -> str:
    """Return the address by which other machines of the network reach this one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # A datagram socket sends nothing when it is connected; it only finds the way out.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
