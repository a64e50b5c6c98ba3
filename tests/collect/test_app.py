"""Corrections come home: what the app has exported keeps its class, its day and its answer, and is trained on only."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bball_pl.cli import main
from bball_pl.collect.app import Merged, merge_corrections
from bball_pl.collect.local import Local
from bball_pl.collect.source import CollectError
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.data.validation import cross_validation_folds, split_train
from bball_pl.errors import DatasetError
from bball_pl.evaluate.evaluation import labelled_photos
from bball_pl.photos.dataset_layout import scan_dataset
from bball_pl.photos.journal import Journal, quarantine_place
from bball_pl.photos.photos_csv import COLUMNS, AppendTable, PhotoRecord, read_rows, write_photos_csv
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.photos.tree import Photo, PhotoTree

from helpers.collect_servers import collect, web_for
from helpers.ios_archives import CLASSES, archive, checked, jpeg, two_games
from helpers.split_albums import sha256, sorted_source, split


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of a project's photos."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def inbox(data: Path, tmp_path: Path) -> Path:
    """An inbox with the 21 corrections of two games."""
    merge_corrections([archive(tmp_path / "a.zip", two_games(), "Ann, Lee", "CC-BY-4.0")], data / "inbox" / "app")
    return data / "inbox" / "app"


@pytest.fixture
def photos(data: Path) -> Path:
    """A dataset with train and test, without a folder val."""
    records = []
    for split_name, games in (("train", range(6)), ("test", range(6, 8))):
        for game in games:
            for number, name in enumerate([*CLASSES, "none"]):
                path = data / "photos" / split_name / name / f"g{game}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(jpeg(1000 + 10 * game + number))
                relative = path.relative_to(data / "photos").as_posix()
                records.append(PhotoRecord(relative, name, f"game {game}", licence="CC0-1.0"))
    write_photos_csv(data / "photos" / "photos.csv", records)
    return data / "photos"


def of_the_app(photos: list[Photo]) -> list[Photo]:
    return [photo for photo in photos if photo.group.rpartition("/")[2].startswith("phone-")]


def check_whole(root: Path) -> dict[str, dict[str, str]]:
    """Every row of the app has its file with its bytes and every file its row; nothing else is left."""
    rows = {name: row for name, row in read_rows(root / "photos.csv").items() if row.get("use") == "train"}
    for name, row in rows.items():
        assert hashlib.sha256((root / name).read_bytes()).hexdigest() == row["sha256"]
    files = {path.relative_to(root).as_posix() for path in root.rglob("phone-*.jpg")}
    assert files == set(rows)
    assert not (root / ".corrections").exists()
    return rows


def test_labels_days_answers_and_licences_are_kept(inbox: Path, tmp_path: Path) -> None:
    rows = check_whole(inbox)
    wanted = {entry["sha256"]: entry for entry in two_games()}
    assert {row["sha256"]: row["class"] for row in rows.values()} == {sha: e["truth"] for sha, e in wanted.items()}
    assert {row["sha256"]: row["group"] for row in rows.values()} == {
        sha: f"phone-{entry['day']}" for sha, entry in wanted.items()
    }
    assert {(row["author"], row["licence"], row["source"], row["use"]) for row in rows.values()} == {
        ("Ann, Lee", "CC-BY-4.0", "BasketballMoves app", "train")
    }
    assert {(row["answer"], row["probability"]) for row in rows.values()} == {("dribble", "0.500000")}
    tree = PhotoTree.scan(inbox)
    assert Counter(photo.class_name for photo in tree.photos) == {"shoot": 6, "dribble": 5, "layup": 5, "none": 5}
    assert len(of_the_app(tree.photos)) == 21
    before = (inbox / "photos.csv").read_bytes()
    again = merge_corrections([tmp_path / "a.zip", tmp_path / "a.zip"], inbox)
    assert (again.new.total(), again.relabelled, again.known) == (0, 0, 42)
    assert (inbox / "photos.csv").read_bytes() == before


def test_a_changed_truth_leaves_one_copy_and_an_older_archive_changes_nothing(inbox: Path, tmp_path: Path) -> None:
    later = archive(tmp_path / "b.zip", two_games({0: "layup", 1: "none"}, when=1_795_000_100.0))
    merged = merge_corrections([later], inbox)
    assert (merged.new.total(), merged.relabelled, merged.known) == (0, 2, 19)
    by_content = {row["sha256"]: row["class"] for row in check_whole(inbox).values()}
    assert (by_content[checked(0, "")["sha256"]], by_content[checked(1, "")["sha256"]]) == ("layup", "none")
    assert len(by_content) == 21
    older = merge_corrections([tmp_path / "a.zip"], inbox)
    assert (older.new.total(), older.relabelled, older.known) == (0, 0, 21)
    assert {row["sha256"]: row["class"] for row in check_whole(inbox).values()} == by_content
    # Of two archives of one command the later look counts, whatever their order.
    for order in ([tmp_path / "a.zip", later], [later, tmp_path / "a.zip"]):
        root = tmp_path / f"inbox {len(order[0].name)}{order[0].stem}"
        assert merge_corrections(order, root).new == {"layup": 6, "none": 6, "shoot": 5, "dribble": 4}
        assert {row["sha256"]: row["class"] for row in check_whole(root).values()} == by_content


def test_what_a_person_has_sorted_or_taken_out_since_stays(inbox: Path, tmp_path: Path, data: Path) -> None:
    names = sorted(read_rows(inbox / "photos.csv"))
    sorted_by_hand, taken_out = inbox / names[0], inbox / names[1]
    contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (sorted_by_hand, taken_out)]
    with Journal(data, "studio") as journal:
        journal.move(sorted_by_hand, inbox / "layup" / "phone-x" / sorted_by_hand.name, "label", "layup")
        journal.move(taken_out, quarantine_place(journal.home, taken_out), "quarantine", why="blurred")
    changed = two_games(dict.fromkeys(range(21), "none"), when=1_795_000_100.0)
    merged = merge_corrections([archive(tmp_path / "b.zip", changed)], inbox)
    assert sorted(merged.left_out.values()) == [
        "has got the class layup at a computer",
        "was taken out into quarantine",
    ]
    rows = {row["sha256"]: row for row in check_whole(inbox).values()}
    assert rows[contents[0]]["class"] == "layup"
    assert contents[1] not in rows
    assert len(rows) == 20


def test_none_is_measured_on_by_no_path(inbox: Path, photos: Path, data: Path, tmp_path: Path) -> None:
    # 1: bball split makes a dataset of the inbox and of a league's album.
    sorted_source(data / "inbox" / "league", range(12), seed=7)
    made = data / "made"
    for seed in range(2):
        split(data / "inbox", made / str(seed), seed=seed, class_names=[*CLASSES, "none"])
        dataset = scan_dataset(made / str(seed))
        assert Counter(photo.split for photo in of_the_app(dataset.photos)) == {"train": 21}
        assert {photo.split for photo in dataset.photos} == {"train", "val", "test"}
        rows = read_rows(made / str(seed) / "photos.csv")
        assert sum(row["use"] == "train" and row["answer"] == "dribble" for row in rows.values()) == 21
    # 2: bball split adds the inbox to a dataset; a dataset is split as its folders say.
    split(data / "inbox" / "app", photos)
    split(photos, data / "copied")
    # 3: the archive is merged into a dataset.
    direct = tmp_path / "direct"
    split(photos, direct)
    for row in list(read_rows(direct / "photos.csv")):
        if "phone-" in row:
            (direct / row).unlink()
    kept = [row for name, row in read_rows(direct / "photos.csv").items() if "phone-" not in name]
    AppendTable(direct / "photos.csv", list(COLUMNS)).write(kept)
    assert merge_corrections([tmp_path / "a.zip"], direct).new.total() == 21
    check_whole(direct)
    for root in (photos, data / "copied", direct):
        everything = scan_dataset(root).photos
        assert Counter(photo.split for photo in of_the_app(everything)) == {"train": 21}, root
        assert of_the_app(labelled_photos("test", [*CLASSES, "none"], root, None)) == []
        # 4: fit holds photos of train back for validation, and the probe of a small set in folds.
        train = [replace(photo, sha256=sha256(photo.path)) for photo in everything if photo.split == "train"]
        for seed in range(3):
            learned, held_back = split_train(train, 0.3, seed)
            assert of_the_app(held_back) == []
            assert len(of_the_app(learned)) == 21
            assert len(held_back) > 3
            assert {photo.class_name for photo in held_back} == {*CLASSES, "none"}
        for trained, judged in cross_validation_folds(train, 3, 0):
            assert of_the_app([train[position] for position in judged]) == []
            assert len(of_the_app([train[position] for position in trained])) == 21


def test_fit_trains_on_corrections_and_validates_on_others(photos: Path, tmp_path: Path) -> None:
    merge_corrections([archive(tmp_path / "a.zip", two_games())], photos)
    for seed in range(3):
        options = {"val_fraction": 0.3, "num_workers": 0, "cache_dir": tmp_path / "cache", "seed": seed}
        data = PhotoDataModule(photos, PreprocessSpec(32), **options)  # type: ignore[arg-type]
        data.prepare_data()
        data.setup("fit")
        counts = {split_name: len(of_the_app(members)) for split_name, members in data.photos.items()}
        assert counts == {"train": 21, "val": 0, "test": 0}
        assert {photo.class_name for photo in data.photos["val"]} == {*CLASSES, "none"}


def test_a_correction_in_test_is_refused(photos: Path, tmp_path: Path) -> None:
    merge_corrections([archive(tmp_path / "a.zip", two_games())], photos)
    table = read_rows(photos / "photos.csv")
    name = next(name for name in table if "phone-" in name)
    (photos / name).rename(photos / name.replace("train/", "test/"))
    table[name]["path"] = name.replace("train/", "test/")
    AppendTable(photos / "photos.csv", list(table[name])).write(table.values())
    with pytest.raises(DatasetError, match="is for training only"):
        scan_dataset(photos)
    # A dataset that was made elsewhere: its splits are kept, but not that.
    split(photos, tmp_path / "made")
    assert Counter(photo.split for photo in of_the_app(scan_dataset(tmp_path / "made").photos)) == {"train": 20}


def test_a_correction_that_shows_what_a_test_photo_shows_is_left_out(photos: Path, data: Path, tmp_path: Path) -> None:
    entries = [checked(1060, "layup"), checked(5, "layup")]  # 1060 is a photo of test; the group ties nothing to it
    merge_corrections([archive(tmp_path / "a.zip", entries)], data / "inbox" / "app")
    (photos / "test/shoot/g6.jpg").write_bytes(jpeg(1060) + b"\0")  # the same picture in other bytes
    made = split(data / "inbox" / "app", photos, near=True, class_names=[*CLASSES, "none"])
    assert ["is in test already" in why or "that are in test" in why for _, why in made.plan.left_out] == [True, True]
    assert of_the_app(scan_dataset(photos).photos) == []


def test_only_corrections_cannot_be_trained_on_alone(data: Path, tmp_path: Path) -> None:
    (data / "photos" / "train").mkdir(parents=True)
    for name in CLASSES:
        (data / "photos" / "train" / name).mkdir()
    merged = merge_corrections([archive(tmp_path / "a.zip", [*two_games(), checked(99, "灌籃")])], data / "photos")
    assert [reason.rpartition(" has ")[2] for reason in merged.left_out.values()] == ["no class 灌籃"]
    with pytest.raises(DatasetError, match="for training only"):
        split_train(scan_dataset(data / "photos").photos, 0.15, 0)


#: Merges the second archive into each of the folders, and is killed before the nth time that a file takes its place, in
#: the nth folder; one process for all, which forks, because its imports take longer than the merges.
KILLED = """
import os, pathlib, shutil, signal, sys
from bball_pl.collect.app import merge_corrections

