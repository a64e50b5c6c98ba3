"""Metadata items of HEIC and AVIF files, so that they can be overwritten in place."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

# A hostile file may nest and repeat without end; real ones have some dozens.
_MOST_ITEMS = 10_000


@dataclass(frozen=True)
class Item:
    """One piece of metadata in a file.

    Attributes:
        kind: "Exif", or "mime" for XMP and the like.
        extents: (offset from the file's beginning, length) of its pieces, in bytes, in their order.
    """

    kind: str
    extents: tuple[tuple[int, int], ...]

    def read(self, content: bytes) -> bytes:
        """Return its bytes."""
        return b"".join(content[start : start + length] for start, length in self.extents)

    def overwrite(self, content: bytearray, payload: bytes) -> None:
        """Write `payload`, as long as the item, over its bytes in `content`."""
        done = 0
        for start, length in self.extents:
            content[start : start + length] = payload[done : done + length]
            done += length


def find_items(content: bytes) -> list[Item]:
    """Return the items of a file that hold EXIF or XMP.

    Source: ISO/IEC 14496-12, 8.11 (boxes meta, iinf, iloc, idat).

    Raises:
        ValueError: if the file is built in another way.
        struct.error: if it is cut short.
    """
    items: list[Item] = []
    for name, start, end in _boxes(content, 0, len(content)):
        if name == b"meta":
            items += _items(content, start + 4, end)
    return items


def _items(content: bytes, start: int, end: int) -> Iterator[Item]:
    boxes = {name: (first, last) for name, first, last in _boxes(content, start, end)}
    if b"iinf" not in boxes or b"iloc" not in boxes:
        return
    kinds = dict(_kinds(content, *boxes[b"iinf"]))
    data = boxes.get(b"idat", (0, 0))[0]
    for number, extents in _places(content, boxes[b"iloc"][0], data):
        if kinds.get(number) in {b"Exif", b"mime"}:
            if any(first < 0 or first + length > len(content) for first, length in extents):
                raise ValueError("an item lies outside the file")
            yield Item(kinds[number].decode(), tuple(extents))


def _boxes(content: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, beginning and end of what is in each box."""
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
            raise ValueError("an old kind of item")
        number, kind = struct.unpack_from(">H2x4s" if content[first] == 2 else ">I2x4s", content, first + 4)
        yield number, kind


def _places(content: bytes, start: int, data: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    version = content[start]
    sizes, more = content[start + 4], content[start + 5]
    of_offset, of_length, of_base = sizes >> 4, sizes & 15, more >> 4
    of_index = more & 15 if version > 0 else 0
    position = start + 6

    def take(size: int) -> int:
        nonlocal position
        position += size
        if position > len(content):
            raise ValueError("cut short")
        return int.from_bytes(content[position - size : position], "big")

    count = take(4 if version == 2 else 2)
    if count > _MOST_ITEMS:
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
        # Data in other files, or built from other items, are not in this place.
        if method in {0, 1} and reference == 0:
            yield number, extents
