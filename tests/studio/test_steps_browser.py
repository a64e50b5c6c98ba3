"""Steps in a real browser: from a folder of photos to a proven file for the phone by keyboard alone; phones, words."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bball_pl.court.demo_dataset import write_demo
from bball_pl.studio.steps.jobs import Jobs

from helpers.browser import chromium
from helpers.forked import forks
from helpers.painting import paint_photo
from helpers.studio_jobs import long_command, project_studio, wait_for
from helpers.studio_views import check_words, wait_until
from helpers.studio_visits import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

KEYS = {"shoot": "1", "dribble": "2", "layup": "3"}
#: A network of half a million parameters on photos of a few pixels, as a user's own settings.
TINY = """
data: {batch_size: 8, num_workers: 0, augment: none, court: 0}
model: {backbone: test_resnet, weights: none, image_size: 32}
trainer: {max_epochs: 2, precision: 32-true, accelerator: cpu}
pictures: false
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def tab_to(page: Page, selector: str, key: str = "Tab") -> None:
    """Press Tab until an element has the focus, as somebody without a mouse does."""
    for _ in range(150):
        page.keyboard.press(key)
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard does not get to {selector}")


def job_ended(page: Page, title: str) -> None:
    """Wait until the newest job, of this title, has ended well."""
    heading = f"document.querySelector('.job h2').textContent.startsWith({title!r} + ':')"
    wait_until(page, heading, 60)
    wait_until(page, "!['running', 'stopping'].includes(document.querySelector('.job').dataset.state)", 600)
    assert page.locator(".job h2").inner_text() == f"{title}: finished", page.locator(".log").inner_text()


def start(page: Page, step: str, title: str) -> None:
    """Go to a step's button Start by keyboard, press it, and wait for the job's end."""
    tab_to(page, f"#steps-start-{step}")
    page.keyboard.press("Enter")
    wait_until(page, "document.activeElement.id === 'steps-job'", 60)
    job_ended(page, title)


