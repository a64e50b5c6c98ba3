"""The demo court: the files it writes, what it refuses, and the geometry it is drawn with."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bball_pl.court.album import PHOTOS_PER_GAME, difference_hash, render_games
from bball_pl.court.body import COARSE, MIDDLE, PARTS, build_mesh, surface
from bball_pl.court.camera import Plane, look_at, visible_polygon
from bball_pl.court.demo_dataset import write_contact_sheet, write_demo
from bball_pl.court.framing import is_in_picture
from bball_pl.court.game import sample_game
from bball_pl.court.hoop import RING_X, RING_Z
from bball_pl.court.pose import (
    ANGLES,
    BALL_RADIUS,
    BONES,
    PHASES,
    RANGES,
    angle_range,
    forward_kinematics,
    palm_of,
    placed,
    reach,
    sample_action,
)
from bball_pl.court.scene import sample_scene, tall_in_pixels
from bball_pl.errors import ConfigError, DatasetError
from bball_pl.moves import MOVES
from bball_pl.photos.photos_csv import COLUMNS, PhotoRecord, read_photos_csv, write_photos_csv

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "demo.py"
NAMES = [move.name for move in MOVES]

seeds = st.integers(0, 2**32 - 1)
phases = st.sampled_from(sorted(RANGES))


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def run_script(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("one") / "demo"
    write_demo(root, 32, 4, 3, workers=1, show_progress=False)
    return root


def test_the_folder_keeps_the_dataset_contract(demo: Path) -> None:
    assert sorted(path.name for path in demo.iterdir()) == ["demo.json", "photos.csv", "test", "train"]
    for split, count in (("train", 32), ("test", 4)):
        assert sorted(path.name for path in (demo / split).iterdir()) == sorted(NAMES)
        numbers = sorted(int(path.stem) for path in (demo / split).rglob("*.jpg"))
        assert numbers == list(range(count))
        sizes = [len(list((demo / split / name).iterdir())) for name in NAMES]
        assert max(sizes) - min(sizes) <= 1


def test_photos_csv_tells_the_truth(demo: Path) -> None:
    records = read_photos_csv(demo / "photos.csv")
    assert (demo / "photos.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert {record.path for record in records} == {path for path in files(demo) if path.endswith(".jpg")}
    for record in records:
        data = (demo / record.path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == record.sha256
        assert difference_hash(data) == record.dhash
        assert record.path.split("/")[1] == record.class_name
        assert (record.source, record.licence, record.author) == ("demo court", "CC0-1.0", "bball_pl demo court")
    assert len({record.sha256 for record in records}) == len(records)


def test_no_game_is_in_both_splits_and_each_has_every_move(demo: Path) -> None:
    groups: dict[str, set[str]] = {"train": set(), "test": set()}
    moves: dict[str, Counter[str]] = {}
    for record in read_photos_csv(demo / "photos.csv"):
        groups[record.path.split("/")[0]].add(record.group)
        moves.setdefault(record.group, Counter())[record.class_name] += 1
    assert not groups["train"] & groups["test"]
    assert len(groups["train"]) == 2
    assert moves["train-game-000"] == dict.fromkeys(NAMES, PHOTOS_PER_GAME // 3)


def test_photos_are_of_album_size_in_every_class(demo: Path) -> None:
    shapes: dict[str, Counter[tuple[int, ...]]] = {name: Counter() for name in NAMES}
    for record in read_photos_csv(demo / "photos.csv"):
        photo = cv2.imread(str(demo / record.path))
        assert photo is not None
        assert photo.std() > 15  # something is in it
        shapes[record.class_name][photo.shape] += 1
    for shape in shapes.values():
        assert set(shape) <= {(427, 640, 3), (640, 427, 3)}


def test_same_seed_same_bytes_for_any_number_of_workers_and_any_size(demo: Path, tmp_path: Path) -> None:
    write_demo(tmp_path / "two", 31, 3, 3, workers=2, show_progress=False)
    again, first = files(tmp_path / "two"), files(demo)
    photos = [path for path in again if path.endswith(".jpg")]
    assert len(photos) == 34
    assert all(again[path] == first[path] for path in photos)


def test_another_seed_gives_other_photos(demo: Path, tmp_path: Path) -> None:
    write_demo(tmp_path / "demo", 3, 3, 4, workers=1, show_progress=False)
    photos = {path: data for path, data in files(tmp_path / "demo").items() if path.endswith(".jpg")}
    assert all(files(demo)[path] != data for path, data in photos.items())


def test_the_script_writes_once_then_has_nothing_to_do_and_replaces_only_by_force(tmp_path: Path) -> None:
    first = run_script("--train", 4, "--test", 3, "--out", "d", "--workers", 1, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "7 photos in" in first.stdout
    before = {path: (tmp_path / "d" / path).stat().st_mtime_ns for path in files(tmp_path / "d")}
    sheet = tmp_path / "sheet.jpg"
    second = run_script("--train", 4, "--test", 3, "--out", "d", "--contact_sheet", sheet, cwd=tmp_path)
    assert "already holds this demo" in second.stdout
    assert before == {path: (tmp_path / "d" / path).stat().st_mtime_ns for path in files(tmp_path / "d")}
    assert cv2.imread(str(sheet)) is not None
    third = run_script("--train", 5, "--test", 3, "--out", "d", cwd=tmp_path)
    assert third.returncode == 2
    assert "another demo (train 4, test 3, seed 7)" in third.stderr
    assert "Traceback" not in third.stderr
    write_demo(tmp_path / "d", 5, 3, 7, workers=1, force=True, show_progress=False)
    assert len(read_photos_csv(tmp_path / "d" / "photos.csv")) == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "sheet.jpg"]


def test_the_script_explains_itself_from_any_folder(tmp_path: Path) -> None:
    shown = run_script("--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert "the same seed gives the same bytes" in shown.stdout
    assert str(ROOT / "data" / "demo") in "".join(shown.stdout.split())


def test_photos_of_the_user_are_never_touched(tmp_path: Path) -> None:
    own = tmp_path / "mine" / "train" / "shoot" / "a.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    with pytest.raises(DatasetError, match=r"not a demo \(found: train\)"):
        write_demo(tmp_path / "mine", 3, 3, 0, workers=1, force=True, show_progress=False)
    assert own.read_bytes() == b"mine"
    write_demo(tmp_path / "demo", 3, 3, 0, workers=1, show_progress=False)
    guest = tmp_path / "demo" / "train" / "shoot" / "my_photo.jpg"
    guest.write_bytes(b"mine")
    with pytest.raises(DatasetError, match=r"such as train/shoot/my_photo\.jpg"):
        write_demo(tmp_path / "demo", 4, 3, 0, workers=1, force=True, show_progress=False)
    assert guest.read_bytes() == b"mine"
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetError, match="is a file"):
        write_demo(tmp_path / "file", 3, 3, 0, show_progress=False)


def test_a_demo_with_a_lost_photo_is_incomplete(tmp_path: Path) -> None:
    write_demo(tmp_path / "demo", 3, 3, 0, workers=1, show_progress=False)
    (tmp_path / "demo" / "test" / "layup" / "000002.jpg").unlink()
    with pytest.raises(DatasetError, match="an incomplete demo"):
        write_demo(tmp_path / "demo", 3, 3, 0, workers=1, show_progress=False)
    for written in (True, False):
        again = write_demo(tmp_path / "demo", 3, 3, 0, workers=1, force="unless_complete", show_progress=False)
        assert again.written == written
    assert write_demo(tmp_path / "demo", 3, 3, 0, workers=1, force=True, show_progress=False).written


def test_a_demo_that_another_process_has_written_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "demo"

    def slow(*given: Any) -> Iterator[list[PhotoRecord]]:
        monkeypatch.setattr("bball_pl.court.demo_dataset.render_games", render_games)
        assert write_demo(out, 3, 3, 0, workers=1, show_progress=False).written
        yield from render_games(*given)

    monkeypatch.setattr("bball_pl.court.demo_dataset.render_games", slow)
    assert not write_demo(out, 3, 3, 0, workers=1, show_progress=False).written
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((2, 3, 0), "--train is 2"), ((3, -1, 0), "--test is -1"), ((3, 3, -1), "--seed is -1")],
)
def test_impossible_numbers_are_refused(tmp_path: Path, numbers: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        write_demo(tmp_path / "demo", *numbers, show_progress=False)
    with pytest.raises(ConfigError, match="--workers is 0"):
        write_demo(tmp_path / "demo", 3, 3, 0, workers=0, show_progress=False)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, workers: int) -> None:
    command = [
        sys.executable,
        str(SCRIPT),
        "--train",
        "3000",
        "--out",
        str(tmp_path / "demo"),
        "--workers",
        str(workers),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 600
    while not list(tmp_path.rglob("*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not (tmp_path / "demo").exists()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    _, errors = process.communicate(timeout=900)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not any(tmp_path.iterdir())


def test_the_contact_sheet_is_reproducible(demo: Path, tmp_path: Path) -> None:
    one = write_contact_sheet(demo, tmp_path / "a.jpg", columns=3).read_bytes()
    assert one == write_contact_sheet(demo, tmp_path / "b.jpg", columns=3).read_bytes()
    with pytest.raises(DatasetError, match=r"photos\.csv is not there"):
        write_contact_sheet(tmp_path, tmp_path / "c.jpg")


def test_photos_csv_comes_back_as_it_was_written(tmp_path: Path) -> None:
    records = [PhotoRecord("train/shoot/a.jpg", "shoot", author='Wu, "Ming"'), PhotoRecord("test/layup/b.jpg", "layup")]
    write_photos_csv(tmp_path / "photos.csv", records)
    assert read_photos_csv(tmp_path / "photos.csv") == records


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: no column 'path' and 'class' \(found: nothing\)"),
        ("path,klass\na,b\n", r"line 1: no column 'class' \(found: path, klass\)"),
        ("path,class\ntrain/shoot/a.jpg\n", "line 2: 1 fields, but the first line names 2"),
        ("path,class\n../a.jpg,shoot\n", "line 2: path '../a.jpg' is not below"),
        ("path,class\n/a.jpg,shoot\n", "line 2: path '/a.jpg' is not below"),
        ("path,class\na.jpg,\n", "line 2: class is empty"),
        ("path,class\na.jpg,shoot\na.jpg,shoot\n", "line 3: path 'a.jpg' is already on line 2"),
    ],
)
def test_a_bad_photos_csv_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "photos.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_photos_csv(tmp_path / "photos.csv")


def test_photos_csv_allows_a_byte_order_mark_and_further_columns(tmp_path: Path) -> None:
    (tmp_path / "photos.csv").write_text("\ufeffclass,mood,path\nshoot,glad,a.jpg\n", encoding="utf-8")
    assert read_photos_csv(tmp_path / "photos.csv") == [PhotoRecord("a.jpg", "shoot")]


def test_nothing_but_the_move_tells_the_classes_apart() -> None:
    game = sample_game(np.random.default_rng(1), "train-game-000")
    count = 50
    for move in NAMES:
        scenes = [sample_scene(np.random.default_rng([5, i]), game, move) for i in range(count)]
        heights, hoops = [], 0
        for scene in scenes:
            pixels, depth = scene.camera.project(np.concatenate([scene.main.body.joints, scene.ball[None]]))
            assert depth.min() > 0.5
            assert pixels.min() > -1  # player and ball are whole in the picture
            assert np.all(pixels < np.array(scene.camera.size) + 1)
            heights.append(tall_in_pixels(scene.camera, scene.main) / scene.camera.size[1])
            hoops += is_in_picture(scene.camera, np.array([[RING_X, 0.0, RING_Z]]))
        assert 0.45 < np.median(heights) < 0.85
        assert 0.05 * count < hoops < 0.95 * count
        assert 0.08 * count < sum(scene.camera.size == (427, 640) for scene in scenes) < 0.4 * count
        assert 0.05 * count < sum(scene.main.handed == 1 for scene in scenes) < 0.4 * count
        assert 1.5 < np.mean([len(scene.others) for scene in scenes]) < 6


def test_every_move_has_phases_and_every_range_is_ordered() -> None:
    assert sorted(PHASES) == sorted(NAMES)
    for shares in PHASES.values():
        assert sum(share for _, share in shares) == pytest.approx(1)
        assert {phase for phase, _ in shares} <= set(RANGES)
    for phase, ranges in RANGES.items():
        assert set(ranges) <= set(ANGLES)
        for name in ANGLES:
            least, most = angle_range(phase, name)
            assert least < most
            if name.startswith(("knee", "elbow")):  # these joints bend one way
                assert least >= 0
                assert most <= 150


@settings(max_examples=25, deadline=None)
@given(seed=seeds, phase=phases, size=st.floats(0.85, 1.1))
def test_bones_keep_their_length_in_every_pose(seed: int, phase: str, size: float) -> None:
    action = sample_action(np.random.default_rng(seed), phase, size)
    for name in ANGLES:
        least, most = angle_range(phase, name)
        assert least <= getattr(action.angles, name) <= most
    body, _ = placed(action.body, np.array([3.0, -2.0, action.jump]), 1.1, -1)
    for skeleton in (action.body, body):
        for (start, end), metres in BONES.items():
            assert np.linalg.norm(skeleton[end] - skeleton[start]) == pytest.approx(metres * size, abs=1e-9)
    soles = min(body[name][2] for name in ("heel_b", "toe_b", "heel_o", "toe_o"))
    assert soles == pytest.approx(0.035 * size + action.jump)
    assert body.joints[:, 2].min() > 0


@settings(max_examples=25, deadline=None)
@given(seed=seeds, move=st.sampled_from(NAMES))
def test_the_ball_is_where_the_move_has_it(seed: int, move: str) -> None:
    rng = np.random.default_rng(seed)
    for phase, _ in PHASES[move]:
        action = sample_action(rng, phase)
        palm = palm_of(action.body)
        crown = action.body["crown"][2]
        assert action.ball[2] + action.jump >= BALL_RADIUS * 0.9
        if move == "dribble":
            assert action.ball[2] < palm[2]
        elif move == "shoot":
            assert action.ball[2] > action.body["neck"][2]
        elif phase == "layup_reach":
            assert action.ball[2] > crown - 0.3
        gap = np.linalg.norm(action.ball - palm)
        assert BALL_RADIUS * 0.5 < gap < 1.3


@settings(max_examples=25, deadline=None)
@given(seed=seeds, target=st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.6, 2.4)))
def test_a_reaching_arm_keeps_its_bones_and_comes_as_near_as_it_can(seed: int, target: tuple[float, ...]) -> None:
    body = sample_action(np.random.default_rng(seed), "stand").body
    goal = np.array(target)
    moved = reach(body, "b", goal)
    for bone in (("shoulder_b", "elbow_b"), ("elbow_b", "wrist_b"), ("wrist_b", "tip_b")):
        assert np.linalg.norm(moved[bone[1]] - moved[bone[0]]) == pytest.approx(BONES[bone], abs=1e-9)
    palm = (moved["wrist_b"] + moved["tip_b"]) / 2
    distance = float(np.linalg.norm(goal - body["shoulder_b"]))
    if 0.15 < distance < 0.65:
        assert np.linalg.norm(palm - goal) < 1e-6


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_projection_and_homography_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    camera = look_at(
        np.array([rng.uniform(5, 12), rng.uniform(-5, 5), rng.uniform(0.5, 3)]), np.zeros(3), 700.0, (640, 427), 0.1
    )
    np.testing.assert_allclose(camera.rotation @ camera.rotation.T, np.eye(3), atol=1e-12)
    middle, depth = camera.project(np.zeros(3))
    np.testing.assert_allclose(middle, camera.centre, atol=1e-6)
    assert depth == pytest.approx(np.linalg.norm(camera.position))
    plane = Plane(np.array([-1.0, -1, 0]), np.eye(3)[0], np.eye(3)[1], 20.0, np.zeros((40, 40, 3), np.uint8))
    spot = rng.uniform(0, 40, 2)
    mapped = camera.homography(plane) @ np.array([*spot, 1.0])
    world = plane.origin + (plane.right * spot[0] + plane.down * spot[1]) / plane.density
    np.testing.assert_allclose(mapped[:2] / mapped[2], camera.project(world)[0], atol=1e-6)
    fine = camera.scaled(2).project(world)[0]
    np.testing.assert_allclose((fine + 0.5) / 2 - 0.5, camera.project(world)[0], atol=1e-6)


def test_a_polygon_behind_the_lens_is_not_seen_and_one_across_it_is_cut() -> None:
    camera = look_at(np.array([0.0, 0, 1]), np.array([1.0, 0, 1]), 300.0, (100, 100))
    behind = np.array([[-1.0, -1, 0], [-1, 1, 0], [-2, 1, 0], [-2, -1, 0]])
    assert visible_polygon(camera, behind) is None
    across = np.array([[-5.0, -1, 0], [5, -1, 0], [5, 1, 0], [-5, 1, 0]])
    cut = visible_polygon(camera, across)
    assert cut is not None
    assert np.all(cut[:, 1] > 50)  # the floor is below the horizon


@pytest.mark.parametrize("detail", [MIDDLE, COARSE])
@pytest.mark.parametrize("handed", [1, -1])
def test_a_body_has_its_front_in_front_and_its_left_on_the_left(handed: int, detail: object) -> None:
    angles = sample_action(np.random.default_rng(0), "stand").angles
    body, _ = placed(forward_kinematics(angles), np.zeros(3), 0.0, handed)
    mesh = build_mesh(body, handed, 1.0, 1.0, MIDDLE if detail is MIDDLE else COARSE, (0.0,) * 6)
    assert mesh.rings.shape[0] == len(PARTS)
    chest = surface(mesh, "torso", np.array([0.6, 0.6]), np.array([0.0, 90.0]))
    middle = mesh.axis[0, :, 0].mean(axis=0)
    assert chest[0, 1] > middle[1] + 0.08  # heading +x, left is +y
    assert chest[1, 0] > middle[0] + 0.05
