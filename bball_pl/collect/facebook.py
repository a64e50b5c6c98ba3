"""Source `facebook`: the albums of a page that you administer, each photo in its largest size."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import quote

import httpx2

from bball_pl.collect.client import (
    Reply,
    TryAgainError,
    Web,
    mapping,
    mappings,
    parse_json,
    require_object,
    retry_after,
)
from bball_pl.collect.names import Secret, cell, link_cell
from bball_pl.collect.source import RESUME, Candidate, CollectError, LeftOut

TOKEN = "FACEBOOK_TOKEN"
INSTRUCTIONS = (
    "Make a token for a page that you administer, with the permissions pages_show_list and pages_read_engagement, in "
    f"the Graph API Explorer, then: export {TOKEN}=…"
)
_USAGE_HEADERS = ("x-app-usage", "x-page-usage", "x-business-use-case-usage")
#: Percentages of a limit from which requests are slowed down, and stopped.
_SLOW_DOWN, _STOP = 75.0, 95.0

#: Error codes of temporary failures, and of exceeded limits.
_TEMPORARY = frozenset({1, 2, 341})
_LIMIT_EXCEEDED = frozenset({4, 17, 32, 613, 80001})
#: Seconds to pause if Facebook names no time: limits count over an hour, so a shorter pause is likely refused again.
_PAUSE = 300.0

_NO_PERMISSION = (
    "The token may not read this. An app reads pages whose administrator gave it a role (pages_read_engagement and "
    "pages_show_list); every other page needs the feature Page Public Content Access."
)
_ALBUM_FIELDS = "id,name,count,created_time,updated_time,type,link"
_PHOTO_FIELDS = "id,images{source,width,height},created_time,album,link"


class Facebook:
    """A Facebook page, read through the Graph API.

    Args:
        web: HTTP client.
        token: Token of a user or a page; sent as a header only.
        page: Name or ID of the page.
        albums: Names or IDs of albums. Default: all, Timeline Photos included.
        licence: Licence that the page's owner grants, for photos.csv.
        version: Version of the API.
        host: Address of the API.
    """

    name = "facebook"

    def __init__(
        self,
        web: Web,
        token: Secret,
        page: str,
        albums: Sequence[str] = (),
        licence: str = "",
        version: str = "v26.0",
        host: str = "https://graph.facebook.com",
    ) -> None:
        if not re.fullmatch(r"v\d+\.\d+", version):
            raise CollectError(f"--api_version is {version!r}; expected one such as v26.0.")
        self.expected: int | None = None
        self._web = web
        self._token = token
        self._page = page
        self._albums = list(albums)
        self._licence = licence
        self._host = httpx2.URL(host)
        self._base = f"{host}/{version}"
        self._exhausted = ""

    def items(self) -> Iterator[Candidate | LeftOut]:
        """Yield the photos album by album.

        Raises:
            CollectError: if the token is invalid, has expired or may not read the page, an album does not exist, or a
                limit of the API is nearly exhausted.
        """
        page = self._ask(f"{self._base}/{quote(self._page, safe='')}", {"fields": "id,name"})
        owner, number = str(page.get("name", self._page)), str(page.get("id", self._page))
        albums = list(self._list(f"{number}/albums", _ALBUM_FIELDS))
        chosen = self._choose(albums)
        self.expected = sum(count for album in chosen if isinstance(count := album.get("count"), int))
        for album in chosen:
            title = str(album.get("name") or "album")
            for photo in self._list(f"{album['id']}/photos", _PHOTO_FIELDS):
                yield self._candidate(photo, str(album["id"]), title, owner)

    def _choose(self, albums: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not self._albums:
            return albums
        chosen = [album for album in albums if {str(album["id"]), str(album.get("name"))} & set(self._albums)]
        known = {str(value) for album in albums for value in (album["id"], album.get("name"))}
        if missing := [wanted for wanted in self._albums if wanted not in known]:
            names = ", ".join(cell(f"{album.get('name')} ({album['id']})") for album in albums)
            raise CollectError(f"the page has no album {', '.join(missing)} (found: {names or 'none'}).")
        return chosen

    def _candidate(self, photo: dict[str, Any], album: str, title: str, owner: str) -> Candidate | LeftOut:
        number, link = str(photo["id"]), link_cell(photo.get("link", ""))
        images = [image for image in mappings(photo.get("images")) if image.get("source")]
        if not images:
            return LeftOut(number, number, link, "it has no image")
        # Their order is not documented, and the available sizes differ between photos.
        largest = max(images, key=_pixels)
        return Candidate(
            key=number,
            title=number,
            group=f"facebook:{album}",
            album=title,
            url=str(largest["source"]),
            source_url=link,
            author=owner,
            licence=self._licence,
            time=str(photo.get("created_time") or "").replace("+0000", "+00:00"),
        )

    def _list(self, path: str, fields: str) -> Iterator[dict[str, Any]]:
        """Yield the entries of all pages of a list. A page may be short, or empty, without being the last one."""
        url, params = f"{self._base}/{path}", {"fields": fields, "limit": "100"}
        requested: set[str] = set()
        while url not in requested:
            requested.add(url)
            answer = self._ask(url, params)
            yield from (entry for entry in mappings(answer.get("data")) if "id" in entry)
            following = mapping(answer.get("paging")).get("next")
            if not following:
                return
            url, params = self._without_token(str(following)), {}
        raise CollectError(f"Facebook repeats a page of {path} endlessly. {RESUME}")

    def _without_token(self, following: str) -> str:
        """Return the URL of the next page, without the token that Facebook inserts, if it is on the same host."""
        url = httpx2.URL(following)
        if (url.scheme, url.host, url.port) != (self._host.scheme, self._host.host, self._host.port):
            raise CollectError(f"Facebook's next page is on another host, {url.host}; the token is not sent there.")
        return str(url.copy_remove_param("access_token"))

    def _ask(self, url: str, params: Mapping[str, str]) -> dict[str, Any]:
        if self._exhausted:
            raise CollectError(self._exhausted)
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        return self._web.ask(url, params, headers, self._parse)

    def _parse(self, reply: Reply) -> dict[str, Any]:
        percent, minutes = _usage(reply.headers)
        error = mapping(parse_json(reply)).get("error")
        if isinstance(error, dict):
            _raise_api_error(error, reply, minutes)
        answer = require_object(reply, "Facebook", RESUME)
        if percent >= _STOP:
            wait = f" Facebook asks to wait {minutes:.0f} minutes." if minutes else ""
            self._exhausted = f"{percent:.0f} % of Facebook's limit for this token is used.{wait} {RESUME}"
        elif percent >= _SLOW_DOWN:
            seconds = 60 * (percent - _SLOW_DOWN + 1) / (_STOP - _SLOW_DOWN)
            self._web.limiter.pause(self._host.netloc.decode(), seconds)
        return answer


def _pixels(image: Mapping[str, Any]) -> int:
    width, height = image.get("width"), image.get("height")
    return width * height if isinstance(width, int) and isinstance(height, int) else 0


def _raise_api_error(error: Mapping[str, Any], reply: Reply, minutes: float) -> NoReturn:
    code = error.get("code")
    code = code if isinstance(code, int) else 0
    message, trace = cell(error.get("message", "no message")), cell(error.get("fbtrace_id", ""))
    problem = f"Facebook error {code}: {message} (fbtrace_id {trace})"
    if code in _LIMIT_EXCEEDED or reply.status == 429:
        raise TryAgainError(problem, retry_after(reply.headers) or 60 * minutes or _PAUSE)
    if code in _TEMPORARY or error.get("is_transient") is True or reply.status >= 500:
        raise TryAgainError(problem, retry_after(reply.headers))
    if code in {102, 190}:
        raise CollectError(f"{problem}. The token has expired or is invalid. {INSTRUCTIONS} {RESUME}")
    if code in {3, 10} or 200 <= code <= 299:
        raise CollectError(f"{problem}. {_NO_PERMISSION}")
    if code in {100, 803}:
        raise CollectError(f"{problem}. There is no such page or album, or the token may not see it. {_NO_PERMISSION}")
    raise CollectError(f"{problem}. {RESUME}")


def _usage(headers: Mapping[str, str]) -> tuple[float, float]:
    """Return the percentage of the most used limit, and the minutes until access is regained."""
    percent = minutes = 0.0
    for name in _USAGE_HEADERS:
        try:
            usage = json.loads(headers.get(name, "{}"))
        except ValueError:
            continue
        for key, value in _numbers(usage):
            if key == "estimated_time_to_regain_access":
                minutes = max(minutes, value)
            elif key in {"call_count", "total_time", "total_cputime"}:
                percent = max(percent, value)
    return percent, minutes


def _numbers(usage: object) -> Iterator[tuple[str, float]]:
    if isinstance(usage, dict):
        for key, value in usage.items():
            if isinstance(value, (int, float)):
                yield key, float(value)
            else:
                yield from _numbers(value)
    elif isinstance(usage, list):
        for value in usage:
            yield from _numbers(value)
