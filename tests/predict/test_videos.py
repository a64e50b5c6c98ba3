"""scripts/predict.py on videos: timelines, annotated copies, rotation, and broken files."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from bball_pl.errors import PhotoError
from bball_pl.photos.video import Video

from helpers.painting import COLOURS
from helpers.predict_runs import NAMES, calibrated, colour_checkpoint, film, predict, rows_of

Run = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibrated(colour_checkpoint(tmp_path_factory.mktemp("model") / "best.ckpt", margin=6), 1.0, 0.5)


@pytest.fixture
def run(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*options: str | Path, expect: int = 0) -> tuple[str, str]:
        return predict([*options, "--ckpt", checkpoint, "--device", "cpu"], monkeypatch, capsys, expect)

    return call


def frames_of(path: Path) -> list[np.ndarray]:
    """All frames of a video, RGB."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames: list[np.ndarray] = []
    while True:
        good, frame = capture.read()
        if not good:
            capture.release()
            return frames
        frames.append(frame[..., ::-1])


def test_a_planted_change_is_found_where_it_is(run: Run, tmp_path: Path) -> None:
    game = film(tmp_path / "game.mp4", ["shoot"] * 40 + ["layup"] * 30)
    text, said = run(game)
    rows = rows_of(text)
    assert [row["path"] for row in rows] == [str(game)] * 14
    assert [int(row["frame"]) for row in rows] == list(range(0, 70, 5))
    assert [float(row["seconds"]) for row in rows] == pytest.approx([index / 4 for index in range(14)])
    assert [row["answer"] for row in rows] == ["shoot"] * 8 + ["layup"] * 6
    assert [row["smoothed"] for row in rows] == ["shoot"] * 8 + ["layup"] * 6
    assert f"{game}: 0:03.5 long, 14 frames answered" in said
    lines = [line.split() for line in said.splitlines() if "–" in line]
    assert [[line[0], line[2], *line[4:]] for line in lines] == [
        ["0:00.0", "0:02.0", "shoot", "投籃"],
        ["0:02.0", "0:03.5", "layup", "上籃"],
    ]
    assert "14 frames of 1 video in" in said


def test_a_single_slip_is_in_the_rows_and_not_in_the_timeline(run: Run, tmp_path: Path) -> None:
    colours = ["dribble"] * 60
    colours[20:25] = ["shoot"] * 5
    text, said = run(film(tmp_path / "game.avi", colours, codec="MJPG"))
    assert [row["answer"] for row in rows_of(text)] == ["dribble"] * 4 + ["shoot"] + ["dribble"] * 7
    assert {row["smoothed"] for row in rows_of(text)} == {"dribble"}
    assert len([line for line in said.splitlines() if "–" in line]) == 1
    text, said = run(tmp_path / "game.avi", "--smooth", "0", "--format", "table")
    assert len([line for line in text.splitlines() if "–" in line]) == 3
    assert "–" not in said


