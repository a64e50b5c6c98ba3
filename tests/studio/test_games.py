"""Games: proposals of one game, accepted or refused by a person, read by split, and undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bball_pl.photos.journal import Journal
from bball_pl.photos.labels_csv import decisions
from bball_pl.photos.photos_csv import read_photos_csv
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import PhotoTree
from bball_pl.split.write import SplitSettings, make_split

from helpers.audit_albums import MOVES, save
from helpers.browser import chromium
from helpers.studio_server import Studio
from helpers.studio_visits import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

GAMES, PHOTOS = 3, 4


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Sorted photos of three games, each in the colours of its hall; no photo names its game."""
    for game in range(GAMES):
        for number in range(PHOTOS):
            noise = np.random.default_rng([game, number]).normal(0, 9, (96, 128, 3))
            floor = np.array([(200, 120, 60), (60, 140, 210), (120, 200, 90)][game])
            path = tmp_path / "data/inbox/league" / MOVES[number % 3] / f"g{game}-{number}.jpg"
            save(path, np.clip(floor + noise, 0, 255).astype(np.uint8))
    return tmp_path / "data/inbox"


@pytest.fixture
def studio(inbox: Path, tmp_path: Path) -> Iterator[Studio]:
    with Studio(tmp_path, [str(inbox)]) as running:
        yield running


def names(proposal: dict[str, Any]) -> list[str]:
    return sorted(photo["name"] for photo in proposal["photos"])


def decide(studio: Studio, proposal: dict[str, Any], one_game: bool, leave: int = 0, game: str = "") -> Any:
    ids = [photo["id"] for photo in sorted(proposal["photos"], key=lambda photo: photo["name"])]
    chosen = {"name": proposal["name"], "photos": ids[leave:], "one_game": one_game, "game": game}
    return studio.post("/api/games/decide", chosen)


def test_what_a_person_accepts_is_a_group_of_the_split(studio: Studio, inbox: Path, tmp_path: Path) -> None:
    found = studio.get("/api/games")
    assert (found["photos"], found["named"], found["more"]) == (12, 0, 0)
    by_game = {names(proposal)[0][:2]: proposal for proposal in found["proposals"]}
    assert {game: len(proposal["photos"]) for game, proposal in by_game.items()} == {"g0": 4, "g1": 4, "g2": 4}
    decide(studio, by_game["g0"], True, leave=1)  # one of the photos was unticked
    numbers = decide(studio, by_game["g1"], True)["numbers"]
    decide(studio, by_game["g2"], False)
    again = studio.get("/api/games")
    assert (again["named"], again["proposals"]) == (7, [])
    photos = {photo.path.name: photo for photo in PhotoTree.scan(inbox).photos}
    assert photos["g0-0.jpg"].group == ""
    assert {photos[f"g0-{number}.jpg"].group for number in (1, 2, 3)} == {by_game["g0"]["name"]}
    settings = SplitSettings(inbox, tmp_path / "photos", near_duplicates=False)
    made = make_split(settings, PhotoStore(None))
    assert made.tree.photos
    rows = read_photos_csv(tmp_path / "photos/photos.csv")
    sides = {(row.group, row.path.split("/")[0]) for row in rows if row.group}
    assert {group for group, _ in sides} == {by_game["g0"]["name"], by_game["g1"]["name"]}
    assert len(sides) == 2, "no game is in two splits"
    studio.post("/api/games/undo", {"numbers": numbers})
    assert studio.get("/api/games")["named"] == 3
    studio.post("/api/games/undo", {"numbers": numbers}, 409)


def test_two_proposals_may_be_one_game(studio: Studio, inbox: Path) -> None:
    one, other, _ = studio.get("/api/games")["proposals"]
    decide(studio, one, True, game=" final  2026 ")
    decide(studio, other, True, game="final 2026")
    assert studio.get("/api/games")["games"] == ["final 2026"]
    assert sum(photo.group == "final 2026" for photo in PhotoTree.scan(inbox).photos) == 2 * PHOTOS


