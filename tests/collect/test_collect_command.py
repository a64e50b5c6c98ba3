"""The command line: scripts/collect.py."""

from __future__ import annotations

import functools
import os
import subprocess
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bball_pl.cli import main
from bball_pl.collect import client, facebook
from bball_pl.collect.client import Web
from bball_pl.collect.rate_limit import RateLimiter

from helpers.collect_servers import FakeTime, Graph, Photos, graph_error, picture, rows
from helpers.fit_runs import ROOT
from helpers.forked import run_python

SCRIPT = ROOT / "scripts" / "collect.py"
TOKEN = "EAABcommandline0123456789"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run_python([SCRIPT, *arguments], env=os.environ)


@pytest.fixture
def league(monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    """A page on this machine, which the script reaches because this test says so."""
    photos = Photos()
    graph = Graph(photos, TOKEN)
    graph.albums = {"Final": [1, 2, 3], "[bold]Semi[/bold]\x1b[31m": [4]}
    graph.sizes = (320,)
    photos.files = {f"/p/{number}_320.jpg": picture(number) for number in range(1, 5)}

    def web(contact: str = "", **options: float) -> Web:
        time = FakeTime()
        return Web(contact, RateLimiter(time.sleep, time.clock), private=[graph.endpoint, photos.endpoint], **options)  # type: ignore[arg-type]

    monkeypatch.setattr(client, "Web", web)
    monkeypatch.setattr(facebook, "Facebook", functools.partial(facebook.Facebook, host=graph.url))
    monkeypatch.setenv("FACEBOOK_TOKEN", TOKEN)
    yield graph
    graph.close()
    photos.close()


def test_photos_of_this_machine_arrive_with_their_rows(tmp_path: Path, paint: Callable[..., Path]) -> None:
    for number in range(3):
        paint(tmp_path / "game one" / f"{number}.jpg", seed=number)
    paint(tmp_path / "two.png", seed=9)
    out = tmp_path / "inbox"
    command = ("local", tmp_path / "game one", tmp_path / "two.png", "--author", "Ann, Lee", "--out", out)
    dry = run(*command, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "4 photos would be fetched" in dry.stdout
    assert not out.exists()
    done = run(*command, "--licence", "CC-BY-4.0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("4 new photos (")
    assert {(row["author"], row["licence"]) for row in rows(out)} == {("Ann, Lee", "CC-BY-4.0")}
    assert "0 new photos" in run(*command).stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("facebook", "--page", "league"), "FACEBOOK_TOKEN is not set"),
        (("commons", "--words", "layup"), "--contact"),
        (("commons", "--contact", "me@example.org"), "--category"),
        (
            ("commons", "--words", "x", "--contact", "me@example.org", "--licences", "by", "free"),
            "--licences names free",
        ),
        (("openverse", "--words", " "), "--words"),
        (("local", "nowhere"), "nowhere does not exist"),
        (("video", "nowhere.mp4"), "nowhere.mp4 does not exist"),
        (("app", "nowhere.zip"), "nowhere.zip does not exist"),
        (("local", ".", "--workers", "0"), "--workers is 0"),
    ],
)
def test_what_is_missing_is_said_in_a_line(arguments: tuple[str, ...], word: str, tmp_path: Path) -> None:
    done = run(*arguments, "--out", tmp_path / "inbox")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "inbox").exists()


def test_every_source_explains_its_options() -> None:
    sources = run("--help").stdout
    for source, option in [
        ("facebook", "--albums ALBUMS ..."),
        ("commons", "--category CATEGORY ..."),
        ("openverse", "--patience"),
        ("local", "--group {folder,day}"),
        ("video", "--scenes"),
        ("app", "--licence LICENCE"),
    ]:
        assert source in sources
        text = run(source, "--help").stdout
        assert option in text
        assert "--dry-run" in text
        assert ("--refresh" in text) == (source not in {"local", "video", "app"})
    # A token is not an option: command lines can be seen by others and are kept.
    assert "--token" not in run("facebook", "--help").stdout


def test_a_page_is_collected_and_a_dry_run_shows_its_albums(
    league: Graph, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["facebook", "--page", "league", "--out", str(tmp_path / "inbox")]
    main(words=["collect", *command, "--dry-run"])
    text = capsys.readouterr().out
    assert "4 photos would be fetched" in text
    assert "3  Final" in text
    assert "\x1b" not in text
    assert not (tmp_path / "inbox").exists()
    main(words=["collect", *command, "--albums", "Final", "--limit", "2"])
    assert "2 new photos" in capsys.readouterr().out
    league.faults.append(graph_error(190, f"Error validating access token {TOKEN}: Session has expired", 401))
    with pytest.raises(SystemExit) as ended:
        main(words=["collect", *command])
    output = capsys.readouterr()
    assert ended.value.code == 2
    assert "0 new photos" in output.out
    assert "Session has expired" in output.err
    main(words=["collect", *command, "--licence", "LicenseRef-league"])
    assert "2 new photos" in capsys.readouterr().out
    everything = output.out + output.err + "".join(path.read_text() for path in tmp_path.rglob("*.csv"))
    assert TOKEN not in everything + "".join(traceback.format_exception(ended.value))


def test_a_wait_is_told(league: Graph, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    league.faults.append(graph_error(4, "(#4) Application request limit reached", 403))
    main(words=["collect", "facebook", "--page", "league", "--out", str(tmp_path)])
    output = capsys.readouterr()
    assert f"waiting 5 minutes for 127.0.0.1:{league.endpoint[1]}" in output.err
    league.faults.append(graph_error(4, "(#4) Application request limit reached", 403))
    with pytest.raises(SystemExit):
        main(words=["collect", "facebook", "--page", "league", "--out", str(tmp_path), "--patience", "2"])
    assert "asks to wait 5 minutes" in capsys.readouterr().err
