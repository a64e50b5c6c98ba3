"""Facebook pages that you administer: all albums, all their pages, the largest size of each photo."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import quote

import httpx2

from bball_pl.collect.client import Reply, TryAgainError, Web, mapping, mappings, parse_json, retry_after
from bball_pl.collect.names import Secret, cell, link_cell
from bball_pl.collect.source import CollectError, Find, LeftOut

TOKEN = "FACEBOOK_TOKEN"
HOW = (
    "Make a token for a page that you administer, with the permissions pages_show_list and pages_read_engagement, in "
    f"the Graph API Explorer, then: export {TOKEN}=…"
)
_KEPT = "What was collected is kept: run the same command again later, and it goes on from there."

_USAGE_HEADERS = ("x-app-usage", "x-page-usage", "x-business-use-case-usage")
_SLOW_DOWN, _STOP = 75.0, 95.0

#: Codes of errors that pass, and among them those that say that too much was asked.
_PASSING = frozenset({1, 2, 4, 17, 32, 341, 613, 80001})
_TOO_MUCH = frozenset({4, 17, 32, 613, 80001})
# Limits count over an hour; without a word on how long to wait, less than this is asking for the next refusal.
_PAUSE = 300.0

_MAY_NOT = (
    "The token may not read this. An app reads pages whose administrator gave it a role (pages_read_engagement and "
    "pages_show_list); every other page needs the feature Page Public Content Access."
)
_ALBUM_FIELDS = "id,name,count,created_time,updated_time,type,link"
_PHOTO_FIELDS = "id,images{source,width,height},created_time,album,link"


class Facebook:
    """Facebook's Graph API.

    Args:
        web: the client.
        token: of a user or a page; sent as a header only.
        page: name or number of the page.
        albums: names or numbers of albums; none means all, Timeline Photos included.
        licence: what the page's owner allows, for photos.csv.
        version: of the API.
        host: its address.
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
        self._full = ""

    def finds(self) -> Iterator[Find | LeftOut]:
        """Yield the photos of the albums, one album after the other.

        Raises:
            CollectError: if the token is not valid (any more) or may not read the page, an album is not there, or a
                limit of the API is nearly used up.
        """
        page = self._ask(f"{self._base}/{quote(self._page, safe='')}", {"fields": "id,name"})
        owner, number = str(page.get("name", self._page)), str(page.get("id", self._page))
        albums = list(self._list(f"{number}/albums", _ALBUM_FIELDS))
        chosen = self._choose(albums)
        self.expected = sum(count for album in chosen if isinstance(count := album.get("count"), int))
        for album in chosen:
            title = str(album.get("name") or "album")
            for photo in self._list(f"{album['id']}/photos", _PHOTO_FIELDS):
                yield self._find(photo, str(album["id"]), title, owner)

    def _choose(self, albums: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not self._albums:
            return albums
        chosen = [album for album in albums if {str(album["id"]), str(album.get("name"))} & set(self._albums)]
        known = {str(value) for album in albums for value in (album["id"], album.get("name"))}
        if missing := [wanted for wanted in self._albums if wanted not in known]:
            names = ", ".join(cell(f"{album.get('name')} ({album['id']})") for album in albums)
            raise CollectError(f"the page has no album {', '.join(missing)} (found: {names or 'none'}).")
        return chosen

    def _find(self, photo: dict[str, Any], album: str, title: str, owner: str) -> Find | LeftOut:
        number, link = str(photo["id"]), link_cell(photo.get("link", ""))
        images = [image for image in mappings(photo.get("images")) if image.get("source")]
        if not images:
            return LeftOut(number, number, link, "it has no image")
        # Their order is not documented, and which sizes there are differs from photo to photo.
        largest = max(images, key=_pixels)
        return Find(
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
        """Yield the entries of all pages of a list; a short page is not the last one."""
        url, params = f"{self._base}/{path}", {"fields": fields, "limit": "100"}
        asked: set[str] = set()
        while url not in asked:
            asked.add(url)
            answer = self._ask(url, params)
            yield from (entry for entry in mappings(answer.get("data")) if "id" in entry)
            following = mapping(answer.get("paging")).get("next")
            if not following:
                return
            url, params = self._without_token(str(following)), {}
        raise CollectError(f"Facebook lists one page of {path} without end. {_KEPT}")

    def _without_token(self, following: str) -> str:
        """Return the address of the next page, if it is the same API's, without the token that Facebook puts in."""
        url = httpx2.URL(following)
        if (url.scheme, url.host, url.port) != (self._host.scheme, self._host.host, self._host.port):
            raise CollectError(f"Facebook's next page is on another host, {url.host}; the token is not sent there.")
        return str(url.copy_remove_param("access_token"))

    def _ask(self, url: str, params: Mapping[str, str]) -> dict[str, Any]:
        if self._full:
            raise CollectError(self._full)
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        return self._web.ask(url, params, headers, self._judge)

    def _judge(self, reply: Reply) -> dict[str, Any]:
        percent, minutes = _usage(reply.headers)
        answer = parse_json(reply)
        error = answer.get("error") if isinstance(answer, dict) else None
        if isinstance(error, dict):
            _refuse(error, reply, minutes)
        if reply.status == 429 or reply.status >= 500:
            raise TryAgainError(f"Facebook answers HTTP {reply.status}", retry_after(reply.headers))
        if reply.status != 200 or not isinstance(answer, dict):
            raise CollectError(f"Facebook answers HTTP {reply.status} and no JSON. {_KEPT}")
        place = self._host.netloc.decode()
        if percent >= _STOP:
            wait = f" Facebook says to wait {minutes:.0f} minutes." if minutes else ""
            self._full = f"{percent:.0f} % of what Facebook allows this token is used up.{wait} {_KEPT}"
        elif percent >= _SLOW_DOWN:
            self._web.pace.hold(place, 60 * (percent - _SLOW_DOWN + 1) / (_STOP - _SLOW_DOWN))
        return answer


def _pixels(image: Mapping[str, Any]) -> int:
    width, height = image.get("width"), image.get("height")
    return width * height if isinstance(width, int) and isinstance(height, int) else 0


def _refuse(error: Mapping[str, Any], reply: Reply, minutes: float) -> NoReturn:
    code = error.get("code")
    code = code if isinstance(code, int) else 0
    message, trace = cell(error.get("message", "no message")), cell(error.get("fbtrace_id", ""))
    what = f"Facebook error {code}: {message} (fbtrace_id {trace})"
    if code in _TOO_MUCH or reply.status == 429:
        raise TryAgainError(what, retry_after(reply.headers) or 60 * minutes or _PAUSE)
    if code in _PASSING or error.get("is_transient") is True or reply.status >= 500:
        raise TryAgainError(what, retry_after(reply.headers))
    if code in {102, 190}:
        raise CollectError(f"{what}. The token has expired or is not valid. {HOW} {_KEPT}")
    if code in {3, 10} or 200 <= code <= 299:
        raise CollectError(f"{what}. {_MAY_NOT}")
    if code in {100, 803}:
        raise CollectError(f"{what}. There is no such page or album, or the token may not see it. {_MAY_NOT}")
    raise CollectError(f"{what}. {_KEPT}")


def _usage(headers: Mapping[str, str]) -> tuple[float, float]:
    """Return the largest percentage of a limit that is used, and the minutes until the API may be asked again."""
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