def test_photos_and_videos_in_one_album_come_in_order(run: Run, tmp_path: Path, paint: Callable[..., Path]) -> None:
    for number in range(3):
        paint(tmp_path / f"IMG_{number}.jpg", COLOURS[NAMES[number]])
        film(tmp_path / f"IMG_{number}.MP4", [NAMES[number]] * 25)
    rows = rows_of(run(tmp_path, "--batch_size", "4")[0])
    expected = []
    for number in range(3):
        expected += [f"IMG_{number}.MP4"] * 5 + [f"IMG_{number}.jpg"]
    assert [Path(row["path"]).name for row in rows] == expected
    assert [row["answer"] for row in rows] == [NAMES[number // 6] for number in range(18)]
    assert [bool(row["frame"]) for row in rows] == ([True] * 5 + [False]) * 3


def test_a_video_that_lies_on_its_side_is_seen_upright(run: Run, tmp_path: Path) -> None:
    wide = film(tmp_path / "wide.mp4", ["shoot"] * 10).read_bytes()
    # The matrix of the track header: a quarter turn, as a phone held upright notes it.
    place = wide.index(b"tkhd") + 44
    turn = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(wide[:place] + turn + wide[place + 36 :])
    (first, *_) = Video(turned).samples(1)
    assert first.take().shape == (64, 48, 3)
    run(turned, "--annotate", tmp_path / "drawn")
    assert frames_of(tmp_path / "drawn" / "turned.mp4")[0].shape == (64, 48, 3)


def test_bad_videos_are_listed_and_the_rest_is_answered(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    good = film(tmp_path / "good.mp4", ["layup"] * 20)
    content = good.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.mov").touch()
    (tmp_path / "page.webm").write_text("<html>" * 100)
    film(tmp_path / "none.mp4", [])
    data = content.index(b"mdat")
    header = content.index(b"moov")
    (tmp_path / "zeros.mp4").write_bytes(content[: data + 4] + bytes(header - data - 8) + content[header - 4 :])
    # The file descriptors are watched: FFmpeg's own remarks go past Python.
    options: list[str | Path] = [tmp_path, "--annotate", tmp_path / "drawn", "--ckpt", checkpoint, "--device", "cpu"]
    text, said = predict(options, monkeypatch, capfd, expect=1)
    assert {row["path"] for row in rows_of(text)} == {str(good)}
    assert "5 of 6 files failed:" in said
    for name, reason in {
        "cut.mp4": "not a readable video",
        "empty.mov": "empty file",
        "page.webm": "not a readable video",
        "none.mp4": "",
        "zeros.mp4": "no frame can be decoded",
    }.items():
        assert f"  {tmp_path / name}: {reason}" in said
    assert len(said.splitlines()) == 10, f"FFmpeg's remarks are not shown:\n{said}"
    assert [path.name for path in sorted((tmp_path / "drawn").glob("*.*")) if path.suffix] == ["good.mp4"]


def test_a_video_that_ends_early_is_answered_as_far_as_it_goes(run: Run, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    whole = tmp_path / "whole.avi"
    writer = cv2.VideoWriter(str(whole), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 20, (64, 48))
    for _ in range(80):
        writer.write(generator.integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert "failed" not in run(whole)[1]
    text, said = run(cut, "--annotate", tmp_path / "drawn", expect=1)
    assert 4 <= len(rows_of(text)) <= 9
    assert "1 of 1 files failed" in said
    assert "of 4.0 s: truncated or damaged. Only that part is used" in said
    assert 20 <= len(frames_of(tmp_path / "drawn" / "cut.avi.mp4")) <= 44
    with pytest.raises(PhotoError, match="ends after"):
        list(Video(cut).read())


def test_an_annotated_copy_has_every_frame_and_the_answer_of_its_moment(run: Run, tmp_path: Path) -> None:
    game = film(tmp_path / "game.mov", ["shoot"] * 30 + ["dribble"] * 33, rate=30000 / 1001, size=(320, 240))
    before = game.read_bytes()
    run(game, "--annotate", tmp_path / "drawn")
    assert game.read_bytes() == before
    copy = tmp_path / "drawn" / "game.mov.mp4"
    capture = cv2.VideoCapture(str(copy), cv2.CAP_FFMPEG)
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(30000 / 1001, rel=1e-3)
    capture.release()
    frames, original = frames_of(copy), frames_of(game)
    assert len(frames) == len(original) == 63
    assert frames[0].shape == (240, 320, 3)
    top, bar = slice(0, 180), slice(200, 240)
    for frame, source in zip(frames, original, strict=True):
        assert np.abs(frame[top].astype(int) - source[top]).mean() < 6
        assert np.abs(frame[bar].astype(int) - source[bar]).mean() > 30
    # What is written in the bar holds from one sample to the next, and changes with the answer. The frame below shines
    # through, so brightness is compared on the left half, where the name stands.
    name = [frame[bar, :130].astype(float).mean(2) for frame in frames]
    written = [patch > patch.mean() + 40 for patch in name]
    changed = (written[20] ^ written[45]).mean()
    assert changed > 0.05
    assert (written[10] ^ written[20]).mean() < changed / 2
    assert (written[45] ^ written[60]).mean() < changed / 2
    assert not list((tmp_path / "drawn").glob(".game*")), "no temporary file is left"
