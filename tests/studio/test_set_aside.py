"""Photos that the model answers with `none`, set aside together; what the page says of keys, undo and the model."""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bball_pl.evaluate.origin import seen_photos
from bball_pl.photos.photos_csv import PhotoRecord, write_photos_csv

from helpers.browser import chromium
from helpers.painting import COLOURS, paint_photo
from helpers.predict_runs import calibrated, colour_checkpoint
from helpers.studio_server import Studio
from helpers.studio_visits import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

GREY = (128, 128, 128)
#: More photos without a move than a page of the grid has.
WITHOUT, PAGE = 50, 48


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "best.ckpt"
    return calibrated(colour_checkpoint(path, colours={**COLOURS, "none": GREY}), 1.0, 0.5)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def started(folder: Path, checkpoint: Path, without: int) -> Studio:
    """A studio whose model looks at grey photos, which show no move for it, and at one photo of each move."""
    inbox = folder / "data/inbox/league/unsorted/game 1"
    for number in range(without):
        paint_photo(inbox / f"grey{number:02}.png", GREY, number)
    for name, colour in COLOURS.items():
        paint_photo(inbox / f"{name}.png", colour, 1)
    return Studio(folder, [f"--ckpt={checkpoint}", "--suggest"])


def scored(studio: Studio) -> dict[str, Any]:
    """Wait until the model has looked at all photos."""
    ends = time.monotonic() + 120
    while (start := studio.get("/api/sort"))["scoring"] or not start["aside"]:
        assert time.monotonic() < ends, start
        time.sleep(0.1)
    found: dict[str, Any] = start
    return found


