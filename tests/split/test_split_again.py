"""Datasets that grow: what happened to album and dataset meanwhile must not let a game into two splits."""

from __future__ import annotations

import io
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from bball_pl.errors import DatasetError
from bball_pl.photos.journal import Journal, quarantine_place
from bball_pl.photos.photos_csv import COLUMNS, AppendTable, Rows, read_photos_csv
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import unnamed_games
from bball_pl.split.write import SplitSettings, make_split, split_lines, split_table

from helpers.split_albums import MOVES, divided_games, noise, sha256, sorted_source, split


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    sorted_source(tmp_path / "inbox/league", range(10))
    return tmp_path / "inbox"


def test_new_photos_join_their_game_when_the_old_ones_have_left_the_inbox(inbox: Path, tmp_path: Path) -> None:
    out = tmp_path / "photos"
    split(inbox, out, how="copy")
    shutil.rmtree(inbox)
    sorted_source(inbox / "league", range(10), range(6, 12))
    made = split(inbox, out, seed=3)
    assert len(made.plan.names) == 60
    assert divided_games(out) == {}


def test_a_group_name_that_two_sources_share_is_in_one_split(tmp_path: Path) -> None:
    out = tmp_path / "photos"
    for source in "ab":
        sorted_source(tmp_path / "inbox" / source, range(8), seed=ord(source))
        split(tmp_path / "inbox" / source, out, seed=ord(source))
    groups: dict[str, set[str]] = {}
    for record in read_photos_csv(out / "photos.csv"):
        groups.setdefault(record.group, set()).add(record.path.split("/")[0])
    assert all(len(splits) == 1 for splits in groups.values())
    sorted_source(tmp_path / "inbox/a", range(8), range(6, 9), seed=ord("a"))
    made = split(tmp_path / "inbox/a", out)
    assert len(made.plan.names) == 24


def test_folders_are_groups_also_beside_a_table_without_groups(tmp_path: Path) -> None:
    sorted_source(tmp_path / "inbox/league", range(10), grouped=False)
    split(tmp_path / "inbox", tmp_path / "photos", by_folder=True)
    assert divided_games(tmp_path / "photos") == {}
    # Left out the next time, it holds for what is known.
    sorted_source(tmp_path / "inbox/league", range(10), range(6, 9), grouped=False)
    split(tmp_path / "inbox", tmp_path / "photos", seed=5)
    assert divided_games(tmp_path / "photos") == {}


def test_rows_without_a_sum_follow_photos_that_were_sorted_by_hand(tmp_path: Path) -> None:
    sorted_source(tmp_path / "inbox/league", range(10), columns=("path", "class", "group"))
    split(tmp_path / "inbox", tmp_path / "photos")
    assert divided_games(tmp_path / "photos") == {}


def test_a_table_written_by_hand_gets_the_columns_that_it_lacks(inbox: Path, tmp_path: Path) -> None:
    out = tmp_path / "photos"
    for number in range(6):
        noise(out / ("train" if number % 2 else "test") / MOVES[number % 3] / f"old-{number}.jpg", 900 + number)
    table = AppendTable(out / "photos.csv", ("path", "class", "camera"))
    for path in sorted(out.rglob("*.jpg")):
        table.add({"path": path.relative_to(out).as_posix(), "class": path.parent.name, "camera": "mine"})
    table.close()
    split(inbox, out)
    rows = AppendTable(out / "photos.csv", ()).rows()
    assert {row["camera"] for row in rows if "old-" in row["path"]} == {"mine"}
    assert all(row["sha256"] for row in rows)
    assert len({row["group"] for row in rows} - {""}) == 10
    victim = next((out / "train/shoot").glob("g*.jpg"))
    with Journal(tmp_path, "test") as journal:
        journal.move(victim, quarantine_place(tmp_path, victim), "quarantine")
    assert not split(inbox, out, seed=4).plan.names
    assert not victim.exists()


def test_what_was_taken_out_stays_out_also_without_a_row(inbox: Path, tmp_path: Path) -> None:
    out = tmp_path / "photos"
    split(inbox, out)
    (out / "photos.csv").unlink()
    victim = next((out / "test/shoot").glob("*.jpg"))
    with Journal(tmp_path, "test") as journal:
        journal.move(victim, quarantine_place(tmp_path, victim), "quarantine")
    split(inbox, out, seed=4)
    assert not list(out.rglob(victim.name))


