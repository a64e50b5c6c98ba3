"""The studio in a real browser: sorting by keyboard, two tabs, a kill, odd names, phones, languages, the policy."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.browser import chromium
from helpers.studio_server import Studio, paint_inbox, photos_below
from helpers.studio_visits import Visit

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Browser, Route

CLASSES = ("shoot", "dribble", "layup")
VIEWS = ("steps", "sort", "games", "review", "try", "runs")

_SHOWN = "[...document.querySelectorAll('main button, main select, main input')].filter((own) => own.checkVisibility())"
_NAMELESS = f"""() => {_SHOWN}
    .filter((own) => !own.textContent.trim() && !own.getAttribute('aria-label') && !own.labels?.length)
    .map((own) => own.outerHTML)"""
_SMALL = f"""() => {_SHOWN}
    .filter((own) => own.tagName === 'BUTTON' && own.getBoundingClientRect().height < 32)
    .map((own) => own.textContent)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One server for the tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("house")
    paint_inbox(folder, 12)
    with Studio(folder) as studio:
        yield studio


def test_sixty_photos_by_keyboard_a_kill_and_everything_back(browser: Browser, tmp_path: Path) -> None:
    originals = paint_inbox(tmp_path, 60)  # the page has ten ahead
    with Studio(tmp_path) as studio, Visit(browser, studio.url, quiet=False) as visit:
        said: dict[str, str] = {}
        waits = []
        for number in range(60):
            name = visit.photo()
            assert name not in said, "shown twice"
            said[name] = CLASSES[number % 3]
            before = time.perf_counter()
            visit.press(str(1 + number % 3))
            if number < 59:
                visit.page.wait_for_function("name => document.querySelector('.file').textContent !== name", arg=name)
            waits.append(time.perf_counter() - before)
        visit.page.wait_for_selector("text=Everything is sorted")
        visit.saved()
        for class_name in CLASSES:
            wanted = sorted(name for name, own in said.items() if own == class_name)
            assert photos_below(tmp_path / "data/inbox/league" / class_name) == wanted
        assert sorted(waits)[30] < 0.5, "median of key to next, with the driver's own way there and back"

        last = list(said)[::-1]
        visit.press("z")
        visit.page.wait_for_selector(f"text={last[0]}")
        assert visit.photo() == last[0]
        visit.saved()
        studio.kill()
        assert photos_below(tmp_path / "data") == sorted(path.name for path in originals)
        studio.start()
        # The page was never loaded anew: it finds the new start by itself.
        visit.press("z")
        visit.saved()
        assert visit.photo() == last[1]
        visit.page.reload()
        visit.page.wait_for_selector(".sort-view .file")
        for name in last[2:6]:
            visit.press("z")
            visit.page.wait_for_function("name => document.querySelector('.file').textContent === name", arg=name)
        visit.saved()
        assert studio.get("/api/sort")["left"] == 6


def test_what_is_not_saved_is_shown_again(browser: Browser, tmp_path: Path) -> None:
    paint_inbox(tmp_path, 8)
    with Studio(tmp_path) as studio, Visit(browser, studio.url, quiet=False) as visit:
        first = visit.photo()
        studio.kill()
        visit.press("1")
        notice = visit.page.get_by_role("alert")
        notice.wait_for()
        for key in ("3", "z", "x"):
            visit.press(key)  # meant for other photos: nothing may happen to this one
        assert "Not saved" in notice.inner_text()
        assert f"{first} as shoot 投籃" in notice.inner_text()
        assert visit.photo() == first
        studio.start()
        assert "Save again" in visit.page.evaluate("document.activeElement.textContent")
        visit.press("Enter")
        visit.saved()
        assert studio.get("/api/sort")["counts"] == {"shoot": 1, "dribble": 0, "layup": 0, "none": 0}
        assert not notice.is_visible()
        assert (tmp_path / "data/inbox/league/shoot/game 0" / first).is_file()