def lines(folder: Path) -> list[dict[str, str]]:
    with (folder / "data/labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_one_confirmation_one_undo_and_a_kill_in_the_middle(tmp_path: Path, checkpoint: Path) -> None:
    with started(tmp_path, checkpoint, WITHOUT) as studio:
        assert scored(studio)["aside"] == WITHOUT
        names = photos_below_png(tmp_path)
        page = studio.post("/api/sort/aside", {"tab": "a"})
        photos = page["photos"]
        assert (len(photos), page["of"]) == (PAGE, WITHOUT)
        assert all(photo["name"].startswith("grey") for photo in photos), "the model's answers, not every photo"
        shares = [photo["probabilities"]["none"] for photo in photos]
        assert shares == sorted(shares, reverse=True), "the surest first"
        assert len(studio.post("/api/sort/aside", {"tab": "b"})["photos"]) == WITHOUT - PAGE, "no other tab has them"
        others = studio.post("/api/sort/next", {"tab": "c", "count": 20})["photos"]
        assert not {photo["id"] for photo in others} & {photo["id"] for photo in photos}
        studio.post("/api/sort/leave", {"tab": "b"})
        studio.post("/api/sort/leave", {"tab": "c"})

        # One was sorted elsewhere meanwhile, one is kept, one is sorted by its key.
        elsewhere, kept, alone = photos[:3]
        single = {"tab": "a", "action": "label", "class_name": "none", "seen": 0}
        studio.post("/api/sort/decide", {**single, "photo": elsewhere["id"], "tab": "d", "class_name": "shoot"})
        studio.post("/api/sort/decide", {**single, "photo": alone["id"]})
        chosen = [{"photo": photo["id"], "seen": photo["seen"]} for photo in [elsewhere, *photos[3:]]]
        done = studio.post("/api/sort/set-aside", {"tab": "a", "photos": chosen})
        assert done["conflicts"] == [elsewhere["name"]]
        assert (len(done["photos"]), done["counts"]["none"], done["counts"]["shoot"]) == (PAGE - 3, PAGE - 2, 1)
        assert (tmp_path / "data/inbox/league/unsorted/game 1" / kept["name"]).is_file()
        _, by_key, *by_grid = lines(tmp_path)
        same = ("who", "action", "class", "was", "why", "undoes")
        columns = [name for name in by_key if name in same]
        assert len(columns) >= 4, by_key
        assert {tuple(line[name] for name in columns) for line in by_grid} == {tuple(by_key[name] for name in columns)}
        for photo in done["photos"]:
            assert (tmp_path / "data/inbox" / photo["folder"] / photo["name"]).is_file()

        more = studio.post("/api/sort/aside", {"tab": "a", "kept": [kept["id"]]})
        assert len(more["photos"]) == more["of"] == WITHOUT - PAGE, "what was kept is not shown again"
        back = studio.post("/api/sort/undo", {"tab": "a"})
        assert len(back["photos"]) == PAGE - 3, "one undo for all"
        assert (back["counts"]["none"], back["counts"]["shoot"]) == (1, 1)
        again = studio.post("/api/sort/undo", {"tab": "a"})
        assert [photo["name"] for photo in again["photos"]] == [alone["name"]], "a single sort is undone alone"
        studio.post("/api/sort/set-aside", {"tab": "a", "photos": []}, 422)

        # The power goes while they are being moved.
        page = studio.post("/api/sort/aside", {"tab": "a"})["photos"]
        chosen = [{"photo": photo["id"], "seen": photo["seen"]} for photo in page]
        csrf, before = studio.csrf, len(lines(tmp_path))

        def confirm() -> None:
            with suppress(Exception):
                studio.post("/api/sort/set-aside", {"tab": "a", "photos": chosen}, X_Studio_CSRF=csrf)

        thread = threading.Thread(target=confirm)
        thread.start()
        table = tmp_path / "data/labels.csv"
        ends = time.monotonic() + 60
        while table.read_bytes().count(b"\n") < before + 4 and time.monotonic() < ends:
            time.sleep(0.001)
        studio.kill()
        thread.join()
        assert photos_below_png(tmp_path) == names, "each photo once"
        studio.options = ()
        studio.start()
        rest = studio.get("/api/sort")
        moved = rest["counts"]["none"]
        assert 3 <= moved <= len(chosen)
        assert rest["left"] == len(names) - 1 - moved, "the others are as they were"
        assert photos_below_png(tmp_path) == names


def photos_below_png(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.png"))


def test_what_a_model_has_seen(tmp_path: Path) -> None:
    write_photos_csv(tmp_path / "photos.csv", [PhotoRecord("train/shoot/a.jpg", "shoot", source="demo court")])
    data = {"root": str(tmp_path), "counts": {"train": {"shoot": 1200, "none": 0}}, "scenes": 300}
    seen = seen_photos(Path("best.ckpt"), data, "2026-11-26T08:00:00")
    assert seen["en"]["training"] == (
        f"Trained on 2026-11-26 with 1,200 photos of {tmp_path.name} (shoot 投籃 1,200), and with 300 rendered scenes "
        "without a move."
    )
    assert seen["en"]["origin"] == "Trained on rendered scenes: this model has seen no real photo of a move."
    assert "1,200 張" in seen["zh-Hant"]["training"]
    assert "沒看過任何真實照片" in seen["zh-Hant"]["origin"]
    (tmp_path / "photos.csv").unlink()
    assert seen_photos(Path("best.ckpt"), data, "")["en"]["origin"] == "", "nothing is said of what is not known"
    assert seen_photos(Path("best.ckpt"), {}, "2026")["en"] == {"training": "", "origin": ""}


def test_the_grid_by_keyboard(browser: Browser, tmp_path: Path, checkpoint: Path) -> None:
    unsorted = tmp_path / "data/inbox/league/unsorted/game 1"
    with started(tmp_path, checkpoint, 6) as studio:
        scored(studio)
        with Visit(browser, studio.url) as visit:
            page = visit.page
            page.get_by_role("button", name="No move: 6").wait_for()
            visit.press("n")
            grid = page.get_by_role("dialog", name="Photos that show no move: none 無動作")
            grid.wait_for()
            ticks = grid.get_by_role("checkbox")
            assert [ticks.nth(index).is_checked() for index in range(ticks.count())] == [True] * 6
            assert page.evaluate("document.activeElement.type") == "checkbox"
            visit.press("ArrowRight")
            kept = page.evaluate("document.activeElement.closest('label').innerText").split()[0]
            visit.press("Space")
            visit.press("1")
            assert len(photos_below_png(unsorted)) == 9, "a dialog keeps the keys of Sort"
            grid.get_by_role("button", name="Set 5 photos aside as none 無動作").focus()
            visit.press("Enter")
            grid.get_by_role("status").filter(has_text="5 photos set aside as none 無動作.").wait_for()
            assert sorted(path.name for path in unsorted.glob("grey*")) == [kept]
            assert "no more photos" in grid.inner_text(), "what was kept does not come again"
            visit.press("z")
            grid.get_by_role("checkbox").nth(4).wait_for()
            assert grid.get_by_role("checkbox").count() == 5
            assert len(photos_below_png(unsorted)) == 9
            grid.get_by_role("button", name="Set 5 photos aside").click()
            grid.get_by_role("status").filter(has_text="5 photos set aside").wait_for()
            visit.press("Escape")
            assert page.locator(".feedback").inner_text().split("\n") == ["n", "5 photos → none 無動作"]
            assert page.get_by_role("button", name="No move: 1").is_visible()
            visit.press("z")
            page.locator(".feedback", has_text="5 photos are back: not sorted").wait_for()
            visit.saved()
            assert len(photos_below_png(unsorted)) == 9


def test_each_key_and_undo_say_what_they_did(browser: Browser, tmp_path: Path) -> None:
    paint_photo(tmp_path / "data/inbox/league/unsorted/game 1/a.png", seed=1)
    paint_photo(tmp_path / "data/inbox/league/unsorted/game 1/b.png", seed=2)
    with Studio(tmp_path) as studio, Visit(browser, studio.url) as visit:
        feedback = visit.page.locator(".feedback")
        visit.press("3")
        assert visit.page.locator(".answer.pressed").inner_text().split() == ["3", "layup", "上籃"]
        visit.saved()
        assert feedback.inner_text().split("\n") == ["3", "a.png → layup 上籃", "league/layup/game 1"]
        visit.press("x")
        visit.saved()
        feedback.filter(has_text="b.png → not usable").wait_for()
        assert "quarantine" in feedback.inner_text(), "also where there is no photo left"
        visit.press("z")
        feedback.filter(has_text="b.png is back: not sorted").wait_for()
        assert feedback.inner_text().split("\n")[-1] == "league/unsorted/game 1"
        assert visit.photo() == "b.png"
        visit.press("ArrowLeft")
        visit.press("1")
        visit.saved()
        visit.press("z")
        feedback.filter(has_text="a.png is back: layup 上籃").wait_for()
        visit.press("z")
        feedback.filter(has_text="a.png is back: not sorted").wait_for()
        visit.press("z")
        feedback.filter(has_text="There is nothing to undo.").wait_for()


def test_the_model_in_the_package_suggests_before_the_first_run(browser: Browser, tmp_path: Path) -> None:
    paint_photo(tmp_path / "data/inbox/league/unsorted/game 1/a.png")
    said = {"en-GB": "this model has seen no real photo of a move", "zh-TW": "這個模型沒看過任何真實照片"}
    with Studio(tmp_path, ["--suggest"]) as studio:
        while studio.get("/api/sort")["scoring"]:
            time.sleep(0.1)
        for locale, sentence in said.items():
            with Visit(browser, studio.url, locale=locale) as visit:
                visit.page.locator(".sort-view .seen", has_text=sentence).wait_for()
                visit.go("try")
                visit.page.locator(".try-view .seen", has_text=sentence).wait_for()
