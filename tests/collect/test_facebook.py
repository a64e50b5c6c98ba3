from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bball_pl.collect.facebook import Facebook
from bball_pl.collect.job import Summary
from bball_pl.collect.names import Secret
from bball_pl.collect.source import CollectError

from helpers.collect_servers import FakeTime, Graph, Photos, Says, collect, graph_error, picture, rows, web_for

TOKEN = "EAABwzLixnjYBO1234567890abcdef"


@dataclass
class League:
    """A page with three albums, of which one is empty."""

    graph: Graph
    photos: Photos
    time: FakeTime

    def source(self, token: str = TOKEN, **options: object) -> Facebook:
        self.web = web_for(self.graph, self.photos, time=self.time)
        return Facebook(self.web, Secret(token), "league", host=self.graph.url, **options)  # type: ignore[arg-type]

    def collect(self, root: Path, token: str = TOKEN, **options: object) -> Summary:
        source = self.source(token, **options)
        return collect(source, root, self.web)


@pytest.fixture
def league() -> Iterator[League]:
    photos = Photos()
    graph = Graph(photos, TOKEN)
    graph.albums = {"Timeline Photos": list(range(1, 4)), "Empty": [], "決賽 Finals/2024": list(range(10, 17))}
    for numbers in graph.albums.values():
        for number in numbers:
            for width in graph.sizes:
                photos.files[f"/p/{number}_{width}.jpg"] = picture(number, size=(width // 20 * 4, width // 20 * 3))
    graph.page_size = 3
    yield League(graph, photos, FakeTime())
    graph.close()
    photos.close()


def test_every_photo_of_every_album_in_its_largest_size(league: League, tmp_path: Path) -> None:
    summary = league.collect(tmp_path, licence="LicenseRef-league-permission")
    assert (summary.new, summary.problem, summary.left_out.total()) == (10, None, 0)
    table = rows(tmp_path)
    assert len(table) == 10
    assert league.photos.counts("/p/") == {f"/p/{row['source_url'][-2:].strip('=')}_2048.jpg": 1 for row in table}
    row = next(row for row in table if row["source_url"].endswith("fbid=12"))
    assert row["path"].startswith("unsorted/決賽-Finals-2024/12-")
    assert row["group"] == "facebook:102"
    assert (row["class"], row["source"], row["author"]) == ("unsorted", "facebook", "Weekend League")
    assert (row["licence"], row["time"]) == ("LicenseRef-league-permission", "2024-05-06T07:08:09+00:00")
    assert (tmp_path / row["path"]).read_bytes() == picture(12, size=(408, 306))
    # One entry a page would do as well; a short page is not the last one, and all pages were asked for.
    assert league.graph.counts()["/v26.0/102/photos"] == 3


def test_the_token_is_a_header_and_nothing_else(
    league: League, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    league.graph.faults.append(graph_error(2, f"Service temporarily unavailable for {TOKEN}", status=500))
    league.collect(tmp_path)
    assert all(TOKEN not in asked.path and TOKEN not in str(asked.query) for asked in league.graph.asked)
    assert all("authorization" not in asked.headers for asked in league.photos.asked)
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes()
        # Nor the signature of a link.
        assert not file.is_file() or b"SIGNED" not in file.read_bytes()
    assert TOKEN not in caplog.text + "".join(capfd.readouterr())


def test_albums_are_chosen_by_name_or_number(league: League, tmp_path: Path) -> None:
    assert league.collect(tmp_path / "a", albums=["Timeline Photos"]).new == 3
    assert league.collect(tmp_path / "b", albums=["102"]).new == 7
    problem = league.collect(tmp_path / "c", albums=["Final"]).problem
    assert "no album Final (found: Timeline Photos (100), Empty (101), 決賽 Finals/2024 (102))" in str(problem)


def test_an_expired_token_says_how_to_go_on_and_does_not_show_itself(league: League, tmp_path: Path) -> None:
    league.graph.faults.append(graph_error(190, f"Error validating access token {TOKEN}: expired", status=401))
    problem = league.collect(tmp_path).problem
    text = str(problem)
    assert "error 190" in text
    assert "fbtrace_id AbCdEf123" in text
    assert "export FACEBOOK_TOKEN" in text
    assert TOKEN not in text
    assert len(league.graph.asked) == 1
    other = "not-the-valid-token-at-all"
    text = str(league.collect(tmp_path, token=other).problem)
    assert "Malformed access token ***" in text
    # No chain of exceptions carries it either.
    assert other not in repr(problem)


def test_a_token_that_expires_in_the_middle_keeps_what_came(league: League, tmp_path: Path) -> None:
    source = league.source()
    # The page, its albums, the first album; the empty album; then the token ends.
    answered = league.graph.answer
    league.graph.answer = lambda asked: (  # type: ignore[method-assign]
        graph_error(190, "Session has expired", 401) if "/102/" in asked.path else answered(asked)
    )
    summary = collect(source, tmp_path, league.web)
    assert summary.new == 3
    assert "Session has expired" in str(summary.problem)
    league.graph.answer = answered  # type: ignore[method-assign]
    league.photos.asked.clear()
    summary = league.collect(tmp_path)
    assert (summary.new, summary.known, len(league.photos.asked)) == (7, 3, 7)


@pytest.mark.parametrize("code", [4, 17, 32, 613, 80001])
def test_too_many_calls_wait_as_long_as_the_headers_say(league: League, tmp_path: Path, code: int) -> None:
    usage = {"900": [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": 7}]}
    headers = {"X-Business-Use-Case-Usage": json.dumps(usage)}
    league.graph.faults.append(graph_error(code, "(#x) limit reached", status=403, headers=headers))
    assert league.collect(tmp_path).new == 10
    assert sum(league.time.sleeps) == pytest.approx(420, abs=1)


@pytest.mark.parametrize("code", [4, 17, 32, 613])
def test_too_many_calls_without_a_word_wait_five_minutes(league: League, tmp_path: Path, code: int) -> None:
    league.graph.faults.extend([graph_error(code, "(#x) limit reached", status=400)] * 2)
    assert league.collect(tmp_path).new == 10
    assert sum(league.time.sleeps) == pytest.approx(600, abs=1)


def test_a_wait_longer_than_the_patience_ends_the_job(league: League, tmp_path: Path) -> None:
    usage = {"900": [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": 45}]}
    fault = graph_error(32, "Page request limit reached", headers={"X-Business-Use-Case-Usage": json.dumps(usage)})
    league.graph.faults.append(fault)
    text = str(league.collect(tmp_path).problem)
    assert "error 32" in text
    assert "asks to wait 45 minutes" in text
    assert "run the same command again later" in text
    assert league.time.sleeps == []


@pytest.mark.parametrize(("code", "status"), [(1, 500), (2, 503), (341, 400)])
def test_errors_that_pass_are_tried_again(league: League, tmp_path: Path, code: int, status: int) -> None:
    league.graph.faults.extend([graph_error(code, "try later", status)] * 3)
    assert league.collect(tmp_path).new == 10
    assert len(league.time.sleeps) >= 3


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (3, "administrator"),
        (10, "Page Public Content Access"),
        (200, "administrator"),
        (299, "administrator"),
        (100, "no such page"),
        (803, "no such page"),
        (102, "export FACEBOOK_TOKEN"),
        (2635, "error 2635"),
    ],
)
def test_errors_that_stay_end_the_job_at_once(league: League, tmp_path: Path, code: int, word: str) -> None:
    league.graph.faults.append(graph_error(code, "(#x) no"))
    problem = league.collect(tmp_path).problem
    assert word in str(problem)
    assert len(league.graph.asked) == 1


def test_429_5xx_and_a_cut_connection_without_a_word(league: League, tmp_path: Path) -> None:
    cut = Says(body=b'{"data": [', declared=5000)
    page = Says(502, b"<html>Bad gateway</html>")
    league.graph.faults.extend([Says(429, headers={"Retry-After": "30"}), page, cut, Says(500, b"")])
    assert league.collect(tmp_path).new == 10
    assert 30 in map(round, league.time.sleeps)
    league.graph.faults.append(Says(200, b"<html>Log in</html>"))
    assert "no JSON" in str(league.collect(tmp_path).problem)


def test_slows_down_at_75_percent_and_stops_at_95(league: League, tmp_path: Path) -> None:
    league.graph.headers = {"X-App-Usage": '{"call_count": 74, "total_time": 10, "total_cputime": 5}'}
    league.collect(tmp_path / "a")
    assert sum(league.time.sleeps) == 0
    league.graph.headers = {"X-App-Usage": '{"call_count": 28, "total_time": 84, "total_cputime": 5}'}
    league.collect(tmp_path / "b")
    # Eight calls with 30 seconds between them.
    assert sum(league.time.sleeps) == pytest.approx(30 * (len(league.graph.asked) / 2 - 1), rel=0.01)
    league.graph.headers = {"X-App-Usage": '{"call_count": 95, "total_time": 84, "total_cputime": 5}'}
    before = len(league.graph.asked)
    text = str(league.collect(tmp_path / "c").problem)
    assert "95 %" in text
    assert len(league.graph.asked) == before + 1
    # What no server should send is no reason to end.
    league.graph.headers = {"X-App-Usage": "{", "X-Business-Use-Case-Usage": '[1, {"a": null}]'}
    assert league.collect(tmp_path / "d").new == 10


def test_a_next_page_on_another_host_is_not_asked(league: League, tmp_path: Path) -> None:
    thief = Photos()
    answer = {"data": [], "paging": {"next": f"{thief.url}/v26.0/900/albums?after=1"}}
    league.graph.faults.extend([Says(body=b'{"id": "900"}'), Says(body=json.dumps(answer).encode())])
    assert "another host" in str(league.collect(tmp_path).problem)
    assert thief.asked == []
    thief.close()


def test_pages_without_end_are_noticed(league: League, tmp_path: Path) -> None:
    answer = {"data": [], "paging": {"next": f"{league.graph.url}/v26.0/900/albums?after=1"}}
    page = Says(body=json.dumps(answer).encode())
    league.graph.faults.extend([Says(body=b'{"id": "900"}'), page, page, page])
    assert "endlessly" in str(league.collect(tmp_path).problem)


def test_odd_photos_are_left_out_and_the_others_come(league: League, tmp_path: Path) -> None:
    league.photos.files["/p/2_2048.jpg"] = b"<!DOCTYPE html><html>You must log in</html>"
    league.photos.says["/p/3_2048.jpg"] = Says(403, b"URL signature expired")
    league.graph.faults.clear()
    original = league.graph._photo
    league.graph._photo = lambda number: original(number) | ({"images": []} if number == 11 else {})  # type: ignore[method-assign]
    summary = league.collect(tmp_path)
    assert summary.new == 7
    assert summary.left_out == {"not a photo but an HTML page": 1, "HTTP 403": 1, "it has no image": 1}
    left_out = {row["where"][-7:]: (row["why"], row["final"]) for row in rows(tmp_path, "left_out.csv")}
    assert left_out["?fbid=2"] == ("not a photo but an HTML page", "yes")
    assert left_out["?fbid=3"] == ("HTTP 403", "no")
    # The next run tries only what may have changed.
    league.photos.asked.clear()
    league.photos.says.clear()
    league.graph._photo = original  # type: ignore[method-assign]
    summary = league.collect(tmp_path)
    assert (summary.new, summary.known) == (2, 7)
    assert sorted(league.photos.counts()) == ["/p/11_2048.jpg", "/p/3_2048.jpg"]
    assert [row["why"] for row in rows(tmp_path, "left_out.csv")] == ["not a photo but an HTML page"]


def test_the_version_is_a_setting(league: League, tmp_path: Path) -> None:
    assert "error 2635" in str(league.collect(tmp_path, version="v23.0").problem)
    with pytest.raises(CollectError, match="--api_version"):
        league.source(version="latest/../x")
