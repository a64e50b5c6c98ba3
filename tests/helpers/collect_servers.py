"""Hosts on this machine that speak as Facebook, Wikimedia Commons and Openverse do, as documented, errors included."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np
from PIL import Image

from bball_pl.collect.client import Web
from bball_pl.collect.inbox import Inbox
from bball_pl.collect.job import Job, Summary
from bball_pl.collect.rate_limit import RateLimiter
from bball_pl.collect.source import Source


@dataclass(frozen=True)
class Asked:
    """One request that a host got; the names of the headers are in lower case."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Says:
    """What a host answers, and how it misbehaves.

    Attributes:
        declared: what it says is the length of the body; the truth if None, nothing if it is negative.
        pause: seconds between two bytes of the body.
        drips_head: also between two of the head.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    declared: int | None = None
    pause: float = 0.0
    drips_head: bool = False


class Host:
    """A web server on a free port of this machine that counts what it was asked.

    Attributes:
        asked: all requests, in their order.
        faults: answers that are given before anything else, each once.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.faults: deque[Says] = deque()
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, asked: Asked) -> Says:
        """Return what to answer; a kind of host says it differently."""
        return Says(404)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> tuple[str, int]:
        return "127.0.0.1", int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.endpoint[1]}"

    def counts(self, start: str = "/") -> Counter[str]:
        """Return how often each path that begins with `start` was asked for."""
        return Counter(asked.path for asked in self.asked if asked.path.startswith(start))

    def _take(self, asked: Asked) -> Says:
        with self._lock:
            self.asked.append(asked)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            fault = self.faults.popleft() if self.faults else None
        try:
            return fault or self.answer(asked)
        finally:
            with self._lock:
                self.at_once -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                says = take(Asked(parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), headers))
                declared = len(says.body) if says.declared is None else says.declared
                head = [f"HTTP/1.1 {says.status} said", *(f"{name}: {value}" for name, value in says.headers.items())]
                if says.status != 304 and declared >= 0:
                    head.append(f"Content-Length: {declared}")
                start = "\r\n".join([*head, "", ""]).encode("latin-1")
                try:
                    if says.pause:
                        if not says.drips_head:
                            self.wfile.write(start)
                        for byte in start + says.body if says.drips_head else says.body:
                            self.wfile.write(bytes([byte]))
                            time.sleep(says.pause)
                    else:
                        # One write: two would wait for each other.
                        self.wfile.write(start + says.body)
                except OSError:
                    self.close_connection = True
                if declared != len(says.body):
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