def test_two_tabs_do_not_fight(browser: Browser, tmp_path: Path) -> None:
    paint_inbox(tmp_path, 30)
    with Studio(tmp_path) as studio, Visit(browser, studio.url, quiet=False) as a, Visit(browser, studio.url) as b:
        shown = {a.photo(), b.photo()}
        assert len(shown) == 2
        for _ in range(5):
            a.press("1")
            b.press("2")
        a.saved()
        b.saved()
        assert a.photo() != b.photo()
        counts = studio.get("/api/sort")["counts"]
        assert (counts["shoot"], counts["dribble"]) == (5, 5)
        # The same photo in both, as after a tab has slept: the second key changes nothing and says so.
        name = a.photo()
        photo = a.page.locator(".stage img").get_attribute("src") or ""
        studio.post(
            "/api/sort/decide",
            {"tab": "c", "photo": photo.split("/")[3], "action": "label", "class_name": "layup"},
        )
        a.press("1")
        a.page.get_by_role("alert").wait_for()
        assert f"{name} was already changed elsewhere (now: layup 上籃)" in a.page.get_by_role("alert").inner_text()
        assert a.photo() != name
        assert studio.get("/api/sort")["counts"] == {"shoot": 5, "dribble": 5, "layup": 1, "none": 0}
        assert [own for own in a.said if "409" not in own] == []


def test_looking_back_changing_and_skipping(browser: Browser, tmp_path: Path) -> None:
    paint_inbox(tmp_path, 6)
    with Studio(tmp_path) as studio, Visit(browser, studio.url) as visit:
        names = []
        for key in ("1", "2", "x", "s"):
            names.append(visit.photo())
            visit.press(key)
        now = visit.photo()
        visit.press("ArrowLeft")
        visit.press("ArrowLeft")
        assert visit.photo() == names[2]
        assert "not usable" in visit.page.locator(".looking").inner_text()
        visit.press("3")
        assert visit.photo() == now
        visit.saved()
        own = studio.get("/api/sort")
        assert (own["left"], own["skipped"], own["quarantined"], own["counts"]["layup"]) == (2, 1, 0, 1)
        for _ in range(2):
            visit.press("1")
        visit.page.get_by_role("button", name="Go through the skipped photo").click()
        visit.page.wait_for_selector(".stage img", state="visible")
        assert visit.photo() == names[3]
        visit.press("z")
        visit.saved()
        assert studio.get("/api/sort")["left"] == 1


def test_photos_without_a_move_have_the_key_0(browser: Browser, tmp_path: Path) -> None:
    paint_inbox(tmp_path, 3, albums=1)
    with Studio(tmp_path) as studio, Visit(browser, studio.url) as visit:
        key = visit.page.get_by_role("group", name="What does the photo show?").get_by_role("button").last
        assert key.inner_text().split() == ["0", "none", "無動作"]
        assert key.get_attribute("aria-keyshortcuts") == "0"
        name = visit.photo()
        visit.press("0")
        visit.saved()
        assert (tmp_path / "data/inbox/league/none/game 0" / name).is_file()
        start = studio.get("/api/sort")
        assert (start["left"], start["counts"]["none"]) == (2, 1)
        line = (tmp_path / "data/labels.csv").read_text(encoding="utf-8").splitlines()[-1]
        assert f"label,inbox/league/unsorted/game 0/{name},inbox/league/none/game 0/{name}" in line
        visit.press("ArrowLeft")
        assert "none 無動作" in visit.page.locator(".looking").inner_text()
        visit.press("1")  # an earlier photo gets another class
        visit.saved()
        assert (tmp_path / "data/inbox/league/shoot/game 0" / name).is_file()
        visit.press("z")
        visit.press("z")
        visit.saved()
        assert studio.get("/api/sort")["left"] == 3
    options: dict[str, Any] = {"viewport": {"width": 375, "height": 812}, "is_mobile": True, "has_touch": True}
    with Studio(tmp_path) as studio, Visit(browser, studio.url, **options) as visit:
        visit.page.get_by_role("button", name="none 無動作").tap()
        visit.saved()
        assert visit.width() == 375
        assert studio.get("/api/sort")["counts"]["none"] == 1
    with Studio(tmp_path, ["--class_names", "ants", "bees"]) as studio:
        assert set(studio.get("/api/sort")["counts"]) == {"ants", "bees"}