def test_the_game_stays_with_a_photo_that_is_sorted_again(studio: Studio, inbox: Path) -> None:
    proposal = studio.get("/api/games")["proposals"][0]
    decide(studio, proposal, True)
    assert studio.get("/api/sort")["left"] == 0, "a group changes no class"
    photo = next(photo for photo in PhotoTree.scan(inbox).photos if photo.group and photo.class_name != "layup")
    with Journal(inbox.parent, "studio") as journal:
        moved = journal.move(photo.path, photo.path.parent.parent / "layup" / photo.path.name, "label", "layup")
        assert decisions(inbox.parent)[inbox.parent / moved.to].group == proposal["name"]
        again = {own.path.name: own for own in PhotoTree.scan(inbox).photos}[photo.path.name]
        assert (again.group, again.class_name) == (proposal["name"], "layup")
        journal.undo(moved.number)
    assert {own.group for own in PhotoTree.scan(inbox).photos} == {"", proposal["name"]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "game-0", "photos": ["a", "b"], "one_game": True},
        {"name": "../../etc", "photos": ["a", "b"], "one_game": True},
        {"name": "game-" + 12 * "a", "photos": ["a"], "one_game": True},
        {"name": "game-" + 12 * "a", "photos": ["a", "b"], "one_game": True, "game": "x" * 81},
    ],
)
def test_what_is_no_decision_is_refused(studio: Studio, wrong: dict[str, Any]) -> None:
    studio.post("/api/games/decide", wrong, 422)


def test_an_unknown_photo_and_a_foreign_page_are_refused(studio: Studio, inbox: Path) -> None:
    proposal = studio.get("/api/games")["proposals"][0]
    known = [photo["id"] for photo in proposal["photos"]]
    studio.post("/api/games/decide", {"name": proposal["name"], "photos": [*known, "x"], "one_game": True}, 404)
    chosen = {"name": proposal["name"], "photos": known, "one_game": True}
    studio.post("/api/games/decide", chosen, 403, Origin="http://example.org")
    assert not (inbox.parent / "labels.csv").exists()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def test_a_person_decides_in_the_page(browser: Browser, studio: Studio, inbox: Path) -> None:
    with Visit(browser, studio.url, "games") as visit:
        proposals = visit.page.locator(".proposal")
        assert proposals.count() == GAMES
        first = proposals.first
        first.locator("input").first.uncheck()
        first.get_by_role("combobox").fill("final 2026")
        first.get_by_role("button", name="One game", exact=True).click()
        first.get_by_text("3 photos are of one game.").wait_for()
        assert [photo.group for photo in PhotoTree.scan(inbox).photos if photo.group] == ["final 2026"] * 3
        first.get_by_role("button", name="Undo").click()
        first.get_by_text("Undone.").wait_for()
        assert not any(photo.group for photo in PhotoTree.scan(inbox).photos)
        proposals.nth(1).get_by_role("button", name="Not one game").click()
        proposals.nth(1).get_by_text("not proposed again").wait_for()
        visit.page.get_by_role("button", name="Look for more").click()
        proposals.nth(GAMES - 1).wait_for(state="detached")
        assert proposals.count() == GAMES - 1


def test_a_double_click_decides_once(browser: Browser, studio: Studio, inbox: Path) -> None:
    with Visit(browser, studio.url, "games") as visit:
        first = visit.page.locator(".proposal").first
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        visit.page.route("**/api/games/decide", hold)
        first.get_by_role("button", name="One game", exact=True).dblclick()
        while not held:
            visit.page.wait_for_timeout(10)
        visit.page.wait_for_timeout(100)  # for a second request, if there is one
        for route in held:
            route.continue_()
        first.get_by_text("4 photos are of one game.").wait_for()
        first.get_by_role("button", name="Undo").click()
        first.get_by_text("Undone.").wait_for()
        assert not any(photo.group for photo in PhotoTree.scan(inbox).photos), "nothing was recorded twice"
