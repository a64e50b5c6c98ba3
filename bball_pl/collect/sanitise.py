"""Sanitising: photo files identified by content, and stripped of GPS and private metadata without re-encoding."""

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

from bball_pl.collect.source import SkippedError
from bball_pl.errors import PhotoError
from bball_pl.photos.decode import decode, iso_kind
from bball_pl.photos.measurements import dhash, format_dhash

# What Pillow raises on damaged metadata.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, RuntimeError, struct.error)

# Pillow also warns of damage, once per tag.
warnings.filterwarnings("ignore", category=UserWarning, module="PIL.TiffImagePlugin")

_EXIF = b"Exif\0\0"
#: TIFF block whose only directory has no entry.
_EMPTY_EXIF = b"MM\0*\0\0\0\x08\0\0\0\0\0\0"
_GPS = 0x8825
_DETAILS = 0x8769
_TIME, _TIME_OFFSET = 0x9003, 0x9011
#: Tags of the first directory that are kept.
_KEPT_TAGS = (ExifTags.Base.Orientation, ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.Copyright)

# In a scan, FF starts a marker unless a zero, a restart marker or another FF follows.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_PNG_CHUNKS = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT bKGD pHYs cICP mDCV cLLI acTL fcTL fdAT".split()
)
_WEBP_CHUNKS = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"ANIM", b"ANMF"))


class NotLosslessError(Exception):
    """The metadata of a file cannot be removed without re-encoding it."""


def strip(content: bytes, kind: str) -> tuple[bytes, str]:
    """Remove private metadata from a photo file.

    Args:
        content: Bytes of a JPEG, PNG, WebP, HEIC or AVIF file.
        kind: "jpg", "png", "webp", "heic" or "avif".

    Returns:
        The file with the same pixels, and when the photo was taken, ISO 8601 (empty if unknown).

    Raises:
        NotLosslessError: if the structure of the file is not supported, or a GPS position remains.
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
                # No end of the picture: the decoder decides whether pixels are missing.
                kept.append(content[position:])
                break
            end = found.start()
            segment = content[position:end]
        if _is_kept(marker, segment[4:]):
            kept.append(segment)
        position = end
    small, time = _minimal_exif(exif)
    if small:
        # A JFIF segment must come first.
        index = 2 if len(kept) > 1 and kept[1][1] == 0xE0 else 1
        kept.insert(index, b"\xff\xe1" + struct.pack(">H", 2 + len(_EXIF + small)) + _EXIF + small)
    return b"".join(kept), time


def _is_kept(marker: int, payload: bytes) -> bool:
    if not 0xE0 <= marker <= 0xEF and marker != 0xFE:
        return True
    if marker == 0xE0:
        return payload.startswith(b"JFIF\0")
    if marker == 0xE2:
        return payload.startswith(b"ICC_PROFILE\0")
    # Adobe's segment defines the colour transform.
    return marker == 0xEE and payload.startswith(b"Adobe")


def _png(content: bytes) -> tuple[bytes, str]:
    kept: list[bytes] = [content[:8]]
    exif = b""
    position = 8
    while position < len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if end > len(content):
            # Truncated: the decoder decides whether pixels are missing.
            kept.append(content[position:])
            break
        if name == b"eXIf":
            exif = content[position + 8 : end - 4]
        if name in _PNG_CHUNKS:
            kept.append(content[position:end])
        position = end
        if name == b"IEND":
            break
    small, time = _minimal_exif(exif)
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
    small, time = _minimal_exif(exif)
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
            raise ValueError("truncated")
        yield name, content[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _heif(content: bytes) -> tuple[bytes, str]:
    """Overwrite the metadata in place: no offset in the file changes."""
    result = bytearray(content)
    time = ""
    for kind, extents in find_heif_items(content):
        old = b"".join(content[start : start + length] for start, length in extents)
        new = b" " * len(old)
        if kind == "Exif":
            # The first four bytes are the offset of the TIFF block from here; often `Exif` stands between.
            skip = 4 + struct.unpack_from(">I", old)[0]
            # The orientation is in the file's boxes, and readers disagree on repeating it in EXIF.
            small, found = _minimal_exif(old[skip:], orientation=False)
            time = time or found
            small = small if 4 + len(small) <= len(old) else b""
            # Without a directory: libavif refuses an item that is no TIFF block.
            new = (bytes(4) + (small or _EMPTY_EXIF)).ljust(len(old), b"\0")[: len(old)]
        done = 0
        for start, length in extents:
            result[start : start + length] = new[done : done + length]
            done += length
    return bytes(result), time


#: Pieces of an item as (offset from the file's beginning, length) in bytes, in their order.
_Extents = list[tuple[int, int]]

# A hostile file may nest and repeat without end; real ones have some dozens.
_MAX_ITEMS = 10_000


def find_heif_items(content: bytes) -> list[tuple[str, _Extents]]:
    """Return the metadata items of a HEIC or AVIF file: "Exif", or "mime" for XMP, each with its extents.

    Source: ISO/IEC 14496-12, 8.11 (boxes meta, iinf, iloc, idat).

    Raises:
        ValueError: if the structure of the file is not supported.
        struct.error: if the file is truncated.
    """
    items: list[tuple[str, _Extents]] = []
    for name, start, end in _boxes(content, 0, len(content)):
        if name == b"meta":
            items += _items(content, start + 4, end)
    return items


def _items(content: bytes, start: int, end: int) -> Iterator[tuple[str, _Extents]]:
    boxes = {name: (first, last) for name, first, last in _boxes(content, start, end)}
    if b"iinf" not in boxes or b"iloc" not in boxes:
        return
    kinds = dict(_kinds(content, *boxes[b"iinf"]))
    data = boxes.get(b"idat", (0, 0))[0]
    for number, extents in _locations(content, boxes[b"iloc"][0], data):
        if kinds.get(number) in {b"Exif", b"mime"}:
            if any(first < 0 or first + length > len(content) for first, length in extents):
                raise ValueError("an item lies outside the file")
            yield kinds[number].decode(), extents


def _boxes(content: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each box, and start and end of its payload."""
    while start + 8 <= end:
        size, name = struct.unpack_from(">I4s", content, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, start + 8)
            head = 16
        elif size == 0:
            size = end - start
        if size < head or start + size > end:
            raise ValueError("a box does not fit")
        yield name, start + head, start + size
        start += size


