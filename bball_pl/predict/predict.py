"""One pass over photos and videos: answers in order, timelines, annotated copies, and errors."""

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
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bball_pl.errors import ConfigError, PhotoError
from bball_pl.evaluate.calibration import Judge
from bball_pl.evaluate.trained_model import Engine, Precision
from bball_pl.model.classifier import MoveClassifier
from bball_pl.photos.decode import decode
from bball_pl.photos.video import Frame, Video
from bball_pl.predict.annotate import Annotator
from bball_pl.predict.output import Format, Row, Writer, open_output, output_file
from bball_pl.predict.sources import Failure, Found, Source
from bball_pl.predict.timeline import clock, find_segments, smooth, timeline_lines


@dataclass(eq=False)
class _Item:
    """What the network answers: a photo, a frame of a video, or the reason why there is none (raised by `load`)."""

    source: Source
    load: Callable[[], np.ndarray]
    video: Video | None = None
    frame: Frame | None = None


@dataclass
class _Clip:
    """The answers to a video so far."""

    source: Source
    video: Video
    frames: list[Frame] = field(default_factory=list)
    logits: list[np.ndarray] = field(default_factory=list)


@dataclass
class Job:
    """Answers everything that was found.

    Attributes:
        found: the sources, in the order of the answers. Failures are added to it.
        engine: gives logits.
        judge: makes answers of them.
        writer: takes a row for every photo and every frame.
        annotator: draws them, if there is one.
        fps: frames of a video that are answered per second.
        half_width: of the window in which a video's answers are averaged, in seconds.
        progress: whether to show a progress bar on standard error.
    """

    found: Found
    engine: Engine
    judge: Judge
    writer: Writer
    annotator: Annotator | None
    fps: float
    half_width: float
    progress: bool
    photos: int = 0
    videos: int = 0
    frames: int = 0
    _clip: _Clip | None = None

    def run(self) -> str:
        """Answer all sources and return how many there were and how fast they were answered."""
        start = time.perf_counter()
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not self.progress,
            transient=True,
            redirect_stdout=False,
        )
        answers = self.engine.run(self._items(), lambda item: item.load())
        # Closed, and not left to the interpreter: after Ctrl-C nothing more is decoded.
        with bar, closing(answers):
            task = bar.add_task("predict", total=len(self.found.sources))
            for item, answer in answers:
                if self._clip is not None and self._clip.source is not item.source:
                    self._finish_clip()
                    bar.advance(task)
                if item.video is not None:
                    self._take_frame(item, item.video, answer)
                    # A long video is one of the sources: the bar alone would seem to stand still.
                    bar.update(task, description=f"predict, {clock(item.frame.seconds)}" if item.frame else "predict")
                else:
                    self._take_photo(item.source, answer)
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
                # It takes its place in the row: failures are met in order.
                yield _Item(source, partial(_fail, error), video)

    def _take_photo(self, source: Source, answer: np.ndarray | PhotoError) -> None:
        if isinstance(answer, PhotoError):
            self._fail(source, answer)
            return
        said = self.judge.answer(self.judge.probabilities(answer))
        self.writer.write(Row(source.name, said))
        self.photos += 1
        if self.annotator is not None:
            try:
                self.annotator.photo(source, said)
            except PhotoError as error:
                self._fail(source, error)

    def _take_frame(self, item: _Item, video: Video, answer: np.ndarray | PhotoError) -> None:
        if self._clip is None:
            self._clip = _Clip(item.source, video)
        if isinstance(answer, PhotoError):
            self._fail(item.source, answer)
        elif item.frame is not None:
            self._clip.frames.append(item.frame)
            self._clip.logits.append(answer)

    def _finish_clip(self) -> None:
        """Smooth, write and draw a video: not before its end, because an answer depends on the following ones too."""
        clip, self._clip = self._clip, None
        if clip is None or not clip.frames:
            return
        seconds = [frame.seconds for frame in clip.frames]
        shares = self.judge.probabilities(np.stack(clip.logits))
        answers = [self.judge.answer(row) for row in smooth(np.array(seconds), shares, self.half_width)]
        for frame, row, smoothed in zip(clip.frames, shares, answers, strict=True):
            alone = self.judge.answer(row)
            self.writer.write(Row(clip.source.name, alone, frame.index, frame.seconds, smoothed.text))
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
            parts.append(_counted(self.photos, "photo"))
        if self.frames:
            parts.append(f"{_counted(self.frames, 'frame')} of {_counted(self.videos, 'video')}")
        unit = "photos" if not self.frames else "frames" if not self.photos else "photos and frames"
        rate = (self.photos + self.frames) / max(seconds, 1e-9)
        return f"{' and '.join(parts)} in {seconds:.1f} s, {rate:.0f} {unit}/s"


def answer_all(
    found: Found,
    checkpoint: Path,
    form: Format | None = None,
    out: Path | None = None,
    annotate: Path | None = None,
    threshold: float | None = None,
    fps: float = 4.0,
    half_width: float = 0.75,
    batch_size: int = 32,
    device: str = "auto",
    precision: Precision = "32",
) -> str:
    """Answer everything that was found with a checkpoint, as the options of scripts/predict.py say.

    Args:
        found: the sources; what fails is added to its failures.
        checkpoint: its file.
        form: of the answers, as in `open_output`.
        out: where they go, as in `open_output`.
        annotate: folder for annotated copies.
        threshold: confidence below which the answer is "unsure", 0–1; None takes the calibration's.
        fps: frames of a video that are answered per second, above 0.
        half_width: of the window in which a video's answers are averaged, in seconds.
        batch_size: photos in one pass of the network.
        device: as in `Engine`.
        precision: as in `Engine`.

    Returns:
        How many photos and frames were answered, and how fast.

    Raises:
        BballError: if the checkpoint, an option or a place to write to cannot be used.
    """
    if out is not None and os.path.realpath(output_file(form, out)) in found.real_paths:
        raise ConfigError(f"--out {out} is one of the sources; pass another file")
    engine = Engine(MoveClassifier.from_checkpoint(checkpoint), "none", batch_size, device, precision)
    judge = Judge.of_checkpoint(checkpoint, engine.class_names, threshold)
    annotator = None if annotate is None else Annotator(annotate, found)
    if judge.note:
        print(f"note: {judge.note}", file=sys.stderr)
    # Rows that run over a terminal and a bar below them would get into each other's way.
    rows_on_terminal = out is None and form in {"csv", "jsonl"} and sys.stdout.isatty()
    with open_output(form, out, engine.class_names) as writer:
        job = Job(
            found, engine, judge, writer, annotator, fps, half_width, sys.stderr.isatty() and not rows_on_terminal
        )
        return job.run()


def _fail(error: PhotoError) -> np.ndarray:
    raise error


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
