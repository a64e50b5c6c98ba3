"""The report's page in a real browser: quiet, alone, filtered, on a phone, in the dark and on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from bball_pl.evaluate.report import gallery_rows, write_report

from helpers.browser import chromium
from helpers.report_evaluations import calibrated, epochs, evaluation, log, paint_all

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything in it: errors of three kinds, heat maps, curves, groups, a photo that is gone."""
    root = tmp_path_factory.mktemp("report")
    run = root / "logs" / "moves" / "version_0"
    log(run, epochs([0.8, 0.5, 0.6]))
    (run / "config.yaml").write_text("model:\n  backbone: test_resnet\nseed_everything: 7\n")
    targets, said = [0] * 12 + [1] * 12 + [2] * 12, [0] * 9 + [2] * 3 + [1] * 10 + [0] * 2 + [2] * 11 + [0]
    own = evaluation(
        root,
        targets,
        said,
        np.linspace(0.5, 0.98, 36).tolist(),
        groups=[
            f"game {row % 6} " + "of a weekend league with a name that takes more than a line" * 2 for row in range(36)
        ],
        run=run,
        calibration=calibrated(),
        command="python scripts/evaluate.py --run " + "/a/very/long/way" * 20,
    )
    rows = gallery_rows(own.answers)
    paint_all(own, rows[1:], (90, 60))
    heat = {row: np.eye(7, dtype=np.float32) for row in rows}
    return write_report(own, root / "report.html", heat)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, as the system has it."""
    with chromium() as started:
        yield started


class Visit:
    """A page that is open, and everything that it said or asked for."""

    def __init__(self, browser: Browser, file: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def __enter__(self) -> Visit:
        return self

    def unfold(self) -> Visit:
        """Open all sections, as a reader does."""
        for details in self.page.locator("details").all():
            if details.get_attribute("open") is None:
                details.locator("summary").click()
        assert self.page.locator("details:not([open])").count() == 0
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def shown(self) -> list[tuple[str, str]]:
        """Label and answer of the errors that are to be seen."""
        cards = self.page.locator("#wrong .card:visible").all()
        return [(card.get_attribute("data-true") or "", card.get_attribute("data-predicted") or "") for card in cards]

    def style(self, selector: str, name: str) -> str:
        """A computed style of the first such element."""
        value = self.page.locator(selector).first.evaluate("(own, name) => getComputedStyle(own)[name]", name)
        return str(value)


def test_it_is_quiet_and_asks_for_nothing(browser: Browser, page_file: Path) -> None:
    with Visit(browser, page_file) as visit:
        visit.page.mouse.wheel(0, 20_000)
        visit.page.wait_for_load_state("networkidle")
        assert visit.said == []
        outside = [url for url in visit.asked if not url.startswith("data:")]
        assert outside == [page_file.as_uri()]
        broken = "[...document.images].filter((own) => !own.complete || own.naturalWidth === 0).length"
        assert visit.page.evaluate(broken) == 0
        assert visit.page.locator("#wrong .card").count() == 6
        assert visit.page.locator("svg.chart").count() == 5
        # What the policy is for: a page that was tampered with can fetch and run nothing.
        visit.page.evaluate("new Image().src = 'https://example.org/x.png'")
        visit.page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {text: 'window.bad = 1'}))"
        )
        assert visit.page.evaluate("window.bad") is None
        assert any("Content Security Policy" in text for text in visit.said)


def test_the_filter(browser: Browser, page_file: Path) -> None:
    with Visit(browser, page_file) as visit:
        page = visit.unfold().page
        everything = [("0", "2")] * 3 + [("1", "0")] * 2 + [("2", "0")]
        assert sorted(visit.shown()) == everything
        page.select_option("#filter-true", label="shoot 投籃")
        assert visit.shown() == [("0", "2")] * 3
        assert page.locator("#filter-count").inner_text() == "3 of 6 shown"
        page.select_option("#filter-predicted", label="shoot 投籃")
        assert visit.shown() == []
        assert page.locator("#filter-count").inner_text() == "No such error among those shown here"
        page.select_option("#filter-true", value="")
        assert sorted(visit.shown()) == [("1", "0")] * 2 + [("2", "0")]
        page.click("#filter-all")
        assert sorted(visit.shown()) == everything
        page.click('.confusion a[data-true="2"][data-predicted="0"]')
        assert visit.shown() == [("2", "0")]
        assert page.evaluate("location.hash") == "#errors"
        assert page.locator(".card:not(#wrong .card):visible").count() == 6, "right answers are not filtered"
        page.click("#filter-all")
        page.check("#filter-doubtful")
        assert 0 < len(visit.shown()) < 6
        assert page.locator("#wrong .card:visible").count() == page.locator("#wrong .card[data-doubtful]").count()
        page.click("#filter-all")
        assert len(visit.shown()) == 6
        assert visit.said == []


def test_sections_open_where_they_are_asked_for(browser: Browser, page_file: Path) -> None:
    with Visit(browser, page_file) as visit:
        page = visit.page
        assert page.locator("details[open]").count() == 1, "the confusion matrix"
        page.locator("nav a", has_text="Facts").click()
        assert page.locator("#facts details[open]").count() == 1
        page.click(".confusion a")
        assert len(visit.shown()) > 0, "a cell of the matrix leads to its photos"
        page.goto(f"{page_file.as_uri()}#words")
        page.reload()
        assert page.locator("#words details[open]").count() == 1
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0, "all of it is printed"


@pytest.mark.parametrize("language", ["en", "zh-Hant"])
def test_the_first_page_is_short_on_a_phone_in_both_languages(
    browser: Browser, tmp_path: Path, language: Literal["en", "zh-Hant"]
) -> None:
    targets = [0, 1, 2] * 50
    said = [2 if row % 5 == 0 else target for row, target in enumerate(targets)]
    own = evaluation(tmp_path, targets, said, groups=[f"game {row % 25}" for row in range(150)])
    page_file = write_report(own, tmp_path / "report.html", language=language)
    options = {"viewport": {"width": 375, "height": 812}, "is_mobile": True, "has_touch": True}
    with Visit(browser, page_file, **options) as visit:
        assert visit.page.evaluate("document.documentElement.scrollHeight") <= 8000
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 375
        header = visit.page.locator("header").inner_text()
        assert ("優點" in header, "Strengths" in header) == (language == "zh-Hant", language == "en")
        ours = set(re.findall(r"[A-Za-z]{3,}", header))
        if language == "zh-Hant":
            section = set(re.findall(r"[A-Za-z]{3,}", visit.page.locator("nav").inner_text()))
            names = {"shoot", "dribble", "layup", "Macro", "ECE", "photos", "csv", "group", "none", "data", "court"}
            assert ours - section - names <= set(re.findall("[A-Za-z]{3,}", visit.page.locator("h1").inner_text()))


def test_the_heat_maps_can_be_taken_off(browser: Browser, page_file: Path) -> None:
    with Visit(browser, page_file) as visit:
        assert visit.unfold().style("#wrong .heat", "visibility") == "visible"
        visit.page.uncheck("#heatmaps")
        assert visit.style("#wrong .heat", "visibility") == "hidden"
        assert visit.style("#wrong .photo img:not(.heat)", "visibility") == "visible"


def test_without_scripts_everything_is_there(browser: Browser, page_file: Path) -> None:
    with Visit(browser, page_file, java_script_enabled=False) as visit:
        assert visit.unfold().page.locator("#wrong .card:visible").count() == 6
        assert not visit.page.locator("#filter").is_visible()
        assert visit.page.locator("#heatmaps").is_visible()


def test_a_phone_scrolls_one_way(browser: Browser, page_file: Path) -> None:
    options = {"viewport": {"width": 375, "height": 812}, "is_mobile": True, "has_touch": True}
    with Visit(browser, page_file, **options) as visit:
        assert visit.unfold().page.evaluate("document.documentElement.scrollWidth") == 375
        for target in ("select", "button", "nav a"):
            box = visit.page.locator(target).first.bounding_box()
            assert box is not None
            assert box["height"] >= 40, f"{target} is hard to hit"
        sizes = visit.page.evaluate(
            "[...document.querySelectorAll('svg.chart text')].map((own) => own.getBoundingClientRect().height)"
        )
        assert min(sizes) > 8, "figures of a chart that nobody can read"


def test_dark_and_paper(browser: Browser, page_file: Path) -> None:
    def lightness(colour: str) -> float:
        parts = [float(part) for part in colour.strip("rgba()").split(",")[:3]]
        return sum(parts) / 3

    with Visit(browser, page_file, color_scheme="dark") as visit:
        assert lightness(visit.style("body", "backgroundColor")) < 60
        assert lightness(visit.style("body", "color")) > 200
        assert lightness(visit.style("svg.chart text", "fill")) > 200, "charts follow the page"
        visit.page.emulate_media(media="print", color_scheme="dark")
        assert lightness(visit.style("body", "backgroundColor")) > 250, "paper is white"
        assert lightness(visit.style("svg.chart text", "fill")) < 60
        assert not visit.page.locator("#filter").is_visible()
        assert not visit.page.locator("nav").is_visible()
        assert visit.style("#wrong .card", "breakInside") == "avoid"
        assert visit.page.pdf(format="A4").startswith(b"%PDF")
    with Visit(browser, page_file, color_scheme="light") as visit:
        assert lightness(visit.style("body", "backgroundColor")) > 250
        assert lightness(visit.style("svg.chart text", "fill")) < 60