@pytest.mark.slow
def test_from_a_folder_of_photos_to_a_proven_package_by_keyboard_alone(browser: Browser, tmp_path: Path) -> None:
    rendered = write_demo(tmp_path / "rendered", 30, 6, 3, workers=1, show_progress=False).root
    league = tmp_path / "week 1"
    rows = csv.DictReader((rendered / "photos.csv").read_text(encoding="utf-8").splitlines())
    for number, row in enumerate(rows):
        path = league / f"game {number // 3 % 6}" / f"{row['class']}-{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((rendered / row["path"]).read_bytes())
    (league / "notes.txt").write_text("not a photo")
    project = tmp_path / "project"
    (project / "configs").mkdir(parents=True)
    (project / "configs" / "tiny.yaml").write_text(TINY)
    with (
        # The run of a job is found by the number of its process.
        project_studio(project, forks(but="fit")) as studio,
        Visit(browser, studio.url, "steps") as visit,
    ):
        page = visit.page
        tab_to(page, "#steps-folder")
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(league)
        page.wait_for_selector("text=36 files chosen")
        page.wait_for_selector("text=1 left out: neither photos nor zip files")
        tab_to(page, "#steps-collect-author")
        page.keyboard.type("A. Coach")
        page.wait_for_selector(
            "text=bball collect local data/uploads/1/week-1 --out data/inbox/week-1 '--author=A. Coach'"
        )
        tab_to(page, "[data-step=collect] button[type=submit]")
        page.keyboard.press("Enter")
        job_ended(page, "Collect")
        page.locator(".log", has_text="36 new photos").wait_for()

        tab_to(page, ".job a[href='#/sort']")
        page.keyboard.press("Enter")
        page.wait_for_selector(".sort-view .file")
        for left in range(35, -1, -1):
            name = visit.photo()
            page.keyboard.press(KEYS[name.partition("-")[0]])
            while left and visit.photo() == name:
                page.wait_for_timeout(10)
        visit.saved()
        assert studio.get("/api/steps")["inbox"]["unsorted"] == 0
        tab_to(page, "nav a[href='#/steps']", "Shift+Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("[data-step=audit].is-next")
        tab_to(page, "#steps-audit-labels")
        page.keyboard.press("Space")
        page.wait_for_selector("text=bball audit data/inbox --no-labels")
        start(page, "audit", "Audit")
        tab_to(page, ".job .buttons button")
        assert page.locator(".job .buttons button").inner_text() == "Next: Split"
        page.keyboard.press("Enter")
        start(page, "split", "Split")

        tab_to(page, "#steps-train-config")
        page.keyboard.press("End")
        page.wait_for_selector("text=bball fit --config configs/tiny.yaml --data.root data/photos --name=moves")
        tab_to(page, "#steps-start-train")
        page.keyboard.press("Enter")
        page.wait_for_selector(".job[data-state=running]")
        # The tab is closed, and the studio ends; the job goes on.
        page.close()
        studio.kill()
        studio.start()
        page = visit.page = visit.context.new_page()
        visit.go("steps")
        job_ended(page, "Train")
        page.wait_for_selector(".job .plot path.val", state="attached")
        start(page, "evaluate", "Evaluate")
        assert (
            page.locator(".job a", has_text="Open the report").get_attribute("href")
            == "/api/runs/moves/version_0/report"
        )
        tab_to(page, "[id^=steps-export-formats]")
        page.keyboard.press("Space")
        tab_to(page, "#steps-export-formats-2")
        page.keyboard.press("Space")
        page.wait_for_selector("text=--formats mlpackage --name=moves")
        start(page, "export", "Export")
        assert page.locator(".exports td.good").all_inner_texts() == ["proven"]
        tab_to(page, "#steps-verify-moves")
        page.keyboard.press("Enter")
        job_ended(page, "Verify the export")
        tab_to(page, "a[download]")
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert download.value.suggested_filename == "BasketballMoves.mlpackage.zip"
        assert page.locator(".way .is-next").count() == 0
        assert page.locator(".way .is-done").count() == 7
        assert visit.width() == 1280


def test_progress_stop_and_words_on_a_phone_and_in_two_languages(browser: Browser, tmp_path: Path) -> None:
    project = tmp_path / "project"
    for number in range(4):
        paint_photo(project / "data/inbox/league" / ("shoot", "dribble")[number % 2] / f"{number}.jpg", seed=number)
    options: dict[str, Any] = {
        "viewport": {"width": 375, "height": 812},
        "is_mobile": True,
        "has_touch": True,
        "color_scheme": "dark",
    }
    with project_studio(project) as studio, Visit(browser, studio.url, "steps", **options) as visit:
        page = visit.page
        page.wait_for_selector("[data-step=audit].is-next")
        assert visit.width() == 375
        Jobs(project / "data").start("audit", long_command(project / "scenes"), {"tree": "inbox"})
        # A job of another tab is found when this one is looked at again.
        page.evaluate("dispatchEvent(new Event('focus'))")
        page.wait_for_selector(".job[data-state=running]")
        assert page.locator("#steps-start-audit").is_disabled()
        wait_for(lambda: list(project.glob(".scenes.*.tmp/*/*/*.jpg")))
        page.get_by_role("button", name="Stop", exact=True).click()
        wait_until(page, "document.querySelector('.job').dataset.state === 'stopped'", 600)
        assert page.locator(".log").inner_text().splitlines()[-1] == "terminated"
        page.get_by_role("button", name="Start again").wait_for()
        assert page.locator("#steps-start-audit").is_enabled()
        page.get_by_role("button", name="繁體中文").click()
        page.wait_for_selector("text=稽核：已停止")
        assert visit.width() == 375
        for box in page.locator(".way details").all():
            box.evaluate("(box) => { box.open = true; }")
        assert visit.width() == 375
        check_words(page, "steps")


def test_an_upload_that_is_stopped_leaves_nothing(browser: Browser, tmp_path: Path) -> None:
    album = tmp_path / "album"
    for number in range(60):
        paint_photo(album / f"{number}.jpg", seed=number, size=(400, 300))
    project = tmp_path / "project"
    with project_studio(project) as studio, Visit(browser, studio.url, "steps", quiet=False) as visit:
        page = visit.page
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/api/steps/command", hold)
        # The tenth photo stays on its way, so the upload is stopped in the middle on any machine.
        page.route("**/api/steps/uploads/1/9?*", hold)
        page.locator("#steps-folder").set_input_files(album)
        page.get_by_role("button", name="Start: Collect").click()
        while len(held) < 2:
            page.wait_for_timeout(50)  # unlike sleep, lets the requests pass
        assert list((project / "data/uploads").glob(".1.partial/album/*.jpg"))
        page.get_by_role("button", name="Stop the upload").click()
        stopped = "text=The upload was stopped; nothing of it was kept."
        page.wait_for_selector(stopped)
        assert list((project / "data/uploads").iterdir()) == []
        assert page.locator(".job").is_hidden()
        # The command line comes late and leaves the message alone.
        (command,) = (route for route in held if route.request.url.endswith("command"))
        command.continue_()
        page.wait_for_selector(".typed >> text=collect")
        assert page.locator(stopped).is_visible()
        page.unroute_all()
        page.get_by_role("button", name="Start: Collect").click()
        page.wait_for_selector(".job h2:has-text('Collect: finished')")
        assert studio.get("/api/steps")["inbox"]["photos"] == 60