@pytest.mark.parametrize("width", [375, 640, 1280])
def test_the_home_link_has_a_name(browser: Browser, house: Studio, width: int) -> None:
    with Visit(browser, house.url, viewport={"width": width, "height": 800}) as visit:
        assert visit.page.get_by_role("link", name="Studio", exact=True).get_attribute("href") == "#/sort"


def test_odd_names_are_only_text(browser: Browser, tmp_path: Path) -> None:
    plain = paint_inbox(tmp_path, 1)[0]
    names = ["<img src=x onerror=window.bad=1>.jpg", "q\"'`.jpg", "new\nline.jpg", "投籃.jpg", "-rf.jpg", "a&amp;b.jpg"]
    for name in names:
        shutil.copy(plain, plain.with_name(name))
    shutil.copy(plain, plain.with_name(os.fsdecode(b"\xff.jpg")))
    plain.unlink()
    with Studio(tmp_path) as studio, Visit(browser, studio.url) as visit:
        seen = []
        for _ in range(len(names) + 1):
            seen.append(visit.page.locator(".sort-view .file").text_content())
            shown = visit.page.locator(".stage:not(.loading) img")
            assert shown.evaluate("own => own.complete && own.naturalWidth === 64")
            visit.press("2")
        visit.page.wait_for_selector("text=Everything is sorted")
        assert set(seen) == {*names, "\ufffd.jpg"}
        assert visit.page.evaluate("window.bad") is None
        visit.saved()
        assert studio.get("/api/sort")["counts"]["dribble"] == len(names) + 1


def test_an_answer_that_was_overtaken_does_not_set_the_counts_back(browser: Browser, tmp_path: Path) -> None:
    paint_inbox(tmp_path, 2)
    with Studio(tmp_path) as studio, Visit(browser, studio.url) as visit:
        held: list[tuple[Route, APIResponse]] = []
        visit.page.route("**/api/sort/next", lambda route: held.append((route, route.fetch())))
        visit.press("1")
        while not held:
            visit.page.wait_for_timeout(10)
        visit.press("2")
        visit.saved()
        # The answer to the request that came with the first key: photos are left.
        route, answer = held[0]
        assert answer.json()["left"] >= 1
        route.fulfill(response=answer)
        visit.page.unroute("**/api/sort/next")
        visit.page.wait_for_selector("text=Everything is sorted")
        assert visit.page.locator(".page .share").all_inner_texts() == ["1", "1", "0", "0"]
        assert "2 photos are in their class folders" in visit.page.locator(".page").inner_text()


def test_what_was_decided_is_saved_after_the_view_was_left(browser: Browser, tmp_path: Path) -> None:
    paint_inbox(tmp_path, 5)
    with Studio(tmp_path) as studio, Visit(browser, studio.url) as visit:
        held: list[Route] = []
        visit.page.route("**/api/sort/decide", lambda route: route.continue_() if held else held.append(route))
        for key in ("1", "2", "3"):
            visit.press(key)
        visit.page.get_by_role("link", name="Runs").click()
        visit.page.wait_for_selector(".runs-view")
        while not held:
            visit.page.wait_for_timeout(10)
        held[0].continue_()
        # The photos are given back last.
        while f"{studio.url}/api/sort/leave" not in visit.asked:
            visit.page.wait_for_timeout(10)
        counts = studio.get("/api/sort")["counts"]
        assert (counts["shoot"], counts["dribble"], counts["layup"]) == (1, 1, 1)
        visit.go("sort")
        visit.page.locator(".sort-view .strip strong", has_text="2 left").wait_for()