def test_a_quarantine_that_a_kill_interrupted_is_finished_first(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "photos"
    split(inbox, out)
    victim = next((out / "test/shoot").glob("*.jpg"))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, Journal(tmp_path, "test") as journal:
        patch.setattr(Rows, "follow", killed)
        with pytest.raises(KeyboardInterrupt):
            journal.move(victim, quarantine_place(tmp_path, victim), "quarantine")
    split(inbox, out)
    assert not list(out.rglob(victim.name))
    assert len(read_photos_csv(out / "photos.csv")) == 59


def test_a_damaged_table_or_a_lost_photo_is_told_of_and_nothing_is_dealt_again(inbox: Path, tmp_path: Path) -> None:
    out = tmp_path / "photos"
    split(inbox, out)
    before = sorted(out.rglob("*"))
    (out / "train/photos.csv").write_text("nonsense\n")
    with pytest.raises(DatasetError, match=r"train.photos\.csv"):
        split(inbox, out, seed=7)
    (out / "train/photos.csv").unlink()
    assert sorted(out.rglob("*")) == before
    lost = next((out / "test/shoot").glob("*.jpg"))
    lost.unlink()
    next(inbox.rglob(lost.name)).unlink()
    with pytest.raises(DatasetError, match="1 rows of photos that are neither there nor in"):
        split(inbox, out)


def test_a_damaged_test_photo_does_not_come_back_as_a_training_photo(inbox: Path, tmp_path: Path) -> None:
    for seed in range(4):
        out = tmp_path / f"photos{seed}"
        split(inbox, out, how="copy")
        victim = next((out / "test/layup").glob("*.jpg"))
        victim.write_bytes(b"rot")
        split(inbox, out, seed=seed)
        assert [path.relative_to(out).parts[0] for path in out.rglob(victim.name)] == ["test"]


def test_the_splits_of_an_album_do_not_beat_those_of_the_dataset(inbox: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "photos", tmp_path / "other"
    split(inbox, out)
    known = next((out / "test/shoot").glob("*.jpg"))
    game = known.name.split("-")[0]
    table = AppendTable(other / "photos.csv", COLUMNS)
    shutil.copytree(known.parent, other / "train/shoot", dirs_exist_ok=False)
    for number in range(6):
        noise(other / "train" / MOVES[number % 3] / f"{game}-9{number}.jpg", 77_000 + number)
    for path in sorted(other.rglob(f"{game}-*.jpg")):
        table.add({"path": path.relative_to(other).as_posix(), "class": path.parent.name, "group": "one game"})
    table.close()
    made = split(other, out)
    assert game not in divided_games(out)
    assert len([why for _, why in made.plan.left_out if "are in test already" in why]) == 6


def test_an_old_leak_keeps_the_names_of_its_games(tmp_path: Path) -> None:
    out = tmp_path / "photos"
    table = AppendTable(out / "photos.csv", COLUMNS)
    for place, (game, own) in enumerate((("a", "train"), ("b", "test"), ("c", "train"), ("d", "test"))):
        for number, move in enumerate(MOVES):
            path = out / own / move / f"{game}{number}.jpg"
            noise(path, 100 * place + number)
            table.add({"path": path.relative_to(out).as_posix(), "class": move, "group": game, "sha256": sha256(path)})
    table.close()
    # One folder of the album holds a photo of a training game and one of a test game.
    for path in (out / "train/shoot/a0.jpg", out / "test/shoot/b0.jpg"):
        (tmp_path / "album/shoot/day").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "album/shoot/day")
    noise(tmp_path / "album/dribble/day2/n.jpg", 999)
    split(tmp_path / "album", out, by_folder=True)
    groups = {Path(record.path).stem: record.group for record in read_photos_csv(out / "photos.csv")}
    assert {stem: group for stem, group in groups.items() if stem != "n"} == {
        f"{game}{number}": game for game in "abcd" for number in range(3)
    }


def test_long_names_can_be_copied(tmp_path: Path) -> None:
    for number in range(12):
        noise(tmp_path / "album" / MOVES[number % 3] / f"{'籃' * 79}{number:02d}.jpg", number)
    assert len(split(tmp_path / "album", tmp_path / "photos", how="copy").plan.names) == 12


@pytest.mark.skipif(os.name == "nt", reason="such names are not allowed there")
def test_folders_whose_names_are_not_utf8(tmp_path: Path) -> None:
    for number in range(12):
        folder = tmp_path / "album" / MOVES[number % 3] / os.fsdecode(b"g\xff%d" % (number // 3))
        noise(folder / f"{number}.jpg", number)
    split(tmp_path / "album", tmp_path / "photos", by_folder=True)
    assert len({record.group for record in read_photos_csv(tmp_path / "photos/photos.csv")}) == 4
    for number in range(12):
        noise(tmp_path / "odd" / os.fsdecode([b"a", b"b\xff"][number % 2]) / f"{number}.jpg", number)
    with pytest.raises(DatasetError, match="cannot be the name of a folder everywhere"):
        split(tmp_path / "odd", tmp_path / "never")


def test_one_sorted_class_is_a_class(tmp_path: Path) -> None:
    for number in range(4):
        noise(tmp_path / "inbox/ann/shoot/day" / f"{number}.jpg", number)
        noise(tmp_path / "inbox/ann/unsorted/day" / f"u{number}.jpg", 50 + number)
    made = split(tmp_path / "inbox", tmp_path / "photos")
    assert {name.split("/")[1] for name in made.plan.names.values()} == {"shoot"}
    assert len(made.plan.left_out) == 4


def test_photos_that_name_no_game_are_counted(tmp_path: Path) -> None:
    root = tmp_path / "sorted"
    for number in range(9):
        noise(root / MOVES[number % 3] / f"{number}.jpg", number)
    settings = SplitSettings(root, tmp_path / "photos", near_duplicates=False)
    made = make_split(settings, PhotoStore(None))
    lines = list(split_lines(made, settings))
    assert "0 of 9 photos name a game; each is counted singly" in "\n".join(lines)
    assert "groups" not in printed(split_table(made))
    assert sum("which measures nothing" in line for line in lines) == 3, "one test photo of each class"
    some = [replace(photo, group="final") if index < 4 else photo for index, photo in enumerate(made.tree.photos)]
    assert unnamed_games(some) == "4 of 9 photos name a game; each of the other 5 is counted singly"
    assert not unnamed_games(some[:4])


def printed(table: Table) -> str:
    text = io.StringIO()
    Console(file=text, width=100).print(table)
    return text.getvalue()
