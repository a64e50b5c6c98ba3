"""Photos and videos that are on this machine."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from bball_pl.collect.job import Summary
from bball_pl.collect.local import Clips, Local
from bball_pl.collect.source import CollectError
from bball_pl.photos.decode import decode

from helpers.collect_servers import collect, picture, position, rows, web_for

pillow_heif.register_heif_opener()


def take(root: Path, *paths: Path, **options: object) -> Summary:
    web = web_for()
    return collect(Local(paths, **options), root, web)  # type: ignore[arg-type]


def phone(folder: Path) -> Path:
    """What a phone exports: HEIC with positions, a live photo's video, edits, sidecars, hidden files."""
    (folder / "DCIM" / "100APPLE").mkdir(parents=True)
    place = folder / "DCIM" / "100APPLE"
    (place / "IMG_0001.HEIC").write_bytes(picture(1, "HEIF", (64, 48), exif=position()))
    (place / "IMG_0001.MOV").write_bytes(b"\0\0\0\x14ftypqt  " + b"\0" * 40)
    (place / "IMG_0001.AAE").write_text("<plist/>")
    (place / "IMG_0002.JPG").write_bytes(picture(2, exif=position()))
    (place / "IMG_0002.JPG.json").write_text('{"geoData": {"latitude": 25.0}}')
    (place / "IMG_0003.JPG").write_bytes(b"<html>not found</html>")
    (place / "IMG_0004.txt").write_bytes(picture(4, "PNG"))
    (place / ".DS_Store").write_bytes(b"\0")
    (place / "._IMG_0002.JPG").write_bytes(b"\0\5\x16\7")
    (folder / "notes.docx").write_bytes(b"PK\x03\x04")
    return folder


def test_a_phone_export_gives_its_photos_without_positions(tmp_path: Path) -> None:
    export = phone(tmp_path / "phone")
    before = {path: path.read_bytes() for path in export.rglob("*") if path.is_file()}
    root = tmp_path / "inbox"
    summary = take(root, export, author="Ann Lee", licence="CC-BY-4.0")
    assert summary.new == 3
    assert summary.left_out == {"a video: use the source `video`": 1, "not a photo": 2}
    table = {Path(row["source_url"]).name: row for row in rows(root)}
    assert sorted(table) == ["IMG_0001.HEIC", "IMG_0002.JPG", "IMG_0004.txt"]
    row = table["IMG_0001.HEIC"]
    assert row["path"].startswith("unsorted/phone-DCIM-100APPLE/IMG_0001-")
    # HEIC stays HEIC and can be read; content decides on the suffix.
    assert row["path"].endswith(".heic")
    assert decode(root / row["path"]).shape == (64, 48, 3)
    assert table["IMG_0004.txt"]["path"].endswith(".png")
    assert (row["group"], row["time"]) == ("local:phone/DCIM/100APPLE", "2024-05-06T07:08:09+08:00")
    assert (row["author"], row["licence"], row["source"]) == ("Ann Lee", "CC-BY-4.0", "local")
    for row in table.values():
        with Image.open(root / row["path"]) as image:
            assert not image.getexif().get_ifd(0x8825)
    assert {path: path.read_bytes() for path in export.rglob("*") if path.is_file()} == before
    again = take(root, export)
    assert (again.new, again.known) == (0, 3)


def test_days_part_a_folder_that_holds_everything(tmp_path: Path) -> None:
    take(tmp_path / "inbox", phone(tmp_path / "phone"), group="day")
    groups = {Path(row["source_url"]).name: row["group"] for row in rows(tmp_path / "inbox")}
    assert groups["IMG_0002.JPG"] == "local:phone/DCIM/100APPLE/2024-05-06"
    assert groups["IMG_0004.txt"] == "local:phone/DCIM/100APPLE"


def test_zip_files_cannot_leave_the_folder_nor_fill_the_memory(tmp_path: Path) -> None:
    root, outside = tmp_path / "inbox", tmp_path / "evil.jpg"
    bomb = tmp_path / "album.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("../../evil.jpg", picture(1))
        file.writestr("/absolute.jpg", picture(2))
        file.writestr("..\\..\\windows.jpg", picture(3))
        file.writestr("game/a.jpg", picture(4))
        file.writestr("game/again.jpg", picture(4))
        file.writestr("__MACOSX/game/._a.jpg", b"\0\5")
        file.writestr("game/huge.jpg", picture(5) + b"\0" * 3_000_000)
        file.writestr("game/page.jpg", b"<html>" + b" " * 10_000_000)
    assert bomb.stat().st_size < 50_000
    (tmp_path / "broken.zip").write_bytes(bomb.read_bytes()[:300])
    summary = take(root, bomb, tmp_path / "broken.zip", max_bytes=1_000_000)
    assert summary.new == 4
    assert summary.left_out == {
        "the same file as another photo": 1,
        "larger than 1 MB": 1,
        "not a photo": 1,
        "damaged zip file (BadZipFile)": 1,
    }
    assert str(summary.problem).startswith("not everything was read: broken.zip: damaged zip file (BadZipFile).")
    assert not outside.exists()
    assert {path.parent.parent for path in root.glob("unsorted/*/*")} == {root / "unsorted"}
    assert len(list(root.glob("unsorted/*/*.jpg"))) == 4


