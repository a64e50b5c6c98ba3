"""The store: what is kept is found again by content, from threads and processes, and losing it costs time only."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from bball_pl.files import signature
from bball_pl.photos.measurements import Measurements, Quality
from bball_pl.photos.store import PhotoStore

A, B = "a" * 64, "b" * 64
MEASURED = Measurements("", Quality(640, 427, 0.3, 200.0), dhash=2**64 - 1, mirrored=1, grey=b"jpeg")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "x.jpg"
    path.write_bytes(b"photo")
    return path


def file_of(folder: Path) -> Path:
    (path,) = folder.glob("photos.*.sqlite")
    return path


def test_everything_is_found_again(tmp_path: Path, photo: Path) -> None:
    with PhotoStore(tmp_path / "cache") as store:
        store.keep(
            files={photo: (signature(photo), A)},
            problems={A: "", B: "not an image"},
            measurements={A: MEASURED},
            features={"net": {A: np.array([1.5, -2])}},
            answers={"net": {A: np.array([0.1, 7])}},
        )
    with PhotoStore(tmp_path / "cache") as store:
        size, changed = signature(photo)
        assert store.sha256s({photo: (size, changed)}) == {photo: A}
        assert store.sha256s({photo: (size, changed + 1)}) == {}
        assert store.problems([A, B, "c" * 64]) == {A: "", B: "not an image"}
        assert store.measurements([A, B]) == {A: MEASURED, B: Measurements("not an image")}
        assert store.features("net", [A, B])[A].tolist() == [1.5, -2]
        assert store.answers("net", [A])[A].tolist() == pytest.approx([0.1, 7])
        assert store.features("another net", [A]) == store.answers("another net", [A]) == {}


def test_more_photos_than_a_query_takes(tmp_path: Path) -> None:
    with PhotoStore(None) as store:
        problems = {f"{number:064x}": "" for number in range(2_500)}
        store.keep(problems=problems, files={tmp_path / sha256: ((1, 2), sha256) for sha256 in problems})
        assert store.problems(problems) == problems
        assert len(store.sha256s({tmp_path / sha256: (1, 2) for sha256 in problems})) == 2_500


def test_a_file_is_known_by_any_way_to_its_folder(tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    with PhotoStore(None) as store:
        store.keep(files={photo: (signature(photo), A)})
        for path in (Path("x.jpg"), tmp_path / "link" / "x.jpg"):
            assert store.sha256s({path: signature(path)}) == {path: A}


def test_a_missing_file_has_no_hash(tmp_path: Path) -> None:
    path = tmp_path / "gone.jpg"
    with PhotoStore(None) as store:
        store.keep(files={path: (signature(path), A)})
        assert store.sha256s({path: signature(path)}) == {}


@pytest.mark.parametrize("content", [b"no database" * 500, b"SQLite format 3\0" + b"damage" * 500, b""])
def test_a_damaged_file_is_rebuilt(tmp_path: Path, content: bytes) -> None:
    with PhotoStore(tmp_path) as store:
        store.keep(problems={A: ""})
    file_of(tmp_path).write_bytes(content)
    with PhotoStore(tmp_path) as store:
        assert store.problems([A]) == {}
        store.keep(problems={A: ""})
    with PhotoStore(tmp_path) as store:
        assert store.problems([A]) == {A: ""}


def test_a_damaged_page_is_found_when_it_is_read(tmp_path: Path) -> None:
    problems = {f"{number:064x}": "not an image" for number in range(5_000)}
    with PhotoStore(tmp_path) as store:
        store.keep(problems=problems)
    content = bytearray(file_of(tmp_path).read_bytes())
    # The first pages, with the names of the tables, stay as they are.
    content[10 * 4096 :] = b"\xff" * (len(content) - 10 * 4096)
    file_of(tmp_path).write_bytes(content)
    with PhotoStore(tmp_path) as store:
        assert store.problems(problems) == {}
        store.keep(problems=problems)
        assert store.problems(problems) == problems
    with sqlite3.connect(file_of(tmp_path)) as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path, photo: Path) -> None:
    with PhotoStore(photo / "cache") as store:
        store.keep(problems={A: ""})
        assert store.problems([A]) == {A: ""}


@pytest.mark.skipif(os.name == "nt", reason="permissions there are others")
@pytest.mark.parametrize("filled", [True, False])
def test_a_folder_that_is_read_only_is_read(filled: bool) -> None:
    # Not tmp_path: the folder above it is for its owner alone.
    cache = Path(tempfile.mkdtemp())
    if filled:
        with PhotoStore(cache) as store:
            store.keep(problems={A: ""})
        file_of(cache).chmod(0o444)
    cache.chmod(0o555)
    program = (
        "import os, sys; from pathlib import Path; from bball_pl.photos.store import PhotoStore\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"  # root may write everywhere
        "with PhotoStore(Path(sys.argv[1])) as store:\n"
        "    print(store.problems(['a' * 64])); store.keep(problems={'b' * 64: ''})"
    )
    done = subprocess.run([sys.executable, "-c", program, cache], capture_output=True, text=True, check=False)
    cache.chmod(0o755)
    shutil.rmtree(cache)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.strip() == (str({A: ""}) if filled else "{}")


def test_threads_share_a_store(tmp_path: Path) -> None:
    with PhotoStore(tmp_path) as store:

        def work(start: int) -> None:
            for number in range(start, start + 50):
                store.keep(problems={f"{number:064x}": str(number)})
                assert store.problems([f"{number:064x}"]) == {f"{number:064x}": str(number)}

        threads = [threading.Thread(target=work, args=(100 * index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.problems(f"{number:064x}" for number in range(400))) == 200


def start_writer(folder: Path, first: int, count: int) -> subprocess.Popen[str]:
    program = (
        "import sys; from pathlib import Path; from bball_pl.photos.store import PhotoStore\n"
        "first, count = int(sys.argv[2]), int(sys.argv[3])\n"
        "with PhotoStore(Path(sys.argv[1])) as store:\n"
        "    for number in range(first, first + count):\n"
        "        store.keep(problems={f'{number:064x}': '', f'{number + 10**9:064x}': ''}); print(number, flush=True)"
    )
    arguments = [sys.executable, "-c", program, str(folder), str(first), str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_several_processes_write_one_file(tmp_path: Path) -> None:
    writers = [start_writer(tmp_path, 1000 * index, 100) for index in range(3)]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    with PhotoStore(tmp_path) as store:
        assert len(store.problems(f"{number:064x}" for number in range(3_000))) == 300


def test_a_kill_loses_no_batch_that_was_kept(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, 0, 10**6)
    assert writer.stdout is not None
    kept = [int(writer.stdout.readline()) for _ in range(20)]
    writer.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    kept += [int(line) for line in writer.stdout.read().split()]
    writer.wait()
    with PhotoStore(tmp_path) as store:
        found = store.problems(f"{number:064x}" for number in kept)
        assert len(found) == len(kept)
        # A batch is kept whole or not at all.
        halves = [store.problems([f"{number:064x}", f"{number + 10**9:064x}"]) for number in range(kept[-1] + 3)]
        assert {len(half) for half in halves} <= {0, 2}
