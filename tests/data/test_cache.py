"""Cache entries: exact, shared by processes, and never trusted when they are damaged."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from bball_pl.data.dataset import PhotoCache
from bball_pl.errors import DatasetError, PhotoError
from bball_pl.photos.decode import decode
from bball_pl.photos.preprocess import PreprocessSpec

SPEC = PreprocessSpec(32)


@pytest.fixture
def photo(tmp_path: Path, paint: Callable[..., Path]) -> tuple[Path, str]:
    path = paint(tmp_path / "photo.jpg")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def entry_of(cache: PhotoCache, sha256: str, spec: PreprocessSpec = SPEC) -> Path:
    entry = cache.entry(sha256, spec)
    assert entry is not None
    return entry


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_entry_is_what_the_spec_computes(tmp_path: Path, photo: tuple[Path, str], fit: str) -> None:
    spec = replace(SPEC, fit=fit)  # type: ignore[arg-type]
    cache = PhotoCache(tmp_path / "cache")
    expected = spec.resize(decode(photo[0]))
    assert not cache.holds(photo[1], spec)
    for _ in range(2):
        np.testing.assert_array_equal(cache.load(*photo, spec), expected)
        assert cache.holds(photo[1], spec)
    np.testing.assert_array_equal(np.load(entry_of(cache, photo[1], spec)), expected)


def test_second_load_does_not_need_the_photo(tmp_path: Path, photo: tuple[Path, str]) -> None:
    cache = PhotoCache(tmp_path / "cache")
    first = cache.load(*photo, SPEC)
    photo[0].unlink()
    np.testing.assert_array_equal(cache.load(*photo, SPEC), first)


def test_each_size_fit_and_filter_has_its_entry_and_normalisation_none(tmp_path: Path) -> None:
    cache = PhotoCache(tmp_path)
    specs = [SPEC, replace(SPEC, size=48), replace(SPEC, fit="pad"), replace(SPEC, interpolation="bilinear")]
    assert len({cache.entry("ab" * 32, spec) for spec in specs}) == 4
    assert cache.entry("ab" * 32, replace(SPEC, mean=(0, 0, 0))) == cache.entry("ab" * 32, SPEC)


def truncate(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes()[:-100])


def wrong_shape(entry: Path) -> None:
    np.save(entry, np.zeros((64, 16, 3), np.uint8))


def wrong_type(entry: Path) -> None:
    np.save(entry, np.zeros((32, 32, 3), np.int8))


def empty(entry: Path) -> None:
    entry.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, wrong_shape, wrong_type, empty])
def test_damaged_entries_are_built_again(
    tmp_path: Path, photo: tuple[Path, str], damage: Callable[[Path], None]
) -> None:
    cache = PhotoCache(tmp_path / "cache")
    sound = cache.load(*photo, SPEC)
    entry = entry_of(cache, photo[1])
    content = entry.read_bytes()
    damage(entry)
    np.testing.assert_array_equal(cache.load(*photo, SPEC), sound)
    assert entry.read_bytes() == content


def test_photo_that_changed_since_the_scan_is_not_taken_for_the_old_one(
    tmp_path: Path, photo: tuple[Path, str], paint: Callable[..., Path]
) -> None:
    paint(photo[0], seed=5)
    with pytest.raises(DatasetError, match=r"photo\.jpg has changed"):
        PhotoCache(tmp_path / "cache").load(*photo, SPEC)


def test_missing_photo_is_named(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"gone\.jpg"):
        PhotoCache(None).load(tmp_path / "gone.jpg", "ab" * 32, SPEC)


def test_without_a_folder_nothing_is_written(tmp_path: Path, photo: tuple[Path, str]) -> None:
    before = sorted(tmp_path.rglob("*"))
    PhotoCache(None).load(*photo, SPEC)
    assert sorted(tmp_path.rglob("*")) == before


def test_cache_that_cannot_be_written_names_the_options(tmp_path: Path, photo: tuple[Path, str]) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DatasetError, match=r"--data\.cache_dir DIR.*--data\.cache false"):
        PhotoCache(tmp_path / "cache").load(*photo, SPEC)


def test_failed_write_leaves_no_half_file(
    tmp_path: Path, photo: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DatasetError, match="No space left"):
        PhotoCache(tmp_path / "cache").load(*photo, SPEC)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def _load_often(folder: Path, path: Path, sha256: str) -> bytes:
    cache = PhotoCache(folder)
    results = set()
    for _ in range(30):
        results.add(cache.load(path, sha256, SPEC).tobytes())
        entry_of(cache, sha256).unlink(missing_ok=True)
    (result,) = results
    return result


def test_several_processes_build_one_entry_at_once(tmp_path: Path, photo: tuple[Path, str]) -> None:
    # Four processes write, read and remove the same entry: none may ever see half of one.
    with ProcessPoolExecutor(4, get_context("fork")) as pool:
        jobs = [pool.submit(_load_often, tmp_path / "cache", *photo) for _ in range(4)]
        results = {job.result() for job in jobs}
    assert results == {SPEC.resize(decode(photo[0])).tobytes()}
