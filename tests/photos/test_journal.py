"""The journal of changes to photos: nothing is lost, everything can be undone, also after a kill."""

from __future__ import annotations

import csv
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bball_pl.errors import DatasetError
from bball_pl.photos import journal as journal_module
from bball_pl.photos.dataset_layout import scan_dataset
from bball_pl.photos.journal import Journal, quarantine_place
from bball_pl.photos.labels_csv import LABELS, Entry, home_of, moved_photos, standing
from bball_pl.photos.photos_csv import PhotoRecord, Rows, read_photos_csv, write_photos_csv
from bball_pl.project import ROOT


def album(home: Path, names: list[str] | None = None) -> Path:
    """Write a dataset with a row for each photo, and return its folder."""
    root = home / "games"
    names = names or [
        f"{split}/{move}/{number}.jpg" for split in ("train", "test") for move in "ab" for number in (1, 2)
    ]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    write_photos_csv(
        root / "photos.csv", [PhotoRecord(name, name.split("/")[1], group=f"game {name[-5]}") for name in names]
    )
    return root


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder but those of the journal."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in files
        if path.name not in {LABELS, ".labels.lock"}
    }


def test_a_move_takes_the_file_and_its_row_and_undo_brings_both_back(tmp_path: Path) -> None:
    root = album(tmp_path)
    before = tree(tmp_path)
    with Journal(tmp_path, "test") as journal:
        entry = journal.move(root / "train/a/1.jpg", root / "train/b/1.jpg", "label", "b", why="it is\na b")
        # The name was taken.
        assert (entry.path, entry.to) == ("games/train/a/1.jpg", "games/train/b/1-2.jpg")
        assert (root / "train/b/1-2.jpg").read_bytes() == b"train/a/1.jpg"
        assert (root / "train/b/1.jpg").read_bytes() == b"train/b/1.jpg"
        records = {record.path: record for record in read_photos_csv(root / "photos.csv")}
        assert records["train/b/1-2.jpg"] == PhotoRecord("train/b/1-2.jpg", "b", group="game 1")
        assert "train/a/1.jpg" not in records
        scan_dataset(root)  # the table agrees with the folders
        journal.undo(entry.number)
    assert tree(tmp_path) == before
    with (tmp_path / LABELS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["action"], row["by"], row["was"], row["class"], row["undoes"]) for row in rows] == [
        ("label", "test", "a", "b", "0"),
        ("undo", "test", "b", "a", "1"),
    ]
    assert rows[0]["why"] == "it is a b"


def test_quarantine_takes_rows_along_and_gives_them_back(tmp_path: Path) -> None:
    root = album(tmp_path)
    before = tree(tmp_path)
    with Journal(tmp_path, "test") as journal:
        path = root / "test/b/2.jpg"
        entry = journal.move(path, quarantine_place(tmp_path, path), "quarantine", why="blurred")
        assert not path.exists()
        assert (tmp_path / "quarantine/games/test/b/2.jpg").is_file()
        assert [record.path for record in read_photos_csv(tmp_path / "quarantine/games/photos.csv")] == ["test/b/2.jpg"]
        assert len(scan_dataset(root).photos) == 7
        assert [other.number for other in journal.standing()] == [entry.number]
        journal.undo(entry.number)
        assert journal.standing() == []
    (tmp_path / "quarantine/games/photos.csv").unlink()
    assert tree(tmp_path) == before


def test_the_table_of_an_inbox_is_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / "inbox/league"
    (folder / "unsorted/cup").mkdir(parents=True)
    (folder / "unsorted/cup/x.jpg").write_bytes(b"x")
    (folder / "photos.csv").write_text("path,class,collected\nunsorted/cup/x.jpg,unsorted,2026-01-01\n")
    content = (folder / "photos.csv").read_bytes()
    home = home_of(folder)
    assert home == tmp_path
    with Journal(home, "test") as journal:
        journal.move(folder / "unsorted/cup/x.jpg", folder / "shoot/cup/x.jpg", "label", "shoot")
    assert (folder / "shoot/cup/x.jpg").is_file()
    assert (folder / "photos.csv").read_bytes() == content


