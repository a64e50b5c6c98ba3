"""Sources `commons` and `openverse`: openly licensed photos of Wikimedia Commons and Openverse."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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
from bball_pl.collect.names import cell, html_text, link_cell
from bball_pl.collect.rate_limit import HostLimits
from bball_pl.collect.source import (
    OPEN_KINDS,
    Candidate,
    CollectError,
    LeftOut,
    check_kinds,
    commons_licence,
    licence_problem,
    openverse_licence,
)

#: Wikimedia requires sequential requests, and answers 429 for ten minutes after too many files at once.
COMMONS_LIMITS = {
    "commons.wikimedia.org": HostLimits(at_once=1),
    "upload.wikimedia.org": HostLimits(at_once=1, interval=0.5),
}

#: Widths in pixels that Wikimedia has rendered; requests for other widths are limited.
#: Source: https://www.mediawiki.org/wiki/Common_thumbnail_sizes
WIDTHS = (250, 330, 500, 960, 1280, 1920, 3840)

_TEMPORARY = frozenset({"maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryTimeoutError"})
_PHOTOS = frozenset({"image/jpeg", "image/png", "image/webp", "image/tiff"})
_FIXED = {"action": "query", "format": "json", "formatversion": "2", "maxlag": "5"}
_WANTED = {"prop": "imageinfo", "iiprop": "url|size|mime|sha1|extmetadata", "iiextmetadatalanguage": "en"}


class Commons:
    """Wikimedia Commons.

    Args:
        web: HTTP client with a contact, without which Wikimedia refuses requests.
        categories: Names of categories, with or without `Category:`.
        words: Search words, instead of or in addition to categories.
        licences: Accepted kinds of licence.
        depth: Levels of subcategories to include.
        width: Width of the photos in pixels, one of `WIDTHS`; 0 for the originals.
        api: Address of the API.
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
            raise CollectError("nothing to search for: pass --category, such as 'Jump shots (basketball)', or --words.")
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
        for host, limits in COMMONS_LIMITS.items():
            web.limiter.set_limits(host, limits)

    def items(self) -> Iterator[Candidate | LeftOut]:
        """Yield the photos of the categories, then the search results; each file once.

        Raises:
            CollectError: if the API refuses a request.
        """
        seen: set[str] = set()
        for page, album in self._pages():
            key = str(page.get("pageid", ""))
            if key and key not in seen:
                seen.add(key)
                yield self._candidate(key, page, album)

    def _pages(self) -> Iterator[tuple[dict[str, Any], str]]:
        for category in self._all_categories():
            query = {"generator": "categorymembers", "gcmtitle": category, "gcmtype": "file", "gcmlimit": "50"}
            empty = True
            for page in self._query(query | self._info()):
                empty = False
                yield page, category.removeprefix("Category:")
            if empty and category in self._categories:
                self._refuse_unknown(category)
        if self._words:
            search = f"{self._words} filetype:bitmap"
            query = {"generator": "search", "gsrsearch": search, "gsrnamespace": "6", "gsrlimit": "50"}
            for page in self._query(query | self._info()):
                yield page, self._words

    def _refuse_unknown(self, category: str) -> None:
        """Say what is wrong with a category without files: Commons answers alike for one that does not exist."""
        name = category.removeprefix("Category:")
        (page,) = self._query({"prop": "categoryinfo", "titles": category})
        counts = mapping(page.get("categoryinfo"))
        if not counts:
            raise CollectError(
                f"Wikimedia Commons has no category {name!r}. Write it as the page does, capitals "
                "and plurals too; --words searches."
            )
        if self._depth == 0 and counts.get("subcats"):
            raise CollectError(
                f"the category {name!r} of Wikimedia Commons has no files of its own but {counts['subcats']} "
                "subcategories: pass --depth 1."
            )

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
                query = {"generator": "categorymembers", "gcmtitle": category, "gcmtype": "subcat", "gcmlimit": "500"}
                below += [str(page.get("title")) for page in self._query(query) if page.get("title")]
            level = [name for name in dict.fromkeys(below) if name not in known]
            known.update(level)

    def _query(self, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Yield the pages of a query, each as soon as all of its properties have arrived."""
        more: dict[str, str] = {}
        pages: dict[object, dict[str, Any]] = {}
        while True:
            answer = self._web.ask(self._api, {**_FIXED, **query, **more}, {}, _parse)
            for page in mappings(mapping(answer.get("query")).get("pages")):
                pages.setdefault(page.get("pageid") or page.get("title"), {}).update(page)
            # The properties of one batch of pages may take several replies.
            if answer.get("batchcomplete") or "continue" not in answer:
                yield from pages.values()
                pages = {}
            following = {str(name): str(value) for name, value in mapping(answer.get("continue")).items()}
            if not following or following == more:
                return
            more = following

    def _candidate(self, key: str, page: Mapping[str, Any], album: str) -> Candidate | LeftOut:
        title = str(page.get("title", "")).removeprefix("File:").rpartition(".")[0]
        info = (mappings(page.get("imageinfo")) or [{}])[0]
        metadata = {name: mapping(entry).get("value", "") for name, entry in mapping(info.get("extmetadata")).items()}
        link = link_cell(info.get("descriptionurl", ""))
        url = str(info.get("thumburl") or info.get("url") or "")
        mime = str(info.get("mime", ""))
        if not url or mime not in _PHOTOS:
            return LeftOut(key, title, link, f"not a photo but {mime or 'nothing'}")
        licence = commons_licence(
            html_text(metadata.get("License", "")), html_text(metadata.get("LicenseShortName", ""))
        )
        if problem := licence_problem(licence, self._licences):
            return LeftOut(key, title, link, problem)
        author, time = html_text(metadata.get("Artist", "")), _time(str(metadata.get("DateTimeOriginal", "")))
        # Commons does not record games: photos by one photographer on one day are assumed to show one.
        group = "/".join(part for part in (author, time[:10]) if part)
        return Candidate(
            key=key,
            title=title,
            group=f"commons:{group or key}",
            album=album,
            url=url,
            source_url=link,
            author=author,
            licence=licence.spdx,
            licence_url=link_cell(metadata.get("LicenseUrl", "")),
            time=time,
            attribution=html_text(metadata.get("Attribution") or metadata.get("Credit", "")),
            restrictions=html_text(metadata.get("Restrictions", "")),
        )


def _parse(reply: Reply) -> dict[str, Any]:
    error = mapping(parse_json(reply)).get("error")
    if isinstance(error, dict):
        problem = f"Commons error {cell(error.get('code'))}: {cell(error.get('info'))}"
        if error.get("code") in _TEMPORARY:
            raise TryAgainError(problem, retry_after(reply.headers))
        raise CollectError(problem)
    advice = "Wikimedia refuses clients without a --contact: pass your mail address or a page about you."
    return require_object(reply, "Commons", advice)


def _time(text: str) -> str:
    found = re.search(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d))?", text)
    if found is None:
        return ""
    return f"{found[1]}T{found[2]}" if found[2] else found[1]


#: Openverse allows 20 requests a minute, and 200 a day, without an account.
OPENVERSE_LIMITS = HostLimits(at_once=1, interval=3.0)
_PAGE_SIZE = 20
_EXHAUSTED = "Openverse's limit of requests per day is exhausted. What was collected is kept: resume tomorrow."


class Openverse:
    """Openverse, a search engine over openly licensed collections.

    Args:
        web: HTTP client.
        words: Search words.
        licences: Accepted kinds of licence.
        host: Address of the API.
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
            raise CollectError("nothing to search for: pass --words, such as 'basketball layup'.")
        self.expected: int | None = None
        self._web = web
        self._words = words
        self._licences = check_kinds(licences)
        self._url = f"{host}/v1/images/"
        self._endpoint = httpx2.URL(host).netloc.decode()
        self._is_exhausted = False
        # Many results are files of Wikimedia Commons.
        for endpoint, limits in {self._endpoint: OPENVERSE_LIMITS, **COMMONS_LIMITS}.items():
            web.limiter.set_limits(endpoint, limits)

    def items(self) -> Iterator[Candidate | LeftOut]:
        """Yield the search results page by page; Openverse shows at most 20 pages of one search.

        Raises:
            CollectError: if the API refuses a request, or the limit of requests per day is exhausted.
        """
        query = {
            "q": self._words,
            "license": ",".join(self._licences),
            "category": "photograph",
            "mature": "false",
            "page_size": str(_PAGE_SIZE),
        }
        seen: set[str] = set()
        page, pages = 1, 1
        while page <= pages:
            if self._is_exhausted:
                raise CollectError(_EXHAUSTED)
            answer = self._web.ask(self._url, {**query, "page": str(page)}, {}, self._parse)
            results = answer.get("results")
            count, last = answer.get("result_count"), answer.get("page_count")
            if not isinstance(results, list) or not isinstance(last, int):
                raise CollectError("Openverse's answer has no results and no page_count: the API may have changed.")
            pages = last
            self.expected = min(count, pages * _PAGE_SIZE) if isinstance(count, int) else None
            for result in mappings(results):
                key = str(result.get("id", ""))
                # Results added meanwhile shift entries to the next page.
                if key and key not in seen:
                    seen.add(key)
                    yield self._candidate(key, result)
            page += 1

    def _candidate(self, key: str, result: Mapping[str, Any]) -> Candidate | LeftOut:
        def text(name: str) -> str:
            value = result.get(name)
            return "" if value is None else str(value)

        title, link = text("title") or key, link_cell(text("foreign_landing_url"))
        licence = openverse_licence(text("license"), text("license_version"))
        if problem := licence_problem(licence, self._licences):
            return LeftOut(key, title, link, problem)
        if not text("url"):
            return LeftOut(key, title, link, "it has no image")
        # Openverse does not record games: the photos of one photographer are one group.
        group = f"{text('source')}/{text('creator')}" if text("creator") else key
        return Candidate(
            key=key,
            title=title,
            group=f"openverse:{group}",
            album=self._words,
            url=text("url"),
            source_url=link,
            author=text("creator"),
            licence=licence.spdx,
            licence_url=link_cell(text("license_url")),
            attribution=text("attribution"),
        )

    def _parse(self, reply: Reply) -> dict[str, Any]:
        for name, available in reply.headers.items():
            if name.lower().startswith("x-ratelimit-available-") and available.strip() == "0":
                if name.lower().endswith("_sustained"):
                    self._is_exhausted = True
                else:
                    self._web.limiter.pause(self._endpoint, 60.0)
        if reply.status == 429 and self._is_exhausted:
            raise CollectError(_EXHAUSTED)
        return require_object(reply, "Openverse", "")
