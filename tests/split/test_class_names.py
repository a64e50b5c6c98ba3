"""Names of classes: whatever folder names a split accepts, training reads back as they were."""

from __future__ import annotations

import hashlib
import random
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bball_pl.errors import DatasetError
from bball_pl.files import folder_name_problem
from bball_pl.photos.dataset_layout import count_table, scan_dataset
from bball_pl.photos.measurements import Measurements
from bball_pl.photos.photos_csv import read_photos_csv
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import Photo, canonical_name, is_litter, split_of
from bball_pl.split import write
from bball_pl.split.write import Split, SplitSettings, make_split, split_table

#: Words that YAML, CSV, a shell or a spreadsheet takes for something else.
ODD = (
    *("yes", "no", "on", "off", "true", "null", "~", "001", "1e3", "0x10", "1_000", "2018-05-01", "1,5", "NaN", "-"),
    *("=1+1", "+1", "@x", "#1", "!x", "&a", "- a", "a- b", "a #b", "'a'", "''", "a,b", "a;b", "{a}", "[a]"),
    *("[red]a", "[bold]", "%41", "$HOME", "a..b", "trains", "photos.csv", "x.jpg", "(a)", "a=b", "`a`", "^a", "a~"),
)
LETTERS = "".join(sorted(set(map(chr, range(0x21, 0x7F))) - set('/\\:*?"<>|')))
LETTERS += "äöüñßøéÅ運球上籃投籃ドリブル시합🏀" + unicodedata.normalize("NFD", "éドブ") + "      "


def random_names(count: int, seed: int) -> list[str]:
    """Return names of folders that a person may give, no two of them the same class."""
    generator = random.Random(seed)
    names = {canonical_name(name): name for name in ODD}
    while len(names) < count:
        name = "".join(generator.choices(LETTERS, k=generator.randint(1, 12)))
        plain = canonical_name(name)
        if not (is_litter(name) or split_of(name) or plain in {"unsorted", "quarantine"} or folder_name_problem(plain)):
            names.setdefault(plain, name)
    return list(names.values())


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a split take any bytes for photos, without decoding them."""

    def known(photos: Sequence[Photo], *_: Any) -> list[Photo]:
        return [
            replace(photo, sha256=hashlib.sha256(photo.path.read_bytes()).hexdigest(), measurements=Measurements(""))
            for photo in photos
        ]

    monkeypatch.setattr(write, "measure_photos", known)


def divided(root: Path, out: Path, names: Sequence[str]) -> Split:
    for number, name in enumerate(names):
        (root / name / "album").mkdir(parents=True)
        (root / name / "album" / f"{number}.jpg").write_bytes(f"{root.name} {number}".encode())
    return make_split(SplitSettings(root, out, val=0, test=0, near_duplicates=False), PhotoStore(None))


@pytest.mark.usefixtures("unmeasured")
def test_a_thousand_names_are_read_back_as_they_were_split(tmp_path: Path) -> None:
    names = random_names(1000, seed=2018)
    for start in range(0, len(names), 50):
        batch = names[start : start + 50]
        root, out = tmp_path / f"album{start}", tmp_path / f"dataset{start}"
        divided(root, out, batch)
        dataset = scan_dataset(out)
        assert {photo.path.stem: photo.class_name for photo in dataset.photos} == {
            str(number): canonical_name(name) for number, name in enumerate(batch)
        }
        assert dataset.ignored == []
        assert sorted(dataset.class_names) == sorted(map(canonical_name, batch))
        # The same again adds nothing and contradicts nothing.
        again = make_split(SplitSettings(root, out, val=0, test=0, near_duplicates=False), PhotoStore(None))
        assert (again.plan.names, len(again.existing.settled)) == ({}, len(batch))
        assert scan_dataset(out).photos == dataset.photos


@pytest.mark.usefixtures("unmeasured")
def test_spaces_at_an_edge_and_forms_of_unicode_make_no_second_class(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "ドリブル")
    divided(tmp_path / "album", tmp_path / "out", ["jump shot ", "jump shot", " jump shot", decomposed, "ドリブル"])
    dataset = scan_dataset(tmp_path / "out")
    assert dataset.class_names == ["jump shot", "ドリブル"]
    assert len(dataset.photos) == 5
    assert sorted(path.name for path in (tmp_path / "out/train").iterdir()) == ["jump shot", "ドリブル"]
    assert {row.class_name for row in read_photos_csv(tmp_path / "out/photos.csv")} == {"jump shot", "ドリブル"}
    # Folders of a dataset that nobody has split.
    (tmp_path / "out/train/jump shot").rename(tmp_path / "out/train/jump shot ")
    (tmp_path / "out/photos.csv").unlink()
    assert scan_dataset(tmp_path / "out").class_names == ["jump shot", "ドリブル"]
    assert scan_dataset(tmp_path / "out", ["ドリブル", "jump shot "]).class_names == ["ドリブル", "jump shot"]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("name", ["two\nlines", "tab\tstop", "back\\slash", "\u200bzero", "a\udc80b", "who?", "a."])
def test_a_name_that_no_folder_has_everywhere_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot be the name of a folder everywhere: .*\. Rename it") as refused:
        divided(tmp_path / "album", tmp_path / "out", [name, "b"])
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("unmeasured")
def test_square_brackets_stand_in_the_tables(tmp_path: Path) -> None:
    names = ["[red]dunk", "[bold]", "[link]"]
    made = divided(tmp_path / "album", tmp_path / "out", names)
    console = Console(record=True, width=80)
    console.print(split_table(made))
    dataset = scan_dataset(tmp_path / "out")
    console.print(count_table({"train": dataset.photos}, dataset.class_names))
    text = console.export_text()
    for name in names:
        assert text.count(name) == 2, text
