"""Sanitising: the position and other private metadata removed from a photo's file without touching its pixels."""

from __future__ import annotations

import hashlib
import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image

from bball_pl.collect.heif_items import find_items
from bball_pl.collect.source import NotTakenError
from bball_pl.errors import PhotoError
from bball_pl.photos.decode import decode
from bball_pl.photos.measurements import dhash, format_dhash

# What Pillow raises on damaged metadata.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, RuntimeError, struct.error)

# It warns of damage as well, and a summary would drown in that.
warnings.filterwarnings("ignore", category=UserWarning, module="PIL.TiffImagePlugin")

_EXIF = b"Exif\0\0"
_GPS = 0x8825
_DETAILS = 0x8769
_TIME, _TIME_OFFSET = 0x9003, 0x9011
#: Tags of the first directory that stay.
_STAY = (ExifTags.Base.Orientation, ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.Copyright)

# In a scan, a marker is an FF that no zero follows, no restart and no other FF.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_PNG_CHUNKS = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT bKGD pHYs cICP mDCV cLLI acTL fcTL fdAT".split()
)
_WEBP_CHUNKS = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"ANIM", b"ANMF"))


class NotLosslessError(Exception):
    """The metadata of this file cannot be taken out while the rest is kept."""


def strip(content: bytes, kind: str) -> tuple[bytes, str]:
    """Return a photo's file without private metadata, and when the photo was taken.

    Args:
        content: a JPEG, PNG, WebP, HEIC or AVIF file.
        kind: "jpg", "png", "webp", "heic" or "avif".

    Returns:
        The file, with the same pixels, and the time as ISO 8601 (empty if it is not known).

    Raises:
        NotLosslessError: if the file is built in another way than this knows, or a position is still in it.
    """
    try:
        if kind == "jpg":
            result, time = _jpeg(content)
        elif kind == "png":
            result, time = _png(content)
        elif kind == "webp":
            result, time = _webp(content)
        else:
            result, time = _heif(content)
    except (struct.error, IndexError, ValueError) as error:
        raise NotLosslessError from error
    if _has_position(result):
        raise NotLosslessError
    return result, time


def _jpeg(content: bytes) -> tuple[bytes, str]:
    kept: list[bytes] = [b"\xff\xd8"]
    exif = b""
    position = 2
    while True:
        while content[position] == 0xFF and content[position + 1] == 0xFF:
            position += 1
        marker = content[position + 1]
        if content[position] != 0xFF or marker == 0:
            raise ValueError("not a marker")
        if marker == 0xD9:
            kept.append(b"\xff\xd9")
            break
        if 0xD0 <= marker <= 0xD7 or marker == 0x01:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", content, position + 2)
        end = position + 2 + length
        segment = content[position:end]
        if marker == 0xE1 and segment[4:10] == _EXIF and not exif:
            exif = segment[4:]
        if marker == 0xDA:
            found = _NEXT_MARKER.search(content, end)
            if found is None:
                # No end of the picture: whether the pixels are all there is for the decoder to say.
                kept.append(content[position:])
                break
            end = found.start()
            segment = content[position:end]
        if _stays(marker, segment[4:]):
            kept.append(segment)
        position = end
    small, time = _essence(exif)
    if small:
        # JFIF wants to be first, and everything else may follow.
        place = 2 if len(kept) > 1 and kept[1][1] == 0xE0 else 1
        kept.insert(place, b"\xff\xe1" + struct.pack(">H", 2 + len(_EXIF + small)) + _EXIF + small)
    return b"".join(kept), time


def _stays(marker: int, payload: bytes) -> bool:
    if not 0xE0 <= marker <= 0xEF and marker != 0xFE:
        return True
    if marker == 0xE0:
        return payload.startswith(b"JFIF\0")
    if marker == 0xE2:
        return payload.startswith(b"ICC_PROFILE\0")
    # Adobe's says how the colours are coded.
    return marker == 0xEE and payload.startswith(b"Adobe")


