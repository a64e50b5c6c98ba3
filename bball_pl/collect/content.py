"""Make a photo of the bytes that came: look at what they are, take the position out, decode them, hash them."""

from __future__ import annotations

import hashlib
import io
import threading
from dataclasses import dataclass

import numpy as np
from PIL import Image

from bball_pl.collect.finds import NotTakenError
from bball_pl.collect.metadata import NotLosslessError, strip
from bball_pl.decode import decode
from bball_pl.dhash import dhash, format_dhash
from bball_pl.errors import PhotoError

# A photo of 150 megapixels takes 450 MB and as much again on its way through Pillow.
_DECODERS = threading.Semaphore(2)

_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "heic"),
    **dict.fromkeys((b"avif", b"avis"), "avif"),
}
_STARTS = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
}
# What comes instead of a photo; compared in lower case, without white space in front.
_OTHERS = {
    **dict.fromkeys((b"<!doctype html", b"<html", b"<head", b"<body"), "an HTML page"),
    **dict.fromkeys((b"<svg", b"<?xml"), "a drawing or XML"),
    **dict.fromkeys((b"{", b"["), "JSON"),
    **dict.fromkeys((b"\x1aE\xdf\xa3".lower(), b"oggs"), "a video"),
    b"%pdf": "a PDF",
    b"pk\x03\x04": "a zip file",
}

# Kinds that are kept as they are, but for their metadata; the others become PNG, which loses no pixel.
_KEPT = frozenset({"jpg", "png", "webp", "heic", "avif"})


@dataclass(frozen=True)
class Photo:
    """A photo as it is stored.

    Attributes:
        content: bytes of the file, without position and other private metadata.
        suffix: of the file's name, with the dot, by the content.
        sha256: of `content`, in hexadecimal.
        dhash: difference hash of the pixels, 16 hexadecimal digits.
        time: when it was taken, as its metadata say, ISO 8601; empty if they do not.
        size: (width, height) in pixels, upright.
    """

    content: bytes
    suffix: str
    sha256: str
    dhash: str
    time: str
    size: tuple[int, int]


def inspect(content: bytes) -> Photo:
    """Return what a file's bytes are as a photo.

    Args:
        content: the whole file; its name and what a server says about it do not count.

    Raises:
        NotTakenError: if it is not a photo, cannot be decoded, or is larger than `decode` allows.
    """
    kind = sniff(content)
    if kind is None:
        raise NotTakenError(f"not a photo but {_what(content)}", final=bool(content))
    try:
        with _DECODERS:
            return _photo(content, kind)
    except PhotoError as error:
        # Cut short on its way, perhaps: the next run may have more luck. All else is the same tomorrow.
        why = str(error).partition(" (")[0]
        raise NotTakenError(why, final=not why.startswith(("truncated", "damaged"))) from None


def sniff(content: bytes) -> str | None:
    """Return the kind of image by its first bytes, as a suffix without the dot, or None if it is none."""
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12])
    if content[:4] == b"RIFF":
        return "webp" if content[8:12] == b"WEBP" else None
    return next((kind for start, kind in _STARTS.items() if content.startswith(start)), None)


def _photo(content: bytes, kind: str) -> Photo:
    time = ""
    try:
        if kind not in _KEPT:
            raise NotLosslessError
        content, time = strip(content, kind)
        pixels = decode(content)
    except NotLosslessError:
        # Its metadata cannot be taken out of the file, so the pixels are taken instead.
        pixels = decode(content)
        content, kind = _as_png(pixels), "png"
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(content).hexdigest()
    return Photo(content, f".{kind}", digest, format_dhash(dhash(pixels)), time, (width, height))


def _as_png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _what(content: bytes) -> str:
    if not content:
        return "an empty file"
    if content[4:8] == b"ftyp":
        return "a video"
    start = content[:512].lstrip().lower()
    return next((what for beginning, what in _OTHERS.items() if start.startswith(beginning)), "something else")
