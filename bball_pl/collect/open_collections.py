"""Openly licensed collections: Wikimedia Commons and Openverse."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx2

from bball_pl.collect.client import Reply, TryAgainError, Web, mapping, mappings, parse_json, retry_after
from bball_pl.collect.names import cell, html_text, link_cell
from bball_pl.collect.rate_limit import Manners
from bball_pl.collect.source import (
    OPEN_KINDS,
    CollectError,
    Find,
    LeftOut,
    check_kinds,
    commons_licence,
    openverse_licence,
    why_not,
)

#: Wikimedia wants one request after the other, and answers 429 for ten minutes to who asks for files too quickly.
COMMONS_LIMITS = {"commons.wikimedia.org": Manners(at_once=1), "upload.wikimedia.org": Manners(at_once=1, interval=0.5)}

#: Widths in pixels that Wikimedia keeps ready; it limits who asks for others.
#: Source: https://www.mediawiki.org/wiki/Common_thumbnail_sizes
WIDTHS = (250, 330, 500, 960, 1280, 1920, 3840)

_PASSING = frozenset({"maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryTimeoutError"})
_PHOTOS = frozenset({"image/jpeg", "image/png", "image/webp", "image/tiff"})
_FIXED = {"action": "query", "format": "json", "formatversion": "2", "maxlag": "5"}
_WANTED = {"prop": "imageinfo", "iiprop": "url|size|mime|sha1|extmetadata", "iiextmetadatalanguage": "en"}


class Commons:
    """Wikimedia Commons.

    Args:
        web: the client, with a contact: Wikimedia refuses those without.
        categories: names of categories, with or without `Category:`.
        words: search for these instead, or as well.
        licences: kinds of licence that are taken.
        depth: levels of subcategories to go into.
        width: of the photos in pixels, one of `WIDTHS`; 0 takes the originals.
        api: address of the API.
    """

    name = "commons"

    def __init__(
        self,
        web: Web,
        categories: Sequence[str] = (),
        words: str = "",
        licences: Sequence[str] = OPEN_KINDS,
        depth: int = 0,
        width: int = 1280,
        api: str = "https://commons.wikimedia.org/w/api.php",
    ) -> None:
        if not categories and not words:
            raise CollectError("nothing to look for: pass --category, such as 'Jump shots (basketball)', or --words.")
        if width and width not in WIDTHS:
            raise CollectError(f"--width is {width}; expected {', '.join(map(str, WIDTHS))}, or 0 for the originals.")
        self.expected: int | None = None
        self._web = web
        self._categories = [f"Category:{name.removeprefix('Category:').strip()}" for name in categories]
        self._words = words
        self._licences = check_kinds(licences)
        self._depth = depth
        self._width = width
        self._api = api
        for host, manners in COMMONS_LIMITS.items():
            web.pace.set_manners(host, manners)

    def finds(self) -> Iterator[Find | LeftOut]:
        """Yield the photos of the categories, then those that the words find; each file once.

        Raises:
            CollectError: if the API refuses.
        """
        seen: set[str] = set()
        for page, album in self._pages():
            key = str(page.get("pageid", ""))
            if key and key not in seen:
                seen.add(key)
                yield self._find(key, page, album)

    def _pages(self) -> Iterator[tuple[dict[str, Any], str]]:
        for category in self._all_categories():
            asked = {"generator": "categorymembers", "gcmtitle": category, "gcmtype": "file", "gcmlimit": "50"}
            for page in self._query(asked | self._info()):
                yield page, category.removeprefix("Category:")
        if self._words:
            search = f"{self._words} filetype:bitmap"
            asked = {"generator": "search", "gsrsearch": search, "gsrnamespace": "6", "gsrlimit": "50"}
            for page in self._query(asked | self._info()):
                yield page, self._words

    def _info(self) -> dict[str, str]:
        return {**_WANTED, "iiurlwidth": str(self._width)} if self._width else _WANTED

    def _all_categories(self) -> Iterator[str]:
        level, known = list(dict.fromkeys(self._categories)), set(self._categories)
        for depth in range(self._depth + 1):
            yield from level
            if depth == self._depth:
                return
            below: list[str] = []
            for category in level:
                asked = {"generator": "categorymembers", "gcmtitle": category, "gcmtype": "subcat", "gcmlimit": "500"}
                below += [str(page.get("title")) for page in self._query(asked) if page.get("title")]
            level = [name for name in dict.fromkeys(below) if name not in known]
            known.update(level)

    def _query(self, asked: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Yield the pages that a query finds, each when all that was asked about it is there."""
        more: dict[str, str] = {}
        pages: dict[object, dict[str, Any]] = {}
        while True:
            answer = self._web.ask(self._api, {**_FIXED, **asked, **more}, {}, _judge)
            for page in mappings(mapping(answer.get("query")).get("pages")):
                pages.setdefault(page.get("pageid") or page.get("title"), {}).update(page)
            # Properties of a batch may come in several answers; only then does the generator go on.
            if answer.get("batchcomplete") or "continue" not in answer:
                yield from pages.values()
                pages = {}
            following = {str(name): str(value) for name, value in mapping(answer.get("continue")).items()}
            if not following or following == more:
                return
            more = following

    def _find(self, key: str, page: Mapping[str, Any], album: str) -> Find | LeftOut:
        title = str(page.get("title", "")).removeprefix("File:").rpartition(".")[0]
        info = (mappings(page.get("imageinfo")) or [{}])[0]
        facts = {name: mapping(entry).get("value", "") for name, entry in mapping(info.get("extmetadata")).items()}
        where = link_cell(info.get("descriptionurl", ""))
        url = str(info.get("thumburl") or info.get("url") or "")
        mime = str(info.get("mime", ""))
        if not url or mime not in _PHOTOS:
            return LeftOut(key, title, where, f"not a photo but {mime or 'nothing'}")
        licence = commons_licence(html_text(facts.get("License", "")), html_text(facts.get("LicenseShortName", "")))
        if why := why_not(licence, self._licences):
            return LeftOut(key, title, where, why)
        author, time = html_text(facts.get("Artist", "")), _time(str(facts.get("DateTimeOriginal", "")))
        # Nobody says which photos show one game: the same photographer on the same day is the best guess.
        group = "/".join(part for part in (author, time[:10]) if part)
        return Find(
            key=key,
            title=title,
            group=f"commons:{group or key}",
            album=album,
            url=url,
            source_url=where,
            author=author,
            licence=licence.spdx,
            licence_url=link_cell(facts.get("LicenseUrl", "")),
            time=time,
            attribution=html_text(facts.get("Attribution") or facts.get("Credit", "")),
            restrictions=html_text(facts.get("Restrictions", "")),
        )


