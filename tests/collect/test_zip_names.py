"""Names of folders in zip files of a Mac and of Windows."""

from __future__ import annotations

import unicodedata
import zipfile
from pathlib import Path

import pytest

from bball_pl.collect.local import Local
from bball_pl.collect.source import CollectError
from bball_pl.collect.zip_names import member_names

from helpers.collect_servers import collect, picture, rows, web_for


def archive(path: Path, names: list[bytes]) -> Path:
    """Write a zip file whose names are these bytes, without the flag of UTF-8."""
    with zipfile.ZipFile(path, "w") as file:
        stand_ins = {b"%04d" % number + b"x" * (len(name) - 4): name for number, name in enumerate(names)}
        for number, stand_in in enumerate(stand_ins):
            file.writestr(stand_in.decode(), picture(number))
    content = path.read_bytes()
    for stand_in, name in stand_ins.items():
        content = content.replace(stand_in, name)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("utf-8", ["比賽/上籃/IMG_1.jpg", "比賽/投籃/IMG_2.jpg", "plain.jpg"]),
        ("utf-8", [unicodedata.normalize("NFD", "ドリブル/ü.jpg")]),
        ("cp950", ["比賽/上籃/IMG_1.jpg", "週末聯盟 3/投籃.jpg"]),
        ("cp950", ["運球/1.jpg"]),
        ("gbk", ["比赛/上篮/IMG_1.jpg", "周末联赛/投篮.jpg"]),
        ("cp932", ["試合/シュート/IMG_1.jpg", "試合/ドリブル/IMG_2.jpg"]),
        ("cp437", ["niña/año/IMG_1.jpg", "größe/é.jpg"]),
        ("ascii", ["game one/layup.jpg"]),
    ],
)
def test_names_keep_their_letters(encoding: str, names: list[str], tmp_path: Path) -> None:
    path = archive(tmp_path / "album.zip", [name.encode(encoding) for name in names])
    with zipfile.ZipFile(path) as opened:
        assert sorted(member_names(opened).values()) == sorted(names)


def test_other_encodings_can_be_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "album.zip", ["경기/레이업.jpg".encode("cp949")])
    web = web_for()
    collect(Local([path], zip_encoding="cp949"), tmp_path / "inbox", web)
    (row,) = rows(tmp_path / "inbox")
    assert row["group"] == "local:album.zip/경기"
    with pytest.raises(CollectError, match="--zip-encoding is big6; expected auto, big5"):
        Local([path], zip_encoding="big6")


def test_a_name_that_states_its_encoding_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "album.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("比賽/上籃.jpg", picture(1))
    with zipfile.ZipFile(path) as opened:
        assert member_names(opened, "gbk") == {"比賽/上籃.jpg": "比賽/上籃.jpg"}
