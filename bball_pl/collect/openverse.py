"""Openly licensed photos that Openverse finds by words, in Flickr, museums and elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx2

from bball_pl.collect import commons
from bball_pl.collect.finds import CollectError, Find, LeftOut
from bball_pl.collect.licence import OPEN_KINDS, check_kinds, openverse_licence, why_not
from bball_pl.collect.names import cell, link_cell
from bball_pl.collect.pace import Manners
from bball_pl.collect.replies import Reply, TryAgainError, mappings, parse_json, retry_after
from bball_pl.collect.web import Web

#: Whoever has no account is allowed 20 requests a minute, and 200 a day.
MANNERS = Manners(at_once=1, interval=3.0)
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
        web.pace.set_manners(self._place, MANNERS)
        for other, manners in commons.MANNERS.items():
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
