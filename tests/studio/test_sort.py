"""Sort on the server's side: where photos go, who is shown which, what is taken back, and what a kill leaves."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bball_pl.audit.measure import measure_photos
from bball_pl.photos.journal import Journal
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import Photo, PhotoTree
from bball_pl.studio.history import ConflictError, History
from bball_pl.studio.pictures import PhotoIds
from bball_pl.studio.sort.queue import SortQueue
from bball_pl.studio.sort.suggestions import FrozenNetwork, RunNetwork, Scorer
from bball_pl.studio.state import Models

from helpers.painting import COLOURS
from helpers.predict_runs import NAMES, colour_checkpoint
from helpers.studio_server import Studio, paint_inbox, photos_below

CLASSES = ("shoot", "dribble", "layup")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def queue_of(folder: Path, clock: Clock | None = None) -> SortQueue:
    """A queue as a fresh start of the studio has it."""
    return SortQueue(History(folder / "data", PhotoIds()), folder / "data/inbox", CLASSES, clock or Clock())


def names(queue: SortQueue, tab: str, count: int, have: tuple[str, ...] = ()) -> list[str]:
    return [Path(photo.path).name for photo in queue.next(tab, have, count)]


@pytest.mark.parametrize(
    ("place", "album", "goes_to"),
    [
        ("league/unsorted/game/x.jpg", "league / game", "league/layup/game/x.jpg"),
        ("unsorted/x.jpg", "", "layup/x.jpg"),
        ("league/shoot/game/x.jpg", "league / game", "league/layup/game/x.jpg"),
        ("league/unsorted/shoot/x.jpg", "league / shoot", "league/layup/shoot/x.jpg"),
        ("league/shoot/dribble/x.jpg", "league / dribble", "league/layup/dribble/x.jpg"),
        ("deep/er/unsorted/a/b/x.jpg", "deep / er / a / b", "deep/er/layup/a/b/x.jpg"),
        ("game/x.jpg", "game", "layup/game/x.jpg"),
        ("shoot.jpg", "", "layup/shoot.jpg"),
        ("unsorted.jpg", "", "layup/unsorted.jpg"),
    ],
)
def test_where_a_photo_goes(place: str, album: str, goes_to: str) -> None:
    tree, parts = PhotoTree(Path("inbox"), list(CLASSES), []), place.split("/")
    assert tree.relabelled(parts, "layup") == Path(goes_to)
    assert tree.album_of(parts) == album
    assert tree.class_of(Path("inbox", goes_to)) == "layup"
    assert tree.relabelled(Path(goes_to).parts, "layup") == Path(goes_to), "once is enough"


def test_two_tabs_are_never_shown_the_same_photo(tmp_path: Path) -> None:
    paint_inbox(tmp_path, 10)
    clock = Clock()
    queue = queue_of(tmp_path, clock)
    first = queue.next("a", (), 4)
    held = [photo.id for photo in first]
    second = queue.next("b", (), 4)
    assert not set(held) & {photo.id for photo in second}
    assert len(queue.next("b", [photo.id for photo in second], 4)) == 2, "the rest"
    assert queue.next("c", (), 4) == []
    clock.now = 60
    queue.next("a", held, 0)
    clock.now = 120
    assert {photo.id for photo in queue.next("c", (), 9)} == {photo.id for photo in queue.next("c", (), 9)}
    assert not set(held) & {photo.id for photo in queue.next("c", (), 9)}, "tab a is still there, b was silent"
    queue.release("c")
    assert len(queue.next("d", (), 9)) == 6


def test_decisions_are_counted_and_taken_back_also_after_a_restart(tmp_path: Path) -> None:
    paths = paint_inbox(tmp_path, 5)
    queue = queue_of(tmp_path)
    photos = queue.next("a", (), 5)
    queue.decide(photos[0].id, "label", "shoot", 0)
    queue.decide(photos[1].id, "label", "shoot", 0)
    queue.decide(photos[2].id, "quarantine", "", 0)
    queue.decide(photos[3].id, "skip", "", 0)
    queue.decide(photos[0].id, "label", "layup", photos[0].version)
    own = queue.progress()
    assert (own.left, own.skipped, own.quarantined) == (1, 1, 1)
    assert own.counts == {"shoot": 1, "dribble": 0, "layup": 1}
    assert (tmp_path / "data/quarantine/inbox/league/unsorted/game 0/p0004.jpg").is_file()

    again = queue_of(tmp_path)
    assert again.progress() == own
    assert [photo.id for photo in again.skipped()] == [photos[3].id], "ids outlive a restart"
    states = []
    while undone := again.undo().photos:
        states.append(again.state(undone[0].id))
    assert states == ["shoot", "", "", "", ""], "the newest first"
    assert again.progress().left == 5
    assert all(path.is_file() for path in paths)
    assert again.undo().photos == []


def test_a_change_that_was_made_elsewhere_is_not_made_twice(tmp_path: Path) -> None:
    paint_inbox(tmp_path, 2)
    queue, other = queue_of(tmp_path), queue_of(tmp_path)
    photo = queue.next("a", (), 1)[0].id
    other.decide(photo, "label", "shoot", 0)
    with pytest.raises(ConflictError, match="changed elsewhere") as caught:
        queue.decide(photo, "label", "layup", 0)
    assert caught.value.photo is not None
    assert queue.state(photo) == "shoot"
    assert (tmp_path / "data/inbox/league/shoot/game 0/p0000.jpg").is_file()
    number = caught.value.photo.version
    queue.undo(number)
    with pytest.raises(ConflictError, match="already undone"):
        other.undo(number)
    assert other.state(photo) == ""
    with pytest.raises(ConflictError, match="no longer exists"):
        queue.decide("nothing", "skip", "", 0)


def test_only_the_last_change_of_a_photo_is_taken_back(tmp_path: Path) -> None:
    paint_inbox(tmp_path, 1)
    queue = queue_of(tmp_path)
    photo = queue.next("a", (), 1)[0]
    _, first = queue.decide(photo.id, "label", "shoot", 0)
    queue.decide(photo.id, "label", "layup", first.number)
    with pytest.raises(ConflictError, match="changed again since"):
        queue.undo(first.number)


def test_other_programs_may_work_on_the_same_photos(tmp_path: Path) -> None:
    paths = paint_inbox(tmp_path, 4)
    queue = queue_of(tmp_path)
    by_name = {Path(photo.path).name: photo.id for photo in queue.next("a", (), 4)}
    with Journal(tmp_path / "data", "audit") as journal:
        away = journal.move(paths[0], tmp_path / "data/quarantine" / paths[0].name, "quarantine")
    paths[1].unlink()
    assert queue.next("b", (), 4) == []
    assert queue.progress().quarantined == 1, "seen as soon as anybody asks"
    with pytest.raises(ConflictError, match="changed elsewhere"):
        queue.decide(by_name["p0000.jpg"], "label", "shoot", 0)
    with pytest.raises(ConflictError, match="no longer exists"):
        queue.decide(by_name["p0001.jpg"], "label", "shoot", 0)
    assert queue.undo().photos == [], "what the audit did is not the studio's to take back"
    with Journal(tmp_path / "data", "audit") as journal:
        journal.undo(away.number)
    queue.rescan()
    assert queue.progress().left == 3


def test_a_new_file_in_an_old_place_is_another_photo(tmp_path: Path) -> None:
    path = paint_inbox(tmp_path, 1)[0]
    queue = queue_of(tmp_path)
    old = queue.next("a", (), 1)[0]
    queue.decide(old.id, "label", "shoot", 0)
    shutil.copy(tmp_path / "data/inbox/league/shoot/game 0/p0000.jpg", path)
    for own in (queue, queue_of(tmp_path)):
        own.rescan()
        new = own.next("a", (), 1)[0]
        assert new.path == "inbox/league/unsorted/game 0/p0000.jpg"
        assert own.progress().left == 1
        assert own.progress().counts["shoot"] == 1
    queue.decide(queue.next("a", (), 1)[0].id, "label", "shoot", 0)
    assert (tmp_path / "data/inbox/league/shoot/game 0/p0000-2.jpg").is_file(), "nothing is written over"


def test_the_most_doubtful_comes_first(tmp_path: Path) -> None:
    paint_inbox(tmp_path, 6)
    queue = queue_of(tmp_path)
    photos = {Path(photo.path).name: photo.id for photo in queue.next("a", (), 6)}
    queue.release("a")
    margins = {photos["p0003.jpg"]: 0.1, photos["p0004.jpg"]: 0.9, photos["p0005.jpg"]: 0.05}
    order = [Path(photo.path).name for photo in queue.next("a", (), 4, "doubt", margins)]
    assert order == ["p0005.jpg", "p0003.jpg", "p0004.jpg", "p0000.jpg"]
    queue.release("a")
    moves = {photos["p0002.jpg"]: 0.02, photos["p0000.jpg"]: 0.97}
    order = [Path(photo.path).name for photo in queue.next("a", (), 2, "none", moves)]
    assert order == ["p0002.jpg", "p0000.jpg"], "photos without a move before those of one"
    queue.release("a")
    assert names(queue, "a", 3) == ["p0000.jpg", "p0002.jpg", "p0004.jpg"], "album by album"


HOSTILE = [
    "<img src=x onerror=alert(1)>.jpg",
    "quote\"'`.jpg",
    "new\nline.jpg",
    "投籃 練習.jpg",
    "-rf.jpg",
    "=1+1.jpg",
    "percent%41.jpg",
    "back\\slash.jpg",
    " space .jpg",
    "a,b;c.jpg",
    os.fsdecode(b"\xff\xfe latin.jpg"),
    "e\u0301 combining \u202e right to left.jpg",
]


def test_no_name_is_too_odd(tmp_path: Path) -> None:
    plain = paint_inbox(tmp_path, 1)[0]
    odd = tmp_path / "data/inbox/<b>odd</b>/unsorted/al'bum\n1"
    odd.mkdir(parents=True)
    for name in HOSTILE:
        shutil.copy(plain, odd / name)
    plain.unlink()
    queue = queue_of(tmp_path)
    for photo in queue.next("a", (), 99):
        queue.decide(photo.id, "label", "dribble", 0)
    sorted_to = tmp_path / "data/inbox/<b>odd</b>/dribble/al'bum\n1"
    assert {path.name for path in sorted_to.iterdir()} == set(HOSTILE)
    again = queue_of(tmp_path)
    while again.undo().photos:
        pass
    assert {path.name for path in odd.iterdir()} == set(HOSTILE)
    with Studio(tmp_path) as studio:
        photos = studio.post("/api/sort/next", {"tab": "a", "count": 20})["photos"]
        assert {photo["name"] for photo in photos} >= {name for name in HOSTILE if name.isprintable()}
        assert all(studio.ask("GET", f"/api/photos/{photo['id']}/thumb").status == 200 for photo in photos)


def test_a_kill_loses_no_photo_and_at_most_the_last_key(tmp_path: Path) -> None:
    originals = paint_inbox(tmp_path, 60)
    chance = random.Random(7)
    studio = Studio(tmp_path)
    answered: dict[str, str] = {}
    with studio:
        for round_ in range(3):
            if round_:
                studio.start()
            killer = threading.Timer(chance.uniform(0.02, 0.25), studio.process.kill)
            try:
                csrf = studio.csrf
                photos = studio.post("/api/sort/next", {"tab": f"t{round_}", "count": 24})["photos"]
                for photo in photos:
                    class_name = chance.choice(CLASSES)
                    content = {"tab": "t", "photo": photo["id"], "action": "label", "class_name": class_name}
                    own = {"Content-Type": "application/json", "X-Studio-CSRF": csrf, "Origin": studio.url}
                    if studio.ask("POST", "/api/sort/decide", json.dumps(content).encode(), own).status == 200:
                        answered[photo["name"]] = class_name
                        if killer.ident is None:  # with the first answer, however slow the machine is
                            killer.start()
            except (OSError, http.client.HTTPException):
                pass  # killed before or within its answer
            killer.join()
            studio.process.wait()
            assert photos_below(tmp_path / "data") == sorted(path.name for path in originals), "each photo once"
        studio.start()
        assert answered
        for name, class_name in answered.items():
            assert list((tmp_path / "data/inbox/league" / class_name).rglob(name)), "what was answered is on disk"
        done = studio.get("/api/sort")
        sorted_now = sum(done["counts"].values())
        assert len(answered) <= sorted_now <= len(answered) + 3, "one key a kill may have been on its way"
        for _ in range(sorted_now):
            assert studio.post("/api/sort/undo", {"tab": "t"})["photos"]
        assert studio.post("/api/sort/undo", {"tab": "t"})["photos"] == []
        assert all(path.is_file() for path in originals)


def test_many_at_once_and_nothing_twice(tmp_path: Path) -> None:
    paint_inbox(tmp_path, 40)
    queue = queue_of(tmp_path)
    photos = [photo.id for photo in queue.next("a", (), 40)]
    outcomes: list[str] = []

    def press(photo: str) -> None:
        try:
            queue.decide(photo, "label", random.choice(CLASSES), 0)
            outcomes.append("done")
        except ConflictError:
            outcomes.append("conflict")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(press, photos * 2))
    assert sorted(outcomes) == ["conflict"] * 40 + ["done"] * 40
    assert len((tmp_path / "data/labels.csv").read_text(encoding="utf-8").splitlines()) == 41
    assert sum(queue.progress().counts.values()) == 40


def test_the_model_suggests_and_a_restart_computes_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paint: Callable[..., Path]
) -> None:
    for number, colour in enumerate(COLOURS.values()):
        paint(tmp_path / f"data/inbox/league/unsorted/a/p{number}.jpg", colour, number)
    paint(tmp_path / "data/inbox/league/layup/a/known.jpg", COLOURS["layup"], 9)
    (tmp_path / "data/inbox/league/unsorted/a/broken.jpg").write_bytes(b"no photo")
    checkpoint = colour_checkpoint(tmp_path / "best.ckpt")
    looked: list[int] = []
    original = RunNetwork.score

    def counting(self: RunNetwork, paths: list[Path]) -> object:
        looked.append(len(paths))
        return original(self, paths)

    monkeypatch.setattr(RunNetwork, "score", counting)
    for start in range(2):
        ids = PhotoIds()
        queue = SortQueue(History(tmp_path / "data", ids), tmp_path / "data/inbox", tuple(NAMES))
        with ThreadPoolExecutor(1) as compute:
            scorer = Scorer(queue, ids, Models(checkpoint), compute, tmp_path / "cache")
            scorer.begin([*queue.unsorted(), *queue.labels()])
            for _ in range(600):
                if not scorer.pending():
                    break
                time.sleep(0.05)
            assert not scorer.problem
            photos = {Path(photo.path).name: photo.id for photo in queue.next("a", (), 9)}
            for number, name in enumerate(NAMES):
                suggestion = scorer.suggestion(photos[f"p{number}.jpg"])
                assert suggestion is not None
                assert max(suggestion.probabilities, key=suggestion.probabilities.__getitem__) == name
                assert sum(suggestion.probabilities.values()) == pytest.approx(1)
            assert scorer.suggestion(photos["broken.jpg"]) is None
            assert [name for _, name in scorer.similar(photos["p2.jpg"], 3)] == ["layup"]
            scorer.end()
        assert sum(looked) == 5, f"start {start}"


def test_features_of_an_audit_are_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paint: Callable[..., Path]
) -> None:
    names = ["unsorted/a/1.jpg", "layup/a/2.jpg"]
    paths = [paint(tmp_path / "data/inbox/league" / name, COLOURS["layup"], len(name)) for name in names]
    with PhotoStore(tmp_path / "cache") as store:
        measure_photos([Photo(path, path.name) for path in paths], store)
    monkeypatch.setattr(FrozenNetwork, "score", None)
    photos = PhotoIds()
    queue = SortQueue(History(tmp_path / "data", photos), tmp_path / "data/inbox", CLASSES)
    with ThreadPoolExecutor(1) as compute:
        scorer = Scorer(queue, photos, Models(None), compute, tmp_path / "cache")
        scorer.begin([*queue.unsorted(), *queue.labels()])
        deadline = time.monotonic() + 600
        while scorer.pending() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (scorer.problem, scorer.pending()) == ("", 0)
        assert [name for _, name in scorer.similar(queue.unsorted()[0], 3)] == ["layup"]
        scorer.end()


def test_definitions_are_plain_text(tmp_path: Path) -> None:
    with Studio(tmp_path) as studio:
        found = studio.get("/api/sort/definitions")
        chinese = studio.get("/api/sort/definitions?language=zh-Hant")
    assert [own["heading"] for own in chinese[:3]] == [own["heading"] for own in found[:3]]
    assert "投籃動作" in chinese[0]["intro"]
    assert [own["name"] for own in found[:3]] == ["shoot", "dribble", "layup"]
    assert all(own["intro"] and own["rules"] for own in found[:3])