def test_an_encrypted_zip_says_so(tmp_path: Path) -> None:
    plain = tmp_path / "a.zip"
    with zipfile.ZipFile(plain, "w") as file:
        file.writestr("a.jpg", picture(1))
    content = bytearray(plain.read_bytes())
    # Bit 0 of the flags, in the file's own head and in the list at the end.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    plain.write_bytes(content)
    summary = take(tmp_path / "inbox", plain)
    assert summary.left_out == {"encrypted in its zip file": 1}
    assert "no photo was collected" in str(summary.problem)


def test_two_folders_with_the_same_names_are_two(tmp_path: Path) -> None:
    for year in ("2023", "2024"):
        (tmp_path / year / "finals").mkdir(parents=True)
        (tmp_path / year / "finals" / "IMG_1.jpg").write_bytes(picture(int(year)))
    root = tmp_path / "inbox"
    assert take(root, tmp_path / "2023" / "finals").new == 1
    assert take(root, tmp_path / "2024" / "finals").new == 1
    # Another photo under an old name is another photo.
    (tmp_path / "2024" / "finals" / "IMG_1.jpg").write_bytes(picture(7))
    assert take(root, tmp_path / "2024" / "finals").new == 1


def test_a_folder_without_photos_is_a_failure_and_known_photos_are_not(tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    (album / "README.txt").write_text("nothing yet")
    assert "no photo was found there" in str(take(tmp_path / "inbox", album).problem)
    (album / "pointer.jpg").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    summary = take(tmp_path / "inbox", album)
    assert summary.left_out == {"a pointer of Git LFS instead of the photo; run git lfs pull": 1}
    assert "no photo was collected" in str(summary.problem)
    (album / "a.jpg").write_bytes(picture(1))
    for known in (0, 1):
        summary = take(tmp_path / "inbox", album)
        assert (summary.known, summary.problem) == (known, None)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    album = tmp_path / "album"
    (album / "closed").mkdir(parents=True)
    (album / "a.jpg").write_bytes(picture(1))
    listed = os.scandir

    def scandir(folder: Path) -> object:  # root can read everything
        if Path(folder).name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    summary = take(tmp_path / "inbox", album)
    assert summary.new == 1
    assert "closed: the folder cannot be listed (Permission denied)" in str(summary.problem)


def test_links_and_unreadable_things_do_not_stop_it(tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    (album / "a.jpg").write_bytes(picture(1))
    (album / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (album / "loop").symlink_to(album, target_is_directory=True)
    (album / "cut.jpg").write_bytes(picture(2, size=(400, 300))[:700])
    summary = take(tmp_path / "inbox", album)
    assert summary.new == 1
    assert summary.left_out == {"cannot be read (No such file or directory)": 1, "truncated or damaged": 1}
    with pytest.raises(CollectError, match="nowhere does not exist"):
        take(tmp_path / "inbox", tmp_path / "nowhere")


def clip(path: Path, scenes: int, first: int = 0, seconds: float = 2.0, rate: int = 10) -> Path:
    """A video of so many scenes, each of one noisy picture that pans slowly."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), rate, (64, 48))
    assert writer.isOpened()
    for scene in range(first, first + scenes):
        wide = np.random.default_rng(scene).integers(0, 255, (6, 16, 3)).astype(np.uint8)
        wide = np.asarray(cv2.resize(wide, (160, 48), interpolation=cv2.INTER_LINEAR))
        for frame in range(round(seconds * rate)):
            writer.write(np.ascontiguousarray(wide[:, frame : frame + 64]))
    writer.release()
    return path


def frames(root: Path, *paths: Path, **options: object) -> Summary:
    return collect(Clips(paths, **options), root, web_for())  # type: ignore[arg-type]


def test_frames_per_second_of_a_clip_are_one_group(tmp_path: Path) -> None:
    clip(tmp_path / "videos" / "game.avi", scenes=3)
    clip(tmp_path / "videos" / "deep" / "other.avi", scenes=1, first=9)
    root = tmp_path / "inbox"
    summary = frames(root, tmp_path / "videos", per_second=2.0, author="Bo")
    table = rows(root)
    assert summary.new == len(table) == 12 + 4
    groups = {row["group"] for row in table}
    assert {group.split(":")[1] for group in groups} == {"game.avi", "other.avi"}
    row = next(row for row in table if row["source_url"] == "game.avi#t=1.50")
    assert row["path"].startswith("unsorted/game/game-00001-50s-")
    assert (row["author"], row["source"]) == ("Bo", "video")
    assert decode(root / row["path"]).shape == (48, 64, 3)
    assert frames(root, tmp_path / "videos", per_second=2.0).known == 16
    # More frames later add what is missing.
    assert frames(root, tmp_path / "videos", per_second=5.0).new > 0


def test_scenes_give_one_frame_each(tmp_path: Path) -> None:
    root = tmp_path / "inbox"
    frames(root, clip(tmp_path / "game.avi", scenes=4), scenes=True)
    times = sorted(float(row["source_url"].partition("=")[2]) for row in rows(root))
    assert times == pytest.approx([0, 2, 4, 6], abs=0.15)


def test_a_video_that_ends_early_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    whole = clip(tmp_path / "game.avi", scenes=3)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    (tmp_path / "text.mp4").write_text("not a video")
    summary = frames(tmp_path / "inbox", tmp_path)
    assert 1 <= summary.new < 6
    assert summary.left_out.total() == 2
    # A video that ends early has given frames.
    assert str(summary.problem).startswith("not everything was read: text.mp4: ")
    assert "more" not in str(summary.problem)
    for bad in (0.0, float("nan")):
        with pytest.raises(CollectError, match="--per_second"):
            Clips([whole], per_second=bad)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CollectError, match="no video"):
        Clips([tmp_path / "empty"])
