"""Photos that a browser sends: limited in bytes while they arrive, and in pixels before they are decoded."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
from fastapi import HTTPException, Request, UploadFile

from bball_pl.decode import decode
from bball_pl.errors import PhotoError

#: Most bytes of one photo: twice what the best phones write.
MAX_BYTES = 30_000_000
#: What a form puts around a file.
FORM_BYTES = 1_000_000
_PIECE = 1 << 16


async def read_upload(source: Request | UploadFile, limit_bytes: int = MAX_BYTES) -> bytes:
    """Return the bytes of a photo that is being sent.

    Args:
        source: a request whose whole body is the photo, or a file of a form.
        limit_bytes: most bytes that are taken.

    Raises:
        HTTPException: 413 as soon as there are more bytes than that; 422 if there are none.
    """
    if isinstance(source, Request):
        declared = source.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > limit_bytes:
            raise too_large(limit_bytes)
    content = bytearray()
    async for piece in _pieces(source):
        content += piece
        if len(content) > limit_bytes:
            raise too_large(limit_bytes)
    if not content:
        raise HTTPException(422, "empty file")
    return bytes(content)


def decode_upload(content: bytes) -> np.ndarray:
    """Decode a photo that was sent; call it in a thread.

    Returns:
        RGB uint8 `[H, W, 3]`, 0–255, upright.

    Raises:
        HTTPException: 422 with the reason, as in `bball_pl.decode.decode`.
    """
    try:
        return decode(content)
    except PhotoError as error:
        raise HTTPException(422, str(error)) from None


def too_large(limit_bytes: int) -> HTTPException:
    """Return the answer to a body with too many bytes."""
    return HTTPException(413, f"more than {limit_bytes / 1e6:.0f} MB. Shrink the photo")


async def _pieces(source: Request | UploadFile) -> AsyncIterator[bytes]:
    if isinstance(source, Request):
        async for piece in source.stream():
            yield piece
    else:
        while piece := await source.read(_PIECE):
            yield piece