def _png(content: bytes) -> tuple[bytes, str]:
    kept: list[bytes] = [content[:8]]
    exif = b""
    position = 8
    while position < len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if end > len(content):
            # Cut short: whether the pixels are all there is for the decoder to say.
            kept.append(content[position:])
            break
        if name == b"eXIf":
            exif = content[position + 8 : end - 4]
        if name in _PNG_CHUNKS:
            kept.append(content[position:end])
        position = end
        if name == b"IEND":
            break
    small, time = _essence(exif)
    if small:
        body = b"eXIf" + small
        # Right after IHDR.
        kept.insert(2, struct.pack(">I", len(small)) + body + struct.pack(">I", zlib.crc32(body)))
    return b"".join(kept), time


def _webp(content: bytes) -> tuple[bytes, str]:
    kept: list[tuple[bytes, bytes]] = []
    exif = b""
    for name, payload in _riff(content):
        if name == b"EXIF":
            exif = payload
        elif name in _WEBP_CHUNKS:
            kept.append((name, payload))
    small, time = _essence(exif)
    if kept and kept[0][0] == b"VP8X":
        flags = kept[0][1]
        kept[0] = (b"VP8X", bytes([flags[0] & ~0x0C | (0x08 if small else 0)]) + flags[1:])
        if small:
            kept.append((b"EXIF", small))
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2) for name, payload in kept
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body, time


def _riff(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    end = min(len(content), 8 + struct.unpack_from("<I", content, 4)[0])
    while position + 8 <= end:
        name, length = struct.unpack_from("<4sI", content, position)
        if position + 8 + length > len(content):
            raise ValueError("cut short")
        yield name, content[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _heif(content: bytes) -> tuple[bytes, str]:
    """Overwrite the metadata where they lie: no offset in the file changes."""
    result = bytearray(content)
    time = ""
    for item in find_items(content):
        old = item.read(content)
        if item.kind != "Exif":
            item.overwrite(result, b" " * len(old))
            continue
        # The first four bytes say how far the TIFF block is from here; often `Exif` stands between.
        skip = 4 + struct.unpack_from(">I", old)[0]
        # Orientation is told by the file's own boxes, and readers differ on what to do if EXIF tells it again.
        small, found = _essence(old[skip:], orientation=False)
        time = time or found
        small = small if 4 + len(small) <= len(old) else b""
        item.overwrite(result, (bytes(4) + small).ljust(len(old), b"\0"))
    return bytes(result), time


def _essence(exif: bytes, orientation: bool = True) -> tuple[bytes, str]:
    """Return the little of an EXIF block that stays, without its head `Exif`, and the time as ISO 8601."""
    if not exif:
        return b"", ""
    try:
        old = Image.Exif()
        old.load(exif if exif.startswith(_EXIF) else _EXIF + exif)
        details = old.get_ifd(_DETAILS)
        new = Image.Exif()
        for tag in _STAY if orientation else _STAY[1:]:
            value = old.get(tag)
            if isinstance(value, str):
                value = value[:200]
            if isinstance(value, (str, int)) and value != "":
                new[tag] = value
        times = {tag: str(details[tag])[:40] for tag in (_TIME, _TIME_OFFSET) if tag in details}
        new.get_ifd(_DETAILS).update(times)
        small = new.tobytes().removeprefix(_EXIF) if len(new) or times else b""
    except _DAMAGE:
        # Unreadable to others as well; what is thrown away tells nobody anything.
        return b"", ""
    return small, _iso(times.get(_TIME, ""), times.get(_TIME_OFFSET, ""))


def _iso(time: str, offset: str) -> str:
    found = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d:\d\d:\d\d)", time)
    if found is None or found[1] == "0000":
        return ""
    zone = offset.strip() if re.fullmatch(r"[+-]\d\d:\d\d", offset.strip()) else ""
    return f"{found[1]}-{found[2]}-{found[3]}T{found[4]}{zone}"


def _has_position(content: bytes) -> bool:
    """Return whether any metadata in the file still name a position, wherever it hides."""
    if b"GPSLatitude" in content:
        return True
    for start in re.finditer(rb"II\*\0|MM\0\*", content):
        order = "<" if content[start.start() : start.start() + 1] == b"I" else ">"
        try:
            (offset,) = struct.unpack_from(f"{order}I", content, start.start() + 4)
            (count,) = struct.unpack_from(f"{order}H", content, start.start() + offset)
            first = start.start() + offset + 2
            tags = [struct.unpack_from(f"{order}H", content, first + 12 * n)[0] for n in range(min(count, 200))]
        except struct.error:
            continue
        if _GPS in tags:
            return True
    return False


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
