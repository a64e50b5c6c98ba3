"""Datasets as other tools write them: names of the splits' folders, missing splits, unlabelled tests, LFS pointers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.errors import DatasetError, PhotoError
from bball_pl.photos.dataset_layout import scan_dataset
from bball_pl.photos.decode import decode
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import PhotoTree, split_folders
from bball_pl.split.write import SplitSettings, make_split

MakeDataset = Callable[..., Path]


@pytest.mark.parametrize(
    "names", [("train", "valid", "test"), ("Train", "Validation", "Test"), ("TRAIN", "val", "testing")]
)
def test_names_of_other_tools_are_splits(make_dataset: MakeDataset, names: tuple[str, str, str]) -> None:
    root = make_dataset(dict(zip(names, (6, 2, 3), strict=True)))
    tree = PhotoTree.scan(root)
    assert {name: sum(photo.split == name for photo in tree.photos) for name in ("train", "val", "test")} == {
        "train": 18,
        "val": 6,
        "test": 9,
    }
    data = PhotoDataModule(root, spec=PreprocessSpec(32), num_workers=0, cache_dir=root.parent / "cache")
    data.prepare_data()
    assert {name: len(photos) for name, photos in data.photos.items()} == {"train": 18, "val": 6, "test": 9}
    assert {photo.relative.split("/")[0] for photo in data.photos["val"]} == {names[1]}


def test_two_folders_of_one_split_are_refused(make_dataset: MakeDataset) -> None:
    root = make_dataset({"train": 4, "val": 2, "valid": 2})
    with pytest.raises(DatasetError, match="val and valid"):
        scan_dataset(root)
    assert split_folders(root.parent / "nowhere") == {}


def test_class_folders_without_splits_get_the_command_that_divides_them(make_dataset: MakeDataset) -> None:
    root = make_dataset({"train": 3}) / "train"
    with pytest.raises(DatasetError, match=r"bball split .*train --out .*train_split"):
        scan_dataset(root)


def test_an_unlabelled_test_is_named_as_one(make_dataset: MakeDataset) -> None:
    root = make_dataset({"train": 3})
    (root / "test").mkdir()
    (root / "train/shoot/s0.jpg").rename(root / "test/1.jpg")
    with pytest.raises(DatasetError, match="no class folders: they are unlabelled"):
        scan_dataset(root)


def test_a_split_adds_to_no_folder_of_another_name(make_dataset: MakeDataset) -> None:
    out = make_dataset({"train": 4, "valid": 2})
    album = make_dataset({"album": 6}, name="league") / "album"
    with PhotoStore(out.parent / "store") as store, pytest.raises(DatasetError, match="Rename it to val"):
        make_split(SplitSettings(root=album, out=out), store)
    assert not (out / "val").exists()


def test_a_pointer_of_git_lfs_is_named_as_one() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
    with pytest.raises(PhotoError, match="git lfs pull"):
        decode(pointer)


@pytest.mark.parametrize("on_bad_photo", ["error", "skip"])
def test_a_dataset_of_pointers_gets_the_command_that_fetches_it(
    make_dataset: MakeDataset, on_bad_photo: Literal["error", "skip"]
) -> None:
    root = make_dataset({"train": 3}, name="my photos")
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n" + path.name.encode())
    data = PhotoDataModule(
        root, spec=PreprocessSpec(32), num_workers=0, cache_dir=root.parent / "cache", on_bad_photo=on_bad_photo
    )
    with pytest.raises(DatasetError, match=f"9 of 9 photos in .* pointers of Git LFS.*\n  git -C '{root}' lfs pull$"):
        data.prepare_data()