def _kinds(content: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    version = content[start]
    for name, first, _ in _boxes(content, start + (6 if version == 0 else 8), end):
        if name != b"infe":
            continue
        if content[first] < 2:
            raise ValueError("an old version of infe")
        number, kind = struct.unpack_from(">H2x4s" if content[first] == 2 else ">I2x4s", content, first + 4)
        yield number, kind


def _locations(content: bytes, start: int, data: int) -> Iterator[tuple[int, _Extents]]:
    version = content[start]
    sizes, more = content[start + 4], content[start + 5]
    of_offset, of_length, of_base = sizes >> 4, sizes & 15, more >> 4
    of_index = more & 15 if version > 0 else 0
    position = start + 6

    def take(size: int) -> int:
        nonlocal position
        position += size
        if position > len(content):
            raise ValueError("truncated")
        return int.from_bytes(content[position - size : position], "big")

    count = take(4 if version == 2 else 2)
    if count > _MAX_ITEMS:
        raise ValueError("too many items")
    for _ in range(count):
        number = take(4 if version == 2 else 2)
        method = take(2) & 15 if version > 0 else 0
        reference = take(2)
        base = take(of_base)
        extents = []
        for _ in range(take(2)):
            take(of_index)
            offset, length = take(of_offset), take(of_length)
            extents.append((base + offset + (data if method == 1 else 0), length))
        # Data in another file, or constructed from other items, have no extent here.
        if method in {0, 1} and reference == 0:
            yield number, extents


def _minimal_exif(exif: bytes, orientation: bool = True) -> tuple[bytes, str]:
    """Return the reduced EXIF block, without its `Exif` prefix, and the time as ISO 8601."""
    if not exif:
        return b"", ""
    try:
        old = Image.Exif()
        old.load(exif if exif.startswith(_EXIF) else _EXIF + exif)
        details = old.get_ifd(_DETAILS)
        new = Image.Exif()
        for tag in _KEPT_TAGS if orientation else _KEPT_TAGS[1:]:
            value = old.get(tag)
            if isinstance(value, str):
                value = value[:200]
            if isinstance(value, (str, int)) and value != "":
                new[tag] = value
        times = {tag: str(details[tag])[:40] for tag in (_TIME, _TIME_OFFSET) if tag in details}
        new.get_ifd(_DETAILS).update(times)
        small = new.tobytes().removeprefix(_EXIF) if len(new) or times else b""
    except _DAMAGE:
        # Other readers cannot read it either, so it is dropped.
        return b"", ""
    return small, _iso(times.get(_TIME, ""), times.get(_TIME_OFFSET, ""))


def _iso(time: str, offset: str) -> str:
    found = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d:\d\d:\d\d)", time)
    if found is None or found[1] == "0000":
        return ""
    zone = offset.strip() if re.fullmatch(r"[+-]\d\d:\d\d", offset.strip()) else ""
    return f"{found[1]}-{found[2]}-{found[3]}T{found[4]}{zone}"


