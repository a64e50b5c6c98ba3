"""Wikimedia Commons and Openverse."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bball_pl.collect.client import Web
from bball_pl.collect.open_collections import Commons, Openverse
from bball_pl.collect.rate_limit import RateLimiter
from bball_pl.collect.source import CollectError

from helpers.collect_servers import FakeTime, Photos, Says, Verse, Wiki, collect, picture, rows, web_for


def page(photos: Photos, number: int, title: str, licence: str = "cc-by-sa-4.0", **changes: Any) -> dict[str, Any]:
    """A file of Commons, in the category Jump shots."""
    photos.files[f"/thumb/{number}.jpg"] = picture(number)
    facts = {
        "License": licence,
        "LicenseShortName": licence.upper(),
        "LicenseUrl": "https://creativecommons.org/licenses/by-sa/4.0",
        "Artist": f'<a href="//commons.wikimedia.org/wiki/User:Ann" title="User:Ann">Ann &amp; Bo {number // 3}</a>',
        "Credit": '<span class="int-own-work">Own work</span>',
        "DateTimeOriginal": "2016-03-05 12:00:00",
        "Restrictions": "personality",
    }
    info = {
        "url": f"{photos.url}/original/{number}.jpg",
        "thumburl": f"{photos.url}/thumb/{number}.jpg",
        "descriptionurl": f"https://commons.wikimedia.org/wiki/File:{number}.jpg",
        "mime": "image/jpeg",
        "extmetadata": {name: {"value": value, "source": "commons-desc-page"} for name, value in facts.items()},
    }
    file = {
        "pageid": number,
        "title": f"File:{title}.jpg",
        "categories": ["Category:Jump shots"],
        "info": info | changes,
    }
    return file


@pytest.fixture
def wiki() -> Iterator[tuple[Wiki, Photos]]:
    wiki, photos = Wiki(), Photos()
    wiki.files = [page(photos, number, f"Jump shot {number}") for number in range(1, 8)]
    yield wiki, photos
    wiki.close()
    photos.close()


def commons(wiki: Wiki, web: Web, **options: Any) -> Commons:
    return Commons(web, api=f"{wiki.url}/w/api.php", **options)


def test_all_files_of_a_category_through_both_kinds_of_continuation(wiki: tuple[Wiki, Photos], tmp_path: Path) -> None:
    api, photos = wiki
    web = web_for(api, photos)
    summary = collect(commons(api, web, categories=["Jump shots"]), tmp_path, web)
    assert (summary.new, summary.problem) == (7, None)
    # Three batches of two in two parts each, and one of one.
    assert len(api.asked) == 7
    assert api.asked[0].query["iiurlwidth"] == "1280"
    assert photos.counts() == {f"/thumb/{number}.jpg": 1 for number in range(1, 8)}
    row = next(row for row in rows(tmp_path) if row["source_url"].endswith("File:2.jpg"))
    assert row["path"].startswith("unsorted/Jump-shots/Jump-shot-2-")
    assert (row["author"], row["licence"]) == ("Ann & Bo 0", "CC-BY-SA-4.0")
    assert row["licence_url"] == "https://creativecommons.org/licenses/by-sa/4.0"
    assert (row["attribution"], row["restrictions"]) == ("Own work", "personality")
    assert (row["time"], row["group"]) == ("2016-03-05T12:00:00", "commons:Ann & Bo 0/2016-03-05")
    assert len({row["group"] for row in rows(tmp_path)}) == 3


def test_licences_and_kinds_of_files_that_are_not_wanted_are_left_out(
    wiki: tuple[Wiki, Photos], tmp_path: Path
) -> None:
    api, photos = wiki
    api.files += [
        page(photos, 20, "nc", "cc-by-nc-sa-4.0"),
        page(photos, 21, "nd", "cc-by-nd-4.0"),
        page(photos, 22, "free", "gfdl"),
        page(photos, 23, "drawing", mime="image/svg+xml"),
        page(photos, 24, "zero", "cc-zero"),
        page(photos, 25, "silent", extmetadata={}),
    ]
    web = web_for(api, photos)
    summary = collect(commons(api, web, categories=["Category:Jump shots"]), tmp_path, web)
    assert summary.new == 8
    assert summary.left_out == {
        "its licence is CC-BY-NC-SA-4.0": 1,
        "its licence is CC-BY-ND-4.0": 1,
        "its licence is GFDL": 1,
        "its licence is unknown": 1,
        "not a photo but image/svg+xml": 1,
    }
    assert not {"/thumb/20.jpg", "/thumb/21.jpg", "/thumb/25.jpg"} & photos.counts().keys()
    # Those who want them name them.
    source = commons(api, web, categories=["Jump shots"], licences=["by-nc-sa"])
    assert collect(source, tmp_path / "nc", web).new == 1


def test_a_category_without_files_is_said_to_be_unknown_or_empty(wiki: tuple[Wiki, Photos], tmp_path: Path) -> None:
    api, photos = wiki
    api.categories = {"Category:Basketball": ["Category:Jump shots"], "Category:Nothing yet": []}
    web = web_for(api, photos)
    for name, words in {
        "Jump shot": "no category 'Jump shot'.*--words searches",
        "Basketball": "no files of its own but 1 subcategories: pass --depth 1",
        "Nothing yet": "no photo was found there",
    }.items():
        problem = collect(commons(api, web, categories=[name]), tmp_path, web).problem
        assert problem is not None
        assert re.search(words, str(problem)), problem
    assert collect(commons(api, web, categories=["Basketball"], depth=1), tmp_path, web).problem is None
    # What came before the unknown one is kept.
    both = collect(commons(api, web, categories=["Jump shots", "Jump shot"]), tmp_path / "both", web)
    assert (both.new, "no category" in str(both.problem)) == (7, True)


def test_words_subcategories_and_originals(wiki: tuple[Wiki, Photos], tmp_path: Path) -> None:
    api, photos = wiki
    api.categories = {"Category:Basketball": ["Category:Jump shots", "Category:Basketball"]}
    web = web_for(api, photos)
    assert collect(commons(api, web, categories=["Basketball"]), tmp_path / "a", web).new == 0
    assert collect(commons(api, web, categories=["Basketball"], depth=3), tmp_path / "b", web).new == 7
    for file in api.files:
        del file["info"]["thumburl"]
        photos.files[f"/original/{file['pageid']}.jpg"] = picture(file["pageid"])
    summary = collect(commons(api, web, words="shot 3", width=0), tmp_path / "c", web)
    assert (summary.new, photos.counts("/original/")) == (1, {"/original/3.jpg": 1})
    assert "iiurlwidth" not in api.asked[-1].query


def test_lag_limits_and_faults_are_waited_for(wiki: tuple[Wiki, Photos], tmp_path: Path) -> None:
    api, photos = wiki
    lag = json.dumps({"error": {"code": "maxlag", "info": "Waiting for a server: 6 seconds lagged", "lag": 6}}).encode()
    api.faults.extend(
        [
            Says(200, lag, {"Retry-After": "5"}),
            Says(429, b"<html>Too many requests</html>", {"Retry-After": "60"}),
            Says(200, b'{"query": {"pages": [', declared=900),
        ]
    )
    time = FakeTime()
    web = web_for(api, photos, time=time)
    assert collect(commons(api, web, categories=["Jump shots"]), tmp_path, web).new == 7
    assert {5, 60} <= {round(wait) for wait in time.sleeps}
    api.faults.append(Says(200, b'{"error": {"code": "invalidtitle", "info": "Bad title \\u001b[31m"}}'))
    problem = collect(commons(api, web, categories=["["]), tmp_path, web).problem
    assert str(problem) == "Commons error invalidtitle: Bad title [31m"


def test_wikimedia_is_asked_one_at_a_time_and_told_whom_to_write_to(wiki: tuple[Wiki, Photos], tmp_path: Path) -> None:
    api, photos = wiki
    nameless = Web(limiter=RateLimiter(sleep=lambda seconds: None), private=[api.endpoint, photos.endpoint])
    problem = collect(commons(api, nameless, categories=["Jump shots"]), tmp_path, nameless).problem
    assert "--contact" in str(problem)
    for bad in ({}, {"words": "x", "width": 1024}, {"words": "x", "licences": ["free"]}):
        with pytest.raises(CollectError, match=r"pass --category|--width|--licences"):
            commons(api, nameless, **bad)


@pytest.fixture
def verse() -> Iterator[tuple[Verse, Photos]]:
    verse, photos = Verse(), Photos()
    for number in range(45):
        photos.files[f"/{number}.jpg"] = picture(number)
        verse.results.append(
            {
                "id": f"aa{number}",
                "title": f"Layup {number}",
                "url": f"{photos.url}/{number}.jpg",
                "foreign_landing_url": f"https://www.flickr.com/photos/x/{number}",
                "creator": f"Bo {number % 5}",
                "license": "by-sa",
                "license_version": "2.0",
                "license_url": "https://creativecommons.org/licenses/by-sa/2.0/",
                "attribution": f'"Layup {number}" by Bo is licensed under CC BY-SA 2.0.',
                "source": "flickr",
            }
        )
    yield verse, photos
    verse.close()
    photos.close()


def test_all_pages_of_a_search_with_their_attribution(verse: tuple[Verse, Photos], tmp_path: Path) -> None:
    api, photos = verse
    api.results[3] |= {"license": "by-nc", "slipped": True}
    api.results[4] |= {"url": None, "creator": None, "title": None}
    time = FakeTime()
    web = web_for(api, photos, time=time)
    source = Openverse(web, "layup", host=api.url)
    summary = collect(source, tmp_path, web)
    assert (summary.new, source.expected) == (43, 45)
    assert summary.left_out == {"its licence is CC-BY-NC-2.0": 1, "it has no image": 1}
    assert [asked.query["page"] for asked in api.asked] == ["1", "2", "3"]
    asked = api.asked[0].query
    assert (asked["license"], asked["category"], asked["q"]) == ("cc0,pdm,by,by-sa", "photograph", "layup")
    # Twenty a minute: three seconds between two.
    assert sum(time.sleeps) == pytest.approx(6)
    row = next(row for row in rows(tmp_path) if row["source_url"].endswith("/7"))
    assert row["path"].startswith("unsorted/layup/Layup-7-")
    assert (row["author"], row["licence"], row["group"]) == ("Bo 2", "CC-BY-SA-2.0", "openverse:flickr/Bo 2")
    assert row["attribution"] == '"Layup 7" by Bo is licensed under CC BY-SA 2.0.'


def test_the_limits_of_a_minute_and_of_a_day_are_kept(verse: tuple[Verse, Photos], tmp_path: Path) -> None:
    api, photos = verse
    api.burst = 0
    time = FakeTime()
    web = web_for(api, photos, time=time)
    assert collect(Openverse(web, "layup", host=api.url), tmp_path / "a", web).new == 45
    assert sum(time.sleeps) == pytest.approx(120)
    api.sustained = 0
    summary = collect(Openverse(web, "layup", host=api.url), tmp_path / "b", web)
    assert summary.new == 20
    assert "per day is exhausted" in str(summary.problem)
    throttled = b'{"detail": "Request was throttled. Expected available in 40000 seconds."}'
    api.faults.append(Says(429, throttled, {"Retry-After": "40000", "X-RateLimit-Available-anon_sustained": "0"}))
    assert "exhausted" in str(collect(Openverse(web, "layup", host=api.url), tmp_path / "c", web).problem)
    api.sustained = 100
    api.faults.append(Says(429, throttled, {"Retry-After": "20"}))
    assert collect(Openverse(web, "layup", host=api.url), tmp_path / "c", web).new == 45


def test_what_openverse_refuses_is_told(verse: tuple[Verse, Photos], tmp_path: Path) -> None:
    api, photos = verse
    web = web_for(api, photos)
    api.faults.append(Says(400, b'{"detail": {"q": ["too long"]}}'))
    assert "HTTP 400" in str(collect(Openverse(web, "x", host=api.url), tmp_path, web).problem)
    api.faults.append(Says(200, b'{"images": []}'))
    assert "may have changed" in str(collect(Openverse(web, "x", host=api.url), tmp_path, web).problem)
    with pytest.raises(CollectError, match="--words"):
        Openverse(web, " ", host=api.url)
