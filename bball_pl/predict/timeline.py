"""Timelines of videos: answers smoothed over time, and segments with the same answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from bball_pl.evaluate.calibration import Answer
from bball_pl.moves import display_name
from bball_pl.wording import counted


@dataclass(frozen=True)
class Segment:
    """Part of a video with one smoothed answer.

    Attributes:
        start: time of the first sample, in seconds.
        end: time of the next segment's first sample or the end of the video, in seconds.
        label: the answer.
        confidence: mean of the smoothed confidences of its samples, 0–1.
        samples: number of frames that were answered.
    """

    start: float
    end: float
    label: str
    confidence: float
    samples: int


def smooth(seconds: np.ndarray, probabilities: np.ndarray, half_width: float) -> np.ndarray:
    """Average probabilities over time, so that one wrong frame does not split a move in two.

    Every sample becomes the weighted mean of itself and its neighbours; the weight falls linearly from 1 to 0 at a
    distance of `half_width`. The window is centred: an average over the past alone would report every move late. It is
    measured in seconds, so that unevenly sampled videos are treated alike. Probabilities are averaged, not their
    logarithms: in a mean of logarithms one wrong and nearly certain frame would outvote all its neighbours. Beyond both
    ends the timeline is mirrored, because otherwise the first and the last sample would count more than the rest.

    With samples every 0.25 s and the default of 0.75 s a sample has a third of the weight: a change in one sample
    disappears, a confident one in two samples stays.

    Args:
        seconds: times of the samples, float `[N]`, rising.
        probabilities: float `[N, classes]`, rows sum to 1.
        half_width: half the width of the window, in seconds; 0 changes nothing.

    Returns:
        float64 `[N, classes]`, rows sum to 1.
    """
    probabilities = probabilities.astype(np.float64)
    if half_width <= 0 or len(seconds) < 2:
        return probabilities
    first, last = seconds[0], seconds[-1]
    times = np.concatenate([2 * first - seconds[:0:-1], seconds, 2 * last - seconds[-2::-1]])
    values = np.concatenate([probabilities[:0:-1], probabilities, probabilities[-2::-1]])
    lows = np.searchsorted(times, seconds - half_width)
    highs = np.searchsorted(times, seconds + half_width)
    smoothed = np.empty_like(probabilities)
    for row, (low, high) in enumerate(zip(lows, highs, strict=True)):
        weights = np.maximum(0, 1 - np.abs(times[low:high] - seconds[row]) / half_width)
        smoothed[row] = weights @ values[low:high] / weights.sum()
    return smoothed


def find_segments(seconds: Sequence[float], answers: Sequence[Answer], end: float) -> list[Segment]:
    """Join neighbouring samples with the same answer.

    Args:
        seconds: times of the samples, rising.
        answers: to the samples, smoothed.
        end: end of the video, in seconds.
    """
    segments: list[Segment] = []
    first = 0
    for label, run in groupby(answers, key=lambda answer: answer.label):
        confidences = [answer.confidence for answer in run]
        following = first + len(confidences)
        stop = seconds[following] if following < len(seconds) else end
        mean = sum(confidences) / len(confidences)
        segments.append(Segment(seconds[first], stop, label, mean, len(confidences)))
        first = following
    return segments


def timeline_lines(name: str, segments: Sequence[Segment]) -> Iterator[str]:
    """Yield a video's timeline as lines of text: from, to, answer, mean confidence."""
    samples = sum(segment.samples for segment in segments)
    yield f"{name}: {clock(segments[-1].end)} long, {counted(samples, 'frame')} answered"
    for segment in segments:
        # Names come last, because Chinese characters are two columns wide and would need alignment.
        span = f"{clock(segment.start):>9} – {clock(segment.end):>9}"
        yield f"  {span}  {segment.confidence:4.0%}  {display_name(segment.label)}"


def clock(seconds: float) -> str:
    """Return a time as minutes, seconds and tenths, such as 1:02.5, with hours in front where there are any."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    if minutes < 60:
        return f"{minutes}:{rest / 10:04.1f}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest / 10:04.1f}"
