"""Which copy is too many, which photo leaks, which class is small, which licence has a gap."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from bball_pl.audit.checks import FIXED
from bball_pl.audit.fix import check_kinds, to_move
from bball_pl.errors import ConfigError, DatasetError

from helpers.audit_albums import MOVES, dataset, found, look_at, row, save, scene, table, write_table


def actions(root: Path) -> dict[tuple[str, str], tuple[str, str]]:
    return {(own.kind, own.path): (own.counterpart, own.action) for own in look_at(root).findings}


def test_a_clean_dataset_has_nothing(tmp_path: Path) -> None:
    root = dataset(tmp_path / "d", {"train": 4, "val": 2, "test": 2}, groups=2)
    assert look_at(root).findings == []


def test_the_copy_that_is_measured_on_stays(tmp_path: Path) -> None:
    root = tmp_path / "d"
    for split, copy in (("train", "a"), ("val", "b"), ("test", "c")):
        save(root / split / "shoot" / f"{copy}.jpg", scene(0))
        save(root / split / "layup" / "other.jpg", scene(ord(copy)))
    leaks = {key: value for key, value in actions(root).items() if key[0] != "no_licence"}
    assert leaks == {
        ("leak_copy", "train/shoot/a.jpg"): ("test/shoot/c.jpg", "quarantine"),
        ("leak_copy", "val/shoot/b.jpg"): ("test/shoot/c.jpg", "quarantine"),
    }


def test_of_copies_in_one_split_the_largest_stays(tmp_path: Path) -> None:
    root, big = tmp_path / "d", scene(1, (480, 320))
    small = np.ascontiguousarray(big[::2, ::2])
    save(root / "train/shoot/a.jpg", small)
    save(root / "train/shoot/b.jpg", big)
    save(root / "train/shoot/c.jpg", big)
    save(root / "train/layup/d.jpg", scene(2))
    assert {key: value for key, value in actions(root).items() if "dup" in key[0]} == {
        ("exact_duplicate", "train/shoot/c.jpg"): ("train/shoot/b.jpg", "quarantine"),
        ("near_duplicate", "train/shoot/a.jpg"): ("train/shoot/b.jpg", "quarantine"),
    }


@pytest.mark.parametrize("places", [("train/shoot/a", "train/layup/b"), ("train/shoot/a", "test/layup/b")])
def test_copies_with_two_labels_are_left_to_a_person(tmp_path: Path, places: tuple[str, str]) -> None:
    root = tmp_path / "d"
    for place in places:
        save(root / f"{place}.jpg", scene(1))
    audit = look_at(root)
    assert found(audit, "two_classes") == {f"{place}.jpg" for place in places}
    assert {own.action for own in audit.of_kind("two_classes", "leak_copy")} == {"look"}
    assert to_move(audit, FIXED) == []
    assert {own.path for own in to_move(audit, [*FIXED, "two_classes"])} == {f"{place}.jpg" for place in places}
    assert bool(audit.of_kind("leak_copy")) == (places[1][:4] == "test")


def test_an_unsorted_copy_contradicts_nothing(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    save(root / "unsorted/a.jpg", scene(1))
    save(root / "shoot/b.jpg", scene(1))
    save(root / "layup/c.jpg", scene(2))
    audit = look_at(root)
    assert found(audit, "two_classes") == set()
    assert found(audit, "exact_duplicate") == {"unsorted/a.jpg"}, "the copy that has been sorted stays"


def test_a_link_to_a_folder_makes_no_copy_that_could_be_moved(tmp_path: Path) -> None:
    root = tmp_path / "d"
    for number in range(2):
        save(root / "train" / "shoot" / f"{number}.jpg", scene(number))
        save(root / "train" / "layup" / f"{number}.jpg", scene(10 + number))
    (root / "test").mkdir()
    (root / "test" / "shoot").symlink_to(root / "train" / "shoot")
    (root / "train" / "shoot" / "same.jpg").symlink_to(root / "train" / "shoot" / "0.jpg")
    audit = look_at(root)
    assert {own.path for own in audit.of_kind("leak_copy") if own.action == "look"} >= {"train/shoot/1.jpg"}
    # Only the link is a name of its own; the photos stay.
    assert {own.path for own in to_move(audit, FIXED)} <= {"train/shoot/same.jpg", "test/shoot/same.jpg"}


def test_files_that_cannot_be_read_are_no_copies(tmp_path: Path) -> None:
    root = dataset(tmp_path / "d", {"train": 1, "test": 1})
    for split in ("train", "test"):
        (root / split / "shoot" / "bad.jpg").write_bytes(b"no photo")
    audit = look_at(root)
    assert found(audit, "unreadable") == {"train/shoot/bad.jpg", "test/shoot/bad.jpg"}
    assert audit.of_kind("leak_copy", "exact_duplicate") == []


def test_a_game_in_two_splits(tmp_path: Path) -> None:
    root = dataset(tmp_path / "d", {"train": 3, "val": 1, "test": 1})
    rows = [
        own | {"group": "final"} if own["path"].startswith(("train", "test")) else own
        for own in table(root / "photos.csv")
    ]
    write_table(root, rows)
    audit = look_at(root)
    assert found(audit, "leak_group") == {f"test/{name}/000.jpg" for name in MOVES}, "the side with fewer photos"
    assert audit.of_kind("leak_group")[0].why == "group final: 9 in train, 3 in test"
    assert {own.kind for own in audit.findings} == {"leak_group"}


def test_a_copy_is_no_second_leak_by_the_game_of_its_original(tmp_path: Path) -> None:
    root = dataset(tmp_path / "d", {"train": 3, "test": 3}, groups=1)
    rows = table(root / "photos.csv")
    content = (root / "train/shoot/000.jpg").read_bytes()
    (root / "test/shoot/copy.jpg").write_bytes(content)
    write_table(root, rows)
    audit = look_at(root)
    assert found(audit, "leak_copy") == {"train/shoot/000.jpg"}
    assert found(audit, "leak_group") == set()


def test_the_sizes_of_classes(tmp_path: Path) -> None:
    root, seed = tmp_path / "d", 0
    for class_name, count in (("shoot", 7), ("dribble", 2), ("layup", 3)):
        for number in range(count):
            save(root / "train" / class_name / f"{number}.jpg", scene(seed))
            seed += 1
    for class_name in ("shoot", "dribble"):
        save(root / "test" / class_name / "0.jpg", scene(seed))
        seed += 1
    audit = look_at(root)
    assert found(audit, "imbalance") == {"train/dribble"}
    assert found(audit, "empty_class") == {"test/layup"}
    assert audit.of_kind("imbalance")[0].why == "2 photos; shoot has 7, 3.5 times as many"
    assert found(look_at(root, imbalance=2), "imbalance") == {"train/dribble", "train/layup"}
    assert found(look_at(root, imbalance=4), "imbalance") == set()
    with pytest.raises(ConfigError, match=r"imbalance is 0\.5"):
        look_at(root, imbalance=0.5)


def test_licences(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    given = {
        "own": {"licence": "with the league's consent"},
        "by": {"licence": "CC-BY-SA-3.0-DE"},
        "named": {"licence": "CC BY 4.0", "author": "", "attribution": "Ann Lee, CC BY 4.0"},
        "free": {"licence": "CC0-1.0", "author": ""},
        "mark": {"licence": "CC-PDM-1.0", "author": ""},
        "nameless": {"licence": "CC-BY-4.0", "author": ""},
        "nc": {"licence": "CC-BY-NC-4.0"},
        "nd": {"licence": "CC BY-ND 2.0"},
        "words": {"licence": "Attribution NonCommercial"},
        "empty": {"licence": ""},
    }
    rows = []
    for number, (name, cells) in enumerate(given.items()):
        save(root / "shoot" / f"{name}.jpg", scene(number))
        rows.append(row(f"shoot/{name}.jpg", "shoot", attribution="") | cells)
    save(root / "shoot" / "rowless.jpg", scene(99))
    write_table(root, rows)
    audit = look_at(root)
    gaps = {own.path.removeprefix("shoot/").removesuffix(".jpg"): own.kind for own in audit.findings}
    assert gaps == {
        **dict.fromkeys(("nc", "nd", "words"), "restricted_licence"),
        **dict.fromkeys(("empty", "rowless"), "no_licence"),
        "nameless": "no_author",
    }


def test_without_a_table_the_gap_is_told_once(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "tree" / "shoot" / f"{number}.jpg", scene(number))
    gaps = look_at(tmp_path / "tree").findings
    assert [(own.kind, own.path) for own in gaps] == [("no_licence", "")]


def test_kinds_that_can_be_moved() -> None:
    check_kinds(["near_duplicate", "doubtful_label"])
    for wrong in ([], ["imbalance"], ["unreadable", "bad"]):
        with pytest.raises(ConfigError, match="expected some of unreadable, leak_copy"):
            check_kinds(wrong)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    root = dataset(tmp_path / "d", {"train": 1, "test": 1})
    with (root / "photos.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["only one field"])
    with pytest.raises(DatasetError, match=r"photos\.csv, line 8"):
        look_at(root)