archive, *roots = map(pathlib.Path, sys.argv[1:])

def counted(function, last):
    def run(*arguments, **options):
        global count
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        return function(*arguments, **options)
    return run

for step, root in enumerate(roots):
    child = os.fork()
    if child == 0:
        count = 0
        pathlib.Path.replace = counted(pathlib.Path.replace, step)
        shutil.rmtree = counted(shutil.rmtree, step)
        merge_corrections([archive], root)
        os._exit(count)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
STEPS = 11


def test_a_kill_at_any_step_loses_no_row(tmp_path: Path) -> None:
    first = archive(tmp_path / "a.zip", [checked(seed, CLASSES[seed % 3]) for seed in range(3)])
    second = archive(tmp_path / "b.zip", [checked(seed, "none", when=1_795_000_100.0) for seed in range(1, 6)])
    roots = [tmp_path / str(step) / "inbox" / "app" for step in range(STEPS + 1)]
    merge_corrections([first], roots[0])
    for root in roots[1:]:
        shutil.copytree(roots[0], root)
    old = {row["sha256"]: row["class"] for row in read_rows(roots[0] / "photos.csv").values()}
    wanted = old | {checked(seed, "")["sha256"]: "none" for seed in range(1, 6)}
    command = [sys.executable, "-c", KILLED, str(second), *map(str, roots)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    # The last one is not killed: its status is the number of steps, all of which were tried.
    assert [int(status) for status in done.stdout.split()] == [-signal.SIGKILL] * STEPS + [STEPS]
    states = [{row["sha256"]: row["class"] for row in read_rows(root / "photos.csv").values()} for root in roots]
    assert {tuple(sorted(state.items())) for state in states} == {tuple(sorted(x.items())) for x in (old, wanted)}
    for root in roots:
        merge_corrections([second], root)
        assert {row["sha256"]: row["class"] for row in check_whole(root).values()} == wanted


def test_damaged_photos_are_named_and_the_others_come(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", [checked(seed, "shoot") for seed in range(4)])
    content = bytearray(path.read_bytes())
    at = content.index(jpeg(2))
    content[at + 200] ^= 255
    path.write_bytes(content)
    merged = merge_corrections([path], tmp_path / "inbox")
    name = f"a.zip: train/shoot/phone_2026-11-21_{checked(2, '')['sha256'][:12]}.jpg"
    assert merged.left_out == {name: "missing or damaged in its ZIP file"}
    assert merged.new == {"shoot": 3}
    with zipfile.ZipFile(path) as opened:
        table = opened.read("photos.csv").decode()
    evil = tmp_path / "evil.zip"
    with zipfile.ZipFile(evil, "w") as writer:
        writer.writestr("photos.csv", table.replace(",shoot,", ",../../up,"))
        for place in [line.split(",")[0] for line in table.splitlines()[1:]]:
            writer.writestr(place, jpeg(int(hashlib.sha256(place.encode()).hexdigest()[:6], 16)))
    merged = merge_corrections([evil], tmp_path / "inbox two")
    assert merged.new.total() == 0
    assert all("cannot name a folder" in reason for reason in merged.left_out.values())


def test_classes_that_a_folder_cannot_have_are_left_out(tmp_path: Path) -> None:
    truths = ["shoot", "Train", "valid", "unsorted", "cafe\u0301"]
    path = archive(tmp_path / "a.zip", [checked(seed, truth) for seed, truth in enumerate(truths)])
    merged = merge_corrections([path], tmp_path / "inbox")
    assert merged.new == {"shoot": 1, "caf\u00e9": 1}
    assert len(merged.left_out) == 3
    assert {path.name for path in (tmp_path / "inbox").iterdir() if path.is_dir()} == {"shoot", "caf\u00e9"}


def test_other_files_are_refused_and_other_commands_point_here(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as writer:
        writer.writestr("game/1.jpg", jpeg(1))
    for name, word in [("nowhere.zip", "does not exist"), ("text.zip", "no ZIP file"), ("photos.zip", "of the app")]:
        with pytest.raises(CollectError, match=word):
            merge_corrections([tmp_path / name], tmp_path / "inbox")
    assert not (tmp_path / "inbox").exists()
    archive(tmp_path / "a.zip", two_games())
    summary = collect(Local([tmp_path / "a.zip"]), tmp_path / "local", web_for())
    assert summary.new == 0
    assert summary.left_out == {"corrections of the app: use the source `app`": 1}


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = archive(tmp_path / "a.zip", two_games())
    command = ["collect", "app", str(path), "--out", str(tmp_path / "data" / "inbox" / "app"), "--author", "Bo"]
    main(words=[*command, "--dry-run"])
    assert "21 new photos would be in" in capsys.readouterr().out
    assert not (tmp_path / "data").exists()
    main(words=command)
    said = capsys.readouterr().out
    assert "(dribble 5, layup 5, none 5, shoot 6), 0 relabelled, 0 known" in said
    assert "for training only" in said
    assert {row["author"] for row in read_rows(tmp_path / "data/inbox/app/photos.csv").values()} == {"Bo"}
    main(words=command)
    assert capsys.readouterr().out.startswith("0 new photos in ")


def test_nothing_happens_without_a_photo(tmp_path: Path) -> None:
    assert merge_corrections([archive(tmp_path / "a.zip", [])], tmp_path / "inbox") == Merged()
