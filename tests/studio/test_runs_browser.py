"""Runs in a real browser: the table, a run, two runs compared; quiet, at home, and readable on a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from bball_pl import project

from helpers.browser import chromium
from helpers.finished_runs import A, B, make_run
from helpers.report_evaluations import epochs, log
from helpers.studio_views import CAMERA, Studio, check_words, studio, visit, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(CAMERA) as started:
        yield started


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    logs = tmp_path_factory.mktemp("runs") / "lightning_logs"
    targets = [0] * 20 + [1] * 20 + [2] * 20
    log(make_run(logs, A, targets, [2] * 8 + [0] * 12 + [1] * 14 + [2] * 26), epochs([0.9, 0.7, 0.8]))
    run = make_run(logs, B, targets, [*targets[:-1], 0], lr=0.001)
    metrics = run / project.METRICS
    figures = json.loads(metrics.read_text()) | {"groups": 10, "accuracy_bootstrap95": [0.9, 0.99]}
    metrics.write_text(json.dumps(figures))
    log(run, epochs([0.8, 0.5, 0.4]))
    (run / "report.html").write_text("<!doctype html><title>plain</title><script>document.title = 'ran'</script>")
    make_run(logs, "moves/version_10", targets, targets)
    (logs / "moves" / "version_9").mkdir()
    with studio(logs) as running:
        yield running


def test_table_run_compare(browser: Browser, own: Studio) -> None:
    with visit(browser, own, "#/runs") as seen:
        page = seen.page
        page.wait_for_selector("table.all tbody tr")

        def order() -> list[str]:
            return page.locator("tbody th.id").all_inner_texts()

        page.get_by_role("button", name="Test accuracy").click()
        assert order() == ["moves/version_10", B, A, "moves/version_9"], "what has no figure comes last"
        assert page.locator("th.accuracy").get_attribute("aria-sort") == "descending"
        page.get_by_role("button", name="Run", exact=True).click()
        assert order() == [A, B, "moves/version_9", "moves/version_10"], "10 comes after 9"

        page.get_by_role("link", name=B, exact=True).click()
        page.wait_for_selector(".plot path.val", state="attached")
        assert page.locator("h1").inner_text() == B
        # As the report says it: no end is nearer to the accuracy than that of the interval by photos, 91.1 to 99.7.
        assert page.get_by_text("95\u00a0% interval 90.0–99.7\u00a0% by 10 groups").count() == 1
        assert page.get_by_role("link", name="Review its errors").get_attribute("href") == f"#/review/{B}"
        # The curve stands where its values are: the last of three epochs, at 0.4 on the axis of losses.
        path = page.locator(".plot path.line.val").last.get_attribute("d") or ""
        assert path.count("L") == 2
        assert page.locator(".legend >> nth=1").inner_text().split()[2] == "0.400"
        page.locator("summary").last.click()
        assert page.locator("details >> nth=1").locator("tbody tr").all_inner_texts()[2].split()[:2] == ["3", "0.400"]
        assert page.locator(".confusion td b").all_inner_texts() == ["20", "0", "0", "0", "20", "0", "1", "0", "19"]
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="Open the report").click()
        report = opened.value
        wait_until(report, "document.title === 'ran'")
        assert report.evaluate("origin") == "null", "the report is of no origin"
        report.close()

        page.get_by_role("link", name="All runs").click()
        page.get_by_label(f"Choose {A} to compare").check()
        page.get_by_label(f"Choose {B} to compare").check()
        page.get_by_role("button", name="Compare two runs").click()
        page.wait_for_selector(".verdict")
        assert page.locator(".verdict").inner_text().startswith(f"B ({B}) is better: +21.7 points")
        assert page.locator(".changed .card").count() == 15
        page.get_by_role("button", name="only A right: 1").click()
        assert page.locator(".changed .card").count() == 1
        page.wait_for_selector(".plot path.second", state="attached")
        page.get_by_role("button", name="Swap").click()
        page.wait_for_selector(f"text=A ({B}) is better: −21.7 points")
        page.go_back()
        page.wait_for_selector(f"text=B ({B}) is better")
        check_words(page, "runs")


def test_pictures_of_the_photos_that_changed(browser: Browser, own: Studio) -> None:
    with visit(browser, own, f"#/runs/compare?a={A}&b={B}") as seen:
        seen.page.wait_for_selector(".changed img")
        wait_until(seen.page, "[...document.querySelectorAll('.changed img')].every((own) => own.naturalWidth > 0)")
        assert seen.page.locator(".changed img").count() == 3, "the others are not there any more"
        assert seen.page.locator(".changed .missing").count() == 12


def test_a_phone_scrolls_one_way(browser: Browser, own: Studio) -> None:
    options = {"viewport": {"width": 375, "height": 812}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}
    for place in ("#/runs", f"#/runs/{B}", f"#/runs/compare?a={A}&b={B}"):
        with visit(browser, own, place, **options) as seen:
            seen.page.wait_for_selector("h1")
            assert seen.page.evaluate("document.documentElement.scrollWidth") == 375, place
            seen.page.get_by_role("button", name="繁體中文").click()
            seen.page.wait_for_selector("h1")
            assert seen.page.evaluate("document.documentElement.scrollWidth") == 375, place


def test_a_run_that_is_not_there(browser: Browser, own: Studio) -> None:
    with visit(browser, own, "#/runs/moves/version_99") as seen:
        seen.page.wait_for_selector("text=there is no such run")
        seen.page.get_by_role("link", name="All runs").click()
        seen.page.wait_for_selector("table.all tbody tr")
        assert all("404" in text for text in seen.said)
        seen.said.clear()
