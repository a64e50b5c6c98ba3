"""Photos of one game are proposed by the colours of hall and jerseys, and never across hours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bball_pl.audit import games
from bball_pl.audit.games import colours, propose_games, with_checksums
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import Photo

from helpers.audit_albums import save


def hall(game: int, number: int) -> np.ndarray:
    """Return a photo of a game: floor and two jerseys of its colours, players elsewhere in each photo, RGB uint8."""
    rng = np.random.default_rng([game, 0])
    floor, *jerseys = rng.integers(0, 255, (3, 3))
    places = np.random.default_rng([game, number, 1])
    pixels = np.full((160, 240, 3), floor, np.uint8)
    for index in range(6):
        x, y = 40 * index + int(places.integers(0, 8)), int(places.integers(0, 110))
        cv2.rectangle(pixels, (x, y), (x + 31, y + 47), [int(level) for level in jerseys[index % 2]], -1)
    return np.asarray(np.clip(pixels + places.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8))


@pytest.fixture
def album(tmp_path: Path) -> list[Photo]:
    paths = [
        save(tmp_path / f"{game}-{number}.jpg", hall(game, number)) for game in (0, 1, 2, 4) for number in range(5)
    ]
    return with_checksums([Photo(path, path.name) for path in paths], PhotoStore(None))


def proposed(photos: list[Photo], **options: object) -> set[frozenset[str]]:
    found = propose_games(photos, PhotoStore(None), **options)  # type: ignore[arg-type]
    return {frozenset(photo.relative for photo in proposal.photos) for proposal in found}


def test_each_game_is_proposed(album: list[Photo]) -> None:
    wanted = {frozenset(f"{game}-{number}.jpg" for number in range(5)) for game in (0, 1, 2, 4)}
    assert proposed(album) == wanted
    assert proposed(album[::-1]) == wanted
    names = {proposal.name for proposal in propose_games(album[::-1], PhotoStore(None))}
    assert names == {proposal.name for proposal in propose_games(album, PhotoStore(None))}, "names depend on bytes"


def test_what_names_a_game_or_was_refused_is_not_proposed(album: list[Photo]) -> None:
    named = [replace(photo, group="final") if photo.relative.startswith("0") else photo for photo in album]
    assert len(proposed(named)) == 3
    refused = propose_games(album, PhotoStore(None))[0]
    assert len(proposed(album, refused={refused.name})) == 3


def test_another_evening_is_another_game(album: list[Photo]) -> None:
    times = ["2026-11-01T19:00:00+08:00", "2026-11-01T20:10:00", "2026-11-01T19:30:00", "2026-11-08T19:00:00", ""]
    timed = [replace(photo, row={"time": time}) for photo, time in zip(album[:5], times, strict=True)]
    together = proposed(timed)
    assert not any({"0-0.jpg", "0-3.jpg"} <= photos for photos in together)
    assert any({"0-0.jpg", "0-1.jpg", "0-2.jpg"} <= photos for photos in together)


def test_few_or_bad_photos_give_nothing(album: list[Photo], tmp_path: Path) -> None:
    assert proposed(album[:2]) == set()
    assert proposed([]) == set()
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no photo")
    gone = Photo(tmp_path / "gone.jpg", "gone.jpg")
    read = with_checksums([*album[:3], Photo(bad, "bad.jpg"), gone], PhotoStore(None))
    assert [bool(photo.sha256) for photo in read] == [True, True, True, True, False]
    assert proposed(read) == {frozenset({"0-0.jpg", "0-1.jpg", "0-2.jpg"})}


def test_colours_are_measured_once(album: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PhotoStore(tmp_path / "cache") as store:
        first = propose_games(album, store)
    monkeypatch.setattr(games, "decode", None)
    with PhotoStore(tmp_path / "cache") as store:
        assert [proposal.name for proposal in propose_games(album, store)] == [proposal.name for proposal in first]


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 500, 3)])
def test_colours_of_any_size(shape: tuple[int, int, int]) -> None:
    values = colours(np.full(shape, 200, np.uint8)).astype(np.float32)
    assert values @ values == pytest.approx(1, abs=1e-3)
