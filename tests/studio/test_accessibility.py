"""Every page of the studio, and the report in both languages, under axe: three widths, light and dark."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from PIL import Image

from bball_pl.evaluate.report import gallery_rows, write_report

from helpers.audit_albums import MOVES, save
from helpers.browser import chromium
from helpers.finished_runs import A, B, make_run
from helpers.painting import COLOURS, paint_photo
from helpers.predict_runs import calibrated as calibrated_checkpoint
from helpers.predict_runs import colour_checkpoint
from helpers.report_evaluations import calibrated, epochs, evaluation, log, paint_all
from helpers.studio_server import Studio
from helpers.studio_visits import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Language = Literal["en", "zh-Hant"]
WIDTHS = {1440: 900, 768: 1024, 375: 812}
#: Runs axe, all rules or those about colours, and returns what it found: rule, element and reason.
_AXE = """async (coloursOnly) => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const rules = { "label-content-name-mismatch": { enabled: true }, "target-size": { enabled: true } };
  const colours = { type: "rule", values: ["color-contrast", "link-in-text-block"] };
  const which = coloursOnly ? { runOnly: colours } : { rules };
  const { violations } = await axe.run(document, { resultTypes: ["violations"], ...which });
  const said = (node) => node.failureSummary.replace(/\\s+/g, " ");
  return violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html}: ${said(node)}`));
}"""
#: Boxes that scroll, with nothing in them to focus and no focus of their own: no key reaches what they hide.
_UNREACHABLE = """() => {
  const inside = "a[href], button, input, select, textarea, summary, [tabindex='0']";
  const scrolls = (seen, whole, kind) => ["auto", "scroll"].includes(kind) && whole > seen + 1;
  return [...document.querySelectorAll("body *")].filter((box) => {
    const { overflowX, overflowY } = getComputedStyle(box);
    const hides = scrolls(box.clientWidth, box.scrollWidth, overflowX)
      || scrolls(box.clientHeight, box.scrollHeight, overflowY);
    return hides && box.tabIndex < 0 && !box.querySelector(inside);
  }).map((box) => `no key reaches ${box.outerHTML}`);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python")
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio in which each view has something to show."""
    folder = tmp_path_factory.mktemp("house")
    inbox = folder / "data/inbox/league"
    for number in range(4):
        paint_photo(inbox / f"unsorted/game 1/grey{number}.png", (128, 128, 128), number)
    for name, colour in COLOURS.items():
        paint_photo(inbox / f"unsorted/game 1/{name}.png", colour, 1)
    for number in range(4):
        noise = np.random.default_rng(number).normal(0, 9, (96, 128, 3))
        pixels = np.clip(np.array((200, 120, 60)) + noise, 0, 255).astype(np.uint8)
        save(inbox / MOVES[number % 3] / f"g{number}.jpg", pixels)
    targets = [0] * 20 + [1] * 20 + [2] * 20
    log(make_run(folder / "logs", A, targets, [2] * 8 + [0] * 12 + [1] * 14 + [2] * 26), epochs([0.9, 0.7, 0.8]))
    log(make_run(folder / "logs", B, targets, [*targets[:-1], 0], lr=0.001), epochs([0.8, 0.5, 0.4]))
    checkpoint = folder / "best.ckpt"
    calibrated_checkpoint(colour_checkpoint(checkpoint, colours={**COLOURS, "none": (128, 128, 128)}), 1.0, 0.5)
    with Studio(folder, [f"--ckpt={checkpoint}", "--suggest"]) as studio:
        ends = time.monotonic() + 120
        while not studio.get("/api/sort")["aside"]:
            assert time.monotonic() < ends
            time.sleep(0.1)
        yield studio


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio without photos, runs and model."""
    with Studio(tmp_path_factory.mktemp("empty"), ["--class_names", "ants", "bees"]) as studio:
        yield studio


def _sort(page: Page) -> None:
    page.wait_for_selector(".sort-view .seen:not([hidden])")
    page.keyboard.press("s")
    page.locator(".sort-view .feedback", has_text="→").wait_for()


def _definitions(page: Page) -> None:
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()


def _grid(page: Page) -> None:
    page.wait_for_selector(".sort-view .seen:not([hidden])")
    page.keyboard.press("n")
    page.wait_for_selector("dialog.aside li")
    page.keyboard.press("Space")


def _steps(page: Page) -> None:
    page.wait_for_selector("[data-step=audit] summary")
    page.evaluate("document.querySelectorAll('details').forEach((own) => { own.open = true; })")


def _games(page: Page) -> None:
    page.wait_for_selector(".games-view .proposal")


def _review(page: Page) -> None:
    page.wait_for_selector(".review-view .list li")


def _cell(page: Page) -> None:
    page.wait_for_selector(".review-view .list li")
    page.locator(".review-view .confusion .miss").first.click()
    page.wait_for_selector(".review-view .chosen strong")


def _try(page: Page) -> None:
    content = io.BytesIO()
    Image.new("RGB", (64, 48), COLOURS["shoot"]).save(content, "PNG")
    photo: Any = {"name": "a.png", "mimeType": "image/png", "buffer": content.getvalue()}
    page.set_input_files("#try-files", photo)
    page.wait_for_selector(".photo-card .said")
    page.get_by_role("button", name="Heat map").first.click()
    page.wait_for_selector(".overlay:not([hidden])")


def _runs(page: Page) -> None:
    page.wait_for_selector("table.all tbody tr")


def _run(page: Page) -> None:
    page.wait_for_selector(".plot path.val", state="attached")
    for summary in page.locator("summary").all():
        summary.click()


def _compare(page: Page) -> None:
    page.wait_for_selector(".verdict")


def _nothing(page: Page) -> None:
    page.wait_for_selector("h1, h2")


PAGES: dict[str, tuple[str, Callable[[Page], None]]] = {
    "steps": ("steps", _steps),
    "sort": ("sort", _sort),
    "definitions": ("sort", _definitions),
    "photos without a move": ("sort", _grid),
    "games": ("games", _games),
    "review": ("review", _review),
    "a cell of the matrix": ("review", _cell),
    "try": ("try", _try),
    "runs": ("runs", _runs),
    "a run": (f"runs/{B}", _run),
    "two runs": (f"runs/compare?a={A}&b={B}", _compare),
}
#: Views without photos, runs or a model, and a run that does not exist.
EMPTY = ("steps", "sort", "games", "review", "try", "runs", "runs/moves/version_99")


def check(page: Page) -> None:
    """Check the page at all widths, light and dark."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(Axe().axe_script)
    found: dict[str, list[str]] = {}
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        problems = []
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            # A scheme changes nothing but colours.
            problems += [(problem, scheme) for problem in page.evaluate(_AXE, scheme == "dark")]
        problems += [(problem, "any") for problem in page.evaluate(_UNREACHABLE)]
        for problem, scheme in problems:
            found.setdefault(problem[:400], []).append(f"{width} {scheme}")
    if found:
        pytest.fail("\n".join(f"{problem} ({', '.join(where)})" for problem, where in found.items()), pytrace=False)


@pytest.mark.parametrize("name", PAGES)
def test_every_page(browser: Browser, house: Studio, name: str) -> None:
    view, prepare = PAGES[name]
    with Visit(browser, house.url, view, reduced_motion="reduce") as visit:
        prepare(visit.page)
        check(visit.page)


@pytest.mark.parametrize("view", EMPTY)
def test_pages_with_nothing_to_show(browser: Browser, empty: Studio, view: str) -> None:
    with Visit(browser, empty.url, view, quiet=False, locale="zh-TW") as visit:
        _nothing(visit.page)
        check(visit.page)


def test_a_view_that_fails_and_a_key_that_is_not_saved(browser: Browser, tmp_path: Path) -> None:
    photo = paint_photo(tmp_path / "data/inbox/league/unsorted/game 1/a.png")
    paint_photo(photo.with_name("b.png"), seed=2)
    with Studio(tmp_path) as studio, Visit(browser, studio.url, quiet=False) as visit:
        studio.kill()
        visit.press("1")
        visit.page.get_by_role("alert").wait_for()
        check(visit.page)
        visit.page.evaluate("location.hash = '#/runs'")
        visit.page.get_by_role("button", name="Try again").wait_for()
        check(visit.page)


@pytest.mark.parametrize("language", ["en", "zh-Hant"])
def test_the_report(browser: Browser, tmp_path: Path, language: Language) -> None:
    run = tmp_path / "logs" / "moves" / "version_0"
    log(run, epochs([0.8, 0.5, 0.6]))
    targets, said = [0] * 12 + [1] * 12 + [2] * 12, [0] * 9 + [2] * 3 + [1] * 10 + [0] * 2 + [2] * 11 + [0]
    sure = np.linspace(0.5, 0.98, 36).tolist()
    groups = [f"game {row % 6}" for row in range(36)]
    own = evaluation(tmp_path, targets, said, sure, groups=groups, run=run, calibration=calibrated())
    rows = gallery_rows(own.answers)
    paint_all(own, rows, (90, 60))
    heat = {row: np.eye(7, dtype=np.float32) for row in rows}
    report = write_report(own, tmp_path / "report.html", heat, language=language)
    page = browser.new_page(reduced_motion="reduce")
    page.goto(report.as_uri())
    if language == "en":
        check(page)  # what is closed differs in its words alone, and all of them are looked at below
    page.evaluate("document.querySelectorAll('details').forEach((own) => { own.open = true; })")
    check(page)
    page.close()