class Photos(Host):
    """A host of photos: `files` by path, `says` for what is answered otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.says: dict[str, Says | Callable[[Asked], Says]] = {}

    def answer(self, asked: Asked) -> Says:
        if asked.path in self.says:
            says = self.says[asked.path]
            return says if isinstance(says, Says) else says(asked)
        if asked.path in self.files:
            return Says(body=self.files[asked.path], headers={"Content-Type": "image/jpeg"})
        return Says(404, b"<html>not found</html>")


class Graph(Host):
    """The Graph API of one page. https://developers.facebook.com/docs/graph-api

    Args:
        photos: the host of the images.
        token: the one that is valid.

    Attributes:
        albums: name of every album and the numbers of its photos.
        sizes: widths in which every photo is there.
        headers: that every answer has.
        page_size: entries in one page of a list.
    """

    def __init__(self, photos: Photos, token: str) -> None:
        super().__init__()
        self.photos = photos
        self.token = token
        self.albums: dict[str, list[int]] = {}
        self.sizes: tuple[int, ...] = (320, 2048, 720)
        self.headers: dict[str, str] = {}
        self.page_size = 100

    def answer(self, asked: Asked) -> Says:
        given = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if given != self.token:
            return graph_error(190, f"Malformed access token {given}", status=401, kind="OAuthException")
        parts = asked.path.strip("/").split("/")
        if parts[0] != "v26.0":
            return graph_error(2635, "You are calling a deprecated version of the API", status=400)
        if parts[1:] == ["league"]:
            return self._json({"id": "900", "name": "Weekend League"})
        if parts[1:] == ["900", "albums"]:
            entries = [
                {"id": str(100 + place), "name": name, "count": len(numbers), "type": "normal" if place else "wall"}
                for place, (name, numbers) in enumerate(self.albums.items())
            ]
            return self._page(asked, entries)
        if len(parts) == 3 and parts[2] == "photos" and parts[1].isdecimal():
            numbers = list(self.albums.values())[int(parts[1]) - 100]
            return self._page(asked, [self._photo(number) for number in numbers])
        return graph_error(803, "(#803) Some of the aliases you requested do not exist", status=404)

    def _photo(self, number: int) -> dict[str, Any]:
        images = [
            {"source": f"{self.photos.url}/p/{number}_{width}.jpg?oe=SIGNED", "width": width, "height": width // 2}
            for width in self.sizes
        ]
        return {
            "id": str(number),
            "created_time": "2024-05-06T07:08:09+0000",
            "link": f"https://www.facebook.com/photo.php?fbid={number}",
            "images": images,
        }

    def _page(self, asked: Asked, entries: list[dict[str, Any]]) -> Says:
        size = min(int(asked.query.get("limit", 25)), self.page_size)
        start = int(asked.query.get("after", 0))
        answer: dict[str, Any] = {"data": entries[start : start + size]}
        if start + size < len(entries):
            # As the real one does: the token stands in the address of the next page, however it was given.
            query = asked.query | {"access_token": self.token, "after": str(start + size)}
            answer["paging"] = {"next": f"{self.url}{asked.path}?{urlencode(query)}"}
        return self._json(answer)

    def _json(self, answer: object) -> Says:
        return Says(body=json.dumps(answer).encode(), headers={"Content-Type": "application/json", **self.headers})


def graph_error(
    code: int, message: str, status: int = 400, kind: str = "OAuthException", headers: dict[str, str] | None = None
) -> Says:
    """Return an error as the Graph API words it."""
    error = {"message": message, "type": kind, "code": code, "fbtrace_id": "AbCdEf123"}
    return Says(status, json.dumps({"error": error}).encode(), headers or {})


class Wiki(Host):
    """The API of Wikimedia Commons. https://commons.wikimedia.org/w/api.php

    Attributes:
        files: the pages, each with its categories, its `imageinfo` and what else it needs.
        categories: name of every category and of its subcategories.
    """

    def __init__(self) -> None:
        super().__init__()
        self.files: list[dict[str, Any]] = []
        self.categories: dict[str, list[str]] = {}
        self.batch = 2

    def answer(self, asked: Asked) -> Says:
        agent, query = asked.headers.get("user-agent", ""), asked.query
        if "@" not in agent and "https://" not in agent:
            return Says(403, b"<html>Please set a user-agent and respect our robot policy</html>")
        if query.get("action") != "query" or query.get("formatversion") != "2" or "maxlag" not in query:
            return self._json({"error": {"code": "badvalue", "info": "not what this test expects"}})
        if query.get("prop") == "categoryinfo":
            return self._json(self._counts(query["titles"]))
        title = query.get("gcmtitle", "")
        if query.get("gcmtype") == "subcat":
            below = self.categories.get(title, [])
            return self._json(
                {"batchcomplete": True, "query": {"pages": [{"title": name, "ns": 14} for name in below]}}
            )
        if query.get("generator") == "search":
            words = query["gsrsearch"].removesuffix(" filetype:bitmap")
            found = [file for file in self.files if words.lower() in file["title"].lower()]
            return self._batch(query, found, "gsroffset")
        return self._batch(query, [file for file in self.files if title in file["categories"]], "gcmcontinue")

    def _counts(self, title: str) -> dict[str, Any]:
        """Answer for one category: one that has no page and no member has no counts either."""
        files = sum(title in file["categories"] for file in self.files)
        known = title in self.categories or files > 0
        page: dict[str, Any] = {"ns": 14, "title": title, "missing": True}
        counts = {"size": files, "files": files, "subcats": len(self.categories.get(title, []))}
        return {
            "batchcomplete": True,
            "query": {"pages": [{"pageid": 1, "ns": 14, "title": title, "categoryinfo": counts} if known else page]},
        }

    def _batch(self, query: dict[str, str], found: list[dict[str, Any]], name: str) -> Says:
        """Answer one batch in two parts: titles and the first image, then the image of the others."""
        start, part = int(query.get(name, 0)), int(query.get("iistart", 0))
        pages = []
        for place, file in enumerate(found[start : start + self.batch]):
            page = {"pageid": file["pageid"], "ns": 6, "title": file["title"]}
            if (place > 0) == bool(part):
                page["imageinfo"] = [file["info"]]
            pages.append(page)
        answer: dict[str, Any] = {"query": {"pages": pages}}
        if part == 0 and len(pages) > 1:
            answer["continue"] = {"iistart": "1", "continue": "||"} | ({name: str(start)} if start else {})
        else:
            answer["batchcomplete"] = True
            if start + self.batch < len(found):
                answer["continue"] = {name: str(start + self.batch), "continue": f"{name}||"}
        return self._json(answer)

    def _json(self, answer: object) -> Says:
        return Says(body=json.dumps(answer).encode(), headers={"Content-Type": "application/json"})


class Verse(Host):
    """The API of Openverse. https://api.openverse.org/v1/

    Attributes:
        results: all that a search finds.
        burst: requests that are left in this minute.
        sustained: requests that are left in this day.
    """

    def __init__(self) -> None:
        super().__init__()
        self.results: list[dict[str, Any]] = []
        self.burst = 20
        self.sustained = 200

    def answer(self, asked: Asked) -> Says:
        size, page = int(asked.query.get("page_size", 20)), int(asked.query.get("page", 1))
        if asked.path != "/v1/images/":
            return Says(404, b'{"detail": "Not found."}')
        if size > 20:
            return Says(401, b'{"detail": "Authentication credentials were not provided."}')
        headers = {
            "X-RateLimit-Limit-anon_burst": "20/min",
            "X-RateLimit-Available-anon_burst": str(self.burst),
            "X-RateLimit-Limit-anon_sustained": "200/day",
            "X-RateLimit-Available-anon_sustained": str(self.sustained),
        }
        licences = asked.query["license"].split(",")
        # Some are wrong on purpose: a filter is not a promise.
        found = [result for result in self.results if result["license"] in licences or result.get("slipped")]
        shown = found[(page - 1) * size : page * size]
        answer = {"result_count": len(found), "page_count": -(-len(found) // size), "page": page, "results": shown}
        return Says(body=json.dumps(answer).encode(), headers=headers)


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds
            self.sleeps.append(seconds)

    def clock(self) -> float:
        with self._lock:
            return self.now


@contextmanager
def running(*hosts: Host) -> Iterator[None]:
    """Close the hosts at the end."""
    try:
        yield
    finally:
        for host in hosts:
            host.close()


def web_for(*hosts: Host, time: FakeTime | None = None, **options: Any) -> Web:
    """Return a client that may reach these hosts, and no others on this machine; it never sleeps."""
    time = time or FakeTime()
    limiter = RateLimiter(sleep=time.sleep, clock=time.clock)
    return Web("tests@example.org", limiter, **({"private": [host.endpoint for host in hosts]} | options))


def collect(source: Source, root: Path, web: Web, **options: Any) -> Summary:
    """Run a job into the inbox `root`."""
    with Inbox(root, source.name, options.get("dry_run", False)) as inbox:
        return Job(source, inbox, web, **options).run()


def rows(root: Path, name: str = "photos.csv") -> list[dict[str, str]]:
    """Return the rows of a table of an inbox."""
    with (root / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def picture(number: int, kind: str = "JPEG", size: tuple[int, int] = (16, 12), **options: Any) -> bytes:
    """Return the file of a small picture; another number gives another picture."""
    rng = np.random.default_rng(number)
    colours = rng.integers(0, 255, (3, 4, 3)).repeat(size[1] // 3, axis=0).repeat(size[0] // 4, axis=1)
    file = io.BytesIO()
    Image.fromarray(colours.astype(np.uint8)).save(file, kind, **options)
    return file.getvalue()


def position() -> bytes:
    """Return EXIF with a position, a serial number, a time, an orientation and an author."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Phone Maker"
    exif[0x013B] = "Ann Lee"
    exif.get_ifd(0x8769).update({0x9003: "2024:05:06 07:08:09", 0x9011: "+08:00", 0xA431: "SERIAL123"})
    exif.get_ifd(0x8825).update({1: "N", 2: (25.0, 2.0, 3.5), 3: "E", 4: (121.0, 30.0, 1.0)})
    return exif.tobytes()
