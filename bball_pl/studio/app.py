"""The studio as one application: the page, the photos, and the routes of its four views."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from bball_pl import __version__
from bball_pl.classes import MOVES
from bball_pl.errors import BballError, PhotoError
from bball_pl.studio.context import Context
from bball_pl.studio.guard import Guard
from bball_pl.studio.pictures import GoneError, Size
from bball_pl.studio.settings import Settings

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
    from bball_pl.studio import review_routes, runs_routes, sort_routes, try_routes

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
