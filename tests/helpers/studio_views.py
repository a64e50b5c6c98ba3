"""The studio as the tests of Try and Runs meet it: the real server on a free port, asked over HTTP."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
import uvicorn

from bball_pl.studio.server import create_app, listen, server_config
from bball_pl.studio.state import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STATIC = Path(__file__).resolve().parents[2] / "bball_pl" / "studio" / "static"
#: For chromium(): a camera that shows a test picture.
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@dataclass(frozen=True)
class Answer:
    """What the studio answered: status, headers in lower case, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, which must be strict: no NaN."""
        return json.loads(self.body, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


class Studio:
    """A running studio.

    Args:
        port: that it listens on.
        logs: its folder of runs.
    """

    def __init__(self, port: int, logs: Path) -> None:
        self.logs = logs
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._csrf = self.get("/api/session").json["csrf"]

    def get(self, path: str, **query: Any) -> Answer:
        """Ask with GET."""
        return self._ask("GET", path, query)

    def post(self, path: str, body: bytes, **query: Any) -> Answer:
        """Send a body as the page does."""
        return self._ask("POST", path, query, body, {"X-Studio-CSRF": self._csrf, "Content-Type": "image/jpeg"})

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, Any],
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            # A server that has heard enough answers and closes, while the rest of the body is still on its way.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, f"{path}?{urlencode(query, doseq=True)}", body, headers or {})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()


@contextmanager
def studio(logs: Path, checkpoint: Path | None = None) -> Iterator[Studio]:
    """Serve a studio over a folder of runs until the block ends."""
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    data = logs.parent / "data"
    settings = Settings(
        inbox=data / "inbox",
        logs=logs,
        data=data,
        exports=logs.parent / "exports",
        checkpoint=checkpoint,
        port=port,
        suggest=False,
    )
    server = uvicorn.Server(server_config(create_app(settings)))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        started = time.monotonic()
        while not server.started:
            assert thread.is_alive(), "the studio ended at once"
            assert time.monotonic() - started < 30
            time.sleep(0.01)
        yield Studio(port, logs)
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


@dataclass
class Visit:
    """A page of a studio, and everything that it said or asked for elsewhere."""

    page: Page
    said: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


@contextmanager
def visit(browser: Browser, own: Studio, place: str, **options: Any) -> Iterator[Visit]:
    """Open a place such as #/try; at the end the page must have been quiet and at home."""
    context = browser.new_context(locale="en-GB", **options)
    seen = Visit(context.new_page())
    context.on("console", lambda message: seen.said.append(message.text))
    context.on("weberror", lambda error: seen.said.append(str(error.error)))
    elsewhere = re.compile(rf"(?!{re.escape(own.url)}/|data:|blob:)")
    context.on("request", lambda request: seen.outside.append(request.url) if elsewhere.match(request.url) else None)
    seen.page.goto(f"{own.url}/{place}")
    yield seen
    context.close()
    assert seen.said == []
    assert seen.outside == []


def wait_until(page: Page, expression: str, seconds: float = 60) -> None:
    """Wait until JavaScript holds; Playwright's own wait evaluates a text in the page, which its policy forbids."""
    ends = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < ends, expression
        time.sleep(0.05)


def check_words(page: Page, view: str) -> None:
    """Check a view's texts: the same keys in both languages, all that its code asks for, nothing left over."""
    words = page.evaluate(f"import('/static/{view}/words.js').then((own) => own.strings)")
    shell = page.evaluate("import('/static/words.js').then((own) => own.shellStrings)")
    assert sorted(words["en"]) != []
    english = {key.removesuffix("_one") for key in words["en"]}
    assert english == {key.removesuffix("_one") for key in words["zh-Hant"]}
    holes = {
        key: [sorted(set(re.findall(r"\{(\w+)\}", words[language].get(key, "")))) for language in ("en", "zh-Hant")]
        for key in english
    }
    assert {key: own for key, own in holes.items() if own[0] != own[1]} == {}
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in (STATIC / view).glob("*.js") if path.name != "words.js"
    )
    asked = set(re.findall(r"\bt\(\"(\w+)\"", code))
    assert asked - english - set(shell["en"]) == set()
    strange = {key for key in english if not re.search(rf"[\"`]{re.escape(key)}[\"`]|\b{re.escape(key)}:", code)}
    begun = tuple(re.findall(r"`(\w+_)\$\{", code))
    assert {key for key in strange if not key.startswith(begun)} == set()
