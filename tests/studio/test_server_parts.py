"""Parts of the studio's server by themselves: pictures, ids, uploads, models, and what is said to a page."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fastapi import HTTPException
from PIL import Image

from bball_pl.errors import PhotoError, RunError
from bball_pl.studio import pictures as pictures_module
from bball_pl.studio.pictures import PhotoIds, Pictures, decode_upload, encode, read_upload
from bball_pl.studio.sort.suggestions import FeatureIndex
from bball_pl.studio.state import Context, Models, Settings, printable

from helpers.predict_runs import colour_checkpoint
from helpers.studio_server import Studio


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_pictures_are_upright_small_and_say_nothing_else(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010E] = "where I live"
    path = tmp_path / "p.jpg"
    Image.new("RGB", (2400, 1200), (200, 30, 30)).save(path, exif=exif)
    photos = PhotoIds()
    pictures = Pictures(photos)
    photo = photos.add(path, tmp_path)
    display = pictures.picture(photo, "display").result()
    assert opened(display).size == (800, 1600)
    assert opened(pictures.picture(photo, "thumb").result()).size == (160, 320)
    assert b"where I live" not in display
    assert not opened(display).getexif()
    path.unlink()
    with pytest.raises(PhotoError, match="no longer exists"):
        pictures.picture(photo, "display").result()
    pictures.close()
    assert opened(encode(np.zeros((2, 3, 3), np.uint8))).size == (3, 2), "small ones stay as they are"


def test_pictures_are_made_once_and_the_oldest_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paint: Callable[..., Path]
) -> None:
    made: list[Path] = []
    original = pictures_module._make

    def counting(path: Path, size: pictures_module.Size) -> bytes:
        made.append(path)
        return original(path, size)

    monkeypatch.setattr(pictures_module, "_make", counting)
    monkeypatch.setattr(pictures_module, "_CACHE_BYTES", 6_000)
    photos = PhotoIds()
    pictures = Pictures(photos)
    ids = [photos.add(paint(tmp_path / f"p{number}.png", seed=number), tmp_path) for number in range(6)]
    for photo in (ids[0], ids[0], *ids):
        pictures.picture(photo, "display").result()
    assert len(made) == 6
    for _ in range(100):
        if pictures._bytes <= 6_000:
            break
        time.sleep(0.01)
    pictures.picture(ids[5], "display").result()
    assert len(made) == 6
    pictures.picture(ids[0], "display").result()
    assert len(made) == 7, "the oldest was forgotten"
    pictures.close()


def test_an_id_leads_to_its_photo_and_nowhere_else(tmp_path: Path, paint: Callable[..., Path]) -> None:
    tree, beside = tmp_path / "tree", tmp_path / "tree2"
    path = paint(tree / "a.png")
    stranger = paint(beside / "a.png")
    photos = PhotoIds()
    own = photos.add(path, tree)
    assert photos.path(own) == path
    assert photos.path("..") is None
    assert photos.path(photos.add(stranger, tree)) is None, "a folder whose name begins alike is another one"
    (tree / "link.png").symlink_to(stranger)
    assert photos.path(photos.add(tree / "link.png", tree)) is None
    assert photos.path(photos.add(tree / "link.png", tree, beside)) is not None
    photos.move(own, tree / "gone.png")
    assert photos.path(own) is None
    alias = tmp_path / "alias"
    alias.symlink_to(tree)
    assert photos.path(photos.add(alias / "a.png", alias)) is not None, "a tree may itself be a link to another disk"


def test_an_upload_ends_at_its_limit() -> None:
    from starlette.requests import Request

    taken = [0]

    async def receive() -> dict[str, object]:
        taken[0] += 1000
        return {"type": "http.request", "body": b"x" * 1000, "more_body": taken[0] < 1_000_000}

    def request(*headers: tuple[bytes, bytes]) -> Request:
        return Request({"type": "http", "method": "POST", "headers": list(headers)}, receive)

    with pytest.raises(HTTPException) as caught:
        asyncio.run(read_upload(request(), 5_000))
    assert caught.value.status_code == 413
    assert taken[0] <= 7_000
    taken[0] = 0
    with pytest.raises(HTTPException) as caught:
        asyncio.run(read_upload(request((b"content-length", b"6000")), 5_000))
    assert caught.value.status_code == 413
    assert taken[0] == 0, "its head was enough"

    async def short(content: bytes) -> bytes:
        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": content, "more_body": False}

        return await read_upload(Request({"type": "http", "method": "POST", "headers": []}, receive), 5_000)

    assert len(asyncio.run(short(b"x" * 5_000))) == 5_000
    with pytest.raises(HTTPException) as caught:
        asyncio.run(short(b""))
    assert caught.value.status_code == 422
    with pytest.raises(HTTPException, match="not an image") as caught:
        decode_upload(b"no photo")
    assert caught.value.status_code == 422


def test_a_checkpoint_is_read_again_when_it_changes(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no checkpoint yet"):
        Models(None).load()
    path = colour_checkpoint(tmp_path / "best.ckpt")
    models = Models(path)
    first = models.load()
    assert models.load(path) is first
    colour_checkpoint(path, margin=3.0)
    second = models.load()
    assert second.sha256 != first.sha256
    path.unlink()
    with pytest.raises(RunError, match="there is no checkpoint"):
        models.load()


def test_the_index_knows_what_looks_alike() -> None:
    index = FeatureIndex()
    generator = np.random.default_rng(0)
    rows = [generator.normal(size=16) for _ in range(5_000)]
    for number, row in enumerate(rows):
        index.add(str(number), row)
    near = rows[4_321] + 0.1 * rows[7]
    found = index.nearest(near)
    assert found[0] == "4321"
    assert sorted(map(int, found)) == list(range(5_000))
    index.add("4321", rows[0])
    assert index.nearest(near)[0] != "4321"


def test_a_page_is_told_no_place_of_this_disk(tmp_path: Path) -> None:
    own = Settings(inbox=tmp_path / "data/inbox", logs=tmp_path / "logs", data=tmp_path / "data")
    context = Context(own)
    for text, told in (
        (f"{tmp_path}/data/inbox/a/x.jpg is gone", "inbox/a/x.jpg is gone"),
        (f"cannot read {tmp_path}/logs/a/version_0", "cannot read logs/a/version_0"),
        ("cannot read '/somewhere/else/x.jpg'.", "cannot read '…/x.jpg'."),
        ("3 / 4 and train/shoot/x.jpg", "3 / 4 and train/shoot/x.jpg"),
        (os.fsdecode(b"odd \xff.jpg"), "odd \ufffd.jpg"),
    ):
        assert context.clean(text) == told
    assert printable("投籃") == "投籃"
    context.close()


@pytest.mark.parametrize(
    "name", ["", "a", "a/b", "../version_0", "a/version_x", "a/../version_0", ".a/version_0", "link/version_0"]
)
def test_only_runs_below_the_logs_are_found(name: str, tmp_path: Path) -> None:
    (tmp_path / "logs" / "a" / "version_0").mkdir(parents=True)
    (tmp_path / "elsewhere" / "version_0").mkdir(parents=True)
    (tmp_path / "version_0").mkdir()
    (tmp_path / "logs" / "link").symlink_to(tmp_path / "elsewhere")
    context = Context(Settings(inbox=tmp_path, logs=tmp_path / "logs", data=tmp_path))
    with pytest.raises(HTTPException) as caught:
        context.safe_run(name)
    assert caught.value.status_code == 404
    assert context.safe_run("a/version_0") == tmp_path / "logs/a/version_0"
    context.close()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process as Linux tells it")
def test_large_photos_leave_no_memory_behind(tmp_path: Path) -> None:
    folder = tmp_path / "data/inbox/league/unsorted/game 1"
    folder.mkdir(parents=True)
    for number in range(4):
        Image.new("1", (6000 + number, 4000)).save(folder / f"{number}.png")

    def held() -> float:
        """Megabytes in memory."""
        text = Path(f"/proc/{studio.process.pid}/status").read_text(encoding="ascii", errors="replace")
        return float(text.split("VmRSS:")[1].split()[0]) / 1e3

    with Studio(tmp_path) as studio:
        photos = studio.post("/api/sort/next", {"tab": "a", "count": 1})["photos"]
        studio.ask("GET", f"/api/photos/{photos[0]['id']}/display")
        before = held()
        photos = studio.post("/api/sort/next", {"tab": "a", "count": 4})["photos"]
        for photo in photos:
            assert studio.ask("GET", f"/api/photos/{photo['id']}/display").status == 200
        assert held() - before < 40, "one of these photos takes 168 MB while it is decoded"
