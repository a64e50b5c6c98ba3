"""The page of an audit in a real browser: quiet, alone, filtered, on a phone, in the dark and on paper."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bball_pl.audit import outputs
from bball_pl.audit.audit import Audit
from bball_pl.audit.checks import check_labels
from bball_pl.audit.labels import Doubt, Judgement
from bball_pl.audit.outputs import render_page, write_outputs
from bball_pl.photos.audit_record import PAGE

from helpers.audit_albums import dataset, look_at, row, save, scene, table, write_table
from helpers.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def with_doubts(audit: Audit, count: int = 6) -> Audit:
    """Doubt the first labels, without the network that an audit would ask."""
    names = audit.tree.class_names
    doubts = []
    for number, photo in enumerate(audit.usable[:count]):
        likely = "shoot" if photo.class_name == "layup" else names[(names.index(photo.class_name) + 1) % 3]
        doubts.append(Doubt(photo, likely, 0.05 + number / 50, 0.9 - number / 50))
    audit.judgement = Judgement(doubts, len(audit.usable), 0.9, "not judged, for too few photos or groups: dunk")
    audit.findings += check_labels(audit)
    return audit


def everything(root: Path) -> Audit:
    """An audit with something in every section, and names that would break a page that trusts them."""
    dataset(root, {"train": 3, "test": 2}, groups=1)
    for number in range(2):
        own = scene(500 + number)
        save(root / "train/shoot" / f"<script>alert({number})<.jpg", own)
        save(root / "test/shoot" / f"leak{number}.jpg", np.ascontiguousarray(own[:, ::-1]))
        save(root / "train/layup" / f"two{number}.jpg", scene(600 + number))
        shutil.copy(root / "train/layup" / f"two{number}.jpg", root / "train/dribble" / f"two{number}.jpg")
        save(root / "train/layup" / f"one{number}.jpg", scene(700 + number))
        shutil.copy(root / "train/layup" / f"one{number}.jpg", root / "train/layup" / f"one-again{number}.jpg")
    save(root / "train/shoot/tiny-with-a-name-that-takes-more-than-one-line-on-any-phone.jpg", scene(800)[:60, :60])
    save(root / "train/shoot/dark.jpg", (scene(801) * 0.1).astype(np.uint8))
    (root / "train/shoot/bad.jpg").write_bytes(b"no photo")
    rows = [own | {"group": "x"} if own["path"].endswith("002.jpg") else own for own in table(root / "photos.csv")]
    rows.append(row("test/shoot/leak0.jpg", "shoot", "train-game-0 運球 " + "of a league with a long name " * 4))
    rows.append(row("train/shoot/dark.jpg", "shoot", licence="CC-BY-NC-4.0"))
    write_table(root, rows)
    return with_doubts(look_at(root))


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("audit")
    commands = [("To look again:", "python scripts/audit.py " + "/a/very/long/way" * 20)]
    return write_outputs(root / "out", everything(root / "photos"), commands)[PAGE]


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
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def lightness(self, selector: str, name: str) -> float:
        """A computed colour of the first such element, 0-255."""
        colour = self.page.locator(selector).first.evaluate("(own, name) => getComputedStyle(own)[name]", name)
        return sum(float(part) for part in str(colour).strip("rgba()").split(",")[:3]) / 3


def test_it_is_quiet_and_asks_for_nothing(browser: Browser, page_file: Path) -> None:
    with Visit(browser, page_file) as visit:
        visit.page.mouse.wheel(0, 20_000)
        visit.page.wait_for_load_state("networkidle")
        assert visit.said == []
        assert [url for url in visit.asked if not url.startswith("data:")] == [page_file.as_uri()]
        broken = "[...document.images].filter((own) => !own.complete || own.naturalWidth === 0).length"
        assert visit.page.evaluate(broken) == 0
        missing = "[...document.querySelectorAll('a')].filter((own) => !document.querySelector(own.hash)).length"
        assert visit.page.evaluate(missing) == 0, "a link leads nowhere"
        assert visit.page.locator("#leaks .cluster").count() == 2
        assert visit.page.locator("#classes-differ .cluster").count() == 2
        assert visit.page.locator("#copies .cluster").count() == 2
        assert visit.page.locator("#leaks .stays").count() == 2
        assert "<script>alert(0)<.jpg" in visit.page.locator("#leaks").inner_text()
        assert visit.page.locator(".definition").count() == 1
        assert "上籃" in visit.page.locator(".definition").inner_text()


def test_the_filter_of_doubtful_labels(browser: Browser, page_file: Path) -> None:
    with Visit(browser, page_file) as visit:
        page = visit.page
        shown = page.locator(".doubt:visible")
        assert shown.count() == 6
        pair = page.locator(".doubt").first.get_attribute("data-pair") or ""
        page.select_option("#filter-pair", value=pair)
        assert {own.get_attribute("data-pair") for own in shown.all()} == {pair}
        assert 0 < shown.count() < 6
        assert page.locator("#filter-count").inner_text() == f"{shown.count()} of 6 shown"
        page.select_option("#filter-pair", value="")
        assert shown.count() == 6
    with Visit(browser, page_file, java_script_enabled=False) as visit:
        assert visit.page.locator(".doubt:visible").count() == 6
        assert not visit.page.locator("#filter").is_visible()


def test_a_phone_scrolls_one_way(browser: Browser, page_file: Path) -> None:
    options = {"viewport": {"width": 375, "height": 812}, "is_mobile": True, "has_touch": True}
    with Visit(browser, page_file, **options) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 375
        widths = visit.page.evaluate(
            "[...document.querySelectorAll('.share .name')].map((own) => own.getBoundingClientRect().width)"
        )
        assert min(widths) > 70, "names of classes that are broken letter by letter"


def test_dark_and_paper(browser: Browser, page_file: Path) -> None:
    with Visit(browser, page_file, color_scheme="dark") as visit:
        assert visit.lightness("body", "backgroundColor") < 60
        assert visit.lightness("body", "color") > 200
        visit.page.emulate_media(media="print", color_scheme="dark")
        assert visit.lightness("body", "backgroundColor") > 250
        assert not visit.page.locator("#filter").is_visible()
        assert not visit.page.locator("nav").is_visible()
        assert visit.page.pdf(format="A4").startswith(b"%PDF")


def test_a_large_album_does_not_make_a_large_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = dataset(tmp_path / "photos", {"train": 10, "test": 1})
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    for path in (root / "train/shoot").iterdir():
        save(path, noise)  # pictures that no codec makes small, and one cluster of ten
    monkeypatch.setattr(outputs, "_DOUBTS", 4)
    page = render_page(with_doubts(look_at(root), 20))
    assert page.count("data:image/webp") <= 4 + 4 + 4, "four of a cluster, four doubts of either kind"
    assert "6 more of the same picture" in page
    assert "more, all of them in audit.csv" in page
    assert len(page) < 100_000 + 12 * 20_000


def test_a_page_without_findings(tmp_path: Path) -> None:
    page = render_page(look_at(dataset(tmp_path / "photos", {"train": 2, "test": 1})))
    assert "Nothing stands in the way of training." in page
    assert "Licence and author of every photo are known." in page
    assert 'id="leaks"' not in page
