"""The app's logic, held against vectors.json that the Swift tests read as well, and against real files."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from bball_pl.collect.app import merge_corrections
from bball_pl.evaluate.calibration import UNSURE, Answer, threshold_for
from bball_pl.export.handover.device import COMPUTE, THERMAL, read_device
from bball_pl.files import folder_name_problem
from bball_pl.moves import NO_MOVE
from bball_pl.photos.photos_csv import COLUMNS, CORRECTION_COLUMNS, read_rows
from bball_pl.predict.timeline import clock, find_segments, smooth

from helpers import ios_camera, ios_twins
from helpers.ios_archives import jpeg
from helpers.ios_camera import FRAMES_PER_SECOND
from helpers.ios_swift import APP, IOS, VECTORS, contract_keys

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


def test_corrections_are_collected_as_training_data(tmp_path: Path) -> None:
    item = vectors["corrections"][0]
    rights = item["author"], item["licence"]
    folders, photos, table = ios_twins.corrections(item["entries"], item["classNames"], *rights)
    assert (folders, table) == (item["folders"], item["table"])
    assert photos == [(photo["file"], photo["path"]) for photo in item["photos"]]
    # Of two entries with the same bytes the one that was looked at later counts; nobody looked at a.jpg; "../up" is not
    # a folder's name.
    archive = tmp_path / "corrections.zip"
    files = [("photos.csv", table.encode())]
    files += [(photo["path"], jpeg(number)) for number, photo in enumerate(item["photos"])]
    archive.write_bytes(ios_twins.zip_bytes([2026, 11, 23, 19, 2, 11], item["folders"], files))
    assert merge_corrections([archive], tmp_path / "inbox").new == {"dribble": 1, "layup": 1, "none": 1, "灌籃": 1}
    rows = read_rows(tmp_path / "inbox" / "photos.csv").values()
    assert {(row["class"], row["group"], row["time"], row["answer"]) for row in rows} == {
        ("layup", "phone-2026-11-23", "2026-11-23", "shoot"),
        ("dribble", "phone-2026-11-22", "2026-11-22", "dribble"),
        ("灌籃", "phone-2026-11-23", "2026-11-23", "layup"),
        ("none", "phone-undated", "", "shoot"),
    }
    assert {(row["author"], row["licence"], row["use"]) for row in rows} == {(*rights, "train")}
    assert table.split("\n")[0] == ",".join([*COLUMNS, *CORRECTION_COLUMNS, "checked"])


def test_one_rule_for_the_names_of_classes() -> None:
    for item in vectors["folderNames"]:
        assert (folder_name_problem(item["name"]) == "") == item["safe"], ascii(item["name"])
    assert {item["safe"] for item in vectors["folderNames"]} == {True, False}
    name_of = re.search(r'noMove = "(\w+)"', (APP / "Model" / "FolderName.swift").read_text())
    assert name_of is not None
    assert name_of[1] == NO_MOVE.name


def test_every_path_of_the_camera_ends_in_a_picture_or_in_a_way_out() -> None:
    for item in vectors["camera"]:
        found = ios_camera.walk([step["event"] for step in item["steps"]])
        for (state, effects), step in zip(found, item["steps"], strict=True):
            assert (state.screen, effects) == (step["screen"], step["effects"]), (item["name"], step)
    assert {item["screen"]: item["exits"] for item in vectors["cameraExits"]} == ios_camera.EXITS
    shown = {step["screen"] for item in vectors["camera"] for step in item["steps"]}
    assert shown == set(ios_camera.EXITS), "every screen is among the vectors"
    assert len(ios_camera.reachable()) == vectors["cameraStates"]["count"], "Swift walks as many"
    good = ["appear", "allowed", "heat:nominal", "retry", "modelReady", "started", "interruptionEnded"]
    for state, way in ios_camera.reachable().items():
        if state.visible and state.screen in {"loading", "starting"}:
            # Something is under way whose end is an event: a load, the system's alert, or a start with its timeout.
            assert state.model == "loading" or state.permission == "asking" or state.session == "starting", way
        elif state.visible and state.screen != "live":
            assert ios_camera.EXITS[state.screen], way
        # From everywhere a picture is a few good events away.
        after = state
        for event in good:
            after, _ = after.after(event)
        assert after.screen == "live", way
        # The camera is on only while somebody looks and a model answers.
        assert state.runs or state.session == "off", way
        assert state.screen != "live" or state.session == "running", way


def test_a_start_in_landscape_is_turned_when_the_session_has_an_input() -> None:
    effects = [
        e for _, done in ios_camera.walk(["rotated:0", "modelReady", "appear", "allowed", "started"]) for e in done
    ]
    assert effects == ["ask", "start", "turn:0", "rate:30"]


def test_regions_and_zoom() -> None:
    for item in vectors["regions"]:
        if item["move"] is not None:
            found = ios_camera.moved(item["region"], *item["move"])
        else:
            found = ios_camera.scaled(item["region"], item["scale"])
        assert found == pytest.approx(item["result"])
        x, y, width, height = found
        assert min(x, y) >= 0
        assert max(x + width, y + height) <= 1 + 1e-12
    for item in vectors["regionPixels"]:
        left, bottom, wide, high = ios_camera.pixels(item["region"], item["width"], item["height"])
        assert [left, bottom, wide, high] == item["pixels"]
        assert min(left, bottom) >= 0
        assert 0 < wide <= item["width"] - left
        assert 0 < high <= item["height"] - bottom
    for item in vectors["frames"]:
        assert ios_camera.frame(tuple(item["picture"]), tuple(item["view"])) == pytest.approx(item["frame"])
    for item in vectors["zoom"]:
        assert ios_camera.zoom(*(item[key] for key in ("start", "pinch", "least", "camera"))) == item["factor"]


def test_a_video_has_the_timeline_of_bball_predict() -> None:
    for item in vectors["timeline"]:
        seconds, rows = np.array(item["seconds"]), np.array(item["probabilities"])
        smoothed: Sequence[np.ndarray] = list(smooth(seconds, rows, item["halfWidth"])) if item["seconds"] else []
        np.testing.assert_allclose(smoothed, item["smoothed"], atol=1e-9)
        answers = []
        for row in smoothed:
            best, sure = ios_twins.answer(list(row), item["threshold"]) or (0, False)
            answers.append(Answer(str(best) if sure else UNSURE, str(best), float(row[best]), {}))
        segments = find_segments(item["seconds"], answers, item["end"])
        for found, wanted in zip(segments, item["segments"], strict=True):
            assert (found.start, found.end, found.samples) == (wanted["start"], wanted["end"], wanted["frames"])
            assert found.label == (UNSURE if wanted["answer"] is None else str(wanted["answer"]))
            assert found.confidence == pytest.approx(wanted["probability"])
    for item in vectors["clock"]:
        assert clock(item["seconds"]) == item["text"]


def test_device_json_of_the_app_is_read_by_the_export(tmp_path: Path) -> None:
    path = tmp_path / "device.json"
    record = vectors["deviceRecord"]["record"]
    path.write_text(json.dumps(record))
    found = read_device(path)
    assert (found.device, found.system, found.photos) == ("iPhone17,1", "iOS 18.1", 20)
    assert [(run.compute, run.passed, run.thermal) for run in found.runs] == [
        ("all", True, "nominal"),
        ("cpuOnly", False, "unknown"),
    ]
    assert found.runs[1].vision_largest_difference is None
    units = dict(re.findall(r'case \.(\w+): return "(\w+)"', (APP / "Model" / "ComputeChoice.swift").read_text()))
    assert set(units.values()) == set(COMPUTE)
    assert {*FRAMES_PER_SECOND, "unknown"} == set(THERMAL)


def test_days_and_fingerprints() -> None:
    for item in vectors["captureDay"]:
        assert ios_twins.capture_day(item["exif"]) == item["day"]
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
    assert re.search(r"Executed \d\d tests, with (?:1 test skipped and )?0 failures", done.stdout + done.stderr)
