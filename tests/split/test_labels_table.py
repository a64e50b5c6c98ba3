"""Flat photos with a table of labels, as Kaggle gives them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bball_pl.errors import DatasetError
from bball_pl.photos.dataset_layout import find_class_names, scan_dataset
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import PhotoTree
from bball_pl.split.labels_table import Labelled, label_tree
from bball_pl.split.write import SplitSettings, make_split, split_lines

from helpers.split_albums import noise

#: Name of the class of each photo.
CLASSES = {"a1": "dunk", "a2": "dunk", "b1": "pass", "b2": "001", "c": "001"}


@pytest.fixture
def label(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return a function that labels five empty photos by a table and returns their classes by stem."""

    def run(text: str, **options: list[str]) -> dict[str, str]:
        for name in ("images/a1.jpg", "images/a2.PNG", "images/deep/b1.jpg", "images/b2.jpg", "c.jpeg"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / "table.csv").write_text(text, encoding="utf-8-sig")
        labelled = label_tree(PhotoTree.scan(tmp_path), tmp_path / "table.csv", **options)
        assert isinstance(labelled, Labelled)
        assert all((photo.target >= 0) == bool(photo.class_name) for photo in labelled.tree.photos)
        return {photo.path.stem: photo.class_name for photo in labelled.tree.photos if photo.class_name}

    return run


@pytest.mark.parametrize(
    "text",
    [
        "image,label\na1.jpg,dunk\na2.PNG,dunk\nb1.jpg,pass\nb2.jpg,001\nc.jpeg,001\n",
        "id,breed\na1,dunk\na2,dunk\nb1,pass\nb2,001\nc,001\n",
        "Category;File Name\r\ndunk;images/a1.jpg\r\ndunk;images\\a2.png\r\n"
        "pass;b1\r\n001;./images/b2.jpg\r\n001;c\r\n",
        "class_id\tclass_name\timage_id\tfold\n0\tdunk \ta1\t1\n0\tdunk\ta2\t2\n"
        "1\tpass\tb1\t1\n2\t001\tb2\t2\n2\t001\tc\t3\n",
        "image,dunk,pass,001\na1,1.0,0.0,0.0\na2,1,0,0\nb1,0,1,0\nb2,0,0,1\nc,0,0,1\n",
        "who,what\na1,dunk\na2,dunk\nb1,pass\nb2,001\nc,001\n",
        "name,id,label\nx,a1,dunk\nx,a2,dunk\nx,b1,pass\nx,b2,001\nx,c,001\n",
    ],
    ids=["files", "ids", "semicolons", "tabs", "one-hot", "any names", "two names"],
)
def test_tables_of_all_kinds_give_the_classes(text: str, label: Callable[..., dict[str, str]]) -> None:
    assert label(text) == CLASSES


def test_a_row_without_a_class_and_a_class_that_is_left_out(label: Callable[..., dict[str, str]]) -> None:
    assert label("image,dunk,pass\na1,0,0\nb1,0,1\nb2,1,0\n") == {"b1": "pass", "b2": "dunk"}
    text = "image,label\na1,dunk\nb1,pass\nb2,\nc,001\n"
    assert label(text, class_names=["001", "dunk"]) == {"a1": "dunk", "c": "001"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 columns and 0 rows"),
        ("image,label\n", "2 columns and 0 rows"),
        ("image\na1\n", "1 columns and 1 rows"),
        ("image,label\nx1,dunk\nx2,pass\n", r"names none of the photos \(such as x1, x2\)"),
        ("image,label\na1,dunk,3\n", "row 2: 3 fields, but the first line names 2"),
        ("image,label\na1,dunk\na1,pass\n", "row 3: a1 is pass, and dunk in another row"),
        ("image,dunk,pass\na1,1,1\n", "row 2: dunk and pass are both 1"),
        ("image,width,height\na1,10,20\n", r"no column of classes \(found: image, width, height\)"),
    ],
)
def test_tables_that_do_not_fit_are_refused(text: str, words: str, label: Callable[..., dict[str, str]]) -> None:
    with pytest.raises(DatasetError, match=words):
        label(text)


def test_a_name_of_two_photos_and_files_that_are_no_table(tmp_path: Path, label: Callable[..., dict[str, str]]) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a1.jpg").touch()
    with pytest.raises(DatasetError, match=r"a1.jpg is the name of 2 photos, such as images/a1.jpg and other/a1"):
        label("image,label\na1.jpg,dunk\n")
    assert label("image,label\nother/a1.jpg,dunk\nc,pass\n") == {"a1": "dunk", "c": "pass"}
    tree = PhotoTree.scan(tmp_path)
    (tmp_path / "table.csv").write_bytes("image,label\na1,比賽\n".encode("big5"))
    for table, words in ((tmp_path / "table.csv", "not UTF-8"), (tmp_path, "directory"), (tmp_path / "x", "No such")):
        with pytest.raises(DatasetError, match=words):
            label_tree(tree, table)


def test_a_kaggle_folder_becomes_a_dataset_by_the_command_that_fit_prints(tmp_path: Path) -> None:
    root, out = tmp_path / "kaggle", tmp_path / "kaggle_split"
    for number in range(24):
        noise(root / ("test" if number >= 18 else "train") / f"img_{number}.jpg", number)
    rows = [f"img_{number},{('dunk', 'pass', 'yes')[number % 3]},game {number // 3}" for number in range(18)]
    (root / "labels.csv").write_text("\n".join(["id,label,group", *rows, "img_99,dunk,"]))
    (root / "sample_submission.csv").write_text("id,label\nimg_18,dunk\n")
    with pytest.raises(DatasetError, match=f"bball split {root}/train --labels {root}/labels.csv --out {out}"):
        find_class_names(root)
    for given in (root / "train", root):  # Kaggle's test has no labels
        settings = SplitSettings(given, out, val=0.2, test=0.2, near_duplicates=False, labels=root / "labels.csv")
        made = make_split(settings, PhotoStore(None))
        assert "1 rows of" in next(line for line in split_lines(made, settings) if "not in" in line)
        dataset = scan_dataset(out)
        assert dataset.class_names == ["dunk", "pass", "yes"]
        assert len(dataset.photos) == 18
        assert {photo.class_name for photo in dataset.photos if photo.split == "test"} == {"dunk", "pass", "yes"}
        groups = {(photo.group, photo.split) for photo in dataset.photos}
        assert len(groups) == len({group for group, _ in groups}) == 6, "a game is in one split"
        shutil.rmtree(out)
    (root / "labels.csv").write_text("id,label\nimg_0,dunk/slam\nimg_1,pass\n")
    with pytest.raises(DatasetError, match=r"class 'dunk/slam' cannot be the name of a folder everywhere: it has /\."):
        make_split(SplitSettings(root, out, labels=root / "labels.csv"), PhotoStore(None))
    flat = tmp_path / "flat"
    shutil.copytree(root / "train", flat)
    shutil.copy(root / "labels.csv", flat / "train.csv")
    with pytest.raises(DatasetError, match=f"bball split {flat} --labels {flat}/train.csv --out {flat}_split"):
        find_class_names(flat)