def test_the_home_of_a_tree(tmp_path: Path) -> None:
    assert home_of(ROOT / "data/demo") == ROOT / "data"
    assert home_of(ROOT / "data/inbox/facebook") == ROOT / "data"
    assert home_of(tmp_path / "photos") == tmp_path
    album(tmp_path / "deep")
    with Journal(tmp_path, "test") as journal:
        journal.note(tmp_path / "deep/games/train/a/1.jpg", "skip")
    # The journal that is there already counts, wherever one points.
    assert home_of(tmp_path / "deep/games") == tmp_path


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        ([("games/train/a/9.jpg", "games/train/b/9.jpg")], "no longer there"),
        ([("../outside.jpg", "games/train/b/9.jpg")], "is not below"),
        ([("games/train/a/1.jpg", "../stolen.jpg")], "is not below"),
        ([("games/train/a/1.jpg", "other/1.jpg")], "whose photos.csv has a row"),
        ([("games/train/a/1.jpg", "quarantine/1.jpg")], "whose photos.csv has a row"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_changes(
    tmp_path: Path, moves: list[tuple[str, str]], message: str
) -> None:
    home = tmp_path / "home"
    album(home)
    (tmp_path / "outside.jpg").write_bytes(b"o")
    before = tree(tmp_path)
    with Journal(home, "test") as journal:
        for path, to in moves:
            with pytest.raises(DatasetError, match=message):
                journal.move(home / path, home / to, "label", "b")
        assert journal.entries() == []
    assert tree(tmp_path) == before


def test_an_undo_that_would_overwrite_or_come_too_late_is_refused(tmp_path: Path) -> None:
    root = album(tmp_path)
    with Journal(tmp_path, "test") as journal:
        entry = journal.move(root / "train/a/1.jpg", root / "train/b/new.jpg", "label", "b")
        (root / "train/a/1.jpg").write_bytes(b"another photo")
        with pytest.raises(DatasetError, match="taken by another"):
            journal.undo(entry.number)
        (root / "train/a/1.jpg").unlink()
        journal.undo(entry.number)
        with pytest.raises(DatasetError, match="undone already"):
            journal.undo(entry.number)
        with pytest.raises(DatasetError, match="no change 77"):
            journal.undo(77)
        entry = journal.move(root / "train/a/1.jpg", root / "train/b/new.jpg", "label", "b")
        (root / "train/b/new.jpg").unlink()
        with pytest.raises(DatasetError, match="no longer there"):
            journal.undo(entry.number)


def test_an_undo_of_a_photo_that_went_on_does_not_take_another_one(tmp_path: Path) -> None:
    root = album(tmp_path, ["train/a/1.jpg", "train/b/1.jpg", "train/a/z1.jpg"])
    with Journal(tmp_path, "test") as journal:
        place = quarantine_place(tmp_path, root / "train/a/1.jpg")
        first = journal.move(root / "train/a/1.jpg", place, "quarantine")
        journal.move(place, root / "train/b/x1.jpg", "label", "b")
        third = journal.move(root / "train/a/z1.jpg", place, "quarantine")
        with pytest.raises(DatasetError, match=f"change {third.number} moved a photo from or to"):
            journal.undo(first.number)
        assert place.read_bytes() == b"train/a/z1.jpg"


def test_a_move_to_another_disk_that_a_kill_interrupted_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = album(tmp_path)
    path = root / "train/a/1.jpg"
    unlink = Path.unlink

    def other_disk(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    def killed(self: Path, missing_ok: bool = False) -> None:
        if self == path:
            raise KeyboardInterrupt
        unlink(self, missing_ok)

    with monkeypatch.context() as patch, Journal(tmp_path, "test") as journal:
        patch.setattr(Path, "rename", other_disk)
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            journal.move(path, quarantine_place(tmp_path, path), "quarantine")
    assert path.exists()
    with Journal(tmp_path, "test") as journal:
        assert not path.exists()
        assert len(read_photos_csv(root / "photos.csv")) == 7
        (entry,) = journal.standing()
        journal.undo(entry.number)
    assert path.read_bytes() == b"train/a/1.jpg"


def test_a_move_that_the_disk_refuses_is_not_made_up_for_later(tmp_path: Path) -> None:
    root = album(tmp_path)
    (root / "train/c").write_bytes(b"a file where a folder is wanted")
    before = tree(tmp_path)
    with Journal(tmp_path, "test") as journal, pytest.raises(DatasetError, match="cannot be moved"):
        journal.move(root / "train/a/1.jpg", root / "train/c/1.jpg", "label", "c")
    (root / "train/c").unlink()
    with Journal(tmp_path, "test") as journal:
        journal.note(root / "train/a/2.jpg", "confirm", "a")
        assert [entry.action for entry in journal.standing()] == ["confirm"]
    before.pop("games/train/c")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("moment", ["_relocate", "follow", "after"])
def test_a_change_that_was_interrupted_is_finished(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = album(tmp_path)

    class KilledError(BaseException):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        if moment == "_relocate":
            patch.setattr(journal_module, "_relocate", killed)
        elif moment == "follow":
            patch.setattr(Rows, "follow", killed)
        else:
            write = Rows._write

            def first(rows: Rows, folder: Path, *rest: object, **named: object) -> None:
                write(rows, folder, *rest, **named)  # type: ignore[arg-type]
                raise KilledError

            patch.setattr(Rows, "_write", first)
        path = root / "train/a/1.jpg"
        with Journal(tmp_path, "test") as journal, pytest.raises(KilledError):
            journal.move(path, quarantine_place(tmp_path, path), "quarantine")
    with Journal(tmp_path, "test") as journal:
        assert len(journal.entries()) == 1
    assert not (root / "train/a/1.jpg").exists()
    assert [record.path for record in read_photos_csv(tmp_path / "quarantine/games/photos.csv")] == ["train/a/1.jpg"]
    assert len(read_photos_csv(root / "photos.csv")) == 7
    scan_dataset(root)


def test_a_photo_is_followed_through_all_its_moves_from_each_of_its_names(tmp_path: Path) -> None:
    root = album(tmp_path)
    assert moved_photos(root) == {}
    with Journal(tmp_path, "test") as journal:
        first = journal.move(root / "train/a/1.jpg", root / "train/b/x.jpg", "label", "b")
        journal.move(tmp_path / first.to, root / "train/b/y.jpg", "label", "b")
        journal.note(root / "train/b/y.jpg", "confirm", "b")
        journal.move(root / "test/a/1.jpg", quarantine_place(tmp_path, root / "test/a/1.jpg"), "quarantine")
        back = journal.move(root / "test/b/1.jpg", root / "test/a/z.jpg", "label", "a")
        journal.undo(back.number)
        there = journal.move(root / "test/b/2.jpg", root / "test/a/w.jpg", "label", "a")
        journal.move(tmp_path / there.to, root / "test/b/2.jpg", "label", "b")
    quarantined = quarantine_place(tmp_path, root / "test/a/1.jpg")
    now = root / "train/b/y.jpg"
    assert moved_photos(root) == {
        "train/a/1.jpg": now,
        "train/b/x.jpg": now,
        "test/a/1.jpg": quarantined,
        "test/a/w.jpg": root / "test/b/2.jpg",
    }
    assert list(moved_photos(root))[:2] == ["train/a/1.jpg", "train/b/x.jpg"]
    assert moved_photos(root, "9999-01-01") == {}
    assert moved_photos(root, first.time) == moved_photos(root)


WORK = """
import sys
from pathlib import Path
from bball_pl.photos.journal import Journal
home, source, target = (Path(argument) for argument in sys.argv[1:])
with Journal(home, "work") as journal:
    print("ready", flush=True)
    for path in sorted(source.glob("*.jpg")):
        journal.move(path, target / path.name, "label", target.name)
"""


def start(home: Path, source: Path, target: Path) -> subprocess.Popen[str]:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORK, str(home), str(source), str(target)], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    return worker


def test_kills_at_any_moment_lose_no_photo_and_no_row(tmp_path: Path) -> None:
    names = [f"train/a/{number:04d}.jpg" for number in range(400)] + ["train/b/x.jpg"]
    root = album(tmp_path, names)
    for pause in (0.02, 0.05, 0.11, 0.07):
        worker = start(tmp_path, root / "train/a", root / "train/b")
        time.sleep(pause)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert worker.stdout is not None
        worker.stdout.close()
    with Journal(tmp_path, "test") as journal:
        standing = journal.standing()
    assert standing
    files = sorted(path.relative_to(root).as_posix() for path in (root / "train").glob("*/*.jpg"))
    assert len(files) == len(names)
    assert sorted(record.path for record in read_photos_csv(root / "photos.csv")) == files
    assert all((tmp_path / entry.to).is_file() and not (tmp_path / entry.path).exists() for entry in standing)
    assert len(list((root / "train/b").iterdir())) == len(standing) + 1
    assert [entry.number for entry in standing] == list(range(1, len(standing) + 1))


def test_two_processes_take_turns(tmp_path: Path) -> None:
    names = [f"train/{move}/{number:04d}.jpg" for move in "ac" for number in range(60)] + ["train/b/x.jpg"]
    root = album(tmp_path, names)
    workers = [start(tmp_path, root / "train" / move, root / "train/b") for move in "ac"]
    for worker in workers:
        assert worker.wait(60) == 0
        assert worker.stdout is not None
        worker.stdout.close()
    with Journal(tmp_path, "test") as journal:
        assert [entry.number for entry in journal.entries()] == list(range(1, 121))
    assert len(list((root / "train/b").iterdir())) == len(names)
    assert sorted(record.path for record in read_photos_csv(root / "photos.csv")) == sorted(
        path.relative_to(root).as_posix() for path in (root / "train/b").iterdir()
    )


def test_half_a_line_of_a_power_cut_is_cut_off(tmp_path: Path) -> None:
    root = album(tmp_path)
    with Journal(tmp_path, "test") as journal:
        journal.note(root / "train/a/1.jpg", "confirm", "a")
    with (tmp_path / LABELS).open("ab") as file:
        file.write(b"2,2026-01-01T00:00")
    with Journal(tmp_path, "test") as journal:
        journal.note(root / "train/a/2.jpg", "confirm", "a")
        assert [(entry.number, entry.path) for entry in journal.entries()] == [
            (1, "games/train/a/1.jpg"),
            (2, "games/train/a/2.jpg"),
        ]


def test_another_table_and_a_damaged_line_are_named(tmp_path: Path) -> None:
    (tmp_path / LABELS).write_text("id,label\n1,dog\n")
    with pytest.raises(DatasetError, match="another kind of table"):
        Journal(tmp_path, "test")
    (tmp_path / LABELS).unlink()
    root = album(tmp_path)
    with Journal(tmp_path, "test") as journal:
        journal.note(root / "train/a/1.jpg", "skip")
    with (tmp_path / LABELS).open("a") as file:
        file.write("two,x,x,x,x,x,x,x,x,x\n")
    with pytest.raises(DatasetError, match="the line after change 1 is damaged"):
        Journal(tmp_path, "test")


@pytest.mark.skipif(os.name == "nt", reason="such names are not allowed there")
@pytest.mark.parametrize(
    "name", [b"-rf.jpg", b"<img src=x onerror=a()>.jpg", b'a"b,c.jpg', b"two\nlines.jpg", b"\xff.jpg"]
)
def test_any_name_can_be_moved_and_undone(tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / "inbox/league/unsorted"
    folder.mkdir(parents=True)
    path = folder / os.fsdecode(name)
    path.write_bytes(b"x")
    with Journal(tmp_path, "test") as journal:
        entry = journal.move(path, folder.parent / "shoot" / path.name, "label", "shoot")
    with Journal(tmp_path, "test") as journal:
        assert journal.entries() == [entry]
        journal.undo(entry.number)
    assert path.read_bytes() == b"x"
    assert len((tmp_path / LABELS).read_text().splitlines()) == 3


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=30))
def test_what_is_undone_agrees_with_doing_it_step_by_step(steps: list[tuple[int, bool]]) -> None:
    entries: list[Entry] = []
    left: set[int] = set()
    for wanted, fails in steps:
        number = len(entries) + 1
        if wanted not in left:
            entries.append(Entry(number, "", "", "label", "", ""))
            left.add(number)
            continue
        entries.append(Entry(number, "", "", "undo", "", "", undoes=wanted))
        if fails:  # as the journal writes it down when the disk refuses
            entries.append(Entry(number + 1, "", "", "undo", "", "", undoes=number))
        else:
            left.remove(wanted)
    assert {entry.number for entry in standing(entries)} == left
