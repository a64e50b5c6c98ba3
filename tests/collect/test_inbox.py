"""The folder, its tables and the job, with a source of this test's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bball_pl.collect.inbox import Inbox
from bball_pl.collect.job import Job
from bball_pl.collect.sanitise import Photo, inspect
from bball_pl.collect.source import Candidate, CollectError, LeftOut
from bball_pl.errors import DatasetError
from bball_pl.photos.photos_csv import read_photos_csv

from helpers.collect_servers import Asked, Photos, Says, collect, picture, rows, web_for


class Album:
    """A source with so many photos, on a host or in memory."""

    name = "album"
    expected: int | None = None

    def __init__(self, count: int, host: Photos | None = None, **changes: str) -> None:
        self.offers: list[Candidate | LeftOut] = []
        for number in range(count):
            if host is not None:
                host.files.setdefault(f"/{number}.jpg", picture(number))
            url = "" if host is None else f"{host.url}/{number}.jpg"
            read = None if host is not None else (lambda number=number: picture(number))
            facts = {"group": "album:1", "album": "Game 1", "source_url": f"https://example.org/{number}"} | changes
            self.offers.append(Candidate(key=str(number), title=str(number), url=url, read=read, **facts))  # type: ignore[arg-type]
        self.problem: CollectError | None = None

    def items(self) -> Iterator[Candidate | LeftOut]:
        yield from self.offers
        if self.problem is not None:
            raise self.problem


@pytest.fixture
def host() -> Iterator[Photos]:
    host = Photos()
    yield host
    host.close()


def test_the_table_is_one_that_the_other_stages_read(tmp_path: Path) -> None:
    hostile = {"author": '=HYPERLINK("x")\r\nInjected,"row', "group": "a\nb,c", "album": "../../up"}
    collect(Album(3, None, **hostile), tmp_path / "inbox", web_for())
    records = read_photos_csv(tmp_path / "inbox" / "photos.csv")
    assert [record.class_name for record in records] == ["unsorted"] * 3
    assert {record.author for record in records} == {'=HYPERLINK("x") Injected,"row'}
    assert {record.group for record in records} == {"a b,c"}
    assert all(record.path.startswith("unsorted/up/") for record in records)
    # A spreadsheet sees no formula.
    assert ",=" not in (tmp_path / "inbox" / "photos.csv").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["inbox"]


def test_a_photo_that_was_written_and_not_recorded_is_not_fetched_again(host: Photos, tmp_path: Path) -> None:
    collect(Album(5, host), tmp_path, web_for(host))
    table = tmp_path / "photos.csv"
    lines = table.read_bytes().splitlines(keepends=True)
    # As if the kill had come between the file and its row.
    table.write_bytes(b"".join(lines[:-2]))
    (tmp_path / "unsorted" / "Game-1" / ".4-abc.x1.tmp.jpg").write_bytes(b"half")
    host.asked.clear()
    summary = collect(Album(5, host), tmp_path, web_for(host))
    assert (summary.new, summary.known, host.asked) == (2, 3, [])
    assert len(rows(tmp_path)) == 5
    assert len(list((tmp_path / "unsorted").rglob("*.*"))) == 5


@pytest.mark.parametrize("torn", [b"unsorted/Game-1/9-", b'unsorted/Game-1/9.jpg,unsorted,"al', b"\xff\xfe"])
def test_half_a_row_is_cut_off_and_a_whole_one_is_kept(torn: bytes, tmp_path: Path) -> None:
    collect(Album(3), tmp_path, web_for())
    table = tmp_path / "photos.csv"
    whole = table.read_bytes()
    table.write_bytes(whole + torn)
    assert collect(Album(3), tmp_path, web_for()).known == 3
    assert table.read_bytes() == whole
    # An editor that saves no last line break.
    table.write_bytes(whole.rstrip(b"\n"))
    assert collect(Album(4), tmp_path, web_for()).new == 1
    assert len(rows(tmp_path)) == 4


def test_sorting_deleting_and_editing_by_a_person_is_respected(host: Photos, tmp_path: Path) -> None:
    collect(Album(4, host), tmp_path, web_for(host))
    table = rows(tmp_path)
    (tmp_path / "shoot").mkdir()
    (tmp_path / table[0]["path"]).rename(tmp_path / "shoot" / Path(table[0]["path"]).name)
    (tmp_path / table[1]["path"]).unlink()
    text = (tmp_path / "photos.csv").read_text()
    # A column of the user's own, in front, and one less at the end.
    lines = [line.split(",") for line in text.splitlines()]
    edited = [",".join(["note" if place == 0 else "good", *cells[:-1]]) for place, cells in enumerate(lines)]
    (tmp_path / "photos.csv").write_text("\n".join(edited) + "\n")
    host.asked.clear()
    summary = collect(Album(5, host), tmp_path, web_for(host))
    assert (summary.new, summary.known, len(host.asked)) == (1, 4, 1)
    after = (tmp_path / "photos.csv").read_text().splitlines()
    assert after[:5] == edited
    assert rows(tmp_path)[4]["note"] == ""
    assert rows(tmp_path)[4]["source"] == "album"


def test_a_damaged_table_stops_before_anything_is_fetched(host: Photos, tmp_path: Path) -> None:
    tmp_path.joinpath("photos.csv").write_text("path,sha256\nunsorted/a.jpg,00\n")
    with pytest.raises(DatasetError, match="no column 'class'"):
        collect(Album(2, host), tmp_path, web_for(host))
    assert host.asked == []


def test_two_jobs_do_not_share_a_folder(tmp_path: Path) -> None:
    with Inbox(tmp_path, "album"), pytest.raises(CollectError, match="another job"), Inbox(tmp_path, "album"):
        pass
    with Inbox(tmp_path, "album"):
        pass


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CollectError, match="Pass another --out"):
        collect(Album(1), tmp_path / "file" / "inbox", web_for())


def test_a_dry_run_fetches_and_writes_nothing(host: Photos, tmp_path: Path) -> None:
    root = tmp_path / "inbox"
    summary = collect(Album(6, host), root, web_for(host), dry_run=True)
    assert (summary.new, summary.albums) == (6, {"Game 1": 6})
    assert host.asked == []
    assert not root.exists()
    collect(Album(2, host), root, web_for(host))
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    summary = collect(Album(6, host), root, web_for(host), dry_run=True)
    assert (summary.new, summary.known) == (4, 2)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_limit_counts_new_photos(host: Photos, tmp_path: Path) -> None:
    host.says["/1.jpg"] = Says(404)
    assert collect(Album(20, host), tmp_path, web_for(host), limit=3).new == 3
    assert len(host.asked) == 4
    assert collect(Album(20, host), tmp_path, web_for(host), limit=3).new == 3
    assert len(rows(tmp_path)) == 6


def test_the_same_bytes_are_kept_once(host: Photos, tmp_path: Path) -> None:
    host.files = {"/0.jpg": picture(1), "/1.jpg": picture(1)}
    assert collect(Album(2, host), tmp_path, web_for(host), workers=1).left_out == {"the same file as another photo": 1}
    host.asked.clear()
    summary = collect(Album(2, host), tmp_path, web_for(host))
    assert (summary.known, summary.left_out.total(), host.asked) == (1, 1, [])


def test_what_a_source_names_twice_is_fetched_once(host: Photos, tmp_path: Path) -> None:
    source = Album(3, host)
    source.offers *= 2
    assert collect(source, tmp_path, web_for(host)).new == 3
    assert len(host.asked) == 3


def test_refresh_asks_for_known_photos_and_fetches_what_has_changed(host: Photos, tmp_path: Path) -> None:
    versions = {"/0.jpg": 0, "/1.jpg": 1, "/2.jpg": 2}

    def answer(asked: Asked) -> Says:
        number = versions[asked.path]
        etag = f'"{number}"'
        if asked.headers.get("if-none-match") == etag:
            return Says(304, headers={"ETag": etag})
        return Says(body=picture(number), headers={"ETag": etag})

    host.says = dict.fromkeys(versions, answer)
    collect(Album(3, host), tmp_path, web_for(host))
    versions["/1.jpg"] = 50
    versions["/2.jpg"] = 51
    moved = next(row for row in rows(tmp_path) if row["source_url"].endswith("/2"))["path"]
    (tmp_path / "shoot").mkdir()
    (tmp_path / moved).rename(tmp_path / "shoot" / "mine.jpg")
    summary = collect(Album(3, host), tmp_path, web_for(host), refresh=True)
    assert (summary.new, summary.known, summary.changed) == (0, 3, 1)
    table = {row["source_url"][-1]: row for row in rows(tmp_path)}
    assert (tmp_path / table["1"]["path"]).read_bytes() == picture(50)
    assert table["1"]["validator"] == '"50"'
    # Whoever has sorted a photo does not want another one in its place.
    assert (tmp_path / "shoot" / "mine.jpg").read_bytes() == picture(2)
    assert collect(Album(3, host), tmp_path, web_for(host), refresh=True).changed == 0


def test_ten_failures_in_a_row_end_the_job(host: Photos, tmp_path: Path) -> None:
    source = Album(100, host)
    host.says = {f"/{number}.jpg": Says(500) for number in range(5, 100)}
    summary = collect(source, tmp_path, web_for(host), workers=2)
    assert summary.new == 5
    # Several may be settled at once.
    assert re.match(r"1[01] photos in a row could not be fetched \(last reason: HTTP 500\)", str(summary.problem))
    assert len(host.counts()) <= 20


def test_damaged_photos_in_a_row_are_no_outage(host: Photos, tmp_path: Path) -> None:
    source = Album(30, host)
    host.files |= {f"/{number}.jpg": picture(number, size=(400, 300))[:900] for number in range(14)}
    host.says = {f"/{number}.jpg": Says(404) for number in range(14, 28)}
    summary = collect(source, tmp_path, web_for(host))
    assert (summary.new, summary.problem) == (2, None)
    assert summary.left_out == {"truncated or damaged": 14, "HTTP 404": 14}


def test_a_fault_at_one_photo_does_not_end_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(content: bytes) -> Photo:
        if content == picture(1):
            raise KeyError("EAABsomething0123456789")
        return inspect(content)

    monkeypatch.setattr("bball_pl.collect.job.inspect", fault)
    summary = collect(Album(3), tmp_path, web_for())
    assert summary.new == 2
    assert summary.left_out == {"internal error (KeyError)": 1}


def test_a_source_that_ends_early_keeps_what_came(host: Photos, tmp_path: Path) -> None:
    source = Album(7, host)
    source.problem = CollectError("the token has expired")
    summary = collect(source, tmp_path, web_for(host))
    assert (summary.new, summary.problem) == (7, source.problem)
    assert len(rows(tmp_path)) == 7


def test_a_full_disk_ends_the_job_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bball_pl.collect.inbox.write_bytes", full)
    summary = collect(Album(9), tmp_path, web_for())
    assert summary.new == 0
    assert "No space left on device" in str(summary.problem)


def test_an_interrupt_ends_at_once_and_keeps_what_came(host: Photos, tmp_path: Path) -> None:
    class Interrupted(Album):
        def items(self) -> Iterator[Candidate | LeftOut]:
            yield from self.offers
            raise KeyboardInterrupt

    source = Interrupted(3, host)
    host.says["/2.jpg"] = Says(503, headers={"Retry-After": "600"})
    web = web_for(host)
    with pytest.raises(KeyboardInterrupt), Inbox(tmp_path, "album") as inbox:
        Job(source, inbox, web, workers=1).run()
    again = Album(3, host)
    host.says.clear()
    assert collect(again, tmp_path, web_for(host)).problem is None
    assert len(rows(tmp_path)) == 3


def test_albums_with_hostile_names_stay_in_the_folder(tmp_path: Path) -> None:
    names = ["..", "/", "C:\\", "a/../../b", "con", "\0", "x" * 300, "決賽", "."]
    source = Album(len(names))
    source.offers = [
        replace(item, key=name, title=name, album=name)
        for item, name in zip(source.offers, names, strict=True)
        if isinstance(item, Candidate)
    ]
    collect(source, tmp_path / "inbox", web_for())
    assert [path.name for path in tmp_path.iterdir()] == ["inbox"]
    assert len(list((tmp_path / "inbox" / "unsorted").glob("*/*.jpg"))) == len(names)
    assert len(read_photos_csv(tmp_path / "inbox" / "photos.csv")) == len(names)
