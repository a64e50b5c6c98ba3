"""The app's logic, held against vectors.json that the Swift tests read as well, and against real files."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from bball_pl.evaluate.calibration import threshold_for
from bball_pl.photos.dataset_layout import scan_dataset
from bball_pl.photos.photos_csv import COLUMNS, PhotoRecord, read_photos_csv, write_photos_csv

from helpers import ios_twins
from helpers.fit_runs import environment
from helpers.ios_swift import IOS, VECTORS, contract_keys

vectors: dict[str, Any] = json.loads(VECTORS.read_text(encoding="utf-8"))


def test_contracts_and_their_problems() -> None:
    keys = contract_keys()
    problems = set()
    for change in vectors["contractChanges"]:
        contract = {**vectors["contract"], **change["set"]}
        contract = {key: value for key, value in contract.items() if key not in change["remove"]}
        assert ios_twins.contract_problem(contract, keys) == change["problem"], change
        problems.add(change["problem"])
    assert len(problems) == 9, "every kind of problem, and none"


def test_answers_and_ranking() -> None:
    for item in vectors["judge"]:
        found = ios_twins.answer(item["probabilities"], item["threshold"])
        assert found == (None if item["index"] is None else (item["index"], item["sure"]))
    for item in vectors["ranking"]:
        assert ios_twins.ranking(item["probabilities"]) == item["order"]
    for item in vectors["inOrder"]:
        assert ios_twins.in_order(item["shares"], item["labels"]) == item["ordered"]


def test_the_threshold_means_the_same_as_in_evaluation() -> None:
    confidence, correct = np.array([0.9, 0.8, 0.7]), np.array([True, True, False])
    threshold = threshold_for(confidence, correct, 1.0)
    assert threshold is not None
    sure = [ios_twins.answer([share, 1 - share], threshold) for share in confidence]
    assert [answer is not None and answer[1] for answer in sure] == [True, True, False]
    assert ios_twins.answer([threshold, 1 - threshold], threshold) == (0, True)
    assert ios_twins.answer([0.34, 0.33, 0.33], None) == (0, True), "without a threshold nothing is unsure"


def test_smoothing_and_meter() -> None:
    for item in vectors["smoothing"]:
        found = ios_twins.smoothed(item["steps"], item["frames"], item["forgetAfterSeconds"])
        for mean, step in zip(found, item["steps"], strict=True):
            assert mean == pytest.approx(step["mean"], abs=1e-9)
            assert sum(mean) == pytest.approx(sum(step["probabilities"]))
    # By hand: the mean of three frames, then of two after the oldest has left, then a gap.
    steps = vectors["smoothing"][0]["steps"]
    assert [step["mean"][0] for step in steps] == pytest.approx([1, 0.75, 0.5, 1 / 6, 1 / 3, 0.25])
    for item in vectors["meter"]:
        assert ios_twins.meter(item["steps"]) == (
            pytest.approx(item["framesPerSecond"]) if item["framesPerSecond"] else None,
            pytest.approx(item["milliseconds"]) if item["milliseconds"] else None,
        )


def test_rotation_is_what_exif_says() -> None:
    for item in vectors["angles"]:
        assert ios_twins.angle(item["orientation"]) == item["angle"]
    for item in vectors["exif"]:
        assert ios_twins.exif(item["angle"]) == item["exif"]
    # A frame that has to be turned by 90 degrees clockwise comes out upright if Pillow obeys the orientation.
    upright = np.zeros((4, 6, 3), np.uint8)
    upright[0, :, 0] = 255
    for degrees in (0, 90, 180, 270):
        frame = Image.fromarray(np.rot90(upright, degrees // 90))
        exif = Image.Exif()
        exif[0x0112] = ios_twins.exif(degrees)
        stored = io.BytesIO()
        frame.save(stored, "PNG", exif=exif)
        turned = ImageOps.exif_transpose(Image.open(stored))
        np.testing.assert_array_equal(np.asarray(turned), upright)


def test_zip_files_open() -> None:
    for item in vectors["crc32"]:
        assert zlib.crc32(item["text"].encode()) == item["crc"]
    for item in vectors["zip"]:
        files = [(file["path"], file["text"].encode()) for file in item["files"]]
        assert ios_twins.zip_bytes(item["modified"], item["folders"], files).hex() == item["hex"]
        with zipfile.ZipFile(io.BytesIO(bytes.fromhex(item["hex"]))) as archive:
            assert archive.testzip() is None
            names = [f"{folder}/" for folder in item["folders"]] + [path for path, _ in files]
            assert archive.namelist() == names
            assert [info.is_dir() for info in archive.infolist()] == [name.endswith("/") for name in names]
            for path, content in files:
                assert archive.read(path) == content
            for info in archive.infolist():
                assert info.flag_bits & 0x800, "the name is UTF-8"
                assert info.date_time == (2026, 11, 23, 19, 2, 10)
                assert info.external_attr >> 16 == (0o40755 if info.is_dir() else 0o100644)


def test_unzip_and_tables_agree_with_other_programs(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(bytes.fromhex(vectors["zip"][1]["hex"]))
    if shutil.which("unzip") is not None:
        done = subprocess.run(["unzip", "-t", str(archive)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    for item in vectors["csv"]:
        assert ios_twins.csv_text(item["rows"]) == item["text"]
        assert list(csv.reader(io.StringIO(item["text"], newline=""))) == item["rows"]


def test_corrections_are_read_as_training_data(tmp_path: Path) -> None:
    item = vectors["corrections"][0]
    folders, photos, table = ios_twins.corrections(item["entries"], item["classNames"])
    assert (folders, table) == (item["folders"], item["table"])
    assert photos == [(photo["file"], photo["path"]) for photo in item["photos"]]
    root = tmp_path / "corrections"
    archive = _archive(item, tmp_path / "corrections.zip")
    zipfile.ZipFile(archive).extractall(root)
    dataset = scan_dataset(root)
    # Of two entries with the same bytes the later one counts; nobody looked at a.jpg; "../up" is not a folder's name.
    assert {(photo.class_name, photo.group) for photo in dataset.photos} == {
        ("layup", "phone-2026-11-23"),
        ("shoot", "phone-2026-11-23"),
        ("灌籃", "phone-2026-11-23"),
    }
    assert dataset.class_names == ["dribble", "layup", "shoot", "灌籃"], "every class has a folder, photos or not"
    records = read_photos_csv(root / "photos.csv")
    assert [record.path for record in records] == sorted(photo.relative for photo in dataset.photos)
    assert all(len(record.sha256) == 64 for record in records)
    assert table.split("\n")[0].split(",")[:10] == list(COLUMNS[:10])


def test_the_readmes_way_joins_corrections_with_a_dataset(tmp_path: Path) -> None:
    root = tmp_path / "data" / "photos"
    for name in ("shoot", "dribble", "layup", "灌籃"):
        (root / "train" / name).mkdir(parents=True)
        (root / "train" / name / "old.jpg").write_bytes(b"old")
    write_photos_csv(root / "photos.csv", [PhotoRecord("train/shoot/old.jpg", "shoot", group="game 1")])
    _archive(vectors["corrections"][0], tmp_path / "BasketballMoves-2026-11-23.zip")
    readme = (IOS / "README.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    groups = {photo.relative: photo.group for photo in scan_dataset(root).photos}
    assert groups["train/shoot/old.jpg"] == "game 1"
    assert sorted(groups.values()) == ["", "", "", "game 1", *["phone-2026-11-23"] * 3]


def test_days_names_and_fingerprints() -> None:
    for item in vectors["captureDay"]:
        assert ios_twins.capture_day(item["exif"]) == item["day"]
    for item in vectors["folderNames"]:
        assert ios_twins.folder_name_is_safe(item["name"]) == item["safe"]
    for item in vectors["fingerprint"]:
        assert ios_twins.fingerprint_text(item["digests"]) == item["text"]


def test_swifts_own_tests_pass(tmp_path: Path) -> None:
    swift = shutil.which("swift")
    if swift is None:
        pytest.skip("there is no Swift on this machine")
    shutil.copytree(IOS, tmp_path / "ios", ignore=shutil.ignore_patterns(".build", "Export"))
    done = subprocess.run(
        [swift, "test"], cwd=tmp_path / "ios", capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Executed \d\d tests, with 0 failures", done.stdout + done.stderr)


def _archive(item: dict[str, Any], path: Path) -> Path:
    files = [("photos.csv", item["table"].encode())]
    files += [(photo["path"], photo["file"].encode()) for photo in item["photos"]]
    path.write_bytes(ios_twins.zip_bytes([2026, 11, 23, 19, 2, 11], item["folders"], files))
    return path
