"""Review: the lists of a run's answers, labels that are mended, and where the photos are afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bball_pl.evaluate.predictions import Answers, read_answers, write_answers
from bball_pl.photos.journal import Journal
from bball_pl.photos.photos_csv import AppendTable, PhotoRecord, read_photos_csv, write_photos_csv
from bball_pl.project import audit_folder
from bball_pl.studio.history import History
from bball_pl.studio.pictures import PhotoIds
from bball_pl.studio.review.review_table import ReviewTable, class_folder_index, prediction_tables

from helpers.browser import chromium
from helpers.studio_server import Studio, paint_inbox
from helpers.studio_visits import Visit

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Browser, Route

NAMES = ["shoot", "dribble", "layup"]
#: Label and answer of each photo with the confidence: six right, four errors, of which two doubt the label.
ROWS = [
    *(("shoot", "shoot", 0.9), ("shoot", "shoot", 0.7), ("shoot", "layup", 0.95), ("shoot", "layup", 0.5)),
    *(("dribble", "dribble", 0.99), ("dribble", "dribble", 0.8), ("dribble", "shoot", 0.45)),
    *(("layup", "layup", 0.6), ("layup", "layup", 0.9), ("layup", "dribble", 0.85)),
]
RUN = "moves/version_0"
URL = f"/api/review/{RUN}/test"


@pytest.fixture
def home(tmp_path: Path, make_dataset: Callable[..., Path]) -> Path:
    """A dataset with groups, and a run that answered its test photos."""
    (tmp_path / "data").mkdir()
    dataset = make_dataset({"train": 1, "test": 4}, name="data/photos")
    paths = []
    for number, (label, _, _) in enumerate(ROWS):
        left = sorted((dataset / "test" / label).glob("*.jpg"))
        paths.append(left[sum(own == label for own, _, _ in ROWS[:number])].relative_to(dataset).as_posix())
    groups = [f"game {number % 2}" for number in range(len(ROWS))]
    write_photos_csv(
        dataset / "photos.csv",
        [PhotoRecord(path, row[0], group) for path, row, group in zip(paths, ROWS, groups, strict=True)],
    )
    shares = np.array([[(1 - sure) / 2] * 3 for _, _, sure in ROWS], np.float32)
    for row, (_, said, sure) in enumerate(ROWS):
        shares[row, NAMES.index(said)] = sure
    run = tmp_path / "logs" / RUN
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(f"data:\n  root: {dataset}\n", encoding="utf-8")
    targets = np.array([NAMES.index(label) for label, _, _ in ROWS])
    write_answers(run / "predictions_test.csv", Answers(NAMES, paths, groups, targets, shares))
    table = AppendTable(audit_folder(dataset) / "audit.csv", ("path", "kind", "severity", "class", "suggested", "why"))
    audit_folder(dataset).mkdir(parents=True)
    for path, kind, severity, label, suggested in (
        ("train/layup/l0.jpg", "doubtful_label", "0.9", "layup", "shoot"),
        (paths[0], "doubtful_label", "0.4", "shoot", "layup"),
        (paths[1], "blurred", "1.0", "shoot", ""),
    ):
        table.add(
            {"path": path, "kind": kind, "severity": severity, "class": label, "suggested": suggested, "why": "so"}
        )
    table.close()
    return tmp_path


@pytest.fixture
def studio(home: Path) -> Iterator[Studio]:
    with Studio(home) as running:
        yield running


def said(page: dict[str, Any]) -> list[tuple[str, str]]:
    return [(photo["label"], photo["predicted"]) for photo in page["photos"]]


def test_lists_filters_and_orders(studio: Studio) -> None:
    assert studio.get("/api/review")["runs"] == [{"id": RUN, "splits": ["test"]}]
    summary = studio.get(URL)
    assert summary["matrix"] == [[2, 0, 2], [1, 2, 0], [0, 1, 2]]
    assert (summary["photos"], summary["errors"], summary["doubtful"]) == (10, 4, 2)
    assert (summary["audit"], summary["changed"]) == (2, 0)
    assert summary["groups"] == [
        {"name": "game 0", "photos": 5, "errors": 2},
        {"name": "game 1", "photos": 5, "errors": 2},
    ]
    assert summary["command"].startswith("bball evaluate --run ")

    def page(query: str) -> dict[str, Any]:
        found: dict[str, Any] = studio.get(f"{URL}/photos?{query}")
        return found

    errors = page("show=errors&order=doubt")
    assert said(errors) == [("shoot", "layup"), ("layup", "dribble"), ("shoot", "layup"), ("dribble", "shoot")]
    assert [photo["margin"] for photo in errors["photos"]] == sorted(photo["margin"] for photo in errors["photos"])
    assert said(page("show=errors&order=unsure"))[0] == ("dribble", "shoot")
    assert len(page("show=doubtful")["photos"]) == 2
    assert said(page("true=shoot&predicted=layup")) == [("shoot", "layup")] * 2
    assert page("true=shoot&predicted=dribble") == {"total": 0, "photos": []}
    assert page("true=nothing")["total"] == 0
    assert page("group=game+1&show=errors")["total"] == 2
    first, rest = page("limit=4"), page("offset=4&limit=99")
    assert first["total"] == 10
    assert len({photo["path"] for photo in (*first["photos"], *rest["photos"])}) == 10
    audit = page("show=audit")["photos"]
    assert [(photo["path"].split("/")[0], photo["suggested"]) for photo in audit] == [
        ("train", "shoot"),
        ("test", "layup"),
    ]
    assert audit[0]["probabilities"] is None
    assert studio.ask("GET", f"{URL}/photos?show=nonsense").status == 422
    assert studio.ask("GET", "/api/review/moves/version_9/test").status == 404
    assert studio.ask("GET", f"/api/review/{RUN}/val").status == 404


def test_labels_of_test_photos_are_decided_without_the_prediction(studio: Studio) -> None:
    """Errors among as many right predictions, which nothing tells apart before the decision."""
    answered = {photo["path"]: photo for photo in studio.get(f"{URL}/photos?show=all")["photos"]}
    listed = studio.get(f"{URL}/photos?show=blind")
    assert listed["total"] == studio.get(URL)["blind"] == 8
    right = [answered[photo["path"]]["predicted"] == photo["label"] for photo in listed["photos"]]
    assert sum(right) == 4
    assert right not in ([True] * 4 + [False] * 4, [False] * 4 + [True] * 4), "their order says nothing"
    for photo in listed["photos"]:
        assert (photo["predicted"], photo["probabilities"], photo["margin"], photo["hidden"]) == ("", None, None, True)
        assert photo["group"]
    for order in ("doubt", "confident"):
        again = studio.get(f"{URL}/photos?show=blind&order={order}")["photos"]
        assert [photo["path"] for photo in again] == [photo["path"] for photo in listed["photos"]]
    first, second = listed["photos"][:2]
    change = {"path": first["path"], "action": "confirm", "seen": first["seen"]}
    done = studio.post(f"{URL}/change", change)["photo"]
    assert done["probabilities"] == answered[first["path"]]["probabilities"], "shown once it is decided"
    after = studio.get(f"{URL}/photos?show=blind")["photos"]
    assert [photo["hidden"] for photo in after] == [False] + [True] * 7
    assert after[1]["path"] == second["path"]
    assert studio.post(f"{URL}/undo", {"number": 0})["photo"]["hidden"]
    audited = studio.get(f"{URL}/photos?show=audit")["photos"]
    assert [photo["probabilities"] for photo in audited] == [None, None]


def test_a_label_is_mended_within_its_split_and_taken_back(studio: Studio, home: Path) -> None:
    dataset = home / "data/photos"
    photo = studio.get(f"{URL}/photos?show=errors")["photos"][0]
    change = {"path": photo["path"], "action": "label", "class_name": "layup", "seen": photo["seen"]}
    changed = studio.post(f"{URL}/change", change)["photo"]
    assert (changed["label"], changed["now"], changed["changed"]) == ("shoot", "layup", True)
    name = Path(photo["path"]).name
    assert (dataset / "test/layup" / name).is_file()
    assert not (dataset / photo["path"]).exists()
    rows = {record.path: record for record in read_photos_csv(dataset / "photos.csv")}
    assert rows[f"test/layup/{name}"].class_name == "layup"
    assert rows[f"test/layup/{name}"].group == photo["group"]
    assert studio.ask("GET", f"/api/photos/{changed['id']}/thumb").status == 200
    assert studio.get(URL)["matrix"] == [[2, 0, 2], [1, 2, 0], [0, 1, 2]], "the figures stay those of the run"
    assert [own["path"] for own in studio.get(f"{URL}/photos?show=changed")["photos"]] == [photo["path"]]

    again = studio.post(f"{URL}/change", change, 409)
    assert again["code"] == "conflict"
    assert again["state"]["now"] == "layup"
    away = {**change, "action": "quarantine", "class_name": "", "seen": changed["seen"]}
    gone = studio.post(f"{URL}/change", away)
    assert gone["photo"]["now"] == "quarantine"
    assert (home / f"data/quarantine/photos/test/layup/{name}").is_file()
    assert studio.post(f"{URL}/undo", {"number": gone["number"]})["photo"]["now"] == "layup"
    assert studio.post(f"{URL}/undo", {"number": 0})["photo"]["now"] == "shoot"
    assert (dataset / photo["path"]).is_file()
    assert studio.post(f"{URL}/undo", {"number": 0})["photo"] is None
    assert studio.get(URL)["changed"] == 0

    photo = studio.get(f"{URL}/photos?show=doubtful")["photos"][0]
    done = studio.post(f"{URL}/change", {"path": photo["path"], "action": "confirm", "seen": photo["seen"]})["photo"]
    assert (done["now"], done["changed"], done["confirmed"]) == (photo["label"], False, True)
    assert studio.get(URL)["changed"] == 0, "a confirmed label is no change"
    for path in ("../../etc/passwd", "/etc/passwd", "test/shoot", "", "train/shoot/s0.jpg"):
        studio.post(f"{URL}/change", {"path": path, "action": "quarantine"}, 404)


def test_a_table_of_a_stranger_reaches_nothing_outside(home: Path) -> None:
    (home / "secret.jpg").write_bytes(b"secret")
    outside = ["../../secret.jpg", str(home / "secret.jpg"), "test/../../../secret.jpg", "test/shoot/gone.jpg"]
    run = home / "logs" / RUN
    shares = np.full((4, 3), 1 / 3, np.float32)
    write_answers(run / "predictions_test.csv", Answers(NAMES, outside, [""] * 4, np.zeros(4, np.int64), shares))
    with Studio(home) as studio:
        photos = studio.get(f"{URL}/photos")["photos"]
        assert [(photo["id"], photo["now"]) for photo in photos] == [("", "missing")] * 4
        for photo in photos:
            content = {"path": photo["path"], "action": "quarantine"}
            studio.post(f"{URL}/change", content, 409)
    assert (home / "secret.jpg").is_file()


def test_photos_that_moved_before_are_found(home: Path) -> None:
    dataset = home / "data/photos"
    with Journal(home / "data", "audit") as journal:
        journal.move(dataset / "test/shoot/s0.jpg", dataset / "test/layup/s0.jpg", "label", "layup")
        journal.move(dataset / "test/layup/s0.jpg", home / "data/quarantine/photos/s0.jpg", "quarantine")
    run = home / "logs" / RUN
    table = ReviewTable(prediction_tables(run)["test"], dataset, History(home / "data", PhotoIds()))
    items = table.items("changed")
    assert [item.path for item in items] == ["test/shoot/s0.jpg"]
    photo = table.photo(items[0], table.moved())
    assert photo is not None
    assert table.state(items[0], photo) == "quarantine"


@pytest.mark.parametrize(
    ("place", "label", "slot"),
    [
        ("test/shoot/x.jpg", "shoot", 1),
        ("shoot/x.jpg", "shoot", 0),
        ("test/a/shoot/x.jpg", "shoot", 2),
        ("train/train/x.jpg", "train", 1),
        ("test/x.jpg", "shoot", None),
        ("shoot", "shoot", None),
    ],
)
def test_which_folder_says_the_class(place: str, label: str, slot: int | None) -> None:
    assert class_folder_index(place.split("/"), label) == slot


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def test_the_matrix_leads_to_the_photos_and_keys_mend_labels(browser: Browser, studio: Studio, home: Path) -> None:
    with Visit(browser, studio.url, "review") as visit:
        page = visit.page
        page.locator(".list li").first.wait_for()
        assert page.locator(".list li").count() == 8
        assert page.locator(".list .tag").count() == 8, "labels alone"
        page.get_by_role("button", name="shoot 投籃 predicted as layup 上籃: 2 photos").focus()
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.querySelectorAll('.list li').length === 2")
        assert "shoot 投籃 → layup 上籃" in page.locator(".chosen").inner_text()
        page.keyboard.press("3")
        visit.saved()
        assert studio.get(URL)["changed"] == 0, "who has seen the prediction does not decide"
        assert "decided before their prediction is seen" in page.locator(".review-view .feedback").inner_text()
        assert page.locator(".review-view .answer:disabled").count() == 3
        page.get_by_role("button", name="Check labels").click()
        page.wait_for_function("() => document.querySelectorAll('.list li').length === 8")
        path = page.locator(".review-view .file").inner_text()
        other, key = ("layup", "3") if path.split("/")[1] != "layup" else ("shoot", "1")
        page.keyboard.press(key)
        visit.saved()
        assert (home / "data/photos/test" / other / Path(path).name).is_file()
        assert page.locator(".review-view .file").inner_text() != path, "the next one is there"
        feedback = page.locator(".review-view .feedback")
        moved = f"test/{other}/{Path(path).name}"
        assert feedback.inner_text().split("\n")[0] == key
        assert f"{path} → {other}" in feedback.inner_text()
        assert moved in feedback.inner_text(), "where the photo went"
        page.keyboard.press("c")
        visit.saved()
        page.locator(".stale").wait_for()
        assert "1 photo was changed" in page.locator(".stale").inner_text()
        assert "bball evaluate --run" in page.locator(".stale pre").inner_text()
        page.keyboard.press("z")
        page.keyboard.press("z")
        visit.saved()
        assert (home / "data/photos" / path).is_file()
        assert page.locator(".review-view .file").inner_text() == path, "the photo that is back is shown"
        assert f"Undone: {path} is {path.split('/')[1]}" in feedback.inner_text()
        assert studio.get(URL)["changed"] == 0
        page.locator("#show").select_option("audit")
        page.wait_for_selector("text=The audit suggests shoot 投籃.")
        page.locator("body").click(position={"x": 5, "y": 300})
        page.keyboard.press("x")
        visit.saved()
        assert (home / "data/quarantine/photos/train/layup/l0.jpg").is_file()
        page.goto(f"{studio.url}/#/review/moves/version_0/test")
        assert page.locator("#run").input_value() == RUN
    options: dict[str, Any] = {
        "viewport": {"width": 375, "height": 812},
        "is_mobile": True,
        "has_touch": True,
        "locale": "zh-TW",
    }
    with Visit(browser, studio.url, "review", **options) as visit:
        assert visit.width() == 375
        visit.page.get_by_role("button", name="投籃 shoot 被答成 上籃 layup：2 張").tap()
        visit.page.wait_for_function("() => document.querySelectorAll('.list li').length === 2")
        visit.page.get_by_role("button", name="檢查標籤", exact=True).tap()
        visit.page.wait_for_function("() => document.querySelectorAll('.list li').length === 8")
        visit.page.get_by_role("button", name="標籤正確").tap()
        visit.saved()
        assert visit.width() == 375
        assert "已確認" in visit.page.locator(".list").inner_text()


@pytest.mark.parametrize(("width", "height"), [(375, 812), (768, 1024)])
def test_the_photo_comes_first_on_narrow_screens(browser: Browser, studio: Studio, width: int, height: int) -> None:
    with Visit(browser, studio.url, "review", viewport={"width": width, "height": height}) as visit:
        tops = {}
        for name in ("stage", "answers", "list-pane", "confusion"):
            box = visit.page.locator(f".review-view .{name}").bounding_box()
            assert box is not None
            tops[name] = box["y"]
        assert list(tops) == sorted(tops, key=tops.__getitem__)
        assert tops["answers"] < height, "the photo and its answers fit the screen"


def test_answers_have_the_colours_of_the_classes(browser: Browser, home: Path) -> None:
    # The run has its classes in another order than Sort.
    table = home / "logs" / RUN / "predictions_test.csv"
    rows = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()]
    columns = [0, 1, 2, 5, 4, 3, 6]
    table.write_text("\n".join(",".join(row[index] for index in columns) for row in rows) + "\n", encoding="utf-8")
    with Studio(home) as studio, Visit(browser, studio.url, "review") as visit:
        visit.page.locator(".review-view .answer").first.wait_for()
        buttons = visit.page.locator(".review-view .answer").evaluate_all(
            "all => all.map((button) => [button.dataset.act, button.className.match(/class-\\d/)[0]])"
        )
        assert buttons == [["layup", "class-3"], ["dribble", "class-2"], ["shoot", "class-1"]]
        keys = visit.page.locator(".review-view .answer kbd").all_inner_texts()
        assert keys == ["3", "2", "1"], "a class has the same key as in Sort"


def test_an_answer_about_another_run_comes_too_late(browser: Browser, studio: Studio, home: Path) -> None:
    # Another run, which is right about all photos.
    run, other = home / "logs" / RUN, home / "logs" / "moves/version_1"
    other.mkdir()
    (other / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    answers = read_answers(run / "predictions_test.csv")
    shares = np.full((len(ROWS), 3), 0.1, np.float32)
    shares[np.arange(len(ROWS)), answers.targets] = 0.8
    write_answers(
        other / "predictions_test.csv", Answers(NAMES, answers.paths, answers.groups, answers.targets, shares)
    )
    errors = 'role=button[name="shoot 投籃 predicted as layup 上籃: 2 photos"]'
    with Visit(browser, studio.url, f"review/{RUN}/test") as visit:
        page = visit.page
        page.locator(errors).wait_for()
        held: list[tuple[Route, APIResponse]] = []
        pattern = "**/api/review/moves/version_1/test"
        page.route(pattern, lambda route: held.append((route, route.fetch())))
        page.locator("#run").select_option("moves/version_1")
        while not held:
            page.wait_for_timeout(10)
        with page.expect_response(f"**{URL}/photos*"):
            page.locator("#run").select_option(RUN)
        route, answer = held[0]
        route.fulfill(response=answer)
        page.unroute(pattern)
        page.wait_for_load_state("networkidle")
        page.evaluate("() => new Promise((done) => setTimeout(done, 100))")  # for the page to take the late answer
        assert page.locator(errors).count() == 1
        assert page.locator("#run").input_value() == RUN
        page.locator("#run").select_option("moves/version_1")
        page.locator(errors).wait_for(state="detached")


def test_undo_touches_only_photos_of_the_page(studio: Studio, home: Path) -> None:
    photo = paint_inbox(home, 1)[0]
    shown = studio.post("/api/sort/next", {"tab": "a"})["photos"][0]
    content = {"tab": "a", "photo": shown["id"], "action": "label", "class_name": "shoot"}
    number = studio.post("/api/sort/decide", content)["number"]
    assert "another folder" in studio.post(f"{URL}/undo", {"number": number}, 409)["message"]
    assert studio.post(f"{URL}/undo", {"number": 0})["photo"] is None
    assert not photo.exists()
    change = {"path": studio.get(f"{URL}/photos")["photos"][0]["path"], "action": "quarantine"}
    number = studio.post(f"{URL}/change", change)["number"]
    assert "another folder" in studio.post("/api/sort/undo", {"tab": "a", "number": number}, 409)["message"]
    assert studio.post("/api/sort/undo", {"tab": "a"})["photos"][0]["id"] == shown["id"]
    assert photo.is_file()
