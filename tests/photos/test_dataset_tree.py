"""Dataset folders as people make them: what is read, what is passed over, what is refused and with which words."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from bball_pl.audit.audit import Audit
from bball_pl.data.check import check_photos
from bball_pl.data.dataset import PhotoCache
from bball_pl.errors import DatasetError
from bball_pl.photos.dataset_layout import count_table, find_class_names, scan_dataset
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import Photo, PhotoTree
from bball_pl.split.write import SplitSettings, make_split, split_lines

Make = Callable[..., Path]


def check(root: Path, class_names: list[str] | None = None, rendered: Sequence[str] = ()) -> dict[str, list[Photo]]:
    dataset = scan_dataset(root, class_names, rendered)
    specs = dict.fromkeys(("train", "val", "test"), PreprocessSpec(32))
    with PhotoStore(root.parent / "cache") as store:
        return check_photos(dataset, PhotoCache(None), store, specs, rendered=rendered)


def test_class_names_are_found_in_the_order_of_the_moves_or_by_name(make_dataset: Make) -> None:
    assert find_class_names(make_dataset()) == ["shoot", "dribble", "layup"]
    assert find_class_names(make_dataset(class_names=("pass", "dunk"), name="other")) == ["dunk", "pass"]


def test_given_class_names_keep_their_order_and_leave_the_rest_out(make_dataset: Make) -> None:
    dataset = scan_dataset(make_dataset(), ["layup", "shoot"])
    assert dataset.class_names == ["layup", "shoot"]
    assert {photo.class_name for photo in dataset.photos} == {"layup", "shoot"}
    assert dataset.ignored == ["test/dribble/", "train/dribble/"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["shoot", "dunk"], r"train has no folder 'dunk' \(found: dribble, layup, shoot\).*--data\.class_names"),
        (["shoot"], "1 classes; expected two or more"),
        (["shoot", "shoot"], "shoot twice"),
    ],
)
def test_given_class_names_that_do_not_fit(make_dataset: Make, given: list[str], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        find_class_names(make_dataset(), given)


def test_a_class_name_of_two_lines_is_refused(make_dataset: Make) -> None:
    root = make_dataset(class_names=("two\nlines", "b", "c"))
    with pytest.raises(DatasetError, match=r"class name 'two\\nlines' has a line break") as raised:
        scan_dataset(root)
    assert "\n" not in str(raised.value)
    assert scan_dataset(root, ["b", "c"]).class_names == ["b", "c"]


def test_one_class_only(make_dataset: Make) -> None:
    with pytest.raises(DatasetError, match=r"1 class folder \(found: shoot\); expected two or more"):
        find_class_names(make_dataset(class_names=("shoot",)))


def test_root_without_train_says_what_it_has(make_dataset: Make) -> None:
    root = make_dataset()
    with pytest.raises(DatasetError, match=r"no folder 'train' \(found: test, train\)|found: dataset"):
        find_class_names(root.parent)
    with pytest.raises(DatasetError, match=r"folders dribble, layup, shoot look like classes(?s:.*)bball split"):
        find_class_names(root / "train")


def test_splits_must_have_the_same_classes(make_dataset: Make, paint: Make) -> None:
    root = make_dataset()
    paint(root / "test/dunk/d.jpg")
    with pytest.raises(DatasetError, match=r"test has the folder dunk, and .*train has not"):
        scan_dataset(root)
    shutil.rmtree(root / "test/dunk")
    shutil.rmtree(root / "test/layup")
    with pytest.raises(DatasetError, match=r"test has no folder 'layup'"):
        scan_dataset(root)


def test_litter_is_passed_over_and_other_files_are_listed(make_dataset: Make) -> None:
    root = make_dataset({"train": 2})
    before = scan_dataset(root).photos
    for name in (".DS_Store", "Thumbs.db", "._s0.jpg", "README", "readme.txt", ".hidden/x.jpg", "desktop.ini"):
        path = root / "train/shoot" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"litter")
    (root / "train/.git").mkdir()
    (root / "train/notes.txt").write_text("beside the classes")
    (root / "train/shoot/notes.pdf").write_bytes(b"%PDF")
    dataset = scan_dataset(root)
    assert dataset.photos == before
    assert dataset.ignored == ["train/shoot/notes.pdf"]


def test_a_folder_of_photos_beside_the_splits_is_named(make_dataset: Make, paint: Make) -> None:
    root = make_dataset({"train": 1})
    (root / "labels").mkdir()
    (root / "labels/notes.txt").write_text("no photo")
    assert scan_dataset(root).ignored == []
    paint(root / "extra/shoot/x.jpg")
    paint(root / "quarantine/shoot/y.jpg")
    paint(root / "train/shoot.jpg", seed=7)
    assert scan_dataset(root).ignored == ["extra/", "train/ (1 photos in no class folder)"]
    with PhotoStore(None) as store:
        audit = Audit.of(PhotoTree.scan(root), store, labels=False)
        assert "extra/ beside the splits has photos that are not read" in audit.remarks
        settings = SplitSettings(root, root.parent / "out", near_duplicates=False)
        assert "extra/ beside the splits has photos that are not read" in split_lines(
            make_split(settings, store), settings
        )


def test_names_folders_and_links_of_every_kind(make_dataset: Make, paint: Make, tmp_path: Path) -> None:
    root = make_dataset({"train": 1})
    paint(root / "train/shoot/週末聯盟 3.JPG", seed=50)
    paint(root / "train/shoot/album 1/deep/x.png", seed=51)
    paint(tmp_path / "elsewhere/y.jpg", seed=52)
    (root / "train/shoot/linked").symlink_to(tmp_path / "elsewhere")
    (root / "train/shoot/z.jpg").symlink_to(tmp_path / "elsewhere/y.jpg")
    (root / "train/shoot/round").symlink_to(root / "train/shoot")
    names = {photo.relative.removeprefix("train/shoot/") for photo in check(root)["train"] if photo.target == 0}
    assert names == {"s0.jpg", "週末聯盟 3.JPG", "album 1/deep/x.png", "linked/y.jpg", "z.jpg"}


def test_class_without_photos_is_refused(make_dataset: Make) -> None:
    root = make_dataset()
    shutil.rmtree(root / "test/layup")
    (root / "test/layup").mkdir()
    message = r"test has no usable photo of: layup \(found: shoot 3, dribble 3, layup 0\)"
    with pytest.raises(DatasetError, match=message):
        check(root)
    # A class that will be rendered is not missing, and is not listed as if it were.
    with pytest.raises(DatasetError, match=message):
        check(root, ["shoot", "dribble", "layup", "none"], rendered=["none"])


def test_test_photo_that_is_also_in_train_is_refused(make_dataset: Make) -> None:
    root = make_dataset({"train": 5, "val": 2, "test": 2})
    shutil.copy(root / "train/shoot/s1.jpg", root / "test/shoot/copy.jpg")
    shutil.copy(root / "train/layup/l1.jpg", root / "val/dribble/other.jpg")
    with pytest.raises(DatasetError) as caught:
        check(root)
    assert "2 photos" in str(caught.value)
    assert "test/shoot/copy.jpg = train/shoot/s1.jpg" in str(caught.value)
    assert "val/dribble/other.jpg = train/layup/l1.jpg" in str(caught.value)


def test_same_photo_under_two_classes_is_refused_and_twice_in_one_is_not(make_dataset: Make) -> None:
    root = make_dataset()
    shutil.copy(root / "train/shoot/s1.jpg", root / "train/shoot/again.jpg")
    assert len(check(root)["train"]) == 31
    shutil.copy(root / "train/shoot/s1.jpg", root / "train/layup/lost.jpg")
    with pytest.raises(DatasetError, match=r"train/layup/lost\.jpg = train/shoot/(again|s1)\.jpg"):
        check(root)


def test_pipe_with_the_name_of_a_photo_is_bad_and_not_waited_for(make_dataset: Make) -> None:
    root = make_dataset()
    os.mkfifo(root / "train/shoot/pipe.jpg")
    with pytest.raises(DatasetError, match=r"pipe\.jpg: not a regular file"):
        check(root)


def test_groups_come_from_photos_csv(make_dataset: Make) -> None:
    root = make_dataset({"train": 2, "test": 1})
    (root / "photos.csv").write_text(
        "path,class,group\ntrain/shoot/s0.jpg,shoot,album 1\ntest/layup/l0.jpg,layup,album 2\n", encoding="utf-8"
    )
    groups = {photo.relative: photo.group for photos in check(root).values() for photo in photos if photo.group}
    assert groups == {"train/shoot/s0.jpg": "album 1", "test/layup/l0.jpg": "album 2"}


def test_photos_csv_that_contradicts_the_folders_names_each_row(make_dataset: Make) -> None:
    root = make_dataset()
    (root / "photos.csv").write_text(
        "path,class\ntrain/shoot/s0.jpg,shoot\ntrain/shoot/s1.jpg,layup\ntrain/shoot/gone.jpg,shoot\n", encoding="utf-8"
    )
    with pytest.raises(DatasetError) as caught:
        scan_dataset(root)
    assert "row 3: train/shoot/s1.jpg has the class 'layup'" in str(caught.value)
    assert "row 4: train/shoot/gone.jpg is not there" in str(caught.value)


def test_damaged_store_costs_time_only(make_dataset: Make) -> None:
    root = make_dataset()
    first = check(root)
    (store,) = (root.parent / "cache").rglob("*.sqlite")
    for content in (b"", b"no database", store.read_bytes()[:5000]):
        store.write_bytes(content)
        assert check(root) == first


def test_table_counts_photos_and_groups_per_split(make_dataset: Make) -> None:
    root = make_dataset({"train": 4, "test": 2})
    (root / "photos.csv").write_text("path,class,group\ntrain/shoot/s0.jpg,shoot,album 1\n", encoding="utf-8")
    console = Console(record=True, width=80)
    console.print(count_table(check(root), ["shoot", "dribble", "layup"]))
    rows = [line.replace("│", " ").split() for line in console.export_text().splitlines()]
    assert ["shoot", "投籃", "4", "2"] in rows
    assert ["all", "12", "6"] in rows
    assert ["groups", "1", "0"] in rows
