"""What comes back from the web: an answer, a photo, or the wish to be asked later."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any


class TryAgainError(Exception):
    """A request that may succeed later.

    Args:
        why: a few words.
        after: seconds that the server asks to wait; None leaves it to the client.
    """

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.after = after


@dataclass(frozen=True)
class Reply:
    """An answer, read to its end.

    Attributes:
        status: of HTTP.
        headers: of the answer, in any case of letters.
        content: decoded body.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Download:
    """A photo's bytes.

    Attributes:
        content: the bytes; None if the photo has not changed since `validator` was given.
        validator: ETag, or else Last-Modified, to ask later whether it has changed; empty if there is none.
    """

    content: bytes | None
    validator: str = ""


def parse_json(reply: Reply) -> Any:
    """Return what JSON in a reply says; None if it is none."""
    try:
        return json.loads(reply.content)
    except (ValueError, RecursionError):
        return None


def mapping(value: object) -> dict[str, Any]:
    """Return a JSON object, or an empty one if the server sent something else in its place."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[dict[str, Any]]:
    """Return the objects of a JSON array; what else is in it, or sent in its place, is left out."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the header Retry-After asks to wait, given as seconds or as a date; None without one."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
