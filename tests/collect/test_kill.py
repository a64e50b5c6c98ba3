from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers.collect_servers import Asked, Graph, Photos, Says, picture, rows

TOKEN = "EAABkilledinthemiddle0123"
PROGRAM = Path(__file__).parents[1] / "helpers" / "collect_program.py"


class Gate(Photos):
    """A host that answers the first `opens_for` photos and keeps all others waiting until `open` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.opens_for = 0
        self.open = threading.Event()
        self.held: list[str] = []
        self._gate = threading.Lock()
        self._let_through = 0

    def answer(self, asked: Asked) -> Says:
        with self._gate:
            hold = not self.open.is_set() and self._let_through >= self.opens_for
            if hold:
                self.held.append(asked.path)
            else:
                self._let_through += 1
        if hold:
            self.open.wait()
            return Says(503)
        return super().answer(asked)


@pytest.fixture
def album() -> Iterator[tuple[Graph, Gate]]:
    photos = Gate()
    graph = Graph(photos, TOKEN)
    graph.sizes = (320,)
    yield graph, photos
    photos.open.set()
    graph.close()
    photos.close()


def fill(graph: Graph, photos: Photos, albums: int, each: int) -> None:
    graph.albums = {f"Game {place}": list(range(place * each, place * each + each)) for place in range(albums)}
    photos.files = {f"/p/{number}_320.jpg": picture(number) for number in range(albums * each)}


def start(graph: Graph, photos: Photos, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), str(graph.endpoint[1]), str(photos.endpoint[1]), str(folder)]
    environment = os.environ | {"FACEBOOK_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def check_whole(folder: Path, count: int) -> None:
    """Every photo is there once, in the table and on the disk, with the hash that the table says."""
    table = rows(folder)
    assert len(table) == count
    assert len({row["source_url"] for row in table}) == count
    files = {path.relative_to(folder).as_posix() for path in folder.glob("unsorted/*/*")}
    assert {row["path"] for row in table} == files
    assert all(hashlib.sha256((folder / row["path"]).read_bytes()).hexdigest() == row["sha256"] for row in table)


def test_1200_photos_with_a_kill_in_the_middle_are_each_fetched_once(album: tuple[Graph, Gate], tmp_path: Path) -> None:
    graph, photos = album
    fill(graph, photos, albums=4, each=300)
    photos.opens_for = 470
    running = start(graph, photos, tmp_path)
    table = tmp_path / "photos.csv"
    deadline = time.monotonic() + 600
    while len(photos.held) < 4 or table.read_bytes().count(b"\n") < 1 + photos.opens_for:
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    photos.open.set()
    # A row that was being written, which a power cut may leave.
    with table.open("ab") as file:
        file.write(b"unsorted/Game-1/470-0")
    again = start(graph, photos, tmp_path)
    output, _ = again.communicate(timeout=900)
    assert output.split() == ["730", "470", "None"]
    check_whole(tmp_path, 1_200)
    counts = photos.counts("/p/")
    # What was on its way at the kill never arrived and is the only thing that was asked for again.
    assert len(photos.held) == 4
    counts.subtract(photos.held)
    assert len(counts) == 1_200
    assert set(counts.values()) == {1}


def test_kills_at_any_moment_lose_nothing_but_what_was_on_its_way(album: tuple[Graph, Gate], tmp_path: Path) -> None:
    graph, photos = album
    fill(graph, photos, albums=3, each=200)
    photos.open.set()
    rng = np.random.default_rng(3)
    kills = 0
    for target in np.sort(rng.integers(20, 560, 5)):
        running = start(graph, photos, tmp_path)
        while sum(photos.counts("/p/").values()) < target and running.poll() is None:
            time.sleep(0.001)
        kills += running.poll() is None
        running.send_signal(signal.SIGKILL)
        running.communicate()
    output, _ = start(graph, photos, tmp_path).communicate(timeout=900)
    assert output.split()[2] == "None"
    check_whole(tmp_path, 600)
    twice = sum(photos.counts("/p/").values()) - 600
    assert kills >= 3
    # Four threads fetch; four more photos may wait in memory to be written.
    assert twice <= 8 * kills
