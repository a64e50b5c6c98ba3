"""Albums to datasets: whole groups and copies in one split, each class in its share, and nothing ever changes sides."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bball_pl.errors import ConfigError, DatasetError
from bball_pl.photos.dataset_layout import scan_dataset
from bball_pl.photos.journal import Journal, quarantine_place
from bball_pl.photos.photos_csv import COLUMNS, AppendTable, read_photos_csv
from bball_pl.photos.tree import SPLITS
from bball_pl.project import ROOT
from bball_pl.split import write
from bball_pl.split.assign import deal

from helpers.fit_runs import environment
from helpers.forked import run_python
from helpers.split_albums import MOVES, split


def picture(seed: int) -> np.ndarray:
    """Return a picture that no other seed resembles, RGB uint8 `[120, 160, 3]`."""
    rng = np.random.default_rng(seed)
    pixels = np.full((120, 160, 3), rng.integers(60, 200, 3), np.uint8)
    for _ in range(40):
        x, y, w, h = (int(value) for value in rng.integers((0, 0, 8, 8), (150, 110, 50, 50)))
        cv2.rectangle(pixels, (x, y), (x + w, y + h), [int(value) for value in rng.integers(0, 255, 3)], -1)
    return pixels


def save(path: Path, pixels: np.ndarray, quality: int = 92) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    path.write_bytes(bytes(data))


def inbox(root: Path, games: range, per_class: int = 2) -> Path:
    """Add games to an inbox as scripts/collect.py makes it, sorted by a person, and return its folder."""
    table = AppendTable(root / "league/photos.csv", (*COLUMNS, "validator", "collected"))
    for game in games:
        for number in range(3 * per_class):
            name = f"game {game}/g{game}-{number}.jpg"
            save(root / "league" / MOVES[number % 3] / name, picture(1000 * game + number))
            # The class says what it was when the photo came.
            table.add({"path": f"unsorted/{name}", "class": "unsorted", "group": f"game {game}", "licence": "CC0-1.0"})
    table.close()
    # Sorting moves the files away from the paths in the table; a person is known by the bytes.
    rows = table.rows()
    by_name = {path.name: path for path in root.rglob("*.jpg")}
    for row in rows:
        row["sha256"] = hashlib.sha256(by_name[Path(row["path"]).name].read_bytes()).hexdigest()
    table.write(rows)
    return root


def sides(out: Path) -> dict[str, str]:
    """Return the split of each photo by the name that it had in the album."""
    return {path.name: path.relative_to(out).parts[0] for path in out.rglob("*.jpg")}


def test_the_script_makes_a_dataset_and_adds_to_it(tmp_path: Path) -> None:
    root, out = inbox(tmp_path / "inbox", range(12), per_class=1), tmp_path / "photos"
    command = [str(ROOT / "scripts/split.py"), str(root), "--out", str(out), "--val", "0.2"]
    command += ["--test", "0.2"]
    planned = run_python([*command, "--dry-run"], env=environment())
    assert "36 photos would be added" in planned.stdout
    assert not out.exists()
    made = run_python(command, env=environment())
    assert "36 photos were added" in made.stdout
    assert "fit.py --data.root" in made.stdout
    dataset = scan_dataset(out)
    assert dataset.class_names == list(MOVES)
    assert len(dataset.photos) == 36
    by_group: dict[str, set[str]] = {}
    for photo in dataset.photos:
        by_group.setdefault(photo.group, set()).add(photo.split)
        source = root / "league" / photo.class_name / photo.group.removeprefix("league/") / photo.path.name
        assert photo.path.samefile(source)
    assert len(by_group) == 12
    assert all(len(splits) == 1 for splits in by_group.values())
    for name in MOVES:
        shares = [sum(photo.split == own and photo.class_name == name for photo in dataset.photos) for own in SPLITS]
        # Twelve games of equal size: 60 % are 7.2 of them.
        assert shares in ([7, 2, 3], [7, 3, 2], [8, 2, 2])
    records = {record.path: record for record in read_photos_csv(out / "photos.csv")}
    assert {record.licence for record in records.values()} == {"CC0-1.0"}
    assert all(len(record.sha256) == 64 and len(record.dhash) == 16 for record in records.values())

    before, table = sides(out), (out / "photos.csv").read_bytes()
    assert not split(root, out, near=True, seed=3).plan.names
    assert (out / "photos.csv").read_bytes() == table
    inbox(root, range(12, 20), per_class=1)
    assert run_python(command, env=environment()).returncode == 0
    after = sides(out)
    assert len(after) == 60
    assert {name: after[name] for name in before} == before
    assert 9 <= sum(own == "test" for own in after.values()) <= 15


def test_new_photos_of_a_game_join_it(tmp_path: Path) -> None:
    root, out = inbox(tmp_path / "inbox", range(8)), tmp_path / "photos"
    split(root, out)
    before = sides(out)
    shutil.rmtree(root)
    inbox(root, range(8), per_class=3)
    split(root, out, seed=5)
    after = sides(out)
    assert len(after) == 72
    for name, own in after.items():
        assert own == before[f"{name.split('-')[0]}-0.jpg"]


def test_copies_of_a_picture_stay_together_and_a_late_one_joins_them(tmp_path: Path) -> None:
    root, out = tmp_path / "album", tmp_path / "photos"
    for number in range(20):
        save(root / MOVES[number % 3] / f"{number}.jpg", picture(number))
        if number < 6:
            mirrored = np.ascontiguousarray(picture(number)[:, ::-1])
            save(root / MOVES[number % 3] / f"{number}m.jpg", mirrored, quality=50)
    split(root, out, near=True)
    found = sides(out)
    assert len(found) == 26
    assert all(found[f"{number}.jpg"] == found[f"{number}m.jpg"] for number in range(6))
    assert len(set(found.values())) == 3
    groups = {Path(record.path).name: record.group for record in read_photos_csv(out / "photos.csv")}
    assert groups["3.jpg"] == groups["3m.jpg"] != ""
    assert groups["13.jpg"] == ""
    for number in range(10, 20):
        cropped = picture(number)[6:, 9:]
        save(root / MOVES[number % 3] / f"{number}c.jpg", cropped)
    split(root, out, near=True)
    found = sides(out)
    assert all(found[f"{number}.jpg"] == found[f"{number}c.jpg"] for number in range(10, 20))
    groups = {Path(record.path).name: record.group for record in read_photos_csv(out / "photos.csv")}
    assert groups["13.jpg"] == groups["13c.jpg"] != ""


def test_a_photo_that_belongs_to_both_sides_is_left_out(tmp_path: Path) -> None:
    root, out = tmp_path / "album", tmp_path / "photos"
    for number in range(20):
        save(root / MOVES[number % 2] / f"game{number}" / f"{number}.jpg", picture(number))
    split(root, out, by_folder=True)
    found = sides(out)
    learned = next(name for name, own in found.items() if own == "train" and int(name[:-4]) % 2 == 0)
    measured = next(name for name, own in found.items() if own == "test")
    bridge = root / MOVES[0] / f"game{learned[:-4]}" / "bridge.jpg"
    save(bridge, picture(int(measured[:-4])), quality=40)
    made = split(root, out, near=True, by_folder=True)
    assert made.plan.left_out == [
        (bridge.relative_to(root).as_posix(), "belongs to photos that are in train and in test already")
    ]
    assert sides(out) == found
    assert "bridge.jpg" in (out / "left_out.csv").read_text()


def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path: Path) -> None:
    root, out = inbox(tmp_path / "inbox", range(10)), tmp_path / "photos"
    folder = root / "league"
    save(folder / "unsorted/x/new.jpg", picture(1))
    (folder / "shoot/broken.jpg").write_bytes(b"no photo")
    shutil.copy(folder / "shoot/game 1/g1-0.jpg", folder / "shoot/again.jpg")
    shutil.copy(folder / "dribble/game 2/g2-1.jpg", folder / "layup/other.jpg")
    made = split(root, out)
    reasons = dict(made.plan.left_out)
    assert reasons["league/unsorted/x/new.jpg"] == "not sorted into a class"
    assert reasons["league/shoot/broken.jpg"] == "not an image"
    assert reasons["league/shoot/game 1/g1-0.jpg"] == "a copy, byte for byte, of another photo"
    assert reasons["league/layup/other.jpg"] == "the same photo lies under dribble and layup"
    assert reasons["league/dribble/game 2/g2-1.jpg"] == reasons["league/layup/other.jpg"]
    assert len(reasons) == 5
    assert len(sides(out)) == 60 - 1
    # What a person takes out of the dataset does not come back with the next photos.
    victim = next(iter((out / "train/shoot").iterdir()))
    with Journal(tmp_path, "test") as journal:
        journal.move(victim, quarantine_place(tmp_path, victim), "quarantine")
    again = split(root, out)
    assert not again.plan.names
    assert "was taken out of the dataset into quarantine" in dict(again.plan.left_out).values()


def test_a_kill_leaves_a_dataset_that_is_refused_until_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = inbox(tmp_path / "inbox", range(8)), tmp_path / "photos"
    whole = split(root, tmp_path / "other")
    real, placed = write._place, 0

    def interrupted(*arguments: object) -> bool:
        nonlocal placed
        placed += 1
        if placed > 20:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(write, "_place", interrupted)
        with pytest.raises(KeyboardInterrupt):
            split(root, out)
    assert len(sides(out)) == 20
    with pytest.raises(DatasetError):
        scan_dataset(out)
    # Another seed does not matter: what was decided stays.
    split(root, out, seed=9)
    assert sides(out) == sides(tmp_path / "other")
    assert len(sides(out)) == len(whole.plan.names) == 48
    scan_dataset(out)


def test_a_class_of_one_game_is_learned_and_the_lack_is_told(tmp_path: Path) -> None:
    root, out = tmp_path / "album", tmp_path / "photos"
    for number in range(40):
        move, game = MOVES[number % 3], number // 6
        game = 99 if move == "layup" else game
        save(root / f"game{game}" / move / f"{number}.jpg", picture(number))
    made = split(root, out, by_folder=True)
    assert made.plan.counts["train"]["layup"] == 13
    told = "test has no photo of layup, and bball fit will refuse that: its 13 photos are of 1 group"
    assert any(note.startswith(told) for note in made.plan.notes)
    assert any(note.startswith("val has no photo of layup, and") for note in made.plan.notes)
    assert not any("no photo of shoot" in note for note in made.plan.notes)


def test_names_and_order_do_not_matter(tmp_path: Path) -> None:
    for root, prefix in ((tmp_path / "one", "a"), (tmp_path / "two", "z")):
        for number in range(30):
            name = f"{number if prefix == 'a' else 90 - number}{prefix}.jpg"
            save(root / MOVES[number % 3] / name, picture(number))
        split(root, tmp_path / f"out-{prefix}")
    contents = [
        {path.read_bytes(): path.relative_to(out).parts[0] for path in out.rglob("*.jpg")}
        for out in (tmp_path / "out-a", tmp_path / "out-z")
    ]
    assert contents[0] == contents[1]


@pytest.mark.skipif(os.name == "nt", reason="such names are not allowed there")
def test_hostile_and_equal_names_get_places_of_their_own(tmp_path: Path) -> None:
    root, out = tmp_path / "album", tmp_path / "photos"
    names = [b"x.jpg", b"X.jpg", b"<img src=x>.jpg", b'a"b,c.jpg', b"two\nlines.jpg", b"\xff.jpg", "運球.jpg".encode()]
    for number, name in enumerate(names * 3):
        save(root / MOVES[number % 3] / f"album{number // 7}" / os.fsdecode(name), picture(number))
    made = split(root, out, how="copy")
    found = [path for path in out.rglob("*.jpg") if path.is_file()]
    assert len(found) == len(made.plan.names) == 21
    assert len({str(path.relative_to(out)).lower() for path in found}) == 21
    assert len(read_photos_csv(out / "photos.csv")) == 21
    scan_dataset(out)
    # Copies: what happens to one does not happen to the other.
    found[0].write_bytes(b"changed")
    assert all(path.stat().st_nlink == 1 for path in root.rglob("*.jpg"))


def test_a_dataset_keeps_the_splits_that_it_has(tmp_path: Path) -> None:
    root, out = tmp_path / "seed", tmp_path / "photos"
    for number in range(24):
        own = "test" if number % 4 == 0 else "train"
        save(root / own / MOVES[number % 3] / f"{number}.jpg", picture(number))
    made = split(root, out)
    assert sides(out) == {f"{number}.jpg": "test" if number % 4 == 0 else "train" for number in range(24)}
    assert made.plan.notes == ["the album has splits already, and they were kept."]


def test_folders_in_each_other_and_impossible_shares_are_refused(tmp_path: Path) -> None:
    root = inbox(tmp_path / "inbox", range(3))
    with pytest.raises(ConfigError, match="lie in each other"):
        split(root, root / "out")
    with pytest.raises(DatasetError, match="there is no folder"):
        split(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(ConfigError, match="something left for train"):
        split(root, tmp_path / "out", val=0.5, test=0.5)
    shutil.move(root / "league/shoot", root / "league/unsorted")
    shutil.rmtree(root / "league/dribble")
    shutil.rmtree(root / "league/layup")
    with pytest.raises(DatasetError, match="not sorted into a class"):
        split(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@given(st.data())
def test_every_split_has_every_class_that_can_be_divided(data: st.DataObject) -> None:
    classes, splits = data.draw(st.integers(2, 4)), data.draw(st.integers(2, 3))
    owners = data.draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=40))
    sizes = np.zeros((len(owners), classes))
    for group, owner in enumerate(owners):
        sizes[group, owner] = data.draw(st.integers(1, 20))
    weights = np.array(data.draw(st.lists(st.integers(1, 8), min_size=splits, max_size=splits)), float)
    dealt = deal(sizes, np.zeros((splits, classes)), weights / weights.sum(), data.draw(st.integers(0, 5)))
    for owner in range(classes):
        found = {int(split) for split, own in zip(dealt, owners, strict=True) if own == owner}
        assert len(found) == min(owners.count(owner), splits)