def _judge(reply: Reply) -> dict[str, Any]:
    answer = parse_json(reply)
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):
        what = f"Commons error {cell(error.get('code'))}: {cell(error.get('info'))}"
        if error.get("code") in _PASSING:
            raise TryAgainError(what, retry_after(reply.headers))
        raise CollectError(what)
    if reply.status == 429 or reply.status >= 500:
        raise TryAgainError(f"Commons answers HTTP {reply.status}", retry_after(reply.headers))
    if reply.status != 200 or not isinstance(answer, dict):
        raise CollectError(
            f"Commons answers HTTP {reply.status} and no JSON. Wikimedia refuses clients without a --contact: "
            "pass your mail address or a page about you."
        )
    return answer


def _time(text: str) -> str:
    found = re.search(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d))?", text)
    if found is None:
        return ""
    return f"{found[1]}T{found[2]}" if found[2] else found[1]


#: Whoever has no account is allowed 20 requests a minute, and 200 a day.
OPENVERSE_LIMITS = Manners(at_once=1, interval=3.0)
_PAGE_SIZE = 20
_KEPT = "What was collected is kept: run the same command again tomorrow."


class Openverse:
    """Openverse.

    Args:
        web: the client.
        words: to search for.
        licences: kinds of licence that are taken.
        host: address of the API.
    """

    name = "openverse"

    def __init__(
        self,
        web: Web,
        words: str,
        licences: Sequence[str] = OPEN_KINDS,
        host: str = "https://api.openverse.org",
    ) -> None:
        if not words.strip():
            raise CollectError("nothing to look for: pass --words, such as 'basketball layup'.")
        self.expected: int | None = None
        self._web = web
        self._words = words
        self._licences = check_kinds(licences)
        self._url = f"{host}/v1/images/"
        self._place = httpx2.URL(host).netloc.decode()
        self._used_up = False
        web.pace.set_manners(self._place, OPENVERSE_LIMITS)
        for other, manners in COMMONS_LIMITS.items():
            # Much of what it finds lies there.
            web.pace.set_manners(other, manners)

    def finds(self) -> Iterator[Find | LeftOut]:
        """Yield what the search finds, page by page; Openverse shows 20 pages of one search at most.

        Raises:
            CollectError: if the API refuses, or the day's requests are used up.
        """
        asked = {
            "q": self._words,
            "license": ",".join(self._licences),
            "category": "photograph",
            "mature": "false",
            "page_size": str(_PAGE_SIZE),
        }
        seen: set[str] = set()
        page, pages = 1, 1
        while page <= pages:
            if self._used_up:
                raise CollectError(f"the requests that Openverse allows in a day are used up. {_KEPT}")
            answer = self._web.ask(self._url, {**asked, "page": str(page)}, {}, self._judge)
            results = answer.get("results")
            count, last = answer.get("result_count"), answer.get("page_count")
            if not isinstance(results, list) or not isinstance(last, int):
                raise CollectError("Openverse's answer has no results and no page_count: the API may have changed.")
            pages = last
            self.expected = min(count, pages * _PAGE_SIZE) if isinstance(count, int) else None
            for result in mappings(results):
                key = str(result.get("id", ""))
                # Pages shift when something is added meanwhile.
                if key and key not in seen:
                    seen.add(key)
                    yield self._find(key, result)
            page += 1

    def _find(self, key: str, result: Mapping[str, Any]) -> Find | LeftOut:
        def text(name: str) -> str:
            value = result.get(name)
            return "" if value is None else str(value)

        title, where = text("title") or key, link_cell(text("foreign_landing_url"))
        licence = openverse_licence(text("license"), text("license_version"))
        if why := why_not(licence, self._licences):
            return LeftOut(key, title, where, why)
        if not text("url"):
            return LeftOut(key, title, where, "it has no image")
        # Nobody says which photos show one game; one photographer's stay together.
        group = f"{text('source')}/{text('creator')}" if text("creator") else key
        return Find(
            key=key,
            title=title,
            group=f"openverse:{group}",
            album=self._words,
            url=text("url"),
            source_url=where,
            author=text("creator"),
            licence=licence.spdx,
            licence_url=link_cell(text("license_url")),
            attribution=text("attribution"),
        )

    def _judge(self, reply: Reply) -> dict[str, Any]:
        for name, left in reply.headers.items():
            if name.lower().startswith("x-ratelimit-available-") and left.strip() == "0":
                if name.lower().endswith("_sustained"):
                    self._used_up = True
                else:
                    self._web.pace.hold(self._place, 60.0)
        answer = parse_json(reply)
        if reply.status == 429 and self._used_up:
            raise CollectError(f"the requests that Openverse allows in a day are used up. {_KEPT}")
        if reply.status == 429 or reply.status >= 500:
            raise TryAgainError(f"Openverse answers HTTP {reply.status}", retry_after(reply.headers))
        if reply.status != 200 or not isinstance(answer, dict):
            detail = answer.get("detail", "") if isinstance(answer, dict) else "no JSON"
            raise CollectError(f"Openverse answers HTTP {reply.status}: {cell(detail)}")
        return answer