def _has_position(content: bytes) -> bool:
    """Return whether any metadata in the file still contain a GPS position."""
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


# A photo of 150 megapixels takes 450 MB, and twice that while Pillow converts it.
_DECODERS = threading.Semaphore(2)

_STARTS = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
}
# Files that hosts send instead of a photo; compared in lower case, without leading white space.
_NOT_PHOTOS = {
    **dict.fromkeys((b"<!doctype html", b"<html", b"<head", b"<body"), "an HTML page"),
    **dict.fromkeys((b"<svg", b"<?xml"), "a drawing or XML"),
    **dict.fromkeys((b"{", b"["), "JSON"),
    **dict.fromkeys((b"\x1aE\xdf\xa3".lower(), b"oggs"), "a video"),
    b"%pdf": "a PDF",
    b"pk\x03\x04": "a zip file",
}

# Kinds whose files are kept; other kinds are re-encoded as PNG, which is lossless.
_KEPT = frozenset({"jpg", "png", "webp", "heic", "avif"})


@dataclass(frozen=True)
class Photo:
    """A photo as the inbox stores it.

    Attributes:
        content: Bytes of the file, without GPS position and other private metadata.
        suffix: File suffix with the dot, from the content.
        sha256: SHA-256 of `content`, hexadecimal.
        dhash: Difference hash of the pixels, 16 hexadecimal digits.
        time: When the photo was taken, from its metadata, ISO 8601; empty if unknown.
        size: (width, height) in pixels, upright.
    """

    content: bytes
    suffix: str
    sha256: str
    dhash: str
    time: str
    size: tuple[int, int]


def inspect(content: bytes) -> Photo:
    """Decode, sanitise and hash a photo.

    Args:
        content: The whole file; its name and the server's Content-Type are ignored.

    Raises:
        SkippedError: if it is not a photo, cannot be decoded, or is larger than `decode` allows.
    """
    kind = sniff(content)
    if kind is None:
        raise SkippedError(f"not a photo but {_describe(content)}", final=bool(content))
    try:
        with _DECODERS:
            return _photo(content, kind)
    except PhotoError as error:
        # A truncated download may succeed in the next run; other problems are final.
        reason = str(error).partition(" (")[0]
        raise SkippedError(reason, final=not reason.startswith(("truncated", "damaged"))) from None


def sniff(content: bytes) -> str | None:
    """Return the image kind from a file's first bytes, as a suffix without the dot; None if it is not an image."""
    if content[4:8] == b"ftyp":
        return iso_kind(content)
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
        # Re-encoding the pixels removes all metadata.
        pixels = decode(content)
        content, kind = _as_png(pixels), "png"
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(content).hexdigest()
    return Photo(content, f".{kind}", digest, format_dhash(dhash(pixels)), time, (width, height))


def _as_png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _describe(content: bytes) -> str:
    if not content:
        return "an empty file"
    if content[4:8] == b"ftyp":
        return "a video"
    start = content[:512].lstrip().lower()
    return next((kind for beginning, kind in _NOT_PHOTOS.items() if start.startswith(beginning)), "an unknown format")
