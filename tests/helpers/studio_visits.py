"""A browser that visits the studio, and notes everything that the page says and asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser


class Visit:
    """A page that is open. Leaving it fails if the page complained or asked for anything elsewhere."""

    def __init__(self, browser: Browser, url: str, view: str = "sort", quiet: bool = True, **options: Any) -> None:
        self.context = browser.new_context(
            **({"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"} | options)
        )
        self.context.set_default_timeout(60_000)
        self.page = self.context.new_page()
        self.url = url
        self.said: list[str] = []
        self.asked: list[str] = []
        self._quiet = quiet
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.go(view)

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        outside = [own for own in self.asked if not own.startswith((self.url, "data:", "blob:"))]
        said = [own for own in self.said if self._quiet]
        self.context.close()
        if kind is None:
            assert outside == []
            assert said == []

    def go(self, view: str) -> None:
        """Open a view and wait until it is there."""
        self.page.goto(f"{self.url}/#/{view}")
        # Its heading comes with its first answer; an idle network alone is a matter of time, and of the view before.
        self.page.wait_for_selector(f".{view.partition('/')[0]}-view h1", state="attached")
        self.page.wait_for_load_state("networkidle")

    def photo(self) -> str:
        """The name of the photo on screen in Sort."""
        return self.page.locator(".sort-view .file").inner_text()

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def saved(self) -> None:
        """Wait until everything that was pressed is on disk."""
        self.page.wait_for_selector('.view[data-saving="0"]')

    def width(self) -> int:
        """How wide the page is, in CSS pixels."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))