def test_a_broken_photo_is_said_to_be_one(browser: Browser, tmp_path: Path) -> None:
    path = paint_inbox(tmp_path, 2, albums=1)[0]
    path.write_bytes(path.read_bytes()[:-200])
    with Studio(tmp_path) as studio, Visit(browser, studio.url, quiet=False) as visit:
        visit.page.wait_for_selector("text=This file cannot be shown")
        assert "damaged" in visit.page.locator(".broken").inner_text()
        visit.press("x")
        assert visit.photo() == "p0001.jpg"
        visit.saved()
        assert studio.get("/api/sort")["quarantined"] == 1


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_is_quiet_alone_and_fits_a_phone(browser: Browser, house: Studio, view: str) -> None:
    for locale in ("en-GB", "zh-TW"):
        options: dict[str, Any] = {
            "viewport": {"width": 375, "height": 812},
            "is_mobile": True,
            "has_touch": True,
            "locale": locale,
        }
        with Visit(browser, house.url, view, **options) as visit:
            assert visit.width() == 375
            assert visit.page.evaluate("document.documentElement.lang") == ("en" if locale == "en-GB" else "zh-Hant")
            assert visit.page.locator("h1").count() >= 1
            assert visit.page.locator("nav a[aria-current=page]").count() == 1
            missing = visit.page.evaluate(_NAMELESS)
            assert missing == [], "a control without a name"
            texts = visit.page.locator("main").inner_text()
            assert "undefined" not in texts
            assert "[object" not in texts
            assert "{n}" not in texts
            assert visit.page.evaluate(_SMALL) == [], "buttons that are hard to hit"


def test_the_policy_holds(browser: Browser, house: Studio) -> None:
    with Visit(browser, house.url, quiet=False) as visit:
        assert visit.said == []
        page = visit.page
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.bad = 1'}))")
        assert page.evaluate("window.bad") is None
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color:red\" id=styled>x</p>')")
        assert page.evaluate("getComputedStyle(document.getElementById('styled')).color") != "rgb(255, 0, 0)"
        assert page.evaluate("fetch('https://example.org/').then(() => 'out', () => 'held')") == "held"
        assert page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'out', () => 'held')") == "held"
        assert any("Content Security Policy" in own for own in visit.said)
        visit.asked.clear()


def test_every_text_is_there_in_both_languages(browser: Browser, house: Studio) -> None:
    with Visit(browser, house.url) as visit:
        for module in ("words.js", *(f"{view}/{view}.js" for view in VIEWS)):
            name = "shellStrings" if module == "words.js" else "strings"
            tables = visit.page.evaluate(f"import('/static/{module}').then((own) => own.{name})")
            english, chinese = tables["en"], tables["zh-Hant"]
            ones = {key for key in english if key.endswith("_one")}
            assert set(english) - ones == {key for key in chinese if not key.endswith("_one")}, module
            for key, text in chinese.items():
                assert text.strip(), key
                assert _places(text) == _places(english[key]), f"{module}: {key}"


def _places(text: str) -> set[str]:
    """What is put into a text."""
    return set(re.findall(r"\{\w+\}", text))


def test_everything_can_be_done_without_a_mouse(browser: Browser, house: Studio) -> None:
    with Visit(browser, house.url) as visit:
        page = visit.page
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        seen = []
        for _ in range(40):
            page.keyboard.press("Tab")
            own = page.evaluate(
                "() => { const own = document.activeElement; const style = getComputedStyle(own);"
                " return [own.tagName, own.textContent.trim(), style.outlineStyle, parseFloat(style.outlineWidth)]; }"
            )
            if own[0] == "BODY":
                break
            seen.append(own)
        assert all(style != "none" and width >= 2 for _, _, style, width in seen), "focus can be seen"
        texts = " ".join(text for _, text, _, _ in seen)
        for wanted in ("shoot", "dribble", "layup", "Not usable", "Skip", "Undo", "Definitions"):
            assert wanted in texts
        page.get_by_role("button", name="Definitions").focus()
        page.keyboard.press("Enter")
        page.get_by_role("dialog").wait_for()
        before = visit.photo()
        page.keyboard.press("1")
        assert visit.photo() == before, "a dialog keeps the keys"
        page.keyboard.press("Escape")
        assert page.get_by_role("dialog").count() == 0
        assert "Definitions" in page.evaluate("document.activeElement.textContent")
        assert page.locator("#announcer").get_attribute("aria-live") == "polite"


def test_the_token_lets_a_browser_in(browser: Browser, tmp_path: Path) -> None:
    paint_inbox(tmp_path, 2)
    token = "a-token-for-the-tests-0123456789"
    with Studio(tmp_path, variables={"BBALL_STUDIO_TOKEN": token}) as studio:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{studio.url}/")
        assert "token is required" in page.inner_text("body")
        page.goto(f"{studio.url}/?token={token}")
        page.wait_for_selector(".sort-view .file")
        assert token not in page.url
        assert page.evaluate("document.cookie") == ""
        context.close()
