"""Which photos a tree has, what they show by their folders, and which row of which table is theirs."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bball_pl.errors import DatasetError
from bball_pl.photos.tree import PhotoTree

from helpers.audit_albums import row, write_table


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def shown(album: PhotoTree) -> dict[str, tuple[str, str, str]]:
    return {own.relative: (own.split, own.class_name, own.group) for own in album.photos}


def test_a_dataset(tmp_path: Path) -> None:
    root = touch(tmp_path, "train/shoot/a.jpg", "train/layup/deep/b.PNG", "test/shoot/c.webp", "test/stray.jpg")
    touch(root, "train/shoot/notes.txt", "extra/shoot/d.jpg", "top.jpg", "train/.hidden/e.jpg", "train/shoot/.f.jpg")
    (root / "train" / "dribble").mkdir()
    write_table(root, [row("train/shoot/a.jpg", "shoot", "game 1"), row("test/shoot/c.webp", "shoot")])
    album = PhotoTree.scan(root)
    assert album.has_splits
    assert album.splits == ["train", "test"]
    assert album.class_names == ["shoot", "dribble", "layup"], "a folder without photos is a class as well"
    assert shown(album) == {
        "test/shoot/c.webp": ("test", "shoot", ""),
        "test/stray.jpg": ("test", "", ""),
        "train/layup/deep/b.PNG": ("train", "layup", ""),
        "train/shoot/a.jpg": ("train", "shoot", "game 1"),
    }
    assert [own.relative for own in album.photos] == sorted(own.relative for own in album.photos)


def test_an_inbox(tmp_path: Path) -> None:
    root = touch(tmp_path / "inbox", "local/unsorted/a/1.jpg", "local/shoot/a/2.jpg", "web/layup/3.jpg", "web/4.jpg")
    write_table(root / "local", [row("unsorted/a/1.jpg", "unsorted", "a"), row("unsorted/a/2.jpg", "unsorted", "a")])
    write_table(root / "web", [row("layup/3.jpg", "layup", "a"), row("4.jpg", "dribble", "b")])
    album = PhotoTree.scan(root)
    assert not album.has_splits
    assert album.splits == []
    assert album.class_names == ["shoot", "dribble", "layup"]
    assert shown(album) == {
        "local/shoot/a/2.jpg": ("", "shoot", ""),
        "local/unsorted/a/1.jpg": ("", "", "local/a"),
        "web/4.jpg": ("", "dribble", "web/b"),
        "web/layup/3.jpg": ("", "layup", "web/a"),
    }, "albums of two sources are two groups"


def test_a_photo_that_was_moved_keeps_its_row(tmp_path: Path) -> None:
    root = touch(tmp_path, "shoot/x.jpg", "unsorted/y.jpg")
    sha256 = hashlib.sha256(b"shoot/x.jpg").hexdigest()
    write_table(root, [row("unsorted/x.jpg", "unsorted", "game 1", sha256=sha256)])
    album = PhotoTree.scan(root, ["shoot"])
    assert shown(album)["shoot/x.jpg"] == ("", "shoot", "")
    album.photos = [replace(own, sha256="" if own.path.name == "y.jpg" else sha256) for own in album.photos]
    album.join_by_content()
    assert shown(album) == {"shoot/x.jpg": ("", "shoot", "game 1"), "unsorted/y.jpg": ("", "", "")}


def test_only_unsorted_photos(tmp_path: Path) -> None:
    root = touch(tmp_path, "unsorted/a/1.jpg", "unsorted/b/2.jpg")
    write_table(root, [row("unsorted/a/1.jpg", "unsorted"), row("unsorted/b/2.jpg", "unsorted")])
    album = PhotoTree.scan(root)
    assert album.class_names == []
    assert {own.class_name for own in album.photos} == {""}


def test_plain_class_folders(tmp_path: Path) -> None:
    root = touch(tmp_path, "ants/1.jpg", "bees/more/2.jpg", "3.jpg")
    assert PhotoTree.scan(root).class_names == ["ants", "bees"]
    assert {own.class_name for own in PhotoTree.scan(root).photos} == {"ants", "bees", ""}
    assert shown(PhotoTree.scan(root, ["more"]))["bees/more/2.jpg"][1] == "more"


def test_quarantine_is_left_out(tmp_path: Path) -> None:
    root = touch(tmp_path, "shoot/1.jpg", "layup/2.jpg", "quarantine/shoot/3.jpg", "shoot/quarantine/4.jpg")
    assert sorted(shown(PhotoTree.scan(root))) == ["layup/2.jpg", "shoot/1.jpg", "shoot/quarantine/4.jpg"]


def test_links_are_followed_and_not_for_ever(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "1.jpg")
    root = touch(tmp_path / "tree", "shoot/2.jpg")
    (root / "layup").symlink_to(tmp_path / "elsewhere")
    (root / "shoot" / "again").symlink_to(root)
    (root / "shoot" / "gone.jpg").symlink_to(root / "nowhere.jpg")
    assert sorted(shown(PhotoTree.scan(root))) == ["layup/1.jpg", "shoot/2.jpg", "shoot/gone.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="names there are UTF-16")
def test_names_of_any_bytes(tmp_path: Path) -> None:
    root = touch(tmp_path, "shoot/運球\n1.jpg")
    (root / "shoot" / os.fsdecode(b"\xff\xfe.jpg")).write_bytes(b"x")
    assert len(PhotoTree.scan(root).photos) == 2


def test_what_cannot_be_audited(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder"):
        PhotoTree.scan(tmp_path / "nowhere")
    touch(tmp_path, "readme.txt")
    with pytest.raises(DatasetError, match="has no photos"):
        PhotoTree.scan(tmp_path)
    touch(tmp_path, "shoot/1.jpg")
    (tmp_path / "photos.csv").write_text("path;class\na;b\n")
    with pytest.raises(DatasetError, match="no column"):
        PhotoTree.scan(tmp_path)
