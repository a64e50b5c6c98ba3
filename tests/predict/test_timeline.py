"""Videos to timelines: sampling by time, smoothing, stretches of one answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from bball_pl.evaluate.calibration import DecisionRule
from bball_pl.photos import video as video_module
from bball_pl.photos.video import Frame, Video
from bball_pl.predict.timeline import clock, find_segments, smooth

from helpers.predict_runs import NAMES

# --- smoothing -------------------------------------------------------------------------------------------------------

SHOOT, LAYUP = [0.9, 0.05, 0.05], [0.01, 0.01, 0.98]


def smoothed_names(rows: Sequence[Sequence[float]], seconds: Sequence[float] | None = None) -> list[str]:
    times = np.array(seconds if seconds is not None else np.arange(len(rows)) / 4)
    smoothed = smooth(times, np.array(rows), 0.75)
    assert smoothed.sum(1) == pytest.approx(1)
    return [NAMES[best] for best in smoothed.argmax(1)]


@pytest.mark.parametrize("place", range(8))
def test_one_slip_disappears_wherever_it_is(place: int) -> None:
    rows = [SHOOT] * 8
    rows[place] = LAYUP
    assert smoothed_names(rows) == ["shoot"] * 8


@pytest.mark.parametrize("place", range(2, 5))
def test_two_sure_samples_in_a_row_stay(place: int) -> None:
    rows = [SHOOT] * 8
    rows[place : place + 2] = [LAYUP] * 2
    assert smoothed_names(rows) == ["layup" if row in {place, place + 1} else "shoot" for row in range(8)]


def test_a_change_stays_where_it_is() -> None:
    assert smoothed_names([SHOOT] * 5 + [LAYUP] * 4) == ["shoot"] * 5 + ["layup"] * 4


def test_the_window_is_measured_in_seconds() -> None:
    rows = [SHOOT, SHOOT, LAYUP, SHOOT, SHOOT]
    assert smoothed_names(rows, [0, 0.25, 0.5, 0.75, 1]) == ["shoot"] * 5
    assert smoothed_names(rows, [0, 1, 2, 3, 4])[2] == "layup", "neighbours a second away have no vote"
    mean = smooth(np.array([0.0, 0.5]), np.array([[1.0, 0.0], [0.0, 1.0]]), 1.0)
    assert mean == pytest.approx(np.array([[0.5, 0.5], [0.5, 0.5]])), "own weight 1, the neighbour's and its mirror's ½"


def test_nothing_to_smooth() -> None:
    rows = np.array([SHOOT, LAYUP])
    assert smooth(np.array([0.0, 0.1]), rows, 0).tolist() == rows.tolist()
    assert smooth(np.array([0.0]), rows[:1], 1).tolist() == rows[:1].tolist()


def test_segments_join_equal_answers() -> None:
    rule = DecisionRule(NAMES, threshold=0.6)
    rows = [SHOOT, [0.8, 0.1, 0.1], [0.4, 0.3, 0.3], LAYUP]
    segments = find_segments([0, 0.5, 1, 1.5], [rule.answer(np.array(row)) for row in rows], 2.25)
    found = [(segment.start, segment.end, segment.label, segment.samples) for segment in segments]
    assert found == [(0, 1, "shoot", 2), (1, 1.5, "unsure", 1), (1.5, 2.25, "layup", 1)]
    assert [segment.confidence for segment in segments] == pytest.approx([0.85, 0.4, 0.98])


def test_times_are_written_as_a_player_shows_them() -> None:
    assert [clock(seconds) for seconds in (0, 9.96, 59.99, 61.25, 3600)] == [
        *("0:00.0", "0:10.0", "1:00.0", "1:01.2", "1:00:00.0")
    ]


# --- sampling --------------------------------------------------------------------------------------------------------


class FakeCapture:
    """Stands for OpenCV's capture: frames at given times, which no encoder at hand would write."""

    def __init__(self, milliseconds: Sequence[float], rate: float = 30.0) -> None:
        self.milliseconds, self.rate, self.at = milliseconds, rate, -1

    def grab(self) -> bool:
        self.at += 1
        return self.at < len(self.milliseconds)

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.full((2, 2, 3), self.at, np.uint8)

    def get(self, key: int) -> float:
        return {
            cv2.CAP_PROP_POS_MSEC: self.milliseconds[min(self.at, len(self.milliseconds) - 1)],
            cv2.CAP_PROP_FPS: self.rate,
            cv2.CAP_PROP_FRAME_COUNT: len(self.milliseconds),
        }[key]

    def release(self) -> None: ...


def sampled(
    monkeypatch: pytest.MonkeyPatch, milliseconds: Sequence[float], fps: float, rate: float = 30.0
) -> tuple[list[int], list[float], Video]:
    monkeypatch.setattr(video_module, "_open", lambda path: FakeCapture(milliseconds, rate))
    video = Video(Path("any.mp4"))
    frames = []
    for frame in video.samples(fps):
        frame.take()
        frames.append(frame)
    return [frame.index for frame in frames], [frame.seconds for frame in frames], video


def test_frames_are_sampled_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    steady = [1000 * index / 30 for index in range(60)]
    assert sampled(monkeypatch, steady, 2)[0] == [0, 15, 30, 45]
    assert sampled(monkeypatch, steady, 4)[0] == [0, 8, 15, 23, 30, 38, 45, 53]
    assert len(sampled(monkeypatch, steady, 1000)[0]) == 60, "no frame twice"
    varying = [0, 10, 20, 30, 500, 510, 2600, 2700, 3000]
    indices, seconds, video = sampled(monkeypatch, varying, 2)
    assert indices == [0, 4, 6, 8]
    assert seconds == pytest.approx([0, 0.5, 2.6, 3.0])
    assert video.rate == pytest.approx(8 / 3.0), "the mean rate: the copy lasts as long as the video"


def test_times_that_are_missing_or_start_late(monkeypatch: pytest.MonkeyPatch) -> None:
    indices, seconds, video = sampled(monkeypatch, [0.0] * 50, 1, rate=25)
    assert indices == [0, 25]
    assert seconds == pytest.approx([0, 1])
    assert (video.frames, video.rate) == (50, 25)
    assert video.seconds == pytest.approx(2)
    late = [5000 + 40 * index for index in range(50)]
    assert sampled(monkeypatch, late, 1, rate=25)[1] == pytest.approx([0, 1])
    assert len(sampled(monkeypatch, [float("nan")] * 50, 1, rate=float("nan"))[0]) == 2


def test_few_frames_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_module, "_open", lambda path: FakeCapture([40.0 * index for index in range(100)], 25))
    got: list[Frame] = []
    thread = threading.Thread(target=lambda: got.extend(Video(Path("any.mp4")).samples(25)), daemon=True)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    assert len(got) == 8, "the ninth waits until one is taken"
    taken = 0
    while thread.is_alive() or taken < len(got):
        if taken < len(got):
            assert got[taken].take()[0, 0].tolist() == [taken] * 3
            taken += 1
    assert taken == 100
