"""Prediction of photos and videos: answers in order, timelines, annotated copies, and a list of failures."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from bball_pl.errors import ConfigError, PhotoError
from bball_pl.evaluate.trained_model import AnsweringModel
from bball_pl.files import refuse_other_kind
from bball_pl.photos.decode import decode
from bball_pl.photos.video import Frame, Video
from bball_pl.predict.annotate import Annotator
from bball_pl.predict.output import Format, Row, Writer, beginning, open_output, output_file
from bball_pl.predict.sources import Failure, Found, Source
from bball_pl.predict.timeline import clock, find_segments, smooth, timeline_lines
from bball_pl.terminal import log, progress
from bball_pl.wording import counted


def predict_all(
    model: AnsweringModel,
    found: Found,
    form: Format | None = None,
    out: Path | None = None,
    annotate: Path | None = None,
    fps: float = 4.0,
    half_width: float = 0.75,
    force: bool = False,
) -> str:
    """Answer all photos and videos, write the answers and, if wanted, annotated copies.

    Args:
        model: gives logits and answers.
        found: the photos and videos; failures are appended to its list.
        form: format of the answers, as in `open_output`.
        out: file or folder of the answers, as in `open_output`.
        annotate: folder for annotated copies.
        fps: frames of a video that are answered per second, above 0.
        half_width: of the window in which the answers of a video are averaged, in seconds, 0 or more.
        force: replace the file of the answers even if it holds anything else.

    Returns:
        A sentence with the number of photos and frames answered, and the speed.

    Raises:
        ConfigError: if `out` is one of the sources, a file that holds anything but answers while `force` is false, or
            a file or folder cannot be written.
    """
    if out is not None and os.path.realpath(output_file(form, out)) in found.real_paths:
        raise ConfigError(f"--out {out} is one of the sources; pass another file")
    if out is not None:
        refuse_other_kind(output_file(form, out), beginning(form, out), force=force)
    annotator = None if annotate is None else Annotator(annotate, found)
    if model.rule.note:
        print(f"note: {model.rule.note}", file=sys.stderr)
    # Rows on the terminal and a progress bar below them would overwrite each other.
    rows_on_terminal = out is None and form in {"csv", "jsonl"} and sys.stdout.isatty()
    with open_output(form, out, model.class_names) as writer:
        return Prediction(model, found, writer, annotator, fps, half_width).run(show_progress=not rows_on_terminal)


@dataclass(eq=False)
class _Item:
    """Input of the network: a photo, a frame of a video, or an error that `load` raises in its place."""

    source: Source
    load: Callable[[], np.ndarray]
    video: Video | None = None
    frame: Frame | None = None


@dataclass
class _Clip:
    """Frames of a video answered so far, and their logits."""

    source: Source
    video: Video
    frames: list[Frame] = field(default_factory=list)
    logits: list[np.ndarray] = field(default_factory=list)


@dataclass
class Prediction:
    """One pass over photos and videos.

    Attributes:
        model: gives logits and answers.
        found: the photos and videos, in the order of the answers; failures are appended to its list.
        writer: takes a row for every photo and every frame.
        annotator: draws annotated copies; None for no copies.
        fps: frames of a video that are answered per second.
        half_width: of the window in which the answers of a video are averaged, in seconds.
    """

    model: AnsweringModel
    found: Found
    writer: Writer
    annotator: Annotator | None
    fps: float
    half_width: float
    photos: int = 0
    videos: int = 0
    frames: int = 0
    _clip: _Clip | None = None

    def run(self, show_progress: bool) -> str:
        """Answer all sources and return a sentence with their number and the speed.

        Args:
            show_progress: show a progress bar on standard error.
        """
        start = time.perf_counter()
        bar = progress(log if show_progress else None)
        results = self.model.logits(self._items(), lambda item: item.load())
        # Closed here and not by the interpreter: after Ctrl-C no further photo is decoded.
        with bar, closing(results):
            task = bar.add_task("predict", total=len(self.found.sources))
            for item, logits in results:
                if self._clip is not None and self._clip.source is not item.source:
                    self._finish_clip()
                    bar.advance(task)
                if item.video is not None:
                    self._take_frame(item, item.video, logits)
                    # A long video is a single source: without the time the bar would seem to stand still.
                    bar.update(task, description=f"predict, {clock(item.frame.seconds)}" if item.frame else "predict")
                else:
                    self._take_photo(item.source, logits)
                    bar.update(task, advance=1, description="predict")
            if self._clip is not None:
                self._finish_clip()
        return self._summary(time.perf_counter() - start)

    def _items(self) -> Iterator[_Item]:
        for source in self.found.sources:
            if not source.is_video:
                yield _Item(source, partial(decode, source.path))
                continue
            video = Video(source.path)
            try:
                for frame in video.samples(self.fps):
                    yield _Item(source, frame.take, video, frame)
            except PhotoError as error:
                # Raised when its turn comes, so that failures are listed in the order of the sources.
                yield _Item(source, partial(_raise, error), video)

    def _take_photo(self, source: Source, logits: np.ndarray | PhotoError) -> None:
        if isinstance(logits, PhotoError):
            self._fail(source, logits)
            return
        answer = self.model.rule.answer(self.model.rule.probabilities(logits))
        self.writer.write(Row(source.name, answer))
        self.photos += 1
        if self.annotator is not None:
            try:
                self.annotator.photo(source, answer)
            except PhotoError as error:
                self._fail(source, error)

    def _take_frame(self, item: _Item, video: Video, logits: np.ndarray | PhotoError) -> None:
        if self._clip is None:
            self._clip = _Clip(item.source, video)
        if isinstance(logits, PhotoError):
            self._fail(item.source, logits)
        elif item.frame is not None:
            self._clip.frames.append(item.frame)
            self._clip.logits.append(logits)

    def _finish_clip(self) -> None:
        """Smooth, write and draw a video; only at its end, because an answer depends on later frames as well."""
        clip, self._clip = self._clip, None
        if clip is None or not clip.frames:
            return
        rule = self.model.rule
        seconds = [frame.seconds for frame in clip.frames]
        shares = rule.probabilities(np.stack(clip.logits))
        answers = [rule.answer(row) for row in smooth(np.array(seconds), shares, self.half_width)]
        for frame, row, smoothed in zip(clip.frames, shares, answers, strict=True):
            self.writer.write(Row(clip.source.name, rule.answer(row), frame.index, frame.seconds, smoothed.label))
        self.videos, self.frames = self.videos + 1, self.frames + len(clip.frames)
        segments = find_segments(seconds, answers, clip.video.seconds)
        self.writer.timeline(timeline_lines(clip.source.name, segments))
        if self.annotator is not None:
            try:
                self.annotator.video(clip.source, clip.video, [frame.index for frame in clip.frames], answers)
            except PhotoError as error:
                self._fail(clip.source, error)

    def _fail(self, source: Source, error: PhotoError) -> None:
        self.found.failures.append(Failure(source.name, str(error)))

    def _summary(self, seconds: float) -> str:
        parts = []
        if self.photos or not self.frames:
            parts.append(counted(self.photos, "photo"))
        if self.frames:
            parts.append(f"{counted(self.frames, 'frame')} of {counted(self.videos, 'video')}")
        unit = "photos" if not self.frames else "frames" if not self.photos else "photos and frames"
        rate = (self.photos + self.frames) / max(seconds, 1e-9)
        return f"{' and '.join(parts)} in {seconds:.1f} s, {rate:.0f} {unit}/s"


def _raise(error: PhotoError) -> np.ndarray:
    raise error
