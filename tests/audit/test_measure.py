"""Photos are looked at once: again only if they change, and what an interrupted audit found out is kept."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from bball_pl.audit import measure
from bball_pl.audit.copies import find_copies
from bball_pl.audit.measure import label_features, measure_photos
from bball_pl.data.check import check_photos
from bball_pl.data.dataset import PhotoCache
from bball_pl.errors import PhotoError
from bball_pl.evaluate.calibration import file_sha256
from bball_pl.photos.dataset_layout import scan_dataset
from bball_pl.photos.measurements import SHORT, SHORT_SIDE, VIEWS, Measurements, measure_photo, views
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import Photo

from helpers.audit_albums import save, scene


class Counting:
    """Counts the photos that are decoded, and may be interrupted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stop_after: int = 10_000) -> None:
        self.count, self._stop = 0, stop_after
        monkeypatch.setattr(measure, "measure_photo", self)

    def __call__(self, content: bytes) -> tuple[Measurements, np.ndarray | None]:
        self.count += 1
        if self.count > self._stop:
            raise KeyboardInterrupt
        return measure_photo(content)


def looked(paths: list[Path], store: PhotoStore) -> list[Photo]:
    return measure_photos([Photo(path, path.name) for path in paths], store)


def labelled(photos: list[Photo], store: PhotoStore) -> np.ndarray:
    return np.concatenate(list(label_features(photos, store)))


def hashed(paths: list[Path]) -> list[Photo]:
    return [Photo(path, path.name, sha256=file_sha256(path)) for path in paths]


def usable(photos: list[Photo]) -> list[int]:
    return [number for number, photo in enumerate(photos) if photo.usable]


def measured(photos: list[Photo]) -> list[Measurements]:
    return [photo.measurements for photo in photos if photo.measurements is not None]


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [save(tmp_path / "photos" / f"{number}.jpg", scene(number, (96, 64))) for number in range(5)]


def test_a_second_look_decodes_nothing(tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    photos.append(tmp_path / "bad.jpg")
    photos[-1].write_bytes(b"no photo")
    counting = Counting(monkeypatch)
    store = PhotoStore(tmp_path / "cache")
    first = looked(photos, store)
    store.close()
    assert counting.count == 6
    assert usable(first) == [0, 1, 2, 3, 4]
    assert measured(first)[5].problem == "not an image"
    assert all(own.short is not None and own.short.shape == (SHORT,) for own in measured(first)[:5])
    store = PhotoStore(tmp_path / "cache")
    second = looked(photos, store)
    store.close()
    assert counting.count == 6
    assert second == first
    for one, other in zip(measured(first), measured(second), strict=True):
        assert (one.problem, one.quality, one.dhash, one.mirrored, one.grey) == (
            *(other.problem, other.quality, other.dhash, other.mirrored, other.grey),
        )
        assert (one.short is None) == (other.short is None)
        assert one.short is None or other.short is None or np.array_equal(one.short, other.short)


def test_only_what_changed_is_looked_at_again(
    tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PhotoStore(tmp_path / "cache")
    before = looked(photos, store)
    counting = Counting(monkeypatch)
    save(photos[2], scene(77, (96, 64)))
    moved = photos[3].rename(tmp_path / "moved.jpg")
    after = looked([*photos[:3], moved, photos[4]], store)
    store.close()
    assert counting.count == 1, "a photo that was renamed is known by its bytes"
    same = [one.sha256 == other.sha256 for one, other in zip(before, after, strict=True)]
    assert same == [True, True, False, True, True]


def test_an_interrupted_look_is_not_lost(tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_BATCH", 2)
    store = PhotoStore(tmp_path / "cache")
    with monkeypatch.context() as patch:
        Counting(patch, stop_after=4)
        with pytest.raises(KeyboardInterrupt):
            looked(photos, store)
    store.close()
    counting = Counting(monkeypatch)
    store = PhotoStore(tmp_path / "cache")
    assert usable(looked(photos, store)) == [0, 1, 2, 3, 4]
    store.close()
    assert counting.count <= 3


def test_a_verdict_of_the_check_before_training_is_not_found_out_again(
    tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("train", "test"):
        for name in ("dribble", "layup"):
            save(tmp_path / "data" / split / name / "1.jpg", scene(len(split + name), (96, 64)))
    bad = tmp_path / "data" / "train" / "layup" / "bad.jpg"
    bad.write_bytes(b"no photo")
    specs = dict.fromkeys(("train", "val", "test"), PreprocessSpec(32))
    with PhotoStore(tmp_path / "cache") as store:
        check_photos(scan_dataset(tmp_path / "data"), PhotoCache(None), store, specs, "skip")
    counting = Counting(monkeypatch)
    with PhotoStore(tmp_path / "cache") as store:
        (photo,) = looked([bad], store)
        assert photo.measurements is not None
        assert (photo.measurements.problem, counting.count) == ("not an image", 0)
        looked(photos, store)
        assert counting.count == len(photos)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty.jpg").touch()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
    names = ["folder.jpg", "gone.jpg", "empty.jpg", *(["pipe.jpg"] if hasattr(os, "mkfifo") else [])]
    seen = looked([tmp_path / name for name in names], PhotoStore(None))
    assert usable(seen) == []
    assert [bool(photo.sha256) for photo in seen] == [False, False, True, *([False] * (len(names) - 3))]
    assert "not a regular file" in measured(seen)[0].problem
    assert "cannot be read" in measured(seen)[1].problem


@pytest.mark.skipif(os.name == "nt", reason="names there are UTF-16")
def test_a_name_that_is_not_utf_8_is_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "1.jpg", scene(0, (96, 64))).rename(tmp_path / os.fsdecode(b"\xff.jpg"))
    store = PhotoStore(tmp_path / "cache")
    looked([path], store)
    counting = Counting(monkeypatch)
    assert usable(looked([path], store)) == [0]
    store.close()
    assert counting.count == 0


def test_a_damaged_store_costs_time_only(tmp_path: Path, photos: list[Path]) -> None:
    store = PhotoStore(tmp_path / "cache")
    looked(photos, store)
    store.close()
    (file,) = (tmp_path / "cache").glob("*.sqlite")
    for path in (tmp_path / "cache").iterdir():
        path.unlink()
    file.write_bytes(b"this is no database" * 500)
    store = PhotoStore(tmp_path / "cache")
    assert usable(looked(photos, store)) == [0, 1, 2, 3, 4]
    store.close()
    assert sqlite3.connect(file).execute("SELECT COUNT(*) FROM measurements").fetchone() == (5,)


def test_a_place_that_cannot_be_written_costs_time_only(tmp_path: Path, photos: list[Path]) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    store = PhotoStore(tmp_path / "cache")
    assert usable(looked(photos, store)) == [0, 1, 2, 3, 4]
    store.close()


def test_long_features_do_not_depend_on_the_photos_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [save(tmp_path / f"{seed}.png", scene(seed, (120, 80))) for seed in (3, 4, 5)]
    monkeypatch.setattr(measure, "LONG_SIDE", 64)
    store = PhotoStore(tmp_path / "cache")
    photos = hashed(paths)
    features = labelled(photos, store).astype(np.float32)
    assert features.shape[:2] == (3, VIEWS)
    # However many the network is shown at once: photos, crops and their order stay as they were.
    monkeypatch.setattr(measure, "_PIXELS_AT_ONCE", 1)
    alone = labelled(photos[:2], PhotoStore(None)).astype(np.float32)
    scale = features.std()
    assert np.abs(features[:2] - alone).mean() < 0.01 * scale
    assert np.abs(features[0] - features[1]).mean() > 0.2 * scale
    monkeypatch.setattr(measure, "frozen_features", None)  # all is known: no network is needed
    assert np.array_equal(labelled(photos[::-1], store), features[::-1].astype(np.float16))
    store.close()


def test_long_features_come_in_order_known_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [save(tmp_path / f"{seed}.png", scene(seed, (120, 80))) for seed in (3, 4, 5)]
    monkeypatch.setattr(measure, "LONG_SIDE", 64)
    monkeypatch.setattr(measure, "_BATCH", 2)
    photos = hashed(paths)
    features = labelled(photos, PhotoStore(None))
    shuffled = [2, 1, 0, 0, 1, 2, 2]
    with PhotoStore(tmp_path / "cache") as store:
        labelled(photos[1:2], store)
        batches = list(label_features([photos[index] for index in shuffled], store))
    assert [len(batch) for batch in batches] == [2, 2, 2, 1]
    wanted = features[shuffled].astype(np.float32)
    assert np.abs(np.concatenate(batches) - wanted).mean() < 0.01 * wanted.std()


def test_a_photo_that_changes_during_an_audit_is_named_and_not_kept_under_its_old_sum(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{seed}.png", scene(seed, (120, 80))) for seed in (3, 4)]
    one, other = hashed(paths)
    paths[1].replace(paths[0])
    with PhotoStore(None) as store:
        for photo, reason in ((one, "3.png: other bytes than before"), (other, "4.png: cannot be read")):
            with pytest.raises(PhotoError, match=reason):
                labelled([photo], store)


def test_photos_of_any_size(tmp_path: Path) -> None:
    sizes = [(1, 1), (1, 500), (500, 1), (2, 3), (9, 8)]
    paths = []
    for width, height in sizes:
        paths.append(tmp_path / f"{width}x{height}.png")
        save(paths[-1], np.zeros((height, width, 3), np.uint8))
    seen = looked(paths, PhotoStore(None))
    assert [(own.quality.width, own.quality.height) for own in measured(seen) if own.quality] == sizes
    assert find_copies(seen).clusters == []


def test_views_of_any_photo() -> None:
    for height, width in ((1, 1), (2, 900), (300, 200)):
        assert views(np.zeros((height, width, 3), np.uint8), SHORT_SIDE).shape == (VIEWS, SHORT_SIDE, SHORT_SIDE, 3)
